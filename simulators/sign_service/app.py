"""The HTTP door of the reference signing service; see schemas/sign-service.openapi.yaml for every shape."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapter.signing.certificates import read_certificate
from adapter.signing.gost import GostEngine
from adapter.signing.kz import KzEngine
from adapter.signing.wire import (
    MAX_BODY,
    CallRefused,
    CertificatesAnswer,
    KeyEntry,
    Refusal,
    SignAnswer,
    SignDigestRequest,
    SignRequest,
    VerifyAnswer,
    VerifyDigestRequest,
    VerifyRequest,
)
from simulators.sign_service import kz
from simulators.sign_service.keyring import Keyring, ServedKey, load_keyring
from simulators.sign_service.work import RefusedError, Workshop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Result = TypeVar("_Result")

#: Up to this many bytes the work is done in the loop: it takes a few milliseconds, a thread's turn costs as much.
_INLINE_BYTES = 32 * 1024
_INLINE_ITEMS = 4
#: Calls at work at once; more are told to come back, instead of filling the memory.
_MAX_CALLS = 16
_BODY_TIMEOUT = 30.0


def make_app(
    directory: Path,
    *,
    engine: GostEngine | None = None,
    trust: Sequence[Path] = (),
    clock: Callable[[], datetime] | None = None,
) -> web.Application:
    """Return the service over the keys of ``directory`` (made by simulators.keys).

    ``trust`` are files of anchors for verification, by default DIR/ca.crt.pem. Raises KeyringError,
    GostUnavailableError.
    """
    engine = engine or GostEngine.open()
    keyring = load_keyring(directory, engine, trust)
    door = _Door(keyring, Workshop(engine, keyring, clock))
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_refusals_as_json])
    app.router.add_post("/v1/sign", door.sign)
    app.router.add_post("/v1/verify", door.verify)
    app.router.add_post("/v1/sign-digest", door.sign_digests)
    app.router.add_post("/v1/verify-digest", door.verify_digests)
    app.router.add_get("/v1/certificates", door.certificates)
    app.router.add_get("/healthz", door.health)
    kz.add_routes(app, directory, KzEngine(engine), clock)
    return app


class _Door:
    """Handlers: authenticate, read, hand to the workshop, answer."""

    def __init__(self, keyring: Keyring, workshop: Workshop) -> None:
        self._keyring = keyring
        self._workshop = workshop
        self._calls = 0

    async def sign(self, request: web.Request) -> web.Response:
        holder = self._holder(request)
        with self._turn():
            call = await _read(request, SignRequest)
            size = sum(len(item.content) for item in call.items)
            items = await _do(lambda: self._workshop.sign(call.items, holder), size, len(call.items))
        return _answer(SignAnswer(items=items))

    async def verify(self, request: web.Request) -> web.Response:
        self._holder(request)
        with self._turn():
            call = await _read(request, VerifyRequest)
            size = sum(len(item.content) for item in call.items)
            items = await _do(lambda: self._workshop.verify(call.items, call.trust), size, len(call.items))
        return _answer(VerifyAnswer(items=items))

    async def sign_digests(self, request: web.Request) -> web.Response:
        holder = self._holder(request)
        with self._turn():
            call = await _read(request, SignDigestRequest)
            items = await _do(lambda: self._workshop.sign_digests(call.items, holder), 0, len(call.items))
        return _answer(SignAnswer(items=items))

    async def verify_digests(self, request: web.Request) -> web.Response:
        self._holder(request)
        with self._turn():
            call = await _read(request, VerifyDigestRequest)
            size = sum(len(item.content) for item in call.items)
            items = await _do(lambda: self._workshop.verify_digests(call.items, call.trust), size, len(call.items))
        return _answer(VerifyAnswer(items=items))

    async def certificates(self, request: web.Request) -> web.Response:
        self._holder(request)
        return _answer(CertificatesAnswer(keys=[_entry(served) for served in self._keyring.keys.values()]))

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    def _holder(self, request: web.Request) -> ServedKey:
        """Return the key whose token came with the call. Raises RefusedError."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        holder = self._keyring.holder(token.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            raise RefusedError(Refusal.UNAUTHORIZED, "a valid bearer token is required")
        return holder

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Take one of the places at work. Raises RefusedError when there is none."""
        if self._calls >= _MAX_CALLS:
            raise RefusedError(Refusal.OVERLOADED, "too many calls at once")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


async def _do(work: Callable[[], _Result], size: int, count: int) -> _Result:
    """Do small work at once and larger work in a thread, so that the loop goes on answering."""
    if size <= _INLINE_BYTES and count <= _INLINE_ITEMS:
        return work()
    return await asyncio.to_thread(work)


async def _read(request: web.Request, shape: type[_Model]) -> _Model:
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise RefusedError(Refusal.MALFORMED_REQUEST, "the body did not arrive in time") from None
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise RefusedError(Refusal.MALFORMED_REQUEST, f"not a valid request, first fault at: {where[:100]}") from None


def _answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=model.model_dump_json(exclude_none=True).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def _refusal(refused: RefusedError) -> web.Response:
    headers = {
        Refusal.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
        Refusal.OVERLOADED: {"Retry-After": "1"},
    }.get(refused.refusal)
    return _answer(CallRefused(error=refused.fault()), refused.refusal.status, headers)


_OF_STATUS = {
    404: (Refusal.NOT_FOUND, "no such path"),
    405: (Refusal.METHOD_NOT_ALLOWED, "no such method on this path"),
    413: (Refusal.TOO_LARGE, f"a call holds at most {MAX_BODY} bytes"),
}


@web.middleware
async def _refusals_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every refusal in the contract's form; nothing inner (a trace, a value) leaves."""
    try:
        return await handler(request)
    except RefusedError as refused:
        return _refusal(refused)
    except web.HTTPException as error:
        refusal, message = _OF_STATUS.get(error.status, (Refusal.MALFORMED_REQUEST, "not a valid request"))
        return _refusal(RefusedError(refusal, message))
    except Exception as error:  # noqa: BLE001  — the last line of defence: logged by class, since texts may hold content
        _log.error("call failed: %s", type(error).__name__)
        return _refusal(RefusedError(Refusal.INTERNAL, "the service failed"))


def _entry(served: ServedKey) -> KeyEntry:
    facts = read_certificate(served.certificate)
    return KeyEntry(
        name=served.name,
        algorithm=facts.algorithm,
        bits=512 if served.key.bits == 512 else 256,
        certificate=served.certificate,
        certificate_sha256=served.fingerprint,
        subject=facts.subject_text,
        not_before=facts.not_before,
        not_after=facts.not_after,
        allowed=list(served.allowed),
    )
