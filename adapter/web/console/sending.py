"""«Отправить»: choose an action and an example, edit, have it judged as you type, send through the real queue."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from adapter.recovery.arguments import printable, uuid_of
from adapter.web.console import words
from adapter.web.console.allowed import asked, needs
from adapter.web.console.desk import AwayError
from adapter.web.console.entry import REPLAY, REVEAL, Session
from adapter.web.console.judging import Verdict, judge
from adapter.web.console.page import DESK, LANGUAGES, PAGES, SESSION, show
from adapter.web.console.pretty import json_text
from adapter.web.console.revealing import reveal

if TYPE_CHECKING:
    from uuid import UUID

    from adapter.exchange import Service
    from adapter.web.console.desk import Desk

LARGEST: Final = web.AppKey("largest", int)
#: The description whose examples these are; all others are ours.
SEED_ACTION: Final = "zhkh-debt-requests"
_GATEWAYS: Final = {"smev3": "СМЭВ3", "epgu": "ЕПГУ", "shep": "ШЭП", "vshep": "ВШЭП", "postamat": "Постаматы"}
#: A worker takes a command within milliseconds: looked for so often, so many seconds apart, before a page says to wait.
_LOOKS: Final = 12
_BETWEEN: Final = 0.05

#: Stands in the form while an example does: its answer is what people come to look at.
_EXAMPLE_REASON: Final = "проверка примером"


def _service(desk: Desk, action: str) -> Service:
    service = desk.services.get(action)
    if service is None:
        raise web.HTTPNotFound(reason="Такое действие здесь не обслуживается")
    return service


def _menu(desk: Desk) -> list[tuple[str, list[Service]]]:
    """Return the actions by gateway."""
    ordered = sorted(desk.services.values(), key=lambda service: (service.gateway, service.action))
    return [(_GATEWAYS.get(name, name), list(services)) for name, services in groupby(ordered, lambda one: one.gateway)]


async def _page(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    default = SEED_ACTION if SEED_ACTION in desk.services else next(iter(desk.services), "")
    service = _service(desk, request.query.get("action", default))
    number = request.query.get("example", "1")
    place = int(number) - 1 if number.isdecimal() and len(number) < 4 else 0
    if not 0 <= place < len(service.examples):
        place = 0
    text = json_text(service.examples[place].request) if service.examples else "{}"
    t = words.translator(request.app[PAGES].language(request))
    reason = t(_EXAMPLE_REASON) if service.examples else ""
    return _shown(request, service, text, place, judge(service, text, request.app[LARGEST]), reveal_reason=reason)


def _shown(  # noqa: PLR0913  — what a page is made from
    request: web.Request, service: Service, text: str, place: int, verdict: Verdict, *, status: int = 200, **more: Any
) -> web.Response:
    known = {"dry_run": False, "reveal_reason": "", "refused": False, "missing_queue": False, "away": ""}
    return show(
        request,
        "send.html",
        status=status,
        menu=_menu(request.app[DESK]),
        service=service,
        place=place,
        text=text,
        verdict=verdict,
        seed=service.action == SEED_ACTION,
        expected=json_text(service.examples[place].reply) if service.examples else "",
        schema=json_text(service.command_schema()),
        gateway=_GATEWAYS.get(service.gateway, service.gateway),
        **known | more,
    )


async def _check(request: web.Request) -> web.StreamResponse:
    """Judge a text as a worker would; asked while a person types."""
    given = await request.post()
    verdict = judge(
        _service(request.app[DESK], asked(given, "action")), _body(asked(given, "body")), request.app[LARGEST]
    )
    t = words.translator(request.app[PAGES].language(request))
    return web.json_response(
        {
            "good": verdict.good,
            "code": verdict.code,
            "sentence": t("Команда соответствует формату") if verdict.good else verdict.description,
            "faults": [asdict(fault) for fault in verdict.faults],
        }
    )


async def _send(request: web.Request) -> web.StreamResponse:
    needs(request, REPLAY)
    desk, session, given = request.app[DESK], request[SESSION], await request.post()
    service, text = _service(desk, asked(given, "action")), _body(asked(given, "body"))
    dry_run, anyway = "dry_run" in given, "anyway" in given
    reason = asked(given, "reveal_reason").strip()[:500]
    known = next((n for n, one in enumerate(service.examples) if json_text(one.request) == text.strip()), None)
    if known is None and reason in {words.translator(language)(_EXAMPLE_REASON) for language in LANGUAGES}:
        reason = ""  # the words that stand there by themselves are for examples, which are of nobody
    verdict = judge(service, text, request.app[LARGEST])
    typed = {"dry_run": dry_run, "reveal_reason": reason}
    if not verdict.good and not anyway:
        return _shown(request, service, text, known or 0, verdict, status=422, refused=True, **typed)
    detail = (
        f"{service.action}{' dry-run' if dry_run else ''}, {f'example {known + 1}' if known is not None else 'edited'}"
    )
    try:
        message_id = await desk.send(
            service.action,
            text.encode("utf-8", "surrogatepass"),
            desk.operator(session.name, None),
            dry_run=dry_run,
            detail=detail,
        )
    except AwayError as away:
        return _shown(request, service, text, known or 0, verdict, status=503, away=away.part, **typed)
    except LookupError:
        return _shown(request, service, text, known or 0, verdict, status=503, missing_queue=True, **typed)
    if reason and session.may(REVEAL) and reason.isprintable():
        _remember(session, message_id, reason)
    for _ in range(_LOOKS):
        if await desk.find_sent(message_id) is not None:
            break
        await asyncio.sleep(_BETWEEN)
    raise web.HTTPSeeOther(f"/sent/{message_id}?action={service.action}")


def _body(text: str) -> str:
    """Return a text as it was typed: forms write line breaks as two characters."""
    return text.replace("\r\n", "\n")


def _remember(session: Session, message_id: UUID, reason: str) -> None:
    session.wishes[str(message_id)] = reason
    while len(session.wishes) > 50:
        del session.wishes[next(iter(session.wishes))]


async def _sent(request: web.Request) -> web.StreamResponse:
    """Wait for a worker to take the command; then the exchange's own page goes on."""
    message_id = uuid_of(request.match_info["message_id"])
    if message_id is None:
        raise web.HTTPNotFound
    found = await request.app[DESK].find_sent(message_id)
    if found is None:
        action = printable(request.query.get("action", ""))[:200]
        return show(request, "sent.html", message_id=message_id, action=action)
    await reveal_wished(request, message_id, found)
    raise web.HTTPSeeOther(f"/exchanges/{found}")


async def reveal_wished(request: web.Request, message_id: UUID, exchange_id: UUID) -> None:
    """Reveal what was sent with a reason to see its answer; who and why is journaled first."""
    session: Session = request[SESSION]
    reason = session.wishes.pop(str(message_id), None)
    if reason is not None:
        await reveal(request, f"exchange:{exchange_id}", reason)


ROUTES: Final = (
    web.get("/send", _page),
    web.post("/send", _send),
    web.post("/send/check", _check),
    web.get("/sent/{message_id}", _sent),
)
