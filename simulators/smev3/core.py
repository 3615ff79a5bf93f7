"""The operations of the message exchange service, from the sender's side: SendRequest, GetResponse, Ack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid1, uuid4

from lxml import etree

from simulators.smev3.door import ID_LIFETIME, Arrival, check_message_id
from simulators.smev3.faults import refuse, refuse_bare, refuse_signature
from simulators.smev3.giszhkh import MOSCOW
from simulators.smev3.messages import CORE, reply_address
from simulators.smev3.queues import Address, Letter

if TYPE_CHECKING:
    from simulators.smev3.messages import Signer, Writer
    from simulators.smev3.names import Version
    from simulators.smev3.queues import Queues
    from simulators.smev3.registry import Document, InformationType, Registry
    from simulators.smev3.scenario import Effects

_SEEN_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """A request being taken: everything its answer needs."""

    message_id: str
    address: Address
    mnemonic: str
    kind: InformationType
    transports: frozenset[str]
    available_at: datetime
    now: datetime


class Core:
    """One version of the service over its queues and registry."""

    def __init__(
        self, version: Version, writer: Writer, queues: Queues, registry: Registry, providers: dict[str, Signer]
    ) -> None:
        """``providers`` maps a mnemonic of the registry to the key its answers are signed by."""
        self._version = version
        self._writer = writer
        self._queues = queues
        self._registry = registry
        self._providers = providers
        self._seen: dict[str, datetime] = {}

    def reset(self) -> None:
        """Forget which identifiers were used."""
        self._seen.clear()

    def send_request(
        self, arrival: Arrival, effects: Effects, now: datetime, *, delay: timedelta, official: bool
    ) -> bytes:
        """Take a request and return its receipt; ``official`` wants an ЭП-СП. Raises RefusedError."""
        data = _first(arrival.body)
        message_id = self._text(data, "MessageID")
        check_message_id(message_id, now)
        if message_id in self._seen:
            raise refuse("MessageIsAlreadySent", place="SPM:3")
        self._check_letter(arrival.body, data, now, official=official)
        root = _first(next(data.iterchildren(self._basic("MessagePrimaryContent"))))
        kind = self._registry.find(root.tag)
        if kind is None:
            name = etree.QName(root)
            fields = {"RootElementLocalName": name.localname, "RootElementNamespaceURI": name.namespace or ""}
            raise refuse("BusinessDataTypeIsNotSupported", place="SPR:1", **fields)
        if self._queues.full:
            raise refuse("DestinationOverflow", place="SPQ:1", MessageBrokerAddress="simulator", DestinationName=CORE)
        self._remember(message_id, now)
        order = Order(
            message_id=message_id,
            address=Address(arrival.sender.identity, self._text(data, "NodeID")),
            mnemonic=arrival.sender.mnemonic,
            kind=kind,
            transports=transports_of(arrival.body),
            available_at=now + delay + timedelta(seconds=effects.answer_delay),
            now=now,
        )
        self._answer(order, root, effects, test=data.find(self._types("TestMessage")) is not None)
        return self._writer.receipt(message_id, order.mnemonic, kind.mnemonic, now)

    def _check_letter(self, body: etree._Element, data: etree._Element, now: datetime, *, official: bool) -> None:
        """Refuse what the schema allows and the service does not."""
        end = data.findtext(self._types("EOL"))
        if end and moment_of(end) <= now:
            raise refuse("EndOfLifeReached", place="SPM:4")
        if official and data.find(self._types("PersonalSignature")) is None:
            raise refuse_signature("NoSignatureFound", "Отсутствует ЭП-СП", place="SPS:7")
        if data.find(self._basic("RefAttachmentHeaderList")) is not None:
            raise refuse_bare("Вложения по ссылке не поддерживаются этим сервисом", side="Server")
        headers = {element.text for element in data.iter(self._basic("contentId"))}
        if headers != {element.text for element in body.iterfind(f"*/*/{self._basic('Id')}")}:
            raise refuse("AttachmentContentMiscoordination", place="SPA:1")

    def _remember(self, message_id: str, now: datetime) -> None:
        """Keep the identifier as long as it would not be refused as stale anyway."""
        self._seen[message_id] = now
        while len(self._seen) > _SEEN_LIMIT or self._seen[next(iter(self._seen))] < now - 2 * ID_LIFETIME:
            del self._seen[next(iter(self._seen))]

    def _answer(self, order: Order, root: etree._Element, effects: Effects, *, test: bool) -> None:
        """Let the provider answer, or whoever a scenario lets answer in its place, and queue that."""
        provider = self._providers[order.kind.mnemonic]
        to = reply_address(order.message_id, order.mnemonic)
        for number in range(effects.request_status):
            identifier = fresh_id()
            parts = self._writer.status(provider, identifier, to, f"IN_PROGRESS_{number + 1}")
            self._queue(order, identifier, parts, order.kind.mnemonic)
        identifier = fresh_id()
        faults = self._registry.schema(order.kind.namespace).check(root)
        if faults or effects.rejection:
            rule = f"{faults[0].path}: {faults[0].rule}" if faults else "a scenario wants it so"
            parts = self._writer.invalid_content(identifier, to, order.message_id, rule)
            self._queue(order, identifier, parts, CORE, effects)
        elif effects.request_rejected:
            parts = self._writer.rejected(provider, identifier, to, effects.request_rejected)
            self._queue(order, identifier, parts, order.kind.mnemonic, effects)
        else:
            answer = order.kind.provider.handle(order.kind.provider.read(root), order.now, test=test)
            if effects.unknown_transport_id:
                _estrange(answer)
            parts = self._writer.content(provider, identifier, to, order.kind.provider.write(answer))
            self._queue(order, identifier, parts, order.kind.mnemonic, effects)

    def _queue(
        self, order: Order, identifier: str, parts: tuple[str, str], author: str, effects: Effects | None = None
    ) -> None:
        if effects is not None and effects.silent:
            return
        for _ in range(2 if effects is not None and effects.duplicate else 1):
            letter = Letter(
                message_id=identifier,
                original=order.message_id,
                kind=order.kind,
                provided=parts[0],
                signature=parts[1],
                author=author,
                recipient=order.mnemonic,
                sent_at=order.now,
                available_at=order.available_at,
                transports=order.transports,
                broken_signature=effects is not None and effects.bad_smev_signature,
            )
            self._queues.put(order.address, letter, order.now)

    def take_response(self, arrival: Arrival, now: datetime) -> Letter | None:
        """Lease the next answer of the caller's queue, ``None`` when it is empty. Raises RefusedError."""
        target = _first(arrival.body)
        node = target.findtext(self._basic("NodeID")) or ""
        namespace = target.findtext(self._basic("NamespaceURI"))
        local_name = target.findtext(self._basic("RootElementLocalName")) or ""
        if namespace is not None and not self._registry.selects(namespace, local_name):
            raise refuse("UnknownMessageType", place="SPR:2")
        original = target.text if target.tag == self._types("OriginalMessageID") else None

        def wanted(letter: Letter) -> bool:
            if original is not None:
                return letter.original == original
            return namespace is None or letter.kind.selected_by(namespace, local_name)

        return self._queues.take(Address(arrival.sender.identity, node), wanted, now)

    def deliver(self, letter: Letter | None, now: datetime, *, broken: bool) -> bytes:
        """Return GetResponseResponse with ``letter`` or without one; ``broken`` spoils the core's signature."""
        if letter is None:
            return self._writer.nothing("GetResponse")
        return self._writer.delivery(letter, now, broken=broken or letter.broken_signature)

    def ack(self, arrival: Arrival, now: datetime) -> bytes:
        """Take a confirmation; the answer is not signed. Raises RefusedError (TargetMessageIsNotFound)."""
        target = _first(arrival.body)
        accepted = target.get("accepted", "true").strip() in {"true", "1"}
        if not self._queues.ack(arrival.sender.identity, target.text or "", now, accepted=accepted):
            raise refuse("TargetMessageIsNotFound", place="SPM:5")
        return self._writer.nothing("Ack")

    def _types(self, local: str) -> str:
        return f"{{{self._version.types}}}{local}"

    def _basic(self, local: str) -> str:
        return f"{{{self._version.basic}}}{local}"

    def _text(self, element: etree._Element, local: str) -> str:
        return element.findtext(self._types(local)) or ""


def fresh_id() -> str:
    """Return a new UUID of version 1; its node and sequence are random, so that processes do not meet."""
    return str(uuid1(node=uuid4().int & 0xFFFFFFFFFFFF | 0x010000000000))


def transports_of(body: etree._Element) -> frozenset[str]:
    """Return the transport ids a message names anywhere, lower-cased."""
    return frozenset((element.text or "").lower() for element in body.iter("{*}transport-id"))


def _estrange(answer: Document) -> None:
    for result in answer.get("result", ()):
        result["transport_id"] = str(uuid4())


def moment_of(text: str) -> datetime:
    """Return an xs:dateTime; one without a zone is Moscow time, like everything the service writes.

    Raises RefusedError for what only XML Schema calls a moment (24:00:00, years of five digits).
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise refuse_bare("Unmarshalling Error: EOL") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW)


def _first(element: etree._Element) -> etree._Element:
    return next(element.iterchildren(etree.Element))
