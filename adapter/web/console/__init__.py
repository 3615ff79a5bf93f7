"""The console: server-rendered pages for people who send, look, and put right what stopped. No build step.

``app.py`` is the door, ``entry.py`` says who may do what, each page has a module of its own.
"""
