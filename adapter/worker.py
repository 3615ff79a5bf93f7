"""One worker process: the rooms joined, run, and taken down in order."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapter.broker.connection import BrokerAddress, Connection
from adapter.broker.consumer import QueueConsumer
from adapter.broker.link import Link
from adapter.broker.publisher import Publisher
from adapter.broker.topology import Names, declare
from adapter.figures import of_deployment, of_process
from adapter.journal.backlog import BacklogSample
from adapter.journal.changes import Changes
from adapter.journal.journal import DatabaseAddress, Journal
from adapter.journal.lending import Lending
from adapter.journal.migrate import migrate
from adapter.journal.writer import DATABASE_ERRORS, JournalUnavailableError
from adapter.metrics.exposition import CONTENT_TYPE_LATEST, Exposition, Gauge
from adapter.metrics.port import CountingMetrics
from adapter.pipeline.answers import AnswerIntake
from adapter.pipeline.arrivals import RequestIntake, WayIn
from adapter.pipeline.births import Births
from adapter.pipeline.bulkhead import make_bulkheads
from adapter.pipeline.calls import Caller
from adapter.pipeline.dispatch import Dispatcher
from adapter.pipeline.envelope import Addressing
from adapter.pipeline.held import HeldRequests
from adapter.pipeline.intake import CommandIntake
from adapter.pipeline.planned import PlannedWork
from adapter.pipeline.ports import OWN_EVENTS, Limits
from adapter.pipeline.recovery import Recovery
from adapter.pipeline.registers import Registers
from adapter.pipeline.relay import Relay
from adapter.pipeline.requests import Requests
from adapter.pipeline.runner import Runner
from adapter.pipeline.schemas import Schemas
from adapter.web.health import Probes, serve_health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    from adapter.exchange import Service, Source
    from adapter.incoming import ArrivalSource, Provider
    from adapter.pipeline.bulkhead import Bulkhead
    from adapter.pipeline.ports import Observer, Registry, Trace
    from adapter.settings import Settings

log = structlog.get_logger(__name__)

#: Pauses in seconds between attempts to reach the database at start; the last one repeats.
_START_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
_NOT_YET: Final[tuple[type[Exception], ...]] = (*DATABASE_ERRORS, JournalUnavailableError)
#: Seconds to wait for a queue's consumer before saying how many there are.
_PATIENCE: Final = 10.0


class Worker:
    """One process: consumes the served actions, runs exchanges, publishes outcomes."""

    def __init__(  # noqa: PLR0913  — what the composition root made
        self,
        settings: Settings,
        registry: Registry,
        sources: Sequence[Source | ArrivalSource],
        observer: Observer,
        exposition: Exposition | None = None,
        *,
        trace: Trace | None = None,
    ) -> None:
        """``registry`` holds the served actions and their gateways, ``sources`` what the gateways bring in.

        ``exposition`` writes the page of metrics, ``trace`` the spans.
        """
        self._settings = settings
        self._registry = registry
        self._sources = sources
        self._observer = observer
        self._trace = trace
        self._names = Names(settings.broker.prefix)
        self._stopping = asyncio.Event()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._journal = Journal(DatabaseAddress(settings.database.connect_arguments()), worker_name=name)
        self._publisher = Publisher()
        self._consumers: list[QueueConsumer] = []
        self._session = 0
        self._bulkheads: Mapping[str, Bulkhead] = {}
        self._exposition = exposition or Exposition(CountingMetrics())

    def stop(self) -> None:
        """Ask for a clean end; asked twice, the process ends at once."""
        if self._stopping.is_set():
            log.warning("second signal: ending at once")
            os._exit(1)
        log.info("stopping")
        self._stopping.set()

    async def run(self) -> None:
        """Run until :meth:`stop`; returns when everything is handed back."""
        if await self._database_is_ready():
            _calm_collector()
            await self._serve()

    async def _database_is_ready(self) -> bool:
        """Wait for a database that is still starting; false when asked to stop first. Raises MigrationError."""
        for pause in chain(_START_PAUSES, repeat(_START_PAUSES[-1])):
            try:
                await self._prepare_database()
            except _NOT_YET as error:
                log.warning("the database is not there yet", error=error, retry_in=pause)
            else:
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return False
        raise AssertionError("the pauses never end")

    async def _prepare_database(self) -> None:
        connection = await DatabaseAddress(self._settings.database.connect_arguments()).connect()
        try:
            for migration in await migrate(connection, phases=("pre",)):
                log.info("migration applied", migration=f"{migration.number:04} {migration.name}")
        finally:
            await connection.close()
        await self._journal.take_lease()

    async def _serve(self) -> None:
        settings, registry = self._settings, self._registry
        actions = list(registry.services)
        served: dict[str, Service | Provider] = {**registry.services, **registry.providers}
        broker = settings.broker
        in_hand = broker.prefetch * broker.max_body * len(actions)
        limits = Limits(
            in_flight_bytes=max(settings.pipeline.memory_limit - in_hand, broker.max_body),
            max_body=settings.broker.max_body,
            require_message_id=settings.broker.require_message_id,
            stacktrace=settings.pipeline.error_stacktrace,
        )
        planned = PlannedWork(self._journal)
        with suppress(JournalUnavailableError):  # it looks again as soon as it runs
            await planned.look()
        self._bulkheads = make_bulkheads(registry, limits, self._observer, planned)
        bulkheads = {
            action: self._bulkheads[service.gateway]
            for action, service in served.items()
            if service.gateway in self._bulkheads
        }
        addressing = Addressing(self._names, actions)
        relay = Relay(self._journal, self._publisher)
        rehearses = settings.smev is not None and settings.smev.sim_headers
        caller = Caller(self._journal, registry, self._bulkheads, rehearses=rehearses)
        schemas, held = Schemas(registry.schemas), HeldRequests(self._journal)
        changes = Changes(DatabaseAddress(settings.database.connect_arguments()).connect, self._journal.worker)
        registers = Registers(self._journal.worker, changes, registry.registers, addressing, relay)
        births = Births(
            journal=self._journal,
            registry=registry,
            caller=caller,
            addressing=addressing,
            relay=relay,
            observer=self._observer,
            limits=limits,
            bulkheads=self._bulkheads,
            check=schemas.demand,
        )
        runner = Runner(
            journal=self._journal,
            registry=registry,
            caller=caller,
            addressing=addressing,
            relay=relay,
            schemas=schemas,
            observer=self._observer,
            limits=limits,
            births=births,
            requests=Requests(self._journal, held),
            registers=registers,
        )
        dispatcher = Dispatcher(
            runner,
            most=limits.in_flight,
            most_bytes=limits.in_flight_bytes,
            queues={self._names.command(action): bulkheads[action].gateway for action in actions if action in bulkheads}
            | {provider.gateway: provider.gateway for provider in registry.providers.values()},
            bulkheads=self._bulkheads.values(),
            trace=self._trace,
        )
        births.start = dispatcher.start
        intake = CommandIntake(self._journal, dispatcher, addressing, registry)
        events = (*OWN_EVENTS, *registry.events)
        caller.intake = answers = AnswerIntake(
            self._journal, dispatcher, addressing, relay, self._observer, events=frozenset(events)
        )
        requests = RequestIntake(self._journal, dispatcher, registry, self._observer)
        recovery = Recovery(
            self._journal,
            dispatcher,
            relay,
            list(served),
            returned=self._names.returned,
            bulkheads=bulkheads,
            max_body=broker.max_body,
            dedupe_days=settings.pipeline.dedupe_days,
        )
        queues = [*(self._names.command(action) for action in actions), self._names.returned]
        self._consumers = [
            QueueConsumer(queue, intake, prefetch=broker.prefetch, max_body=broker.max_body) for queue in queues
        ]
        lending = Lending(DatabaseAddress(settings.database.connect_arguments()).connect)
        sample = BacklogSample(lending.lend)

        async def figures() -> list[Gauge]:
            bulkheads = self._bulkheads.values()
            mine = of_process(self._journal, len(dispatcher.running), bulkheads, self.parts())
            return [*mine, *await of_deployment(sample)]

        self._exposition.add(figures)
        probes = Probes(self.parts, self.away, self.stuck, self._exposition.page, CONTENT_TYPE_LATEST)
        async with (
            aclosing(lending),
            aclosing(changes),
            _kept(self._journal.run()),
            serve_health(settings.health.host, settings.health.port, probes),
            asyncio.TaskGroup() as group,
        ):
            outgoing = [
                group.create_task(relay.run()),
                group.create_task(self._link("adapter publisher").run(self._publish)),
            ]
            incoming = [
                group.create_task(self._link("adapter consumer", gate=self._journal.available).run(self._consume)),
                group.create_task(recovery.run()),
                group.create_task(held.run()),
                group.create_task(planned.run()),
                *(group.create_task(source.run(WayIn(answers, requests, held))) for source in self._sources),
                *(group.create_task(register.run(registers)) for register in registry.registers.values()),
            ]
            await self._stopping.wait()
            await self._wind_down(dispatcher, relay, incoming)
            for task in outgoing:
                task.cancel()

    async def _wind_down(self, dispatcher: Dispatcher, relay: Relay, incoming: list[asyncio.Task[Any]]) -> None:
        """Finish what runs within the grace time; what is left stays in the journal for the next worker."""
        consuming, *fetching = incoming
        for task in fetching:
            task.cancel()
        try:
            async with asyncio.timeout(self._settings.pipeline.shutdown_grace):
                # The consumers have seen the same signal: they cancel, drain and ack what has arrived.
                await asyncio.wait([consuming], timeout=self._settings.pipeline.shutdown_grace / 2)
                consuming.cancel()
                await dispatcher.drain()
                await relay.drain()
                await self._journal.settlements.drain()
        except TimeoutError:
            log.warning("grace time is over: the rest stays in the journal")
        await dispatcher.cancel()

    def parts(self) -> Mapping[str, bool]:
        """Tell which parts work now, for readiness."""
        return {
            "database": self._journal.available.is_set(),
            "publisher": self._publisher.ready.is_set(),
            **{f"queue {consumer.queue}": consumer.consuming.is_set() for consumer in self._consumers},
            "running": not self._stopping.is_set(),
        }

    def away(self) -> Sequence[str]:
        """Name the gateways and signings whose breakers are open: their commands wait, the worker is ready."""
        return [name for bulkhead in self._bulkheads.values() for name in bulkhead.away]

    def stuck(self) -> Sequence[str]:
        """Name the consumers that stand still although nothing they wait for lasts so long: a restart helps."""
        available = self._journal.available.is_set()
        return [f"queue {consumer.queue}" for consumer in self._consumers if available and consumer.stuck]

    def _link(self, name: str, gate: asyncio.Event | None = None) -> Link:
        return Link(self._address, name, expected=(JournalUnavailableError,), gate=gate)

    def _address(self) -> BrokerAddress:
        return BrokerAddress.of(self._settings.broker)

    async def _publish(self, connection: Connection) -> None:
        # The publisher outlives the consumers: it ends by cancellation, after the outbox is drained.
        await self._publisher.run(connection, asyncio.Event())

    async def _consume(self, connection: Connection) -> None:
        """Declare what is missing, then consume every queue until asked to stop."""
        await declare(connection, self._names, self._registry.services, (*OWN_EVENTS, *self._registry.events))
        self._session += 1
        async with asyncio.TaskGroup() as group:
            for consumer in self._consumers:
                session = f"{self._journal.worker}:{self._session}:{consumer.queue}"
                group.create_task(consumer.run(connection, session, self._stopping))
            for consumer in self._consumers:
                with suppress(TimeoutError):
                    await asyncio.wait_for(consumer.consuming.wait(), _PATIENCE)
            log.info("adapter consumes", count=sum(consumer.consuming.is_set() for consumer in self._consumers))


def _calm_collector() -> None:
    """Take what start-up made out of the cyclic collector's sight, and let it look less often.

    Everything of a command dies by its reference count; the default of a look every 700 objects costs a tenth of the
    processor under load, and what is in flight at once is tens of thousands of objects (docs/performance.md).
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


@asynccontextmanager
async def _kept(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Keep ``work`` running for the length of a block and a little longer; its failure ends the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()
