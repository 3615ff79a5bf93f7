"""Registers of our own change with the journal or not at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest

from adapter.broker.topology import Names
from adapter.errors import Code, KnownError
from adapter.exchange import Event, State
from adapter.incoming import RegistersAwayError, Told
from adapter.journal.changes import Changes, Moved
from adapter.journal.operations import Finish
from adapter.journal.writer import RowRefusedError
from adapter.pipeline.envelope import Addressing
from adapter.pipeline.registers import Registers
from adapter.web import lockers as lockers_module
from adapter.web.lockers import LockerPortal, PortalOptions
from adapter.web.postamat import AWAY, LockerTokens
from tests.integration.rows import take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from adapter.journal.journal import Journal
    from adapter.journal.operations import Operation
    from adapter.journal.records import Exchange, OutboxRow
    from deploy.local.certificates import Certificates

COUNT = "select count(*) from locker_services"


@pytest.fixture
async def changes(journal: Journal) -> AsyncIterator[Changes]:
    changes = Changes(journal._address.connect, journal.worker)
    yield changes
    await changes.aclose()


async def taken(journal: Journal) -> UUID:
    row = take(journal)
    await journal.write(row)
    return row.exchange.id


def permit(service: str, *operations: Operation[Any]) -> Any:
    async def work(session: asyncpg.Connection) -> tuple[str, Sequence[Operation[Any]]]:
        await session.execute("insert into locker_services (service) values ($1)", service)
        return service, operations

    return work


async def test_a_change_is_committed_with_its_outcome(
    changes: Changes, journal: Journal, look: asyncpg.Connection
) -> None:
    row = await taken(journal)
    finish = Finish(row, journal.worker, State.RECEIVED, State.REPLIED, b"{}", None)
    result, (finished,) = await changes.run(permit("passport", finish))
    assert (result, finished.applied) == ("passport", True)
    assert await look.fetchval(COUNT) == 1
    assert await look.fetchval("select state from exchanges where id = $1", row) == "replied"


async def test_an_outcome_that_does_not_apply_undoes_the_change(
    changes: Changes, journal: Journal, look: asyncpg.Connection
) -> None:
    """So it is when the answer to a commit was lost: the row is run again and has ended already."""
    row = await taken(journal)
    finish = Finish(row, journal.worker, State.RECEIVED, State.REPLIED, b"{}", None)
    await changes.run(permit("passport", finish))
    with pytest.raises(Moved):
        await changes.run(permit("again", finish))
    assert await look.fetchval(COUNT) == 1


async def test_a_refusal_undoes_what_was_done_before_it(
    changes: Changes, journal: Journal, look: asyncpg.Connection
) -> None:
    async def work(session: asyncpg.Connection) -> tuple[None, Sequence[Operation[Any]]]:
        await permit("passport")(session)
        raise KnownError(Code.INTERNAL)

    for _ in range(2):  # the connection is used again
        with pytest.raises(KnownError):
            await changes.run(work)
    assert await look.fetchval(COUNT) == 0


async def test_a_row_that_the_database_refuses_is_named_by_its_sqlstate(changes: Changes) -> None:
    await changes.run(permit("passport"))
    with pytest.raises(RowRefusedError) as caught:
        await changes.run(permit("passport"))
    assert caught.value.sqlstate == "23505"
    with pytest.raises(RowRefusedError) as caught:
        await changes.run(permit("\ud800"))
    assert caught.value.sqlstate.startswith("22")


async def test_a_change_that_another_one_stood_in_the_way_of_is_made_again(
    changes: Changes, look: asyncpg.Connection
) -> None:
    attempts = []

    async def work(session: asyncpg.Connection) -> tuple[int, Sequence[Operation[Any]]]:
        attempts.append(await permit(f"attempt {len(attempts)}")(session))
        if len(attempts) < 3:
            raise asyncpg.DeadlockDetectedError
        return len(attempts), ()

    assert (await changes.run(work))[0] == 3
    assert await look.fetchval("select array_agg(service) from locker_services") == ["attempt 2"]


async def test_a_cancelled_change_leaves_nothing(changes: Changes, look: asyncpg.Connection) -> None:
    inside = asyncio.Event()

    async def work(session: asyncpg.Connection) -> tuple[None, Sequence[Operation[Any]]]:
        await permit("passport")(session)
        inside.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(changes.run(work))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await look.fetchval(COUNT) == 0


class Offered:
    """Addresses events and keeps what is to be published."""

    def __init__(self) -> None:
        """Nothing is offered yet."""
        self.rows: list[OutboxRow] = []

    def event(self, exchange: Exchange, event: Event) -> OutboxRow:
        return Addressing(Names(""), ()).event(exchange, event)

    def offer(self, rows: list[OutboxRow]) -> None:
        self.rows += rows


async def test_what_a_register_was_told_is_an_exchange_that_has_ended_with_its_event(
    changes: Changes, journal: Journal, look: asyncpg.Connection
) -> None:
    offered = Offered()
    registers: Any = Registers(journal.worker, changes, {}, offered, offered)  # type: ignore[arg-type]
    told = Told("postamat", "key", "postamat.call", b"/path", "1.22-51", (Event("postamat.case-moved", {"a": 1}),))

    async def work(session: asyncpg.Connection) -> tuple[str, Sequence[Told]]:
        return (await permit("passport")(session))[0], (told,)

    assert await registers.change(work) == "passport"
    (row,) = await look.fetch("select * from exchanges")
    assert (row["action"], row["state"], row["owner"], row["events"]) == ("postamat.call", "replied", None, 1)
    assert await look.fetchval("select subject from subjects where exchange_id = $1", row["id"]) == "1.22-51"
    (published,) = await look.fetch("select * from outbox")
    assert [one.id for one in offered.rows] == [published["id"]]
    await look.execute("delete from locker_services")
    with pytest.raises(RegistersAwayError):  # the same key again is no new thing
        await registers.change(work)
    assert await look.fetchval(COUNT) == 0
    assert len(offered.rows) == 1


class Away:
    """Registers without a database."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.asked = asyncio.Event()

    async def change(self, work: Any) -> Any:
        self.asked.set()
        raise RegistersAwayError


async def ask(url: str, context: ssl.SSLContext | None) -> tuple[int, dict[str, str]]:
    query = "casenum=1&postamatid=1&timestamp=1&token=t&userid=1&cellid=1"
    connector = aiohttp.TCPConnector(ssl=context) if context else None
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(10):
        while True:
            try:
                async with session.get(f"{url}/rest-api/postamat/issue?{query}") as answer:
                    return answer.status, await answer.json()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)


async def test_the_listener_speaks_tls_and_takes_a_port_when_it_is_free(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockers_module, "_LISTEN_AGAIN", 0.05)
    pair = certificates.server
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(str(pair.certificate), str(pair.key))
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.check_hostname = False
    away = Away()
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        port = neighbour.getsockname()[1]
        options = PortalOptions(
            listen=("127.0.0.1", port), tokens=LockerTokens("t"), window=None, storage_days=1, tls=tls, pace=60
        )
        task = asyncio.create_task(LockerPortal(options).run(away))
        await asyncio.wait_for(away.asked.wait(), 10)  # it works beside the listener that cannot listen yet
    try:
        assert await ask(f"https://127.0.0.1:{port}", context) == (500, dict(AWAY))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
