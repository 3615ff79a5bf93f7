"""A command of two calls: what the first was answered survives whatever happens before the second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from adapter.errors import Code, SignerError
from tests.integration.conftest import StepsService
from tests.integration.rows import until

if TYPE_CHECKING:
    from tests.integration.conftest import House, HouseBuilder


@pytest.fixture
def builder(builder: HouseBuilder) -> HouseBuilder:
    builder.services["steps"] = StepsService("steps", calls=True)
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
