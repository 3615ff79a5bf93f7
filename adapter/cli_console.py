"""``adapter console``: pages for people who send, look, and put right what stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

import structlog

from adapter.broker.connection import BrokerAddress
from adapter.broker.topology import Names
from adapter.expiry import take_renewed
from adapter.journal.journal import DatabaseAddress
from adapter.journal.migrate import MigrationError, migrate, pending
from adapter.journal.writer import DATABASE_ERRORS
from adapter.log import configure, register_secret
from adapter.services.registry import known_actions, make_services
from adapter.settings import load_console
from adapter.web.console.app import make_app, serve
from adapter.web.console.desk import Desk
from adapter.web.console.entry import Doorkeeper

if TYPE_CHECKING:
    import argparse

    from adapter.settings import ConsoleSettings

#: Seconds between two looks at the certificate files.
_LOOK_AGAIN: Final = 10.0
#: Pauses in seconds between attempts to reach the database at start; the last one repeats.
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("console", help="serve the console until SIGTERM")
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    settings = load_console(os.environ, known_actions())
    logging = settings.logging
    configure(logging.level, logging.format, stacktrace=logging.stacktrace, for_good=True)
    for secret in settings.secrets:
        register_secret(secret)
    for warning in settings.warnings:
        log.warning("configuration warning", warning=warning)
    try:
        asyncio.run(_serve(settings))
    except MigrationError as error:
        log.error("the database is not of this version", reason=str(error))  # noqa: TRY400 — the sentence says it all
        return 1
    except OSError as error:
        log.error("the console cannot listen", error=error)  # noqa: TRY400 — class and number say it all
        return 1
    return 0


async def _serve(settings: ConsoleSettings) -> None:
    stopping = asyncio.Event()
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, woken.set)
    database = DatabaseAddress(settings.database.connect_arguments())
    if not await _database_is_ready(database, stopping):
        return
    services = make_services(os.environ)
    desk = Desk(
        database,
        BrokerAddress.of(settings.broker),
        Names(settings.broker.prefix),
        {action: services[action] for action in settings.actions},
        settings.workers,
    )
    console = settings.console
    door = Doorkeeper(console.tokens, console.session)
    app = make_app(desk, door, language=console.language, largest=settings.broker.max_body)
    host, port = console.listen
    async with serve(app, host, port, console.listener_context()) as listening:
        log.info("the console is served", port=listening)
        keeping = asyncio.create_task(_keep_certificates(woken))
        await stopping.wait()
        log.info("stopping")
        keeping.cancel()
        await asyncio.wait({keeping})


async def _keep_certificates(woken: asyncio.Event) -> None:
    """Take certificates that are renewed on disk, at once when SIGHUP asks for it."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), _LOOK_AGAIN)
        woken.clear()
        await take_renewed()


async def _database_is_ready(database: DatabaseAddress, stopping: asyncio.Event) -> bool:
    """Wait for a database that is still starting, and bring it to this version; false when asked to stop first."""
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            connection = await database.connect()
            try:
                # A user who may not create tables may run a console on a database that is up to date.
                if any(migration.phase == "pre" for migration in await pending(connection)):
                    await migrate(connection, phases=("pre",))
            finally:
                await connection.close()
        except DATABASE_ERRORS as error:
            log.warning("the database is not there yet", error=error, retry_in=pause)
        else:
            return True
        try:
            await asyncio.wait_for(stopping.wait(), pause)
        except TimeoutError:
            continue
        return False
    raise AssertionError("the pauses never end")
