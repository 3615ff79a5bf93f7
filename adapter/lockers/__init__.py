"""Постаматы: parcel lockers from which an МФЦ hands out finished cases.

``rules`` decides, without I/O; ``refusals`` names every no; ``store`` keeps directory, cases and movements in the
adapter's database (statements in ``queries/``); ``qr`` draws the code that goes with a case.
"""
