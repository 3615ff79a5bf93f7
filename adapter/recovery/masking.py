"""Contents shown without what they say: the structure of a body stays, its values do not. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_DEEPEST: Final = 12
_LONGEST: Final = 20
#: Parts of an error that the adapter writes itself and that never quote a value (adapter/errors.py).
_OUR_DETAILS: Final = frozenset({"stacktrace", "cause", "schema", "rule"})


def masked_body(body: bytes | None) -> Any:
    """Return the structure of a JSON body with every value replaced by its kind and length."""
    if body is None:
        return "<not kept: larger than MQ_MAX_BODY>"
    try:
        return _mask(orjson.loads(body), 0)
    except orjson.JSONDecodeError:
        return f"<not JSON, {len(body)} bytes>"


def masked_outcome(outcome: bytes | None) -> Any:
    """Return an outcome: of an error its code, sentence and broken rules, of a result the structure alone.

    The sentence of a gateway's own code is left out: it is not ours and may quote a value.
    """
    if outcome is None:
        return None
    content = orjson.loads(outcome)
    error = content.get("error")
    if not isinstance(error, dict):
        return _mask(content, 0)
    ours = str(error.get("error_code", "")).startswith("ADAPTER-")
    names = ("error_code", "fields", *(("description", "recommendation") if ours else ()))
    told = {name: error[name] for name in names if name in error}
    details = error.get("details") or {}
    if details:
        told["details"] = {name: value if name in _OUR_DETAILS else _mask(value, 0) for name, value in details.items()}
    return {"error": told}


def readable(body: bytes | None) -> Any:
    """Return a body as it is: JSON as JSON, other text as text, other bytes in hex."""
    if body is None:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body.hex()


def _mask(value: Any, depth: int) -> Any:
    match value:
        case None:
            return None
        case dict() | list() if depth > _DEEPEST:
            return "<deeper>"
        case dict():
            return {key if _KEY.fullmatch(key) else "<key>": _mask(part, depth + 1) for key, part in value.items()}
        case list():
            parts = [_mask(part, depth + 1) for part in value[:_LONGEST]]
            return [*parts, f"<{len(value) - _LONGEST} more>"] if len(value) > _LONGEST else parts
        case _:
            return _kind(value)


def _kind(value: str | float) -> str:
    if isinstance(value, str):
        return f"<text, {len(value)} characters>"
    return "<true or false>" if isinstance(value, bool) else "<number>"
