"""What a handler asks of a request first: the role, and fields of a form that are texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from adapter.recovery.arguments import uuid_of
from adapter.web.console.page import SESSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
    from uuid import UUID

    from adapter.web.console.entry import Session


def needs(request: web.Request, role: str) -> None:
    """Refuse who has not ``role``. Raises HTTPForbidden."""
    session: Session = request[SESSION]
    if not session.may(role):
        raise web.HTTPForbidden(reason=f"Для этого нужна роль {role}")


def asked(given: Mapping[str, Any], name: str) -> str:
    """Return a field of a form, '' for one that is missing or a file."""
    value = given.get(name, "")
    return value.replace("\x00", "") if isinstance(value, str) else ""


def path_id(request: web.Request) -> UUID:
    """Return the UUID in the path. Raises HTTPNotFound."""
    found = uuid_of(request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    return found
