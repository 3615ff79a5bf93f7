"""The gateway ЕПГУ as the pipeline sees it: a small manifest prepared and journaled, one operation made from it.

The manifest has what the operation needs and never a token: of one that came with the command, its digest. An archive
lies in the file store by then.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import orjson
import structlog

from adapter.errors import AdapterError, Code, FileError, KnownError
from adapter.exchange import (
    Accepted,
    Answer,
    AnswerKind,
    FileFact,
    Prepared,
    Refused,
    Repeat,
    Sent,
    TryLater,
    Unanswered,
)
from adapter.gateways.epgu.archive import Wanted, members_of
from adapter.gateways.epgu.door import StoppedError, undelivered
from adapter.gateways.epgu.keeping import identifier_of
from adapter.gateways.epgu.operations import Operations, Outcome
from adapter.gateways.epgu.options import Observe, observe_nothing
from adapter.gateways.epgu.reading import NEW
from adapter.gateways.epgu.statements import AwayError
from adapter.gateways.epgu.wire import UndeliveredError, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from adapter.exchange import Call
    from adapter.gateways.epgu.archive import Archives
    from adapter.gateways.epgu.keeping import TokenShelf
    from adapter.gateways.epgu.options import EpguOptions
    from adapter.gateways.epgu.reading import Details

GATEWAY: Final = "epgu"
ORDER: Final = "order"
PUSH: Final = "push"
PUSH_CHUNKED: Final = "push-chunked"
CANCEL: Final = "cancel"
DETAILS: Final = "details"
STATUSES: Final = "statuses"
UPDATED_AFTER: Final = "updated-after"
DICTIONARY: Final = "dictionary"
FILE: Final = "file"

_log = structlog.get_logger(__name__)


class EpguGateway:
    """Makes the operations of the REST API."""

    name = GATEWAY
    #: ARCHITECTURE, Repeat rules: a number that is not used harms nobody; of chunks and cancellations details tell.
    repeat_rules: Mapping[str, Repeat] = {
        ORDER: Repeat.SAFE,
        PUSH: Repeat.NEVER,
        PUSH_CHUNKED: Repeat.ASK,
        CANCEL: Repeat.ASK,
        DETAILS: Repeat.SAFE,
        STATUSES: Repeat.SAFE,
        UPDATED_AFTER: Repeat.SAFE,
        DICTIONARY: Repeat.SAFE,
        FILE: Repeat.SAFE,
    }
    id_lifetime: timedelta | None = None

    def __init__(
        self,
        options: EpguOptions,
        *,
        operations: Operations,
        archives: Archives | None = None,
        shelf: TokenShelf,
        observe: Observe = observe_nothing,
    ) -> None:
        """``archives`` makes archives; without it (no FILES_ROOT) calls that need one are refused."""
        self._options = options
        self._operations = operations
        self._archives = archives
        self._shelf = shelf
        self._observe = observe

    async def prepare(self, call: Call) -> Prepared:
        """Return the manifest of a call, everything that it sends being at rest.

        Raises InvalidCommandError or FileError for an archive that could not be sent, SignerError; nothing was sent
        then. Errors of an application that has its number already name it (``details.order_id``).
        """
        told = _content(call)
        try:
            return await self._prepare(call, told)
        except AdapterError as error:
            if "order_id" in told:
                error.details.setdefault("order_id", told["order_id"])
            raise

    async def _prepare(self, call: Call, told: dict[str, Any]) -> Prepared:
        who = dict(told.get("who", {}))
        if text := who.pop("token", None):
            who["token"] = identifier_of(text) if call.rehearsed else await self._kept(text)
        manifest = {name: value for name, value in told.items() if name not in {"who", "archive"}}
        manifest["who"] = who
        profile = told.get("profile") or self._options.profile
        if profile not in self._options.profiles:
            raise KnownError(Code.INTERNAL, details={"rule": "unknown profile"})
        manifest["profile"] = profile
        signed_by: tuple[str, ...] = ()
        files: tuple[FileFact, ...] = ()
        if call.attachments or "members" in told:
            signed_by, files = await self._archive(call, told, manifest)
        return Prepared(
            operation=call.operation,
            gateway_id=str(uuid4()),
            body=orjson.dumps(manifest),
            minted_at=datetime.now(UTC),
            signed_by=signed_by,
            files=files,
        )

    async def _kept(self, token: str) -> str:
        """Put a command's token on the shelf and return its id. Raises FileError: it is tried again soon."""
        try:
            return await self._shelf.keep(token)
        except AwayError:
            rule = "Маркер доступа из команды сейчас не сохранить: база данных недоступна"
            raise FileError(Code.ATTACHMENT_UNAVAILABLE, rule, retryable=True) from None

    async def _archive(
        self, call: Call, told: Mapping[str, Any], manifest: dict[str, Any]
    ) -> tuple[tuple[str, ...], tuple[FileFact, ...]]:
        """Take files in, and unless a number has to be had first, make the archive. Puts both into the manifest."""
        if self._archives is None:
            raise FileError(Code.ATTACHMENT_REFUSED, "Файлы не настроены: нужен FILES_ROOT", retryable=False)
        profile = self._options.profiles[manifest["profile"]]
        if "members" in told:
            members, ready = members_of(told["members"]), bool(told.get("ready"))
        else:
            archive = told.get("archive", {})
            ready = bool(archive.get("ready"))
            wanted = Wanted(
                service_code=told["meta"]["service_code"],
                sign=frozenset(archive.get("sign", ())),
                substitute=frozenset(archive.get("substitute", ())),
                ready=ready,
                nested=profile.nested,
            )
            members = await self._archives.take(call.attachments, wanted)
        facts = tuple(FileFact(member.name, member.size, member.path.rpartition("/")[2]) for member in members)
        if call.operation == ORDER:
            manifest |= {"members": [member.told() for member in members], "ready": ready}
            return (), facts
        manifest.pop("members", None)
        built = await self._archives.build(members, manifest.get("order_id"), ready=ready)
        if call.operation == PUSH and built.size > profile.push_max:
            rule = f"Архив больше {profile.push_max} байт: для него есть push-chunked и submit"
            raise FileError(Code.ATTACHMENT_REFUSED, rule, retryable=False)
        manifest |= {"archive": built.told(), "chunk_size": profile.chunk_size, "chunks": profile.chunks(built.size)}
        return tuple(built.signed_by), (*facts, FileFact("archive.zip", built.size, built.sha256))

    async def send(self, prepared: Prepared, *, earlier_attempts: int) -> Sent:
        """Make the operation once. Only cancellation is raised."""
        manifest = orjson.loads(prepared.body)
        sent = await self._observed(prepared, manifest, earlier_attempts)
        if isinstance(sent, Refused) and earlier_attempts and self.repeat_rules[prepared.operation] is Repeat.ASK:
            # An earlier attempt may be why: what it sent is there, so a copy is refused.
            asked = await self.ask(prepared)
            return asked if isinstance(asked, Accepted) else sent
        return sent

    async def ask(self, prepared: Prepared) -> Sent:
        """Return what became of an operation that ended without an answer, by the details of its order.

        Accepted when it got there; TryLater when it certainly did not; Unanswered when that cannot be known now. Only
        cancellation is raised.
        """
        manifest = orjson.loads(prepared.body)
        try:
            details, reply = await self._operations.details_of(manifest)
        except StoppedError as stopped:
            return _unknown(stopped.sent)
        except UndeliveredError as failure:
            return Unanswered(failure.error, raw=failure.raw)
        return self._told_by(prepared, manifest, details, records(reply.record))

    def _told_by(self, prepared: Prepared, manifest: Mapping[str, Any], details: Details, raw: bytes) -> Sent:
        """Return what details say of an operation."""
        verdict = self._operations.arrived(prepared.operation, details)
        if isinstance(verdict, AdapterError):
            return Refused(verdict, raw)
        if verdict is None:
            return Unanswered(KnownError(Code.GATEWAY_PROTOCOL, details={"order_id": manifest["order_id"]}), raw=raw)
        if not verdict:
            return TryLater(AdapterError(details.code or NEW, "ЕПГУ сообщает, что операция не выполнена"), raw=raw)
        return self._accepted(prepared, Outcome({"order_id": manifest["order_id"]}, raw))

    async def _observed(self, prepared: Prepared, manifest: Mapping[str, Any], earlier_attempts: int) -> Sent:
        began, outcome, received, sent_bytes = time.perf_counter(), "cancelled", 0, _size(manifest)
        try:
            sent = await self._made(prepared, manifest, earlier_attempts)
            outcome = "ok" if isinstance(sent, Accepted) else sent.error.code
            received = len(sent.raw)
        finally:
            self._observe(prepared.operation, outcome, time.perf_counter() - began, sent_bytes, received)
        if not isinstance(sent, Accepted):
            _log.warning(
                "epgu.call-failed",
                operation=prepared.operation,
                gateway_id=prepared.gateway_id,
                outcome=type(sent).__name__,
                code=sent.error.code,
            )
        return sent

    async def _made(self, prepared: Prepared, manifest: Mapping[str, Any], earlier_attempts: int) -> Sent:
        try:
            outcome = await self._operations.make(prepared.operation, manifest, earlier_attempts)
        except StoppedError as stopped:
            return stopped.sent
        except UndeliveredError as failure:
            return undelivered(failure)
        except FileError as error:
            return TryLater(error) if error.retryable else Refused(error, b"")
        return self._accepted(prepared, outcome)

    def _accepted(self, prepared: Prepared, outcome: Outcome) -> Accepted:
        answer = Answer(
            source=GATEWAY,
            key=prepared.gateway_id,
            reference=prepared.gateway_id,
            kind=AnswerKind.ANSWER,
            raw=outcome.raw,
            content=orjson.dumps({"operation": prepared.operation, **outcome.content}),
            attachments=outcome.files,
        )
        return Accepted(outcome.raw, answer)


def _content(call: Call) -> dict[str, Any]:
    """Return what a call says; it comes from a service of ours."""
    told = orjson.loads(call.content)
    if call.operation not in EpguGateway.repeat_rules or not isinstance(told, dict):
        raise KnownError(Code.INTERNAL, details={"operation": call.operation})
    return told


def _unknown(sent: Sent) -> Sent:
    """Return what a failed question is: nobody knows, unless the number itself is not there."""
    if isinstance(sent, Accepted):
        return sent
    if isinstance(sent, Refused) and sent.error.code == "not_found":
        return TryLater(sent.error, raw=sent.raw)
    return Unanswered(sent.error, raw=sent.raw)


def _size(manifest: Mapping[str, Any]) -> int:
    archive = manifest.get("archive") or {}
    return int(archive.get("size", 0))
