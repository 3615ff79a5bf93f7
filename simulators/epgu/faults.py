"""How the gateway says no: a code with a sentence, or a bare status whose body nobody describes."""

from __future__ import annotations

from simulators.epgu.codes import ERRORS, ESIA


class RefusedError(Exception):
    """A call is not done. ``body`` is JSON or, as a string, plain text; both may be absent."""

    def __init__(self, status: int, body: dict[str, object] | str = "", *, code: str = "") -> None:
        """``code`` is what the ledger says of it."""
        super().__init__(f"{status} {code}")
        self.status = status
        self.body = body
        self.code = code or str(status)


def refuse(code: str, message: str = "", *, status: int | None = None) -> RefusedError:
    """Return the refusal of a row of Приложение 4. Raises KeyError for a code that is not there."""
    row = ERRORS[code]
    return RefusedError(status or row.status, {"code": code, "message": message or row.text}, code=code)


def refuse_bare(status: int, text: str = "") -> RefusedError:
    """Return a refusal that no document gives a body: empty, or plain text."""
    return RefusedError(status, text)


def refuse_esia(code: str, state: str = "") -> RefusedError:
    """Return an error of ЕСИА. Raises KeyError for a code that is not there."""
    row = ESIA[code]
    body: dict[str, object] = {"error": row.error, "error_description": f"{code}: {row.text}"}
    return RefusedError(row.status, body | ({"state": state} if state else {}), code=code)


def absent() -> RefusedError:
    """Return what the gateway says of an order, a status or a file that is not there: 204, no body."""
    return RefusedError(204, code="not_found")
