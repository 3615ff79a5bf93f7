"""The composition root: opens the gateways that the settings ask for and runs one worker on them."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from adapter.errors import ConfigurationError
from adapter.expiry import Calendar
from adapter.figures import of_calendar
from adapter.files import FilesIn, FilesPolicy, FileStore, FtpFiles
from adapter.gateways.epgu.follow import FollowOptions
from adapter.gateways.epgu.follow_making import make_follower
from adapter.gateways.epgu.keeping import Shared
from adapter.gateways.epgu.limits import Bounds
from adapter.gateways.epgu.making import Parts, make_gateway
from adapter.gateways.epgu.options import ESIA_HOSTS, HOSTS, ApiKey, EpguOptions, EsiaOptions
from adapter.gateways.epgu.profiles import PROFILES
from adapter.gateways.postamat.client import PostamatGateway, PostamatOptions
from adapter.gateways.smev3.arrivals import Smev3Arrivals
from adapter.gateways.smev3.client import Smev3Gateway
from adapter.gateways.smev3.incoming import Incoming
from adapter.gateways.smev3.options import Smev3Options
from adapter.gateways.smev3.outgoing import Outgoing
from adapter.gateways.smev3.requests import Smev3RequestSource
from adapter.gateways.smev3.source import Smev3Source
from adapter.gateways.smev3.statuses import Smev3StatusSource
from adapter.http import make_session
from adapter.journal.journal import DatabaseAddress
from adapter.journal.lending import Lending
from adapter.journal.writer import JournalUnavailableError
from adapter.metrics.exposition import Exposition, Gauge
from adapter.metrics.port import CountingMetrics
from adapter.pipeline.ports import Registry
from adapter.services.registry import make_providers, make_services
from adapter.services.smev3_provider import REQUEST, Smev3Requests
from adapter.signing.client import SigningClient
from adapter.web.lockers import LockerPortal, PortalOptions
from adapter.web.postamat import LockerTokens
from adapter.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from adapter.exchange import Service, Source
    from adapter.incoming import ArrivalSource, Provider
    from adapter.metrics import Metrics
    from adapter.pipeline.ports import Observer, Trace
    from adapter.settings import Epgu, Settings

log = structlog.get_logger(__name__)

#: Loops that fetch answers while there is traffic; each waits for verification, commit and Ack of one message in turn.
POLLERS: Final = 24


def _alarm(observer: Observer, reason: str) -> None:
    """Say that answers are not taken any more until a person has looked."""
    log.error("answers are not taken: a message is not to be believed", source="smev3", reason=reason)
    observer.count("source-paused")


async def _attachments(
    settings: Settings, options: Smev3Options, signer: SigningClient
) -> tuple[Outgoing, Incoming | None]:
    """Return both ways of attachments; what a command brings itself needs no FILES_ROOT, what comes in does."""
    files, ftp = settings.files, FtpFiles(timeout=options.timeout)
    policy = FilesPolicy() if files is None else files.policy()
    outgoing = Outgoing(options, signer=signer, files=FilesIn(policy), ftp=ftp)
    if files is None:
        return outgoing, None
    store = FileStore(files.root)
    if removed := await store.sweep():
        log.info("leftovers of dead processes removed from FILES_ROOT", count=removed)
    return outgoing, Incoming(options, signer=signer, store=store, ftp=ftp, limit=files.max_size)


async def open_gateways(
    settings: Settings,
    services: Mapping[str, Service],
    observer: Observer,
    stack: AsyncExitStack,
    providers: Mapping[str, Provider] | None = None,
) -> tuple[Registry, list[Source | ArrivalSource]]:
    """Open the gateways that the served actions need; ``stack`` closes them.

    ``providers`` take what these gateways bring, by their own action.
    """
    smev, signing = settings.smev, settings.signing
    if smev is None or signing is None:
        return Registry(services, {}), []
    sign_session = await stack.enter_async_context(
        make_session(timeout=signing.timeout, ssl_context=signing.ssl_context())
    )
    smev_session = await stack.enter_async_context(make_session(timeout=smev.timeout, limit=smev.calls + POLLERS))
    signer = SigningClient(
        signing.url,
        session=sign_session,
        tokens=signing.tokens,
        trust=smev.trust,
        timeout=signing.timeout,
    )
    stack.push_async_callback(signer.close)
    options = Smev3Options(
        endpoint=smev.endpoint,
        version=smev.version,
        node_id=smev.node_id,
        system_key=signing.key_ov,
        official_key=signing.key_sp,
        timeout=smev.timeout,
        poll_min=smev.poll_min,
        poll_max=smev.poll_max,
        selects=smev.selects,
        life=None if smev.life is None else timedelta(seconds=smev.life),
        business_process=(smev.business_process or "").encode(),
        test_message=smev.test_message,
        ftp_host=smev.ftp_host,
        ftp_port=smev.ftp_port,
    )
    outgoing, incoming = await _attachments(settings, options, signer)
    taps: dict[str, Any] = {
        "session": smev_session,
        "signer": signer,
        "on_pause": lambda reason: _alarm(observer, reason),
        "observe": observer.gateway_call,
    }
    source = Smev3Source(options, incoming=incoming, pollers=POLLERS, **taps)
    gateway = Smev3Gateway(
        options,
        session=smev_session,
        signer=signer,
        outgoing=outgoing,
        observe=observer.gateway_call,
        on_accepted=source.nudge,
    )
    sources: list[Source | ArrivalSource] = [source]
    if smev.statuses:
        sources.append(Smev3StatusSource(options, **taps))
    provided = dict(providers or {})
    ours = [provider for provider in provided.values() if provider.gateway == gateway.name]
    if ours:
        # What none of them names is for a person to see.
        provided.setdefault(REQUEST, Smev3Requests(None))
        sources += _request_sources(partial(Smev3RequestSource, options, incoming=incoming, **taps), ours)
    return Registry(services, {gateway.name: gateway}, {gateway.name: smev.calls}, provided), sources


def _request_sources(make: Callable[..., Smev3RequestSource], providers: Sequence[Provider]) -> list[Smev3Arrivals]:
    """Return a source for every вид сведений that is provided, or one for all where a provider takes what comes."""
    routes = {name: provider.action for provider in providers for name in provider.provides}
    everything = any(not provider.provides for provider in providers)
    selectors: Sequence[tuple[str, str] | None] = [None] if everything else list(routes)
    return [Smev3Arrivals(make(selects=selects), routes, REQUEST) for selects in selectors]


async def open_postamat(settings: Settings, registry: Registry, observer: Observer, stack: AsyncExitStack) -> Registry:
    """Return ``registry`` with the lockers: their gateway in mode client, their register in mode portal."""
    postamat = settings.postamat
    if postamat is None:
        return registry
    if postamat.mode == "client":
        if postamat.url is None or postamat.token is None:
            raise ConfigurationError({"POSTAMAT_URL": "is required with POSTAMAT_MODE=client"})
        session = await stack.enter_async_context(
            make_session(timeout=postamat.timeout, ssl_context=postamat.ssl_context())
        )
        options = PostamatOptions(postamat.url, postamat.token, postamat.timeout)
        gateway = PostamatGateway(
            options, session=session, observe=partial(observer.gateway_call, gateway=PostamatGateway.name)
        )
        return replace(registry, gateways={**registry.gateways, gateway.name: gateway})
    window = postamat.window
    portal = LockerPortal(
        PortalOptions(
            listen=postamat.listen,
            tokens=LockerTokens(postamat.token, postamat.locker_tokens or {}),
            window=None if window is None else timedelta(seconds=window),
            storage_days=postamat.storage_days,
            tls=postamat.listener_context(),
        )
    )
    return replace(registry, registers={**registry.registers, portal.name: portal})


async def open_epgu(settings: Settings, registry: Registry, observer: Observer, stack: AsyncExitStack) -> Registry:
    """Return ``registry`` with ЕПГУ; limits and tokens of commands are held in the database for all workers."""
    epgu, signing, files = settings.epgu, settings.signing, settings.files
    if epgu is None or signing is None or files is None:
        return registry
    session, once, esia = [
        await stack.enter_async_context(make_session(timeout=seconds, ssl_context=epgu.ssl_context(), limit=limit))
        for seconds, limit in (
            (epgu.timeout, epgu.calls * epgu.parallel),
            (epgu.timeout, epgu.calls),
            (epgu.esia_timeout, epgu.calls),
        )
    ]
    sign_session = await stack.enter_async_context(
        make_session(timeout=signing.timeout, ssl_context=signing.ssl_context())
    )
    signer = SigningClient(signing.url, session=sign_session, tokens=signing.tokens, timeout=signing.timeout)
    stack.push_async_callback(signer.close)
    lending = Lending(DatabaseAddress(settings.database.connect_arguments()).connect)
    stack.push_async_callback(lending.aclose)
    options = epgu_options(epgu, signing.key_ov, files.max_size)
    parts = Parts(
        session=session,
        once=once,
        esia=esia,
        signer=signer,
        store=FileStore(files.root),
        files=FilesIn(files.policy()),
        bounds=_epgu_bounds(epgu),
        shared=Shared(lending.lend, away=(JournalUnavailableError,)),
    )
    observe = partial(observer.gateway_call, gateway="epgu")
    gateway = make_gateway(options, parts=parts, observe=observe, stack=stack)
    follower = make_follower(
        options,
        _epgu_following(epgu),
        parts=parts,
        stack=stack,
        share=epgu.follow_share,
        active=epgu.follow,
        observe=observe,
        count=observer.count,
    )
    return replace(
        registry,
        gateways={**registry.gateways, gateway.name: gateway},
        places={**registry.places, gateway.name: epgu.calls},
        registers={**registry.registers, follower.name: follower},
    )


def _epgu_following(epgu: Epgu) -> FollowOptions:
    return FollowOptions(
        first=epgu.follow_first,
        longest=max(epgu.follow_first, epgu.follow_longest),
        poll=epgu.follow_poll,
        overlap=epgu.follow_overlap,
        reconcile=epgu.follow_reconcile,
        tick=min(1.0, epgu.follow_first, epgu.follow_poll),
    )


def epgu_options(epgu: Epgu, usual_key: str, file_limit: int) -> EpguOptions:
    """Return what a deployment says about its ЕПГУ; ``usual_key`` signs where nothing else is said."""
    sign_key = epgu.sign_key or usual_key
    profiles = {
        name: profile.changed(
            zone=epgu.zone,
            chunk_base=epgu.chunk_base,
            chunk_size=epgu.chunk_size,
            meta_in_chunks=epgu.chunk_meta,
            prefix=epgu.prefix or "",
        )
        for name, profile in PROFILES.items()
    }
    esia = EsiaOptions(
        url=epgu.esia_url or ESIA_HOSTS[epgu.environment],
        keys={name: ApiKey(guid, key or sign_key) for name, (guid, key) in (epgu.api_keys or {}).items()},
        client_id=epgu.system or "",
        sign_key=sign_key,
        person_scope=epgu.person_scope,
        renewal=epgu.renewal,
        redirect_uri=epgu.redirect_uri or "",
        scopes=epgu.scopes,
        timeout=epgu.esia_timeout,
    )
    return EpguOptions(
        url=epgu.url or HOSTS[epgu.environment],
        esia=esia,
        host=epgu.host or "",
        sni=epgu.sni or "",
        profiles=profiles,
        profile=epgu.profile,
        timeout=epgu.timeout,
        parallel=epgu.parallel,
        file_limit=file_limit,
        sign_key=sign_key,
    )


def _epgu_bounds(epgu: Epgu) -> Bounds:
    return Bounds(
        minute=epgu.limit_minute,
        hour=epgu.limit_hour,
        day=epgu.limit_day,
        month=epgu.limit_month,
        year=epgu.limit_year,
        orders=epgu.limit_orders,
        by_service=epgu.limit_services or {},
    )


async def run_worker(
    settings: Settings,
    environment: Mapping[str, str],
    observer: Observer,
    metrics: Metrics | None = None,
    trace: Trace | None = None,
) -> None:
    """Run one worker until SIGTERM or SIGINT; SIGHUP looks at certificates on disk at once.

    ``metrics`` are what the page of metrics shows, ``trace`` writes spans.
    """
    services = {
        action: service for action, service in make_services(environment).items() if action in settings.services.actions
    }
    calendar, exposition = Calendar(settings), Exposition(metrics or CountingMetrics())

    async def days_left() -> list[Gauge]:
        return of_calendar(calendar)

    exposition.add(days_left)
    async with AsyncExitStack() as stack:
        providers = make_providers(services, environment)
        registry, sources = await open_gateways(settings, services, observer, stack, providers)
        registry = await open_postamat(settings, registry, observer, stack)
        if settings.shep is not None:
            from adapter.shep_opening import open_shep  # noqa: PLC0415  — zeep is loaded only where ШЭП is on

            registry, doors = await open_shep(settings, registry, observer, stack, providers)
            sources += doors
        registry = await open_epgu(settings, registry, observer, stack)
        worker = Worker(settings, registry, sources, observer, exposition, trace=trace)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, worker.stop)
        loop.add_signal_handler(signal.SIGHUP, calendar.wake)
        await stack.enter_async_context(_beside(calendar.run()))
        log.info("adapter starts", actions=sorted(services))
        await worker.run()
    log.info("adapter ended")


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` for the length of a block. What it fails by is a defect: said at once, raised at the end."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell_defect)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _tell_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the calendar of certificates ended by a defect", error=error)
