"""``/_sim/account/*``: what a citizen does and sees on ЕПГУ; JSON both ways.

============================================ =======================================================================
GET    /_sim/account/orders                  [order_id]
POST   /_sim/account/orders                  {"namespace", "root"?, "content"?: XML beside the number}: an order
GET    /_sim/account/orders/{id}             the order as its citizen sees it: status, messages, what may be done
POST   /_sim/account/orders/{id}/messages    {"text", "unlimited"?: true}: a message; 409 when the account forbids it
POST   /_sim/account/orders/{id}/cancel      {"reason"}: a wish to cancel; 409 when the account forbids it
============================================ =======================================================================
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from simulators.smev3.account import LONGEST_TEXT, NotAllowedError
from simulators.smev3.admin import SIMULATOR, read_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}$")]
_Namespace = Annotated[str, StringConstraints(pattern=r"^[^\s<>\"&]{1,300}$")]


class Wanted(BaseModel):
    """An order."""

    model_config = ConfigDict(extra="forbid")

    namespace: _Namespace
    root: _Name = "FormData"
    content: str = ""


class Message(BaseModel):
    """A citizen's message; the account itself takes 2048 characters, ``unlimited`` lets more through."""

    model_config = ConfigDict(extra="forbid")

    text: str
    unlimited: bool = False


class Wish(BaseModel):
    """A wish to cancel."""

    model_config = ConfigDict(extra="forbid")

    reason: str


def add_routes(app: web.Application) -> None:
    """Add ``/_sim/account/*`` to ``app``."""
    one = r"/_sim/account/orders/{id:\d{1,18}}"
    app.router.add_get("/_sim/account/orders", orders)
    app.router.add_post("/_sim/account/orders", order)
    app.router.add_get(one, view)
    app.router.add_post(f"{one}/messages", message)
    app.router.add_post(f"{one}/cancel", cancel)


async def orders(request: web.Request) -> web.Response:
    return web.json_response(request.app[SIMULATOR].account.all())


async def order(request: web.Request) -> web.Response:
    wanted, simulator = await read_body(request, Wanted), request.app[SIMULATOR]
    now = simulator.config.clock()
    try:
        made = await asyncio.to_thread(simulator.account.order, wanted.namespace, wanted.root, wanted.content, now)
    except (OSError, ValueError) as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    return web.json_response({"order_id": made.order_id, "message_id": made.message_id}, status=201)


async def view(request: web.Request) -> web.Response:
    try:
        return web.json_response(request.app[SIMULATOR].account.view(int(request.match_info["id"])))
    except KeyError:
        raise web.HTTPNotFound from None


async def message(request: web.Request) -> web.Response:
    wanted = await read_body(request, Message)
    if not wanted.text or (len(wanted.text) > LONGEST_TEXT and not wanted.unlimited):
        raise web.HTTPBadRequest(text=f"a message has 1 to {LONGEST_TEXT} characters")
    return await _sent(request, request.app[SIMULATOR].account.say, wanted.text)


async def cancel(request: web.Request) -> web.Response:
    wanted = await read_body(request, Wish)
    return await _sent(request, request.app[SIMULATOR].account.cancel, wanted.reason)


async def _sent(request: web.Request, send: Callable[[int, str, datetime], str], text: str) -> web.Response:
    now = request.app[SIMULATOR].config.clock()
    try:
        message_id = await asyncio.to_thread(send, int(request.match_info["id"]), text, now)
    except KeyError:
        raise web.HTTPNotFound from None
    except NotAllowedError as error:
        raise web.HTTPConflict(text=str(error)) from None
    except (OSError, ValueError) as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    return web.json_response({"message_id": message_id}, status=201)
