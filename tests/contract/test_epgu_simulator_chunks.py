"""Archives in chunks: numbers, order, sizes, and the five minutes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.contract.epgu_caller import PLAIN, form, service, zipped

if TYPE_CHECKING:
    from tests.contract.epgu_caller import Reply, World

pytest_plugins = ("tests.contract.epgu_fixtures",)

ARCHIVE = zipped({"req.xml": "<a/>"})
BAD = (400, "bad_request")


def pieces(number: int) -> list[bytes]:
    """The archive in so many pieces."""
    size = len(ARCHIVE) // number
    return [ARCHIVE[n * size : (n + 1) * size if n < number - 1 else None] for n in range(number)]


@pytest.fixture
async def number(world: World) -> int:
    """A reserved number, in a simulator that takes chunks of any size."""
    await world.set(chunk_min=0)
    return await world.reserved()


async def send(world: World, number: int, chunk: int, chunks: int = 4) -> Reply:
    return await world.chunk(number, pieces(chunks)[chunk], (chunk, chunks))


async def test_middle_chunks_may_come_in_any_order_and_at_the_same_time(world: World, number: int) -> None:
    assert (await send(world, number, 0, 6)).status == 206
    middle = await asyncio.gather(*(send(world, number, n, 6) for n in (3, 1, 4, 2)))
    assert [reply.status for reply in middle] == [206] * 4
    assert (await send(world, number, 5, 6)).status == 200
    assert (await world.ask("GET", f"/_sim/orders/archive?order_id={number}")).body == ARCHIVE
    assert "OK" in await world.process_codes(number)


async def test_the_first_chunk_comes_first(world: World, number: int) -> None:
    assert (await send(world, number, 1)).refusal == BAD
    assert (await send(world, number, 3)).refusal == BAD
    assert (await send(world, number, 0)).status == 206


async def test_the_last_chunk_comes_last(world: World, number: int) -> None:
    for chunk in (0, 1):
        assert (await send(world, number, chunk)).status == 206
    assert (await send(world, number, 3)).refusal == BAD
    assert (await send(world, number, 2)).status == 206
    assert (await send(world, number, 3)).status == 200


async def test_a_chunk_may_be_repeated_with_the_same_bytes_alone(world: World, number: int) -> None:
    for chunk in (0, 0, 1, 1):
        assert (await send(world, number, chunk)).status == 206
    assert (await world.chunk(number, b"others", (1, 4))).refusal == BAD
    assert (await send(world, number, 2)).status == 206
    assert (await send(world, number, 3)).status == 200
    assert (await world.ask("GET", f"/_sim/orders/archive?order_id={number}")).body == ARCHIVE


async def test_the_number_of_chunks_does_not_change(world: World, number: int) -> None:
    await send(world, number, 0)
    assert (await world.chunk(number, b"x", (1, 3))).refusal == BAD
    assert (await world.chunk(number, ARCHIVE)).refusal == BAD


@pytest.mark.parametrize("place", [(4, 4), (-1, 4), (0, 0), (1, 1), (0, 10**6)])
async def test_chunks_are_counted_from_0_to_n_minus_1(world: World, number: int, place: tuple[int, int]) -> None:
    assert (await world.chunk(number, ARCHIVE, place)).refusal == BAD


@pytest.mark.parametrize(
    "fields", [{"chunk": "0"}, {"chunks": "2"}, {"chunk": "a", "chunks": "2"}, {"chunk": "0", "chunks": ""}]
)
async def test_both_parameters_are_numbers_or_both_are_absent(
    world: World, number: int, fields: dict[str, str]
) -> None:
    body = form(ARCHIVE, fields | {"orderId": str(number)})
    assert (await world.call("POST", "/api/gusmev/push/chunked", data=body)).refusal == BAD


async def test_a_lone_chunk_may_say_that_it_is_one_of_one(world: World, number: int) -> None:
    assert (await world.chunk(number, ARCHIVE, (0, 1))).status == 200


async def test_a_gateway_that_counts_from_1_wants_1_first(world: World, number: int) -> None:
    await world.set(chunk_base=1)
    assert (await world.chunk(number, b"x", (0, 2))).refusal == BAD
    assert (await world.chunk(number, b"x", (1, 2))).status == 206
    assert (await world.chunk(number, b"x", (2, 2))).status == 200


@pytest.mark.parametrize(
    ("size", "place", "status"),
    [
        (1_048_575, (0, 2), 400),
        (1_048_576, (0, 2), 206),
        (5_000_000, (0, 2), 206),
        (5_000_001, (0, 2), 400),
        (1, (0, 1), 200),
        (0, (0, 1), 400),
        (5_000_000, (0, 1), 200),
        (5_000_001, (0, 1), 400),
    ],
)
async def test_sizes_are_bounded_as_every_reading_of_a_megabyte_allows(
    world: World, size: int, place: tuple[int, int], status: int
) -> None:
    number = await world.reserved()
    assert (await world.chunk(number, bytes(size), place)).status == status


async def test_all_chunks_come_within_five_minutes_of_the_first(world: World, number: int) -> None:
    await send(world, number, 0)
    await world.advance(300)
    assert (await send(world, number, 1)).status == 206
    await world.advance(1)
    for chunk in (2, 3, 0):
        reply = await send(world, number, chunk)
        assert reply.refusal == BAD
        assert "300" in reply.json["message"]
    assert (await world.details(number)).json == {"code": "NEW", "message": None, "order": None}


async def test_what_was_sent_is_not_sent_again(world: World, number: int) -> None:
    for chunk in range(4):
        await send(world, number, chunk)
    for chunk in (3, 0):
        assert (await send(world, number, chunk)).refusal == BAD
    assert (await world.chunk(number, ARCHIVE)).refusal == BAD
    assert (await world.admin("GET", "counts"))["orders"][str(number)]["submitted"] == 1


async def test_meta_is_wanted_in_every_chunk_unless_told_otherwise(world: World, number: int) -> None:
    assert (await world.chunk(number, ARCHIVE, meta=None)).refusal == BAD
    assert (await world.chunk(number, ARCHIVE, meta=service("60010153"))).refusal == BAD
    assert (await world.chunk(number, ARCHIVE, meta=PLAIN | {"targetCode": "-2"})).refusal == BAD
    await world.set(meta_in_chunks=False)
    assert (await world.chunk(number, ARCHIVE, meta=service("60010153"))).refusal == BAD
    assert (await world.chunk(number, ARCHIVE, meta=None)).status == 200


async def test_parts_may_come_in_any_order(world: World, number: int) -> None:
    body = form(ARCHIVE, {"orderId": str(number)})
    body.add_field("chunk", "0")
    body.add_field("chunks", "1")
    assert (await world.call("POST", "/api/gusmev/push/chunked", data=body)).status == 200


async def test_a_chunk_fails_in_the_middle_and_the_series_goes_on(world: World, number: int) -> None:
    await world.scenario(operation="chunk", order_id=number, chunk=2, status=502, times=1)
    await send(world, number, 0)
    assert [(await send(world, number, n)).status for n in (1, 2, 2)] == [206, 502, 206]
    assert (await send(world, number, 3)).status == 200


async def test_what_is_refused_is_not_kept(world: World, number: int) -> None:
    await send(world, number, 1)
    await send(world, number, 0)
    await send(world, number, 0)
    await world.chunk(number, ARCHIVE, meta=None)
    await world.push(ARCHIVE, service("777"))
    store = world.client.server.app  # type: ignore[attr-defined]  # TestClient over TestServer
    from simulators.epgu.admin import SIMULATOR  # noqa: PLC0415  — the one look inside

    assert len(list(store[SIMULATOR].store._folder.glob("*"))) == 1
