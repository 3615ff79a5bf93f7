"""An answer that is signed and makes no sense: kept with its bytes, confirmed, and its exchange put before a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import orjson

from adapter.errors import AnswerUnreadableError

if TYPE_CHECKING:
    from tests.integration.conftest import House

RAW = b"<Envelope>signed, and yet nonsense</Envelope>"


async def test_an_unreadable_answer_is_kept_before_it_is_confirmed_and_its_exchange_goes_dead(house: House) -> None:
    await house.upstream.publish("call", {"n": 1}, message_id="m-unreadable")
    prepared, _ = await asyncio.wait_for(house.gateway.sent.get(), 15)
    answer = replace(house.answer(prepared, None), raw=RAW, content=b"")
    with patch.object(house.services["call"], "resume", side_effect=AnswerUnreadableError):
        assert await house.source.bring(answer) is True
        kept = await house.database.fetchval(
            "select data from proof where kind = 'answer' and message_id = $1", answer.key
        )
        assert kept == RAW
        error = orjson.loads((await house.upstream.reply()).body)["error"]
    assert error["error_code"] == "ADAPTER-ANSWER-UNREADABLE"
    await house.eventually("select state = 'dead' from commands where message_id = 'm-unreadable'")
    assert await house.source.bring(answer) is True, "its redelivery is confirmed too"
