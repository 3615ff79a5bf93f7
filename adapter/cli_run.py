"""``adapter run``."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import structlog

from adapter import faultpoints
from adapter import settings as configuration
from adapter.allocator import keep_freed_memory
from adapter.errors import ConfigurationError
from adapter.journal.migrate import MigrationError
from adapter.journal.writer import DATABASE_ERRORS
from adapter.log import configure, register_secret, take_over_last_words
from adapter.services.registry import known_actions, make_services

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from adapter.observing import MetricsObserver
    from adapter.settings import Elastic, Settings, Telemetry
    from adapter.tracing import TracingObserver

    MakeTracing = Callable[[Telemetry, MetricsObserver, Elastic | None], AbstractAsyncContextManager[TracingObserver]]

_NOT_MIGRATED: tuple[type[Exception], ...] = (*DATABASE_ERRORS, MigrationError)

log = structlog.get_logger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    run = subparsers.add_parser("run", help="serve the actions of SERVICES until SIGTERM")
    run.set_defaults(run=_run)


def load_settings() -> Settings:
    """Read the environment and set up logging. Raises ConfigurationError."""
    settings = configuration.load(os.environ, known_actions())
    make_services(os.environ)
    logging = settings.logging
    configure(logging.level, logging.format, stacktrace=logging.stacktrace, for_good=True)
    for secret in settings.secrets:
        register_secret(secret)
    for warning in settings.warnings:
        log.warning("configuration warning", warning=warning)
    return settings


def _run(_: argparse.Namespace) -> int:
    from adapter.bootstrap import run_worker  # noqa: PLC0415 — same
    from adapter.observing import make_observer  # noqa: PLC0415 — only the worker needs what these import

    settings = load_settings()
    telemetry = configuration.load_telemetry(os.environ, known_actions())
    make_tracing = None if telemetry is None else _tracing()
    keep_freed_memory()
    take_over_last_words()
    try:
        point = faultpoints.arm(os.environ)
    except ValueError as error:
        raise ConfigurationError({faultpoints.VARIABLE: str(error)}) from None
    if point:
        log.warning("this process will end itself at a fault point", reason=point)

    async def serve() -> None:
        async with make_observer(settings) as observer:
            if telemetry is None or make_tracing is None:
                await run_worker(settings, os.environ, observer, observer.metrics)
                return
            async with make_tracing(telemetry, observer, settings.elastic) as tracing:
                await run_worker(settings, os.environ, tracing, observer.metrics, tracing.step)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve())
    except MigrationError as error:
        log.error("the database is not of this version", reason=str(error))  # noqa: TRY400 — the sentence says it all
        return 1
    return 0


def _tracing() -> MakeTracing:
    """Return what opens OpenTelemetry, which is loaded only where it is on. Raises ConfigurationError without it."""
    try:
        from adapter.tracing import make_tracing  # noqa: PLC0415 — the packages are an extra
    except ModuleNotFoundError:
        sentence = "needs the packages of the extra telemetry: pip install 'state-gateway-adapter[telemetry]'"
        raise ConfigurationError({"OTEL_EXPORTER_OTLP_ENDPOINT": sentence}) from None
    return make_tracing


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where there is one."""
    try:
        import uvloop  # noqa: PLC0415 — not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
