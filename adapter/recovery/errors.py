"""Why a command for operators did nothing; the text is an English sentence for a person, without values of bodies."""

from __future__ import annotations


class RecoveryError(Exception):
    """The command was not carried out: the row is in another state, the id is unknown, a service cannot be reached."""


class ArgumentError(ValueError):
    """An argument breaks its rule."""
