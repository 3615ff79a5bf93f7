"""The desk of those who answer: GetRequest and SendResponse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lxml import etree

from adapter.xml.parser import serialize
from simulators.smev3.consumer import business_root, unsupported
from simulators.smev3.contents import Provided, late_fault, standalone
from simulators.smev3.faults import fault_named, refuse
from simulators.smev3.ftp import discard
from simulators.smev3.queues import Address

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.smev3.attachments import Attachment
    from simulators.smev3.contents import Author
    from simulators.smev3.door import Arrival
    from simulators.smev3.faults import FaultKind
    from simulators.smev3.names import Version
    from simulators.smev3.office import Interaction, Office
    from simulators.smev3.queues import Letter
    from simulators.smev3.scenario import Effects

#: What a provider may say, and whether that ends the interaction.
_LAST_WORDS = {"MessagePrimaryContent": True, "RequestRejected": True, "RequestStatus": False}
_KINDS = {
    "MessagePrimaryContent": "content",
    "RequestRejected": "rejected",
    "RequestStatus": "status",
    "AsyncProcessingStatus": "async",
}


class ProviderDesk:
    """One version of the service for providers."""

    def __init__(self, version: Version, author: Author, office: Office) -> None:
        """``author`` writes receipts and what the core says late."""
        self._version = version
        self._author = author
        self._office = office

    def take_request(self, arrival: Arrival, now: datetime) -> Letter | None:
        """Lease the next request of the caller's queue, ``None`` when it is empty. Raises RefusedError.

        A NodeID changes nothing: it makes queues of answers apart, not of requests.
        """
        target, version, identity = arrival.target, self._version, arrival.sender.identity
        namespace = target.findtext(version.base("NamespaceURI"))
        local_name = target.findtext(version.base("RootElementLocalName")) or ""
        if namespace is not None and not self._office.registry.selects(namespace, local_name, of=identity):
            raise refuse("UnknownMessageType", place="SPR:2")

        def wanted(letter: Letter) -> bool:
            return namespace is None or letter.kind.selected_by(namespace, local_name)

        return self._office.queues.take(Address(identity, "", "request", version.number), wanted, now)

    def check(self, arrival: Arrival, now: datetime) -> Interaction:
        """Refuse what the schema allows and the service does not; return what is answered. Raises RefusedError."""
        data, version = arrival.target, self._version
        self._office.seen.check(data.findtext(version.type("MessageID"), ""), now)
        interaction = self._office.interactions.get(data.findtext(version.type("To"), ""))
        if (
            interaction is None
            or interaction.closed
            or interaction.version != version.number
            or interaction.kind.identity != arrival.sender.identity
        ):
            raise refuse("RecipientIsNotFound", place="SPR:3")
        if _word(data) == "MessagePrimaryContent":
            root = business_root(data, version)
            if not interaction.kind.answered_by(root.tag):
                registered = self._office.registry.knows(root.tag)
                raise refuse("IncorrectResponseContentType", place="SPR:4") if registered else unsupported(root)
            rule = self._office.registry.check(root)
            if rule and not version.rejects_responses_late:
                raise refuse("InvalidContent", f"{fault_named('InvalidContent').sentence}: {rule}", place="SPR:5")
        self._office.check_room()
        return interaction

    def send_response(
        self,
        arrival: Arrival,
        interaction: Interaction,
        attachments: tuple[Attachment, ...],
        effects: Effects,
        now: datetime,
    ) -> bytes:
        """Take an answer that was checked and return its receipt. Raises RefusedError when it was taken meanwhile."""
        data, version, office = arrival.target, self._version, self._office
        message_id = data.findtext(version.type("MessageID"), "")
        office.seen.check(message_id, now)
        office.seen.add(message_id, now)
        kept = office.keep(attachments, message_id)
        word = _word(data)
        rule = office.registry.check(business_root(data, version)) if word == "MessagePrimaryContent" else ""
        if rule or effects.rejection:
            self._reject(arrival, message_id, late_fault(effects.rejection), rule)
            _discard(kept)
        else:
            interaction.closed = _LAST_WORDS.get(word, False)
            if interaction.consumer is None:
                office.answers.append(_told(data, version, interaction, now, kept))
                _discard(kept)
            self._pass_on(arrival, interaction, kept, effects, now)
        return self._author.writer.receipt("SendResponse", message_id, arrival.sender.party, interaction.party, now)

    def _reject(self, arrival: Arrival, message_id: str, kind: FaultKind, rule: str) -> None:
        """Tell a provider by GetStatus that its answer was thrown away."""
        category = "responseIsRejectedBySmev" if self._version.rejects_responses_late else "cancelled"
        status = self._author.async_status(message_id, category, kind, rule or "a scenario wants it so")
        self._office.statuses[arrival.sender.identity, self._version.number].append(status)

    def _pass_on(
        self,
        arrival: Arrival,
        interaction: Interaction,
        kept: tuple[Attachment, ...],
        effects: Effects,
        now: datetime,
    ) -> None:
        """Queue the answer for whoever asked; what a scenario said with the request goes for the last word."""
        data, version = arrival.target, self._version
        signature = arrival.body.find(version.type("CallerInformationSystemSignature"))
        assert signature is not None  # noqa: S101  — the door has seen it
        provided = Provided(standalone(data), standalone(signature[0]))
        asked = interaction.effects if interaction.closed else None
        merged = effects if asked is None else effects.over(asked)
        self._office.answer(
            interaction,
            data.findtext(version.type("MessageID"), ""),
            provided,
            arrival.sender.party,
            now,
            attachments=kept,
            delay=timedelta(seconds=merged.answer_delay),
            effects=merged,
        )


def _word(data: etree._Element) -> str:
    """Return the local name of what an answer says: the third element, behind MessageID and To."""
    return etree.QName(list(data.iterchildren(etree.Element))[2]).localname


def _told(
    data: etree._Element, version: Version, interaction: Interaction, now: datetime, kept: tuple[Attachment, ...]
) -> dict[str, Any]:
    """Return an answer to a request that was put in by hand, as ``GET /_sim/answers`` tells it."""
    word = _word(data)
    told: dict[str, Any] = {
        "message_id": data.findtext(version.type("MessageID"), ""),
        "original_message_id": interaction.original,
        "kind": _KINDS[word],
        "at": now.isoformat(),
        "attachments": [item.described() for item in kept],
        "personal_signature": data.find(version.type("PersonalSignature")) is not None,
    }
    if word == "MessagePrimaryContent":
        told["content"] = serialize(business_root(data, version)).decode()
    elif word == "RequestRejected":
        told["rejections"] = [
            {
                "code": element.findtext(version.type("RejectionReasonCode")),
                "description": element.findtext(version.type("RejectionReasonDescription")),
            }
            for element in data.iterfind(version.type("RequestRejected"))
        ]
    elif word == "RequestStatus":
        element = next(data.iterfind(version.type("RequestStatus")))
        told["status"] = {
            "code": element.findtext(version.type("StatusCode")),
            "description": element.findtext(version.type("StatusDescription")),
            "parameters": {
                parameter.findtext(version.type("Key"), ""): parameter.findtext(version.type("Value"), "")
                for parameter in element.iterfind(version.type("StatusParameter"))
            },
        }
    else:
        told["status"] = {"category": data.findtext(f"*/{version.type('StatusCategory')}")}
    return told


def _discard(kept: tuple[Attachment, ...]) -> None:
    for item in kept:
        if item.path is not None:
            discard(item.path)
