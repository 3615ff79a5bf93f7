"""The header X-Sim: a caller asks for a bad day for one message alone, with SendRequest or SendResponse.

``X-Sim: late=5, duplicate`` — words are separated by commas, a word's argument follows ``=`` or ``:``.

================== ================================================================================================
word               what happens
================== ================================================================================================
reject             the provider rejects: RequestRejected, FAILURE; ``reject:NO_DATA`` by another of the four codes
reject:SMEV-403    СМЭВ3 rejects late, by GetResponse, with this fault (a code or an element's name)
fault:SMEV-403     СМЭВ3 refuses at the door with this fault
late               the answer comes after 60 s; ``late=5`` after five
silent             no answer ever comes
duplicate          the answer is delivered twice
status             a status (RequestStatus) comes before the answer; ``status=3`` three
================== ================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from simulators.smev3.faults import refuse_bare
from simulators.smev3.scenario import NOTHING, Effects, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADER = "X-Sim"
_REASONS = get_args(Rejected.model_fields["code"].annotation)


def _reject(argument: str) -> dict[str, Any]:
    if not argument or argument in _REASONS:
        return {"request_rejected": {"code": argument or "FAILURE"}}
    return {"rejection": argument}


_WORDS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "reject": _reject,
    "fault": lambda argument: {"fault": argument},
    "late": lambda argument: {"answer_delay": argument or 60},
    "silent": lambda _: {"silent": True},
    "duplicate": lambda _: {"duplicate": True},
    "status": lambda argument: {"request_status": argument or 1},
}


def effects_of(header: str) -> Effects:
    """Return what the header asks for. Raises RefusedError for words that mean nothing here."""
    if not header.strip():
        return NOTHING
    wished: dict[str, Any] = {}
    for wish in header.split(","):
        word, argument = _split(wish.strip())
        if word not in _WORDS:
            raise refuse_bare(f"{HEADER}: {word[:50]}?")
        wished |= _WORDS[word](argument)
    try:
        return Effects.model_validate(wished)
    except ValidationError as error:
        raise refuse_bare(f"{HEADER}: {error.errors()[0]['msg']}") from None


def _split(wish: str) -> tuple[str, str]:
    for mark in ("=", ":"):
        if mark in wish:
            word, _, argument = wish.partition(mark)
            return word.strip().lower(), argument.strip()
    return wish.lower(), ""
