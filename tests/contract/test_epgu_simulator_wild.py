"""Wild inputs: whatever comes, the ЕПГУ simulator answers by its tables and goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.epgu.accounts import Accounts, AccountsEntry
from simulators.epgu.catalogue import Service, WantedStatus
from simulators.epgu.chunks import Place, place_of
from simulators.epgu.dictionaries import Dictionaries, Dictionary
from simulators.epgu.faults import RefusedError
from simulators.epgu.orders import Orders, spread
from simulators.epgu.pages import moment_of, order_numbers, page_of, status_page
from simulators.epgu.profiles import MOSCOW
from simulators.epgu.tokens import Tokens
from tests.contract.epgu_caller import PLAIN, zipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

Answer = TypeVar("Answer")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = Accounts()
ACCOUNTS.put(AccountsEntry.model_validate({"systems": [{"client_id": "A"}], "users": [{"oid": "1", "kind": "PERSON"}]}))
TOKENS = Tokens(ACCOUNTS)
TOKEN, _ = TOKENS.mint(ACCOUNTS.systems["A"], ACCOUNTS.users["1"], NOW, 60)
#: As header values come: any byte, undecodable ones as surrogates.
HEADERS = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape"))


def answer_of(ask: Callable[[], Answer]) -> tuple[Answer | None, tuple[int, str] | None]:
    """What is told, or the status and code it is refused with."""
    try:
        return ask(), None
    except RefusedError as refused:
        return None, (refused.status, refused.code)


@settings(deadline=None)
@given(
    st.one_of(
        HEADERS,
        HEADERS.map("Bearer {}".format),
        st.tuples(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii")).map(
            lambda change: f"Bearer {TOKEN[: change[0]]}{change[1]}{TOKEN[change[0] + 1 :]}"
        ),
    )
)
def test_a_header_opens_only_with_a_token_that_was_minted(header: str) -> None:
    holder, refused = answer_of(lambda: TOKENS.holder(header, NOW))
    if holder is None:
        assert refused == (401, "401")
    else:
        body, _, seal = header.removeprefix("Bearer ").strip().rpartition(".")
        assert body == TOKEN.rpartition(".")[0]
        # The last character of a seal has bits that mean nothing.
        assert seal.rstrip("=")[:-1] == TOKEN.rpartition(".")[2][:-1]
        assert holder.user.oid == "1"


TEXTS = st.one_of(st.text(max_size=30), st.integers(-5, 10**25).map(str), st.just("2026-01-01T00:00:00.000"))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["pageNum", "pageSize", "orderIds", "updatedAfter"]), TEXTS))
def test_a_query_is_read_or_refused_as_bad_request(query: dict[str, str]) -> None:
    for read in (lambda: page_of(query, 50), lambda: order_numbers(query), lambda: moment_of(query, MOSCOW)):
        told, refused = answer_of(read)
        assert told is not None or refused == (400, "bad_request")


@settings(deadline=None)
@given(st.datetimes(), st.integers(0, 10**17), st.integers(1, 1000))
def test_every_moment_and_every_page_can_be_asked_for(moment: datetime, number: int, size: int) -> None:
    text = moment.replace(microsecond=0).isoformat(timespec="milliseconds")
    found = Orders().changed_after("A", moment_of({"updatedAfter": text}, MOSCOW))
    assert status_page([(order.id, order) for order in found], number, size, UTC)["content"] == []


@settings(deadline=None)
@given(st.none() | TEXTS, st.none() | TEXTS, st.sampled_from([0, 1]))
def test_a_chunks_place_is_inside_its_series(chunk: str | None, chunks: str | None, base: int) -> None:
    place, refused = answer_of(lambda: place_of(chunk, chunks, base))
    if place is None:
        assert refused == (400, "bad_request")
    else:
        assert 0 <= place.chunk < place.chunks
        assert place == (Place(0, 1) if chunk is None else Place(int(chunk) - base, int(chunks or "")))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.one_of(
        JSON,
        st.fixed_dictionaries(
            {},
            optional={
                "treeFiltering": st.sampled_from(["ONELEVEL", "SUBTREE", "x"]) | JSON,
                "pageNum": JSON,
                "pageSize": JSON,
                "parentRefItemValue": st.sampled_from(["1", "11"]) | JSON,
            },
        ),
    )
)
def test_a_dictionary_always_says_whether_it_could(question: Any) -> None:
    dictionaries = Dictionaries()
    items = [{"value": "1", "title": "a"}, {"value": "11", "title": "b", "parent": "1"}]
    dictionaries.put(Dictionary.model_validate({"code": "D", "items": items}))
    told = dictionaries.answer("D", question)
    assert (told["error"]["code"] == 0) == (told["error"]["message"] == "operation completed")
    assert told["error"]["code"] == 0 or told["items"] == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=30), st.lists(st.integers(0, 40), max_size=5)
)
def test_every_planned_step_is_done_once_and_in_its_order(steps: list[tuple[int, int]], asks: list[int]) -> None:
    orders, system, user = Orders(), ACCOUNTS.systems["A"], ACCOUNTS.users["1"]
    made = [orders.make(Service(service_code="1", target_code="1"), (system, user), "45", NOW) for _ in range(6)]
    for number in range(6):
        mine = [WantedStatus(status_id=2, comment=str(n), after=t) for n, (o, t) in enumerate(steps) if o == number]
        orders.plan(made[number], spread(mine, NOW, 1, 1))
    for seconds in sorted(asks):
        now = NOW + timedelta(seconds=seconds)
        orders.advance(now)
        changed = orders.changed_after("A", NOW - timedelta(seconds=1))
        assert sorted(order.id for order in changed) == [order.id for order in made]
        for order in made:
            assert all(entry.at <= now for entry in order.history)
            assert not order.plan or order.plan[0][0] > now
    orders.advance(NOW + timedelta(days=1))
    for number, order in enumerate(made):
        expected = [str(n) for n, (o, _) in enumerate(steps) if o == number]
        assert [entry.status.comment for entry in order.history] == expected
        assert order.history == sorted(order.history, key=lambda entry: entry.at)


@pytest.mark.parametrize("size", [100, 6_000_000])
async def test_who_is_refused_before_the_body_is_read_still_reads_the_answer(world: World, size: int) -> None:
    for _ in range(3):
        assert (await world.push(bytes(size), token="x")).status == 401


async def test_a_sender_who_goes_in_the_middle_leaves_nothing_behind(world: World) -> None:
    headers = (
        f"POST /api/gusmev/push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {await world.token()}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="x.zip"\r\n\r\nbeginning'
    )
    _, writer = await asyncio.open_connection(world.client.host, world.client.port)
    writer.write(headers.encode())
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(20):
        lines: list[Any] = []
        while not lines:
            lines = await world.admin("GET", "ledger?operation=push")
    assert [(line["status"], line["code"]) for line in lines] == [(0, "cut")]
    assert (await world.push(zipped({"req.xml": "<a/>"}), PLAIN)).status == 200
