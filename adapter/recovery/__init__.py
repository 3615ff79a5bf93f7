"""Recovery for people: what an operator may do to an exchange, and what the journal tells about one.

Above the pipeline, below the command line. Nothing here runs an exchange: a row is moved to a state that a worker
takes up, inside one transaction, with the proof of who did it and why.
"""
