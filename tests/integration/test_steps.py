"""A command of two calls: what the first was answered survives whatever happens before the second."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from adapter.errors import Code, KnownError, SignerError
from adapter.exchange import Repeat, Unanswered
from tests.integration.conftest import StepsService
from tests.integration.rows import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Answer, Command, Prepared, Sent, Step
    from tests.integration.conftest import House, HouseBuilder


class KnowingService(StepsService):
    """Remembers what the first call was answered; explodes over the second answer where it says so."""

    def known(self, command: Command, answer: Answer | None) -> Mapping[str, Any]:
        return (
            {name: value for name, value in orjson.loads(answer.content).items() if name == "order"} if answer else {}
        )

    def resume(self, command: Command, answer: Answer) -> Step:
        if "explode" in orjson.loads(answer.content):
            raise RuntimeError("a defect with a secret value")
        return super().resume(command, answer)


@pytest.fixture
def builder(builder: HouseBuilder) -> HouseBuilder:
    builder.services["steps"] = StepsService("steps", calls=True)
    builder.services["knowing"] = KnowingService("knowing", calls=True)
    return builder


async def test_a_second_call_follows_from_the_first_answer(house: House) -> None:
    await house.upstream.publish("steps", {"n": 1}, message_id="m-1")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await house.source.bring(house.answer(first, {"order": 7}))
    second, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    assert second.body == b'{"order":7}'
    await house.source.bring(house.answer(second, {"done": True}))
    assert orjson.loads((await house.upstream.reply()).body) == {"result": {"done": True}}


async def test_a_second_call_that_has_to_wait_does_not_make_the_first_again(house: House) -> None:
    await house.upstream.publish("steps", {"n": 1}, message_id="m-1")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    house.gateway.prepare_error = SignerError(Code.SIGNATURE_UNAVAILABLE, retryable=True)
    await house.source.bring(house.answer(first, {"order": 7}))
    waits = "select state = 'answered' and owner is null and next_at > now() from exchanges"
    await until(house.database, waits)
    house.gateway.prepare_error = None
    second, earlier = await asyncio.wait_for(house.gateway.sent.get(), 20)
    assert (second.body, earlier) == (b'{"order":7}', 0)
    await house.source.bring(house.answer(second, {"done": True}))
    assert orjson.loads((await house.upstream.reply()).body) == {"result": {"done": True}}
    assert house.gateway.sent.empty()


def _lost(prepared: Prepared, _earlier: int) -> Sent:
    return Unanswered(KnownError(Code.GATEWAY_UNAVAILABLE))


@pytest.mark.parametrize("rule", [Repeat.NEVER, Repeat.SAFE], ids=["uncertain", "expired"])
async def test_what_was_reserved_is_told_though_the_command_ends_badly(house: House, rule: Repeat) -> None:
    moment = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    await house.upstream.publish("knowing", {"n": 1}, message_id="m-1", headers={"x-deadline": moment})
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    house.gateway.script, house.gateway.repeat_rules["Send"] = _lost, rule
    await house.source.bring(house.answer(first, {"order": 7}))
    error = orjson.loads((await house.upstream.reply()).body)["error"]
    wanted = Code.UNCERTAIN if rule is Repeat.NEVER else Code.EXPIRED
    assert error["error_code"] == wanted.wire
    assert error["details"]["order"] == 7


async def test_what_was_reserved_is_told_by_a_command_that_our_own_code_fails_on(house: House) -> None:
    await house.upstream.publish("knowing", {"n": 1}, message_id="m-1")
    first, _ = await asyncio.wait_for(house.gateway.sent.get(), 10)
    await house.source.bring(house.answer(first, {"order": 7, "explode": True}))
    error = orjson.loads((await house.upstream.reply()).body)["error"]
    assert (error["error_code"], error["details"]["order"]) == (Code.INTERNAL.wire, 7)


async def test_a_command_that_ends_before_anything_is_known_says_nothing_of_it(house: House) -> None:
    house.gateway.prepare_error = KnownError(Code.ATTACHMENT_REFUSED)
    error = (await house.upstream.ask("knowing", {"n": 1}))["error"]
    assert "details" not in error
