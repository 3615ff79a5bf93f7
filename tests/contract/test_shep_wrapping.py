"""A Body signed elsewhere, in many forms: no door, no client and no gate believes any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web

from adapter.exchange import Accepted, Call, Unanswered
from adapter.gateways.shep.operations import ASYNC_SEND
from adapter.xml.parser import XmlError
from adapter.xml.wssecurity import verify_envelope
from tests.contract.shep_caller import SENT
from tests.contract.shep_doors import Doors, opened
from tests.contract.shep_samples import VALID
from tests.contract.shep_signing import Hand
from tests.contract.shep_wrapping import CORPUS, EVIL, GOOD, Victim
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.kz import KzEngine
    from tests.contract.shep_caller import Caller

pytest_plugins = ("tests.contract.shep_fixtures",)

#: The forger has a certificate too, of an organisation that is not the gateway.
KEYS = [("gateway", "other"), ("gateway-gost", "shep")]
CODES = {"ADAPTER-GATEWAY-SIGNATURE", "ADAPTER-UNSUPPORTED-ALGORITHM", "ADAPTER-GATEWAY-PROTOCOL"}


def victim(doors: Doors, name: str, payload: str, forger: str = "other") -> Victim:
    return Victim(doors.hand(name), doors.hand(forger), payload)


def pushed(service: str) -> str:
    content = VALID["pushed"].replace("<serviceId>Svc<", f"<serviceId>{service}<")
    return content.replace("<data/>", "<data><a>GOOD</a></data>")


@pytest.mark.parametrize("service", ["Gateway", "Both"])
@pytest.mark.parametrize(("name", "forger"), KEYS)
async def test_no_door_of_ours_keeps_what_is_signed_elsewhere(
    kz: KzEngine, shep_keys: Path, name: str, forger: str, service: str
) -> None:
    async with opened(kz, shep_keys) as doors:
        honest = victim(doors, name, pushed(service), forger)
        assert EVIL in honest.evil()
        assert GOOD in honest.body
        status, answer = await doors.post("/async", honest.message)
        assert (status, answer.fault) == (200, None)
        assert len(doors.kept.incoming) == 1
        for form, make in CORPUS.items():
            status, answer = await doors.post("/async", make(honest))
            assert (status, answer.fault is not None) == (500, True), form
            assert len(doors.kept.incoming) == 1, form


async def test_no_synchronous_door_answers_what_is_signed_elsewhere(kz: KzEngine, shep_keys: Path) -> None:
    async with opened(kz, shep_keys) as doors:
        asked = VALID["sync"].replace("<serviceId>Svc<", "<serviceId>Both<").replace("<a>1<", "<a>GOOD<")
        honest = victim(doors, "gateway", asked)
        assert (await doors.post("/sync", honest.message))[0] == 200
        for form, make in CORPUS.items():
            status, answer = await doors.post("/sync", make(honest))
            assert (status, answer.fault is not None) == (500, True), form
        assert len(doors.kept.incoming) == 1


async def test_no_answer_that_is_signed_elsewhere_is_believed(caller: Caller) -> None:
    receipt = VALID["receipt"].replace("216386080", "GOOD")
    honest = Victim(caller.stand.hand("gateway"), caller.stand.hand("other"), receipt)
    answers: list[bytes] = []

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=answers[-1], content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", answer)
    async with serving(app) as url:
        gateway = caller.gateway(async_url=url)
        prepared = await gateway.prepare(Call("shep", ASYNC_SEND, orjson.dumps(SENT)))
        answers.append(honest.message)
        assert isinstance(await gateway.send(prepared, earlier_attempts=0), Accepted)
        for form, make in CORPUS.items():
            answers.append(make(honest))
            sent = await gateway.send(prepared, earlier_attempts=0)
            assert isinstance(sent, Unanswered), form
            assert sent.error.code in CODES, form
            assert sent.raw == answers[-1]


async def test_the_simulated_gateway_lets_none_of_them_in(caller: Caller) -> None:
    sent = VALID["sent"].replace("<serviceId>Svc<", "<serviceId>AsyncEcho<").replace("<a/>", "<a>GOOD</a>")
    sent = sent.replace(">system<", ">adapter<").replace(">secret<", ">adapter-password<")
    honest = Victim(caller.stand.hand("shep"), caller.stand.hand("other"), sent)
    assert (await caller.stand.raw("/shep/async", honest.message))[0] == 200
    taken = await caller.stand.until("/_sim/messages", lambda found: len(found) == 2 and found)
    for form, make in CORPUS.items():
        status, _ = await caller.stand.raw("/shep/async", make(honest))
        assert status == 500, form
    assert await caller.stand.get("/_sim/messages") == taken


@pytest.mark.parametrize(("name", "forger"), KEYS)
def test_what_is_right_by_itself_is_the_forgers_own(kz: KzEngine, shep_keys: Path, name: str, forger: str) -> None:
    honest = Victim(Hand(kz, shep_keys, name), Hand(kz, shep_keys, forger), pushed("Both"))
    allowed = {"the forger alone signs", "the forger names both certificates, his own first"}
    believed = set()
    for form, make in CORPUS.items():
        try:
            verdict = verify_envelope(make(honest), kz)
        except XmlError:
            continue
        if verdict.math:
            believed.add(form)
            assert verdict.certificate == honest.forger.certificate, form
    assert believed == allowed
