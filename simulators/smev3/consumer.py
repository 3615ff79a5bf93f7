"""The desk of those who ask: SendRequest and GetResponse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from lxml import etree

from simulators.smev3.contents import Provided, late_fault, standalone
from simulators.smev3.door import moment_of
from simulators.smev3.faults import fault_named, refuse, refuse_signature
from simulators.smev3.ftp import discard
from simulators.smev3.messages import CORE_PARTY, reply_address
from simulators.smev3.office import Interaction, fresh_id
from simulators.smev3.queues import Address, Letter

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.smev3.attachments import Attachment
    from simulators.smev3.contents import Author
    from simulators.smev3.door import Arrival
    from simulators.smev3.names import Version
    from simulators.smev3.office import Office
    from simulators.smev3.registry import Document, InformationType, Provider
    from simulators.smev3.scenario import Effects


class ConsumerDesk:
    """One version of the service for consumers."""

    def __init__(self, version: Version, author: Author, office: Office) -> None:
        """``author`` writes for the simulator's own providers."""
        self._version = version
        self._author = author
        self._office = office

    def check(self, arrival: Arrival, now: datetime, *, official: bool) -> InformationType:
        """Refuse what the schema allows and the service does not; ``official`` wants an ЭП-СП. Raises RefusedError."""
        data, version = arrival.target, self._version
        self._office.seen.check(data.findtext(version.type("MessageID"), ""), now)
        end = data.findtext(version.type("EOL"))
        if end and moment_of(end) <= now:
            raise refuse("EndOfLifeReached", place="SPM:4")
        if official and data.find(version.type("PersonalSignature")) is None:
            raise refuse_signature("NoSignatureFound", "Отсутствует ЭП-СП", place="SPS:7")
        root = business_root(data, version)
        kind = self._office.registry.find(root.tag)
        if kind is None:
            raise unsupported(root)
        self._office.check_room()
        return kind

    def send_request(  # noqa: PLR0913  — a request is taken in the light of these
        self,
        arrival: Arrival,
        kind: InformationType,
        attachments: tuple[Attachment, ...],
        effects: Effects,
        now: datetime,
        *,
        delay: timedelta,
    ) -> bytes:
        """Take a request that was checked and return its receipt. Raises RefusedError when it was taken meanwhile."""
        data, version = arrival.target, self._version
        message_id = data.findtext(version.type("MessageID"), "")
        self._office.seen.check(message_id, now)
        self._office.seen.add(message_id, now)
        kept = self._office.keep(attachments, message_id)
        party = arrival.sender.party
        interaction = Interaction(
            original=message_id,
            version=version.number,
            kind=kind,
            party=party,
            reply_to=reply_address(message_id, party.mnemonic),
            consumer=Address(
                arrival.sender.identity, data.findtext(version.type("NodeID"), ""), "response", version.number
            ),
            reference=data.findtext(version.type("ReferenceMessageID"), ""),
            transaction=data.findtext(version.type("TransactionCode"), ""),
            transports=transports_of(arrival.body),
            effects=effects,
        )
        for category in effects.async_status:
            status = self._author.async_status(message_id, category)
            self._office.statuses[arrival.sender.identity, version.number].append(status)
        self._answer(interaction, arrival, kept, now, delay + timedelta(seconds=effects.answer_delay))
        recipient = None if kind.broadcast else kind.party
        return self._author.writer.receipt("SendRequest", message_id, party, recipient, now)

    def _answer(
        self,
        interaction: Interaction,
        arrival: Arrival,
        kept: tuple[Attachment, ...],
        now: datetime,
        delay: timedelta,
    ) -> None:
        """Let the core answer, or the provider, or whoever a scenario lets answer in their place."""
        effects, kind = interaction.effects, interaction.kind
        assert effects is not None  # noqa: S101  — set by the caller; this tells the type checker
        root = business_root(arrival.target, self._version)
        rule = self._office.registry.check(root)
        if kind.provider is None and not (rule or effects.rejection or effects.request_rejected):
            self._forward(interaction, arrival, kept, now)
            return
        identifier, to = fresh_id(), interaction.reply_to
        signer = self._office.signers.get(kind.party.mnemonic, self._author.writer.core)
        for number in range(effects.request_status):
            news = fresh_id()
            provided = self._author.status(signer, news, to, number + 1)
            self._office.answer(interaction, news, provided, kind.party, now, delay=delay)
        made: tuple[Attachment, ...] = ()
        author = kind.party
        if rule or effects.rejection:
            fault = fault_named("InvalidContent") if rule else late_fault(effects.rejection)
            rule = rule or "a scenario wants it so"
            provided, author = self._author.rejected_late(identifier, to, interaction.original, fault, rule), CORE_PARTY
        elif effects.request_rejected:
            provided = self._author.rejected(signer, identifier, to, effects.request_rejected)
        else:
            assert kind.provider is not None  # noqa: S101  — one without was left above
            test = arrival.target.find(self._version.type("TestMessage")) is not None
            business = _business(kind.provider, root, effects, now, test=test)
            if not effects.silent:
                made = self._office.maker.make(effects.attachments, signer)
                made += self._office.maker.again(kept, signer) if effects.echo else ()
            provided = self._author.content(signer, identifier, to, business, made)
        shared = {item.path for item in made}
        for item in kept:
            if item.path is not None and item.path not in shared:
                discard(item.path)
        self._office.answer(
            interaction, identifier, provided, author, now, attachments=made, delay=delay, effects=effects
        )

    def _forward(self, interaction: Interaction, arrival: Arrival, kept: tuple[Attachment, ...], now: datetime) -> None:
        """Queue a request for the system that answers its type."""
        kind, data, version = interaction.kind, arrival.target, self._version
        signature = arrival.body.find(version.type("CallerInformationSystemSignature"))
        assert signature is not None  # noqa: S101  — the door has seen it
        provided = Provided(standalone(data), standalone(signature[0]))
        end = data.findtext(version.type("EOL"))
        queue_request(
            self._office,
            interaction,
            provided,
            now,
            attachments=kept,
            expires_at=moment_of(end) if end else None,
        )
        if not kind.broadcast:
            self._office.remember(interaction)

    def take_response(self, arrival: Arrival, now: datetime) -> Letter | None:
        """Lease the next answer of the caller's queue, ``None`` when it is empty. Raises RefusedError."""
        target, version, registry = arrival.target, self._version, self._office.registry
        node = target.findtext(version.base("NodeID")) or ""
        namespace = target.findtext(version.base("NamespaceURI"))
        local_name = target.findtext(version.base("RootElementLocalName")) or ""
        if namespace is not None and not registry.selects(namespace, local_name):
            raise refuse("UnknownMessageType", place="SPR:2")
        original = target.text if target.tag == version.type("OriginalMessageID") else None

        def wanted(letter: Letter) -> bool:
            if original is not None:
                return letter.original == original
            return namespace is None or letter.kind.selected_by(namespace, local_name)

        # A provider that nobody asks any more may have let requests of ours die.
        self._office.queues.expire(now)
        return self._office.queues.take(Address(arrival.sender.identity, node, "response", version.number), wanted, now)


def queue_request(  # noqa: PLR0913  — a letter is made of these
    office: Office,
    interaction: Interaction,
    provided: Provided,
    now: datetime,
    *,
    attachments: tuple[Attachment, ...] = (),
    expires_at: datetime | None = None,
    delay: timedelta = timedelta(0),
    broken_signature: bool = False,
) -> None:
    """Queue a request for the system that answers its type; a scenario may lose it or deliver it twice."""
    effects, kind = interaction.effects, interaction.kind
    if effects is not None and effects.silent:
        return
    files = office.publish(attachments)
    letter = Letter(
        message_id=interaction.original,
        original=interaction.original,
        kind=kind,
        provided=provided.element,
        signature=provided.signature,
        author=interaction.party,
        recipient=None if kind.broadcast else kind.party,
        sent_at=now,
        available_at=now + delay,
        message_type="BROADCAST" if kind.broadcast else "REQUEST",
        reply_to="" if kind.broadcast else interaction.reply_to,
        expires_at=expires_at,
        attachments=attachments,
        files=files,
        transports=interaction.transports,
        broken_signature=broken_signature,
    )
    office.queues.put(Address(kind.identity, "", "request", interaction.version), letter, now)


def business_root(data: etree._Element, version: Version) -> etree._Element:
    """Return the root of the business content in a sender-provided part that has one."""
    content = data.find(version.base("MessagePrimaryContent"))
    assert content is not None  # noqa: S101  — the schema demands it of requests; answers were looked at
    return next(content.iterchildren(etree.Element))


def unsupported(root: etree._Element) -> Exception:
    """Return the refusal of a business root that nobody registered."""
    name = etree.QName(root)
    fields = {"RootElementLocalName": name.localname, "RootElementNamespaceURI": name.namespace or ""}
    return refuse("BusinessDataTypeIsNotSupported", place="SPR:1", **fields)


def transports_of(body: etree._Element) -> frozenset[str]:
    """Return the transport ids a message names anywhere, lower-cased."""
    return frozenset((element.text or "").lower() for element in body.iter("{*}transport-id"))


def _business(provider: Provider, root: etree._Element, effects: Effects, now: datetime, *, test: bool) -> bytes:
    """Return the answer of one of the simulator's own providers."""
    answer = provider.handle(provider.read(root), now, test=test)
    if effects.unknown_transport_id:
        _estrange(answer)
    return provider.write(answer)


def _estrange(answer: Document) -> None:
    for result in answer.get("result", ()):
        result["transport_id"] = str(uuid4())
