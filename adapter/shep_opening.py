"""Opens the ШЭП: a gateway per contour, and what listens to them. Imported only where it is on: zeep is heavy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from adapter.errors import ConfigurationError
from adapter.gateways.shep import Level, Profile, ShepGateway, ShepOptions
from adapter.gateways.shep.follower import Followed, ShepFollower
from adapter.gateways.shep.options import Cipher
from adapter.gateways.shep.pacing import Pace, Pacing
from adapter.gateways.shep.points import Points, Watched
from adapter.gateways.shep.puller import Pulled, ShepPuller
from adapter.gateways.shep.security import TransportSecurity
from adapter.gateways.shep.sharing import Shared
from adapter.http import make_session
from adapter.journal.journal import DatabaseAddress
from adapter.journal.lending import Lending
from adapter.journal.writer import JournalUnavailableError
from adapter.settings.shep_registry import seconds_of
from adapter.shep_journals.watch import EmergencyWatch
from adapter.signing.kz_client import KzSigningClient
from adapter.signing.kz_ncanode import NcaNodeSigner, Pkcs12
from adapter.web.shep import EndpointOptions, ShepEndpoint
from adapter.workdays import Calendar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    import aiohttp

    from adapter.incoming import ArrivalSource, Provider
    from adapter.pipeline.ports import Observer, Registry
    from adapter.settings import Settings, Shep, Signing
    from adapter.settings.shep_registry import Service, ShepRegistry
    from adapter.signing.kz_signer import KzSigner

#: Seconds between two fetches of a service whose delivery point seems to be switched off.
_WOKEN_INTERVAL: Final = 30.0


async def open_shep(
    settings: Settings,
    registry: Registry,
    observer: Observer,
    stack: AsyncExitStack,
    providers: Mapping[str, Provider],
) -> tuple[Registry, list[ArrivalSource]]:
    """Return ``registry`` with the contours of the ШЭП, and what listens to them; ``stack`` closes them.

    ``providers`` take what comes in.
    """
    shep, signing = settings.shep, settings.signing
    if shep is None or signing is None:
        return registry, []
    sign_session = await stack.enter_async_context(
        make_session(timeout=signing.timeout, ssl_context=signing.ssl_context())
    )
    session = await stack.enter_async_context(make_session(timeout=max(shep.sync_timeout, shep.async_timeout)))
    signer = make_signer(shep, signing, sign_session)
    lending = Lending(DatabaseAddress(settings.database.connect_arguments()).connect)
    stack.push_async_callback(lending.aclose)
    shared = Shared(lending.lend, away=(JournalUnavailableError,))
    pacing = Pacing(paces(shep.registry), shared)
    gateways = {
        options.name: ShepGateway(
            options,
            session=session,
            signer=signer,
            observe=partial(observer.gateway_call, gateway=options.name),
            pacing=pacing,
            count=observer.count,
        )
        for options in contours(shep)
    }
    ours = {action: provider for action, provider in providers.items() if provider.gateway == "shep"}
    registry = replace(
        registry,
        gateways={**registry.gateways, **gateways},
        providers={**registry.providers, **ours},
    )
    watch = EmergencyWatch(Calendar(shep.zone, frozenset(shep.holidays or ())))
    registry = replace(registry, registers={**registry.registers, watch.name: watch})
    if not ours:
        return registry, []
    told = partial(observer.gateway_call, gateway="shep")
    follower = ShepFollower(followed(shep.registry), gateways, shared, count=observer.count, observe=told)
    sources: list[ArrivalSource] = [follower, ShepPuller(pulled(shep.registry), gateways, shared, observer.count)]
    if shep.listen is not None:
        points = Points(watched(shep), shared, observer.count)
        sources.append(_endpoint(shep, signer, points, follower))
    return registry, sources


def paces(registry: ShepRegistry) -> dict[tuple[str, str], Pace]:
    """Return what our sends are held to, by service and route: the throttled delivery points, as they are declared."""
    declared = {
        point.id: Pace(point.id, point.requests, seconds_of(point.throttling_timeout))
        for point in registry.points
        if point.throttling and point.requests and point.throttling_timeout
    }
    targets = [(service.key, "", service.point) for service in registry.services]
    targets += [(service.key, route.name, route.point) for service in registry.services for route in service.routes]
    return {(key, route): declared[point] for key, route, point in targets if point in declared}


def followed(registry: ShepRegistry) -> list[Followed]:
    """Return the services whose messages are followed."""
    return [
        Followed(service.key, service.gateway, told=bool(service.status_notifications))
        for service in registry.services
        if service.is_async
    ]


def watched(shep: Shep) -> list[Watched]:
    """Return our own delivery points that are declared to be switched off after errors, and what is delivered there.

    Ours are those of our own services; what others answer us is delivered to them too.
    """
    registry = shep.registry
    organisations = {row.key for row in registry.organisations if row.bin == shep.bin}
    systems = {row.key for row in registry.systems if row.owner in organisations}
    own = [service for service in registry.services if service.system in systems and service.delivery == "PUSH"]
    used = {
        service.key for service in registry.services if service.delivery == "PUSH" and service.system not in systems
    }
    found = []
    for point in registry.points:
        mine = {service.key for service in own if point.id in {service.point, *(row.point for row in service.routes)}}
        if mine and point.max_errors and point.max_interval:
            found.append(Watched(point.id, point.max_errors, seconds_of(point.max_interval), frozenset(mine | used)))
    return found


def pulled(registry: ShepRegistry) -> list[Pulled]:
    """Return how services are fetched: those of an interval, and delivered ones while their point is switched off."""
    return [
        Pulled(
            service.key,
            service.gateway,
            seconds_of(service.poll_interval) if service.poll_interval else _WOKEN_INTERVAL,
            service.poll_amount or 0,
            asleep=service.poll_interval is None,
        )
        for service in registry.services
        if service.poll_interval or service.delivery == "PUSH"
    ]


def _endpoint(shep: Shep, signer: KzSigner, points: Points, follower: ShepFollower) -> ShepEndpoint:
    """Return the doors that the gateway calls. Raises ConfigurationError."""
    if shep.listen is None or shep.public_url is None:
        raise ConfigurationError({"SHEP_PUBLIC_URL": "is required with SHEP_LISTEN"})
    known = shep.registry

    def profile_of(service_id: str | None) -> Profile:
        service = known.service(service_id or "")
        return Profile() if service is None else profile(service)

    def is_sync(service_id: str) -> bool:
        service = known.service(service_id)
        return service is not None and service.is_sync

    def is_registered(service_id: str) -> bool:
        return known.service(service_id) is not None

    security = TransportSecurity(
        signer,
        key=shep.system_key,
        expected_bin=shep.gateway_bin or "",
        certificates=shep.gateway_certs or (),
        cipher=_cipher(shep),
    )
    options = EndpointOptions(
        listen=shep.listen,
        public_url=shep.public_url,
        profile_of=profile_of,
        known=is_sync,
        registered=is_registered,
        zone=shep.zone,
        tls=shep.listener_context(),
        networks=shep.networks,
        points=points,
        told=follower.told,
    )
    return ShepEndpoint(options, security)


def make_signer(shep: Shep, signing: Signing, session: aiohttp.ClientSession) -> KzSigner:
    """Return what signs: a service of our contract by tokens, or NCANode, which is sent the keys with each call."""
    if shep.backend == "contract":
        return KzSigningClient(
            signing.url, session=session, tokens=shep.tokens, trust=shep.trust or (), timeout=signing.timeout
        )
    given = (
        (shep.system_key, shep.system_p12, shep.system_p12_password),
        (shep.official_key, shep.official_p12, shep.official_p12_password),
    )
    keys = {name: Pkcs12(p12, password) for name, p12, password in given if p12 is not None and password is not None}
    return NcaNodeSigner(signing.url, session=session, keys=keys, timeout=signing.timeout)


def contours(shep: Shep) -> list[ShepOptions]:
    """Return the options of both contours; one that has no address of its own cannot be called."""
    outside = (shep.outer_sync_url or "", shep.outer_async_url or "")
    found = [_options(shep, "shep", shep.sync_url, shep.async_url)]
    return [*found, _options(shep, "vshep", *outside)] if any(outside) else found


def _cipher(shep: Shep) -> Cipher | None:
    """Return how messages are encrypted, where a certificate says for whom."""
    return None if shep.cipher_certificate is None else Cipher(shep.cipher_certificate[0], shep.cipher_key)


def _options(shep: Shep, name: str, sync_url: str, async_url: str) -> ShepOptions:
    return ShepOptions(
        sync_url=sync_url,
        async_url=async_url,
        sender_id=shep.sender_id,
        password=shep.password,
        name=name,
        gateway_bin=shep.gateway_bin or "",
        gateway_certs=shep.gateway_certs or (),
        system_key=shep.system_key,
        official_key=shep.official_key,
        cipher=_cipher(shep),
        sync_timeout=shep.sync_timeout,
        async_timeout=shep.async_timeout,
        zone=shep.zone,
        profiles={service.key: profile(service) for service in shep.registry.services if service.gateway == name},
    )


def profile(service: Service) -> Profile:
    """Return how a registered service is called and judged."""
    return Profile(
        level=Level(service.security),
        soft_revocation=service.revocation == "soft",
        unsigned_faults=service.unsigned_faults,
        encrypted=bool(service.encryption),
        answer_within=None if service.answer_within is None else timedelta(seconds=seconds_of(service.answer_within)),
    )
