"""What ЕПГУ and ЕСИА say no with: every code with its words, its advice and what may be done about it.

The table is codes.json. A code that it does not have passes as it came, with the advice how to file an incident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.errors import AdapterError, Code, KnownError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is said of everything that the tables do not have.
INCIDENT: Final = (
    "Составить обращение об инциденте по Приложению 2 Спецификации и отправить его на адрес sd@sc.digital.gov.ru "
    "с темой «МНЕМОНИКА #API-ЕПГУ #краткое содержание ошибки»"
)
#: Characters of a foreign message that are passed on.
_MOST_TEXT: Final = 1_000
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_ESIA: Final = re.compile(r"ESIA-\d{6}")


class ErrorClass(StrEnum):
    """What may be done about an error."""

    RETRY = "retry"
    """The same call may be made again later."""
    TOKEN = "token"  # noqa: S105  — the name of a class
    """The token is at fault: another one is needed."""
    LIMITS = "limits"
    """A limit is used up: the call may be made again when it has passed."""
    PERMANENT = "permanent"
    """The same call will be refused again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. ``final`` and ``success`` are of process codes alone."""

    code: str
    kind: ErrorClass
    text: str
    recommendation: str
    final: bool = True
    success: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that ЕПГУ or ЕСИА refused, and what may be done about it."""

    error: AdapterError
    kind: ErrorClass


@dataclass(frozen=True, slots=True)
class _Tables:
    errors: Mapping[str, Row]
    http: Mapping[int, Row]
    process: Mapping[str, Row]
    esia: Mapping[str, Row]


@cache
def tables() -> _Tables:
    """Return the tables of codes.json."""
    told = orjson.loads(resources.files(__package__).joinpath("codes.json").read_bytes())
    return _Tables(
        errors={row["code"]: _row(row) for row in told["errors"]},
        http={row["status"]: _row(row) for row in told["http"]},
        process={row["code"]: _row(row) for row in told["process"]},
        esia={row["code"]: _row(row) for row in told["esia"]},
    )


def _row(told: Mapping[str, Any]) -> Row:
    return Row(
        told["code"],
        ErrorClass(told["class"]),
        told["text"],
        told["recommendation"],
        told.get("final", True),
        told.get("success", False),
    )


def process_row(code: str) -> Row | None:
    """Return the row of a process code (Приложение 1); ``None`` for one that is not there."""
    return tables().process.get(code.strip().upper())


def known(code: str, *, details: Mapping[str, Any] | None = None) -> AdapterError:
    """Return the error of a code of Приложение 4 in the table's words."""
    row = tables().errors[code]
    return AdapterError(row.code, row.text, details=details, recommendation=row.recommendation)


def of_answer(
    status: int, body: bytes, details: Mapping[str, Any] | None = None, *, cancelling: bool = False
) -> Failure:
    """Return what an answer of ЕПГУ with another status than the good ones is.

    ``{"code", "message"}`` are believed in any status, each may be absent; plain text and an empty body leave the
    status alone to judge by. ``details`` go into the error beside the status. A cancellation that is not possible may
    be told by 405 or 409.
    """
    told = {**(details or {}), "http_status": status}
    said = _object(body)
    code, message = said.get("code"), said.get("message")
    words = message.strip()[:_MOST_TEXT] if isinstance(message, str) else ""
    if isinstance(code, str) and (row := tables().errors.get(code.strip().lower())):
        return Failure(
            AdapterError(row.code, words or row.text, details=told, recommendation=row.recommendation), row.kind
        )
    if isinstance(code, str) and _CODE.fullmatch(code.strip()):
        kind = ErrorClass.RETRY if status >= 500 else ErrorClass.PERMANENT
        error = AdapterError(code.strip(), words or "Ошибка ЕПГУ", details=told, recommendation=INCIDENT)
        return Failure(error, kind)
    if cancelling and status == 409:
        return Failure(known("cancel_not_allowed", details=told), ErrorClass.PERMANENT)
    if (row := tables().http.get(status)) and (cancelling or status != 405):
        return Failure(
            AdapterError(row.code, words or row.text, details=told, recommendation=row.recommendation), row.kind
        )
    return _undescribed(status, words or _plain(body), told)


def _undescribed(status: int, words: str, told: dict[str, Any]) -> Failure:
    """Return what a status is that no table has."""
    if words:
        told["text"] = words
    if status >= 500 or status in {408, 425}:
        error = AdapterError(
            Code.GATEWAY_UNAVAILABLE.wire, Code.GATEWAY_UNAVAILABLE.sentence, details=told, recommendation=INCIDENT
        )
        return Failure(error, ErrorClass.RETRY)
    if status == 400:
        return Failure(known("bad_request", details=told), ErrorClass.PERMANENT)
    error = AdapterError(
        Code.GATEWAY_PROTOCOL.wire, f"ЕПГУ ответил HTTP {status}", details=told, recommendation=INCIDENT
    )
    return Failure(error, ErrorClass.PERMANENT)


def of_dictionary(error: Mapping[str, Any], field_errors: object) -> AdapterError:
    """Return the error of a dictionary, which comes inside HTTP 200: ``error.code`` is not 0."""
    message = error.get("message")
    words = message.strip()[:_MOST_TEXT] if isinstance(message, str) and message.strip() else "Ошибка справочника"
    details: dict[str, Any] = {"http_status": 200}
    if isinstance(field_errors, list) and field_errors:
        details["field_errors"] = field_errors
    advice = "Проверить код справочника и параметры запроса"
    return AdapterError(f"dictionary-{error.get('code')}", words, details=details, recommendation=advice)


def of_esia(status: int, body: bytes) -> Failure:
    """Return what ЕСИА says when it gives no token: its code with our words, nothing of what it repeats of ours."""
    said = _object(body)
    found = _ESIA.search(str(said.get("error_description", "")))
    details = {"http_status": status, "source": "esia"}
    if found is not None:
        row = tables().esia.get(found.group())
        text, advice = (row.text, row.recommendation) if row else ("ЕСИА не выдала маркер доступа", INCIDENT)
        kind = row.kind if row else ErrorClass.PERMANENT
        return Failure(AdapterError(found.group(), text, details=details, recommendation=advice), kind)
    if status >= 500 or status in {408, 429}:
        return Failure(KnownError(Code.GATEWAY_UNAVAILABLE, "ЕСИА недоступна", details=details), ErrorClass.RETRY)
    return Failure(token_refused(details), ErrorClass.TOKEN)


def token_refused(details: Mapping[str, Any] | None = None, description: str | None = None) -> AdapterError:
    """Return the error of a token that could not be had or was not taken."""
    return AdapterError(
        Code.TOKEN_REFUSED.wire,
        description or Code.TOKEN_REFUSED.sentence,
        details=details,
        recommendation=tables().http[401].recommendation,
    )


def _plain(body: bytes) -> str:
    """Return a body that is a line of plain text; nothing of pages and of other bytes."""
    text = body[: _MOST_TEXT * 4].decode("utf-8", "replace").strip()
    return "" if not text or text.startswith(("<", "{", "[")) or not text.isprintable() else text[:200]


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
