"""What details of a followed order say: each status once, in its order, whatever is missing or odd."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.gateways.epgu.errors import known, tables
from adapter.gateways.epgu.follow_making import shared_bounds
from adapter.gateways.epgu.follow_news import (
    PROCESS_FAILED,
    STATUS_CHANGED,
    Followed,
    Stage,
    needs_token,
    news_of,
    status_key,
)
from adapter.gateways.epgu.limits import Bounds
from adapter.gateways.epgu.profiles import MOSCOW
from adapter.gateways.epgu.reading import Details, read_details
from adapter.gateways.epgu.tokens import Who

ORDER = Followed(
    order_id=2060000003,
    exchange_id=UUID(int=1),
    who=Who(),
    profile=None,
    stage=Stage.PROCESSING,
    from_cancel=False,
    looks=0,
    seen=None,
    told=(),
    needs_token=False,
    version=0,
)
BEGAN = datetime(2026, 3, 2, 9, 15, tzinfo=MOSCOW)


def entry(number: int, status: int, **more: Any) -> dict[str, Any]:
    at = BEGAN + timedelta(minutes=number)
    return {"id": number, "statusId": status, "date": at.strftime("%Y-%m-%dT%H:%M:%S.250+0300"), **more}


def details(code: str | None, *entries: Any, **order: Any) -> Details:
    said = {"statuses": list(entries), **({"currentStatusHistory": entries[-1]} if entries else {}), **order}
    read = read_details({"code": code, "message": None, "order": json.dumps(said) if entries or order else None})
    assert read is not None
    return read


def statuses(news: Any) -> list[int]:
    return [event.body["status_id"] for event in news.events]


@pytest.mark.parametrize("code", ["NEW", "VALIDATION", "FILES_VERIFICATION", "RETRY", "SOMETHING_NEW", None])
def test_an_order_that_is_processed_has_no_news(code: str | None) -> None:
    news = news_of(ORDER, details(code), MOSCOW)
    assert (news.stage, news.events) == (Stage.PROCESSING, ())


@pytest.mark.parametrize(
    "code", [code for code, row in sorted(tables().process.items()) if row.final and not row.success]
)
def test_a_final_failure_is_told_with_what_the_table_advises(code: str) -> None:
    news = news_of(ORDER, details(code), MOSCOW)
    assert news.stage is Stage.ENDED
    (event,) = news.events
    row = tables().process[code]
    assert (event.name, dict(event.body)) == (
        PROCESS_FAILED,
        {
            "order_id": 2060000003,
            "code": code,
            "type": "Финальный",
            "description": row.text,
            "recommendation": row.recommendation,
        },
    )


def test_the_description_of_a_failure_is_what_details_say_where_they_do() -> None:
    said = replace(details("VALIDATION_ERROR"), message="req.xml: лишний элемент")
    assert news_of(ORDER, said, MOSCOW).events[0].body["description"] == "req.xml: лишний элемент"


@pytest.mark.parametrize("code", ["DONE", "OK", "ok ", "SOMETHING_NEW"])
def test_every_status_of_an_order_that_the_portal_has_is_told(code: str) -> None:
    last = entry(
        3,
        6,
        title="Заявление принято",
        comment="Ждите",
        cancelAllowed=True,
        sendMessageAllowed=False,
        finalStatus=False,
        stateOrgStatusCode="inwork",
    )
    news = news_of(ORDER, details(code, entry(1, 17), entry(2, 21), last), MOSCOW)
    assert (news.stage, statuses(news), news.behind) == (Stage.STATUSES, [17, 21, 6], False)
    assert dict(news.events[-1].body) == {
        "order_id": 2060000003,
        "status_id": 6,
        "name": "Заявление принято",
        "org_code": "inwork",
        "comment": "Ждите",
        "cancel_allowed": True,
        "send_message_allowed": False,
        "final": False,
        "updated": "2026-03-02T09:18:00.250+03:00",
    }


def test_names_of_an_order_stand_in_for_those_its_last_status_lacks() -> None:
    said = details("OK", entry(1, 17), entry(2, 3), orderStatusName="Оказана", stateOrgStatusCode="done", closed=True)
    first, last = (event.body for event in news_of(ORDER, said, MOSCOW).events)
    assert (first["name"], first["org_code"], first["final"]) == (None, None, False)
    assert (last["name"], last["org_code"], last["final"]) == ("Оказана", "done", True)


@pytest.mark.parametrize(
    ("said", "closed", "final"),
    [
        ({"finalStatus": True}, None, True),
        ({"finalStatus": False}, None, False),
        ({"finalStatus": False}, True, True),
        ({}, False, False),
        ({}, None, True),
    ],
)
def test_details_say_what_is_final_before_any_table_does(said: dict[str, bool], closed: Any, final: Any) -> None:
    news = news_of(ORDER, details("OK", entry(1, 3, **said), closed=closed), MOSCOW)
    assert (news.events[0].body["final"], news.stage is Stage.ENDED) == (final, final)


@given(st.lists(st.sampled_from([0, 2, 6, 7, 17, 21]), max_size=8), st.data())
def test_a_history_that_grows_is_told_once_whenever_it_is_read(path: list[int], data: st.DataObject) -> None:
    history = [entry(number, status) for number, status in enumerate(path)]
    order, told = ORDER, []
    for length in [*sorted(data.draw(st.lists(st.integers(0, len(history)), max_size=6))), len(history)]:
        news = news_of(order, details("OK", *history[:length]), MOSCOW)
        told += [(event.name, event.body["status_id"]) for event in news.events]
        order = replace(order, told=(*order.told, *news.told), stage=news.stage)
    assert told == [(STATUS_CHANGED, status) for status in path]


def test_a_status_that_comes_again_is_told_again() -> None:
    news = news_of(ORDER, details("OK", entry(1, 2), entry(2, 15), entry(3, 2)), MOSCOW)
    assert statuses(news) == [2, 15, 2]


def test_the_current_status_is_told_though_the_list_lacks_it() -> None:
    said = details("OK", entry(1, 17), currentStatusHistory=entry(2, 21))
    assert statuses(news_of(ORDER, said, MOSCOW)) == [17, 21]
    alone = details("OK", currentStatusHistory=entry(2, 21))
    assert statuses(news_of(ORDER, alone, MOSCOW)) == [21]


def test_details_that_lag_behind_the_pages_are_read_again() -> None:
    later = status_key(6, "2026-03-02T09:20:00.000+03:00")
    order = replace(ORDER, stage=Stage.STATUSES, seen=later)
    assert news_of(order, details("OK", entry(1, 17)), MOSCOW).behind
    assert not news_of(order, details("OK", entry(1, 17), entry(2, 6)), MOSCOW).behind, (
        "its moment is written otherwise"
    )
    known = replace(order, seen=status_key(17, "2026-03-02T06:16:00.250Z"))
    assert not news_of(known, details("OK", entry(1, 17), entry(2, 6)), MOSCOW).behind


def test_of_an_order_followed_since_its_cancellation_only_that_is_told() -> None:
    order = replace(ORDER, from_cancel=True, stage=Stage.STATUSES)
    before = (entry(1, 17), entry(2, 9), entry(3, 11))
    news = news_of(order, details("OK", *before, entry(4, 9)), MOSCOW)
    assert (statuses(news), news.stage) == ([9], Stage.STATUSES)
    news = news_of(replace(order, told=news.told), details("OK", *before, entry(4, 9), entry(5, 10)), MOSCOW)
    assert (statuses(news), news.stage) == ([10], Stage.ENDED)
    assert news_of(order, details("OK", entry(1, 17)), MOSCOW).events == ()


def test_a_token_that_is_needed_is_told_with_its_reason() -> None:
    error = tables().errors["order_access"]
    event = needs_token(ORDER, known(error.code))
    assert event.body["order_id"] == ORDER.order_id
    assert (event.body["code"], event.body["recommendation"]) == ("order_access", error.recommendation)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["statusId", "date", "id", "title", "comment", "finalStatus", "statuses", "closed"])
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.none() | st.text(max_size=8) | st.sampled_from(["OK", "DONE", "NEW"]),
    st.dictionaries(st.sampled_from(["statuses", "currentStatusHistory", "closed", "orderStatusName"]), _JSON),
    st.booleans(),
)
def test_whatever_details_hold_is_read(code: str | None, order: dict[str, Any], from_cancel: Any) -> None:
    read = read_details({"code": code, "order": json.dumps(order)})
    assert read is not None
    news = news_of(replace(ORDER, from_cancel=from_cancel, seen="6@x"), read, UTC)
    assert len(news.told) == len(set(news.told))
    assert all("\x00" not in key for key in news.told)
    again = news_of(replace(ORDER, from_cancel=from_cancel, told=news.told), read, UTC)
    assert [event for event in again.events if event.name == STATUS_CHANGED] == []


def test_following_leaves_a_share_of_each_minute_and_hour_to_commands() -> None:
    shared = shared_bounds(Bounds(minute=2000, hour=1), 50)
    assert (shared.minute, shared.hour, shared.day, shared.orders) == (1000, 1, 2_880_000, 20)
