"""Readers of the console's own variables; as in values.py, sentences never repeat the given text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adapter.settings.values import WrongValueError, given_or_file, listen, names, url

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a holder of a token may do: look; see contents as they are; act (send, replay, resolve, edit).
ROLES = ("view", "reveal", "replay")
#: Characters of a token that nobody guesses.
_TOKEN_LENGTH = 16


def listening(text: str) -> tuple[str, int]:
    """Read where to listen, ``HOST:PORT``, where listening is all that a program does."""
    found = listen(text)
    if found is None:
        raise WrongValueError("must be HOST:PORT")
    return found


def console_tokens(text: str) -> Mapping[str, tuple[str, frozenset[str]]]:
    """Read (token, roles) by name, ``olga:view+replay=TOKEN,…``, or a file of them, one a line.

    Every holder may view. Tokens have at least 16 characters and differ from each other.
    """
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for item in re.split(r"[,\r\n]", given_or_file(text)):
        if not item.strip() or item.lstrip().startswith("#"):
            continue
        head, mark, token = (part.strip() for part in item.partition("="))
        name, _, listed = head.partition(":")
        roles = frozenset(listed.split("+")) if listed else frozenset({"view"})
        if not mark or not re.fullmatch(r"[\w.@-]{1,64}", name) or not roles <= {*ROLES}:
            raise WrongValueError(
                "must be NAME:ROLES=TOKEN, comma-separated or one a line of a file, ROLES being view, reveal and replay"
                " joined by +"
            )
        if len(token) < _TOKEN_LENGTH or re.search(r"[\x00-\x20\x7f]", token):
            raise WrongValueError(f"must hold tokens of at least {_TOKEN_LENGTH} characters without blanks")
        if name in found or token in {known for known, _ in found.values()}:
            raise WrongValueError("names somebody or holds a token twice")
        found[name] = (token, roles | {"view"})
    if not found:
        raise WrongValueError("must name at least one holder of a token")
    return found


def urls(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of http(s) URLs."""
    return tuple(url(item).rstrip("/") for item in names(text))
