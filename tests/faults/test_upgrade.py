"""The released code and the next one work side by side on the next one's pre-migrations, there and back.

The released code is the newest archive of tests/migration/frozen; ``make freeze`` renews it.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web

from adapter.journal.migrate import MIGRATIONS, migrate, read_migrations
from tests.faults.conftest import ADAPTER, PROGRAM, later, numbered
from tests.faults.recorder import Recorder, Submit
from tests.faults.test_broker_away import balanced, operator
from tests.faults.test_killed_at_every_point import ACTION, assert_the_books_balance, requests
from tests.migration.freeze import newest, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from bench.chaos.auditor import Auditor
    from bench.chaos.processes import Victim
    from tests.faults.conftest import Contour, Yard

#: Exchanges of each kind that one version begins and the other ends.
HELD = 6
#: Replies that show that work goes on, and unanswered commands at which the load waits for them.
SOME, WINDOW = 30, 120
ADDED = """
alter table exchanges add column note_of_the_next_version text;
alter table outbox add column note_of_the_next_version integer not null default 7;
create index exchanges_of_the_next_version on exchanges (note_of_the_next_version, received_at);
create table table_of_the_next_version (id uuid primary key)
"""
#: They touch columns that every version has: the state of an exchange is what the other tests look at.
BREAKING = {
    "a renamed column": "alter table exchanges rename column state to state_of_the_next_version",
    "a dropped column": "alter table exchanges drop column attempts cascade",
    "a column that has to be filled": "alter table exchanges add column wanted integer not null default 1;"
    " alter table exchanges alter column wanted drop default",
}


@dataclass
class MoodyRecorder(Recorder):
    """A gateway that keeps the answers to some submits back, and tells others to come later, until it is released."""

    silent: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    _kept: list[Submit] = field(default_factory=list)

    def release(self) -> None:
        """Answer what was kept back, and take what was sent away."""
        self.silent, self.busy = set(), set()
        kept, self._kept = self._kept, []
        for submit in kept:
            self.answer(submit)

    def answer(self, submit: Submit) -> None:
        if submit.transport_id in self.silent:
            self._kept.append(submit)
        else:
            super().answer(submit)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        if orjson.loads(await request.read())["transport_id"] in self.busy:
            return web.Response(status=503, text="later")
        return await super()._send(request)


@pytest.fixture
async def recorder() -> AsyncIterator[MoodyRecorder]:
    async with MoodyRecorder.listening() as recorder:
        assert isinstance(recorder, MoodyRecorder)
        yield recorder


@dataclass(frozen=True)
class Released:
    """The released code in a folder of its own; coverage must not take it for the code under test."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(self.folder),
            "PYTHONSAFEPATH": "1",
            "COVERAGE_PROCESS_START": "",
            "COVERAGE_PROCESS_CONFIG": "",
        }

    @property
    def program(self) -> list[str]:
        return [sys.executable, str(self.folder / "worker_program.py")]


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = unpack(newest(), tmp_path_factory.mktemp("released"))
    ours = read_migrations()
    changed = [m for m in read_migrations(folder / "adapter/journal/migrations") if m not in ours]
    if changed:
        pytest.fail(f"{changed[0].number:04} was changed after {newest().name}; run make freeze if it is not released")
    return Released(folder)


def with_migration(folder: Path, sql: str) -> Path:
    """Return a folder of our migrations and one more, newer pre-migration."""
    shutil.copytree(MIGRATIONS, folder)
    (folder / "9001_next.pre.sql").write_text(sql, encoding="utf-8")
    return folder


async def apply(yard: Yard, folder: Path) -> None:
    """Apply the next version's pre-migrations, as its operator does before anything else."""
    connection = await yard.connect()
    try:
        await migrate(connection, phases=("pre",), folder=folder)
    finally:
        await connection.close()


class Scene:
    """One deployment under load, and the two versions of its worker."""

    def __init__(self, yard: Yard, auditor: Auditor, released: Released) -> None:
        """``auditor`` sends ``call`` and keeps the books."""
        self.yard = yard
        self.auditor = auditor
        self._released = released
        self._rounds = 0

    def old(self) -> AbstractAsyncContextManager[Victim]:
        return self.yard.worker(self._released.program, **self._released.environment)

    def new(self) -> AbstractAsyncContextManager[Victim]:
        return self.yard.worker(PROGRAM)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Publish for the length of a block, never much more than is answered."""
        enough = asyncio.Event()

        async def publish() -> None:
            books = self.auditor.books
            while not enough.is_set():
                await self.auditor.publish(numbered(10))
                await self.auditor.progressed(len(books.confirmed) - WINDOW, 30)

        async with asyncio.TaskGroup() as group:
            group.create_task(publish())
            yield
            enough.set()

    async def goes_on(self, seconds: float = 30) -> None:
        """Wait until more commands have been answered than were on their way. Raises TimeoutError."""
        await self.auditor.progressed(len(self.auditor.books.replies) + SOME, seconds)

    async def hold(self) -> str:
        """Begin exchanges that wait, that are tried again, and whose reply no queue takes; return that queue's name."""
        recorder = self.yard.recorder
        assert isinstance(recorder, MoodyRecorder)
        self._rounds += 1
        queue = f"{self.yard.environment['MQ_PREFIX']}later.{self._rounds}"
        waiting, retrying, parked = numbered(HELD), numbered(HELD), numbered(HELD)
        recorder.silent |= {name for name, _ in waiting}
        recorder.busy |= {name for name, _ in retrying}
        await self.auditor.publish(waiting + retrying)
        await self.auditor.publish(parked, reply_to=queue)
        await self.yard.eventually(f"select {_HOLDING}")
        return queue

    async def end(self, leaving: Victim, queue: str) -> None:
        """End a worker as an operator does; what it leaves behind is released to the one that stays."""
        leaving.send(signal.SIGTERM)
        assert await leaving.ended(30) == 0
        await self.yard.eventually(f"select {_HOLDING}")
        recorder = self.yard.recorder
        assert isinstance(recorder, MoodyRecorder)
        recorder.release()
        async with operator(self.yard) as channel:
            declared = await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
            await declared.consume(self.auditor._take)
            await self.yard.eventually("select not exists (select from outbox where state = 'parked')", seconds=60)
            await self.yard.eventually("select not exists (select from exchanges where state = 'retrying')", seconds=60)
            await self.goes_on()
            async with asyncio.timeout(30):
                while (await channel.declare_queue(queue, passive=True)).declaration_result.message_count:  # noqa: ASYNC110 — a queue gives no signal
                    await asyncio.sleep(0.05)


_HOLDING = (
    f"(select count(*) >= {HELD} from exchanges where state = 'waiting') and"  # noqa: S608 — a number of our own
    f" (select count(*) >= {HELD} from exchanges where state = 'retrying') and"
    f" (select count(*) = {HELD} from outbox where state = 'parked')"
)


async def test_an_upgrade_under_load_and_its_way_back_lose_nothing_and_double_nothing(
    yard: Yard, released: Released, tmp_path: Path
) -> None:
    async with yard.auditor("call") as auditor, AsyncExitStack() as workers:
        scene = Scene(yard, auditor, released)
        old = await workers.enter_async_context(scene.old())
        async with scene.load():
            queue = await scene.hold()
            await apply(yard, with_migration(tmp_path / "migrations", ADDED))
            await scene.goes_on()
            new = await workers.enter_async_context(scene.new())
            await scene.goes_on()
            await scene.end(old, queue)
            queue = await scene.hold()
            await workers.enter_async_context(scene.old())
            await scene.end(new, queue)
        await balanced(yard, auditor, len(auditor.books.confirmed))
    assert set(auditor.books.outcomes()) == {"result"}
    assert await yard.ask("select max(crash_attempts) from exchanges") == 0


@pytest.mark.parametrize(
    "sql", [BREAKING["a renamed column"], *map(later, list(BREAKING.values())[1:])], ids=list(BREAKING)
)
async def test_a_pre_migration_that_breaks_the_released_code_is_noticed(
    yard: Yard, released: Released, tmp_path: Path, sql: str
) -> None:
    async with yard.auditor("call") as auditor:
        scene = Scene(yard, auditor, released)
        async with scene.old() as old:
            await auditor.publish(numbered(SOME))
            await auditor.progressed(SOME, 30)
            await apply(yard, with_migration(tmp_path / "migrations", sql))
            await auditor.publish(numbered(SOME))
            with pytest.raises(TimeoutError):
                await auditor.progressed(2 * SOME, 5)
            told = ("journal is away", "journal refuses a row")
            assert any(part in line for line in old.lines for part in told), old.last_words


async def test_real_exchanges_outlive_an_upgrade(yard: Yard, contour: Contour, released: Released) -> None:
    yard.environment |= contour.environment
    async with yard.auditor(ACTION) as auditor, yard.worker(ADAPTER, **released.environment) as old:
        publishing = asyncio.create_task(auditor.publish(requests(90), most=10))
        await auditor.progressed(20, 60)
        await apply(yard, MIGRATIONS)
        await auditor.progressed(35, 60)
        async with yard.worker(ADAPTER):
            await auditor.progressed(50, 60)
            old.send(signal.SIGTERM)
            assert await old.ended(30) == 0
            await publishing
            await assert_the_books_balance(yard, contour, auditor, 90)


async def test_the_released_code_is_what_runs_beside_ours(released: Released) -> None:
    argv = [sys.executable, "-c", "import adapter.worker; print(adapter.worker.__file__)"]
    process = await asyncio.create_subprocess_exec(
        *argv, env=released.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert said.decode().strip() == str(released.folder / "adapter/worker.py")
