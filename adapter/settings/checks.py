"""What variables must fulfil together. Each check names the variables it reads and yields (variable, sentence).

A check runs only when all its variables were read without a fault, so that one mistake is told once.
"""
# ruff: noqa: FBT001  — a check receives the values of the variables it names, in that order

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from adapter.settings.pem import client_context, is_rsa
from adapter.settings.values import SCHEMA_VERSIONS, human_size, unreadable, version_in

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.settings.pem import Pem
    from adapter.settings.shep_registry import ShepRegistry

Faults = Iterator[tuple[str, str]]
Check = tuple[tuple[str, ...], Callable[..., Faults]]


def _together(first: str, second: str) -> Check:
    def check(one: object | None, other: object | None) -> Faults:
        if one is None and other is not None:
            yield first, f"is required with {second}"
        if other is None and one is not None:
            yield second, f"is required with {first}"

    return (first, second), check


def _authority(name: str) -> Check:
    def check(authority: Pem | None) -> Faults:
        try:
            if authority is not None:
                client_context(authority, None, None)
        except ssl.SSLError:
            yield name, "holds a certificate that OpenSSL does not take"

    return (name,), check


def _key_of(certificate_name: str, key_name: str) -> Check:
    def check(certificate: Pem | None, key: Pem | None) -> Faults:
        try:
            if certificate is not None and key is not None:
                client_context(certificate, certificate, key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                yield key_name, f"is not the private key of {certificate_name}"
            else:
                yield certificate_name, f"and {key_name} cannot be used for TLS ({error.reason or 'malformed'})"

    return (certificate_name, key_name), check


def _broker_authority(tls: bool, authority: Pem | None) -> Faults:
    if tls and authority is None:
        yield "CA_CERT", "is required: RabbitMQ is reached by TLS (MQ_TLS=off is for a closed test network only)"


def _login_needs_tls(tls: bool, user: str | None) -> Faults:
    if not tls and user is None:
        yield "MQ_USER", "is required with MQ_TLS=off: a login by certificate needs TLS"


def _login_needs(name: str) -> Check:
    def check(tls: bool, user: str | None, pem: Pem | None) -> Faults:
        if tls and user is None and pem is None:
            yield name, "is required: without MQ_USER the login is by certificate"

    return ("MQ_TLS", "MQ_USER", name), check


def _memory(prefetch: int | None, body: int, limit: int, actions: tuple[str, ...]) -> Faults:
    prefetch = 1 if prefetch is None else prefetch
    if prefetch * body * len(actions) <= limit:
        return
    fitting = limit // (body * len(actions))
    way_out = f"lower MQ_PREFETCH to {fitting} or " if fitting else ""
    sentence = (
        f"is {human_size(limit)}, but MQ_PREFETCH {prefetch} x MQ_MAX_BODY {human_size(body)} x {len(actions)} "
        f"action(s) may take {human_size(prefetch * body * len(actions))}: {way_out}lower MQ_MAX_BODY, "
        "serve fewer actions or raise the limit"
    )
    yield "MEMORY_LIMIT", sentence


def _retention(days: int | None, dedupe: int) -> Faults:
    if days is not None and days <= dedupe:
        yield "RETENTION_DAYS", "must be more than DEDUPE_DAYS: a repeat is recognised by what is kept"


def _poll(shortest: float, longest: float) -> Faults:
    if shortest > longest:
        yield "SMEV_POLL_MAX", "must not be less than SMEV_POLL_MIN"


def _smev_version(endpoint: str, version: str | None) -> Faults:
    named = version_in(endpoint)
    if named is None or named == version:
        return
    if version is not None:
        yield "SMEV_VERSION", "is not the version that the path of SMEV_SERVICE names"
    elif named not in SCHEMA_VERSIONS:
        yield "SMEV_SERVICE", f"names a version that is not one of {', '.join(SCHEMA_VERSIONS)}"


def _signing_login(token: str | None, certificate: Pem | None, _: bool) -> Faults:
    if token is None and certificate is None:
        yield "SIGN_TOKEN_OV", "is required unless SIGN_CLIENT_CERT logs us in"


def _signing_tls(url: str, authority: Pem | None, certificate: Pem | None) -> Faults:
    if not url.startswith("https:") and (authority or certificate):
        yield "SIGN_SERVICE", "must be https:// when SIGN_CA_CERT or SIGN_CLIENT_CERT is given"


def _personal(personal: bool, key_ov: str, key_sp: str) -> Faults:
    if personal and key_ov == key_sp:
        yield "SIGN_KEY_SP", "must differ from SIGN_KEY_OV: an official does not sign with the system's key"


def _personal_token(personal: bool, ov: str | None, sp: str | None, certificate: Pem | None) -> Faults:
    if personal and sp is None and certificate is None:
        yield "SIGN_TOKEN_SP", "is required with USE_PERSONAL_SIGNATURE=true unless SIGN_CLIENT_CERT logs us in"
    if ov is not None and ov == sp:
        yield "SIGN_TOKEN_SP", "must differ from SIGN_TOKEN_OV"


def _database_authority(sslmode: str, authority: Pem | None) -> Faults:
    if authority is not None and sslmode not in {"verify-ca", "verify-full"}:
        yield "DATABASE_SSLMODE", "must be verify-ca or verify-full for DATABASE_CA to be used"


def _elastic_authority(scheme: str, authority: Pem | None) -> Faults:
    if scheme != "https" and authority is not None:
        yield "ELASTIC_SCHEME", "must be https for ELASTIC_CA to be used"


def _files_root(root: Path | None) -> Faults:
    if root is None:
        yield "FILES_ROOT", "is required with FILES_IN_PATHS, FILES_IN_HOSTS, FILES_MAX_SIZE and actions of ЕПГУ"
        return
    try:
        with TemporaryFile(dir=root):
            pass
    except OSError as error:
        yield "FILES_ROOT", f"must be a folder that this process may write to ({unreadable(error)})"


def _files_in(paths: tuple[Path, ...] | None) -> Faults:
    if not all(path.is_dir() and os.access(path, os.R_OK | os.X_OK) for path in paths or ()):
        yield "FILES_IN_PATHS", "must name folders that are there and may be read"


def _token_holders(keys: Mapping[str, object] | None, system: str | None) -> Faults:
    if keys is None and system is None:
        yield "ESIA_API_KEYS", "is required unless EPGU_SYSTEM alone renews tokens of persons"


def _portal_called(mode: str, url: str | None, token: str | None) -> Faults:
    if mode == "client" and url is None:
        yield "POSTAMAT_URL", "is required with POSTAMAT_MODE=client"
    if mode == "client" and token is None:
        yield "POSTAMAT_TOKEN", "is required with POSTAMAT_MODE=client"


def _lockers_served(mode: str, token: str | None, tokens: Mapping[str, str] | None) -> Faults:
    if mode == "portal" and token is None and tokens is None:
        yield "POSTAMAT_TOKEN", "is required with POSTAMAT_MODE=portal unless POSTAMAT_LOCKER_TOKENS names every locker"
    if mode == "client" and tokens is not None:
        yield "POSTAMAT_LOCKER_TOKENS", "is for POSTAMAT_MODE=portal: an external portal has one token"


def _portal_authority(url: str | None, authority: Pem | None) -> Faults:
    if authority is not None and not (url or "").startswith("https:"):
        yield "POSTAMAT_URL", "must be https:// for POSTAMAT_CA to be used"


def _shep_outer(registry: ShepRegistry, sync_url: str | None, async_url: str | None) -> Faults:
    for name, url, way in (("VSHEP_SYNC_URL", sync_url, "is_sync"), ("VSHEP_ASYNC_URL", async_url, "is_async")):
        outside = any(service.gateway == "vshep" and getattr(service, way) for service in registry.services)
        if outside and url is None:
            yield name, "is required: SHEP_SERVICES_FILE has services of the ВШЭП"


def _shep_login(backend: str, token: str | None, certificate: Pem | None) -> Faults:
    if backend == "contract" and token is None and certificate is None:
        yield "SHEP_SIGN_TOKEN", "is required unless SIGN_CLIENT_CERT logs us in"


def _shep_official(
    registry: ShepRegistry, backend: str, token: str | None, certificate: Pem | None, p12: bytes | None
) -> Faults:
    absent = p12 is None if backend == "ncanode" else token is None and certificate is None
    if absent and any(row.sign_data == "official" for row in registry.services):
        name = "SHEP_NCANODE_P12_OFFICIAL" if backend == "ncanode" else "SHEP_SIGN_TOKEN_OFFICIAL"
        yield name, "is required: SHEP_SERVICES_FILE has data signed by the official"


def _shep_keys(backend: str, p12: bytes | None) -> Faults:
    if backend == "ncanode" and p12 is None:
        yield "SHEP_NCANODE_P12", "is required with SHEP_SIGN_BACKEND=ncanode"


def _shep_alone(backend: str, _: object) -> Faults:
    if backend == "ncanode":
        yield "SHEP_SIGN_BACKEND", "may be ncanode only where ШЭП alone is served: SIGN_SERVICE is one address"


def _shep_owner(registry: ShepRegistry, own: str | None) -> Faults:
    if own is not None and own not in {organisation.bin for organisation in registry.organisations}:
        yield "SHEP_BIN", "is of no organisation of SHEP_SERVICES_FILE"


def _shep_met(listen: tuple[str, int] | None, url: str | None) -> Faults:
    if listen is not None and url is None:
        yield "SHEP_PUBLIC_URL", "is required with SHEP_LISTEN"


def _shep_cipher(
    registry: ShepRegistry,
    backend: str,
    certificates: tuple[bytes, ...] | None,
    token: str | None,
    certificate: Pem | None,
) -> Faults:
    if not any(service.encryption for service in registry.services):
        return
    if backend == "ncanode":
        yield "SHEP_SIGN_BACKEND", "may not be ncanode: SHEP_SERVICES_FILE has services with encryption"
    if certificates is None or len(certificates) != 1:
        yield "SHEP_CIPHER_CERT", "has to be one certificate: SHEP_SERVICES_FILE has services with encryption"
    elif not is_rsa(certificates[0]):
        yield "SHEP_CIPHER_CERT", "has to be the certificate of an RSA key"
    if token is None and certificate is None:
        yield "SHEP_CIPHER_TOKEN", "is required for services with encryption unless SIGN_CLIENT_CERT logs us in"


def _shep_callers(certificate: Pem | None, authority: Pem | None) -> Faults:
    if authority is not None and certificate is None:
        yield "SHEP_LISTEN_CLIENT_CA", "needs SHEP_LISTEN_CERT: without TLS nobody shows a certificate"


CHECKS: tuple[Check, ...] = (
    (("MQ_TLS", "CA_CERT"), _broker_authority),
    (("MQ_TLS", "MQ_USER"), _login_needs_tls),
    _login_needs("CLIENT_CERT"),
    _login_needs("CLIENT_KEY"),
    _together("CLIENT_CERT", "CLIENT_KEY"),
    _together("MQ_USER", "MQ_PASSWORD"),
    _authority("CA_CERT"),
    _key_of("CLIENT_CERT", "CLIENT_KEY"),
    (("MQ_PREFETCH", "MQ_MAX_BODY", "MEMORY_LIMIT", "SERVICES"), _memory),
    (("RETENTION_DAYS", "DEDUPE_DAYS"), _retention),
    (("SMEV_POLL_MIN", "SMEV_POLL_MAX"), _poll),
    (("SMEV_SERVICE", "SMEV_VERSION"), _smev_version),
    (("SIGN_TOKEN_OV", "SIGN_CLIENT_CERT", "SMEV_TEST_MESSAGE"), _signing_login),
    (("USE_PERSONAL_SIGNATURE", "SIGN_KEY_OV", "SIGN_KEY_SP"), _personal),
    (("USE_PERSONAL_SIGNATURE", "SIGN_TOKEN_OV", "SIGN_TOKEN_SP", "SIGN_CLIENT_CERT"), _personal_token),
    _together("SIGN_CLIENT_CERT", "SIGN_CLIENT_KEY"),
    (("SIGN_SERVICE", "SIGN_CA_CERT", "SIGN_CLIENT_CERT"), _signing_tls),
    _authority("SIGN_CA_CERT"),
    _key_of("SIGN_CLIENT_CERT", "SIGN_CLIENT_KEY"),
    (("FILES_ROOT",), _files_root),
    (("FILES_IN_PATHS",), _files_in),
    (("SHEP_SERVICES_FILE", "VSHEP_SYNC_URL", "VSHEP_ASYNC_URL"), _shep_outer),
    (("SHEP_SIGN_BACKEND", "SHEP_SIGN_TOKEN", "SIGN_CLIENT_CERT"), _shep_login),
    (("SHEP_SIGN_BACKEND", "SHEP_NCANODE_P12"), _shep_keys),
    (("SHEP_SIGN_BACKEND", "SMEV_TEST_MESSAGE"), _shep_alone),
    (("SHEP_SIGN_BACKEND", "EPGU_ENV"), _shep_alone),
    _together("SHEP_NCANODE_P12", "SHEP_NCANODE_PASSWORD"),
    _together("SHEP_NCANODE_P12_OFFICIAL", "SHEP_NCANODE_PASSWORD_OFFICIAL"),
    (
        (
            "SHEP_SERVICES_FILE",
            "SHEP_SIGN_BACKEND",
            "SHEP_SIGN_TOKEN_OFFICIAL",
            "SIGN_CLIENT_CERT",
            "SHEP_NCANODE_P12_OFFICIAL",
        ),
        _shep_official,
    ),
    (("SHEP_SERVICES_FILE", "SHEP_BIN"), _shep_owner),
    (("SHEP_LISTEN", "SHEP_PUBLIC_URL"), _shep_met),
    (
        ("SHEP_SERVICES_FILE", "SHEP_SIGN_BACKEND", "SHEP_CIPHER_CERT", "SHEP_CIPHER_TOKEN", "SIGN_CLIENT_CERT"),
        _shep_cipher,
    ),
    _together("SHEP_LISTEN_CERT", "SHEP_LISTEN_KEY"),
    _key_of("SHEP_LISTEN_CERT", "SHEP_LISTEN_KEY"),
    (("SHEP_LISTEN_CERT", "SHEP_LISTEN_CLIENT_CA"), _shep_callers),
    (("SIGN_TOKEN_OV", "SIGN_CLIENT_CERT", "EPGU_CHUNK_META"), _signing_login),
    (("ESIA_API_KEYS", "EPGU_SYSTEM"), _token_holders),
    _authority("EPGU_CA"),
    (("POSTAMAT_MODE", "POSTAMAT_URL", "POSTAMAT_TOKEN"), _portal_called),
    (("POSTAMAT_MODE", "POSTAMAT_TOKEN", "POSTAMAT_LOCKER_TOKENS"), _lockers_served),
    (("POSTAMAT_URL", "POSTAMAT_CA"), _portal_authority),
    _authority("POSTAMAT_CA"),
    _together("POSTAMAT_TLS_CERT", "POSTAMAT_TLS_KEY"),
    _key_of("POSTAMAT_TLS_CERT", "POSTAMAT_TLS_KEY"),
    _together("CONSOLE_TLS_CERT", "CONSOLE_TLS_KEY"),
    _key_of("CONSOLE_TLS_CERT", "CONSOLE_TLS_KEY"),
    (("DATABASE_SSLMODE", "DATABASE_CA"), _database_authority),
    _authority("DATABASE_CA"),
    _together("ELASTIC_USER", "ELASTIC_PASS"),
    (("ELASTIC_SCHEME", "ELASTIC_CA"), _elastic_authority),
    _authority("ELASTIC_CA"),
)
