"""One exchange as its page tells it: the way in facts, what was asked and answered, what went and came, signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapter.recovery import history
from adapter.signing.certificates import CertificateError, read_certificate
from adapter.web.console import pretty
from adapter.web.console.page import ENDED
from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import asyncpg
    from markupsafe import Markup

    from adapter.journal.records import Exchange
    from adapter.recovery.history import Fact

#: Bytes of one exchange that a page reads at most; what is more is there to be downloaded.
_MOST_BYTES: Final = 4_000_000
#: Facts in which something was sent or received at a gateway, and which way it went.
_DOCUMENTS: Final[Mapping[str, str]] = {
    "incoming": "in", "request": "out", "accepted": "in", "refused": "in", "retry": "in", "unanswered": "in",
    "answer": "in", "status": "in",
}  # fmt: skip
_CERTIFICATE: Final = "{http://www.w3.org/2000/09/xmldsig#}X509Certificate"
_NOTES: Final = ("operation", "attempt", "to", "by", "reason", "what", "refusal", "queue")


@dataclass(frozen=True, slots=True)
class Moment:
    """One row of the timeline; ``after`` is in seconds since the command came."""

    fact: Fact
    after: float
    notes: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Document:
    """Something that was sent or received: ``place`` is its fact, ``way`` in or out."""

    place: int
    way: str
    fact: Fact
    size: int
    shown: Markup | None
    has_content: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate inside a signature; its ``subject`` may be a person's name."""

    file: str
    fingerprint: str
    algorithm: str
    not_before: datetime
    not_after: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the page shows of one exchange."""

    exchange: Exchange
    moments: Sequence[Moment]
    command: Markup
    reply: Markup | None
    documents: Sequence[Document]
    verdicts: Sequence[Mapping[str, Any]]
    certificates: Sequence[Certificate]
    revealed: bool
    replies: Sequence[Fact] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected by itself: an end, and nothing on its way out."""
        outgoing = [moment.fact.name for moment in self.moments]
        told = outgoing.count("published") >= outgoing.count("written") + outgoing.count("pending")
        return self.exchange.state in ENDED and told


async def tell(connection: asyncpg.Connection, exchange: Exchange, *, revealed: bool) -> Story:
    """Read an exchange from the journal; contents masked unless ``revealed``."""
    known = await history.read_history(connection, exchange)
    if sum(fact.size or 0 for fact in known.facts) <= _MOST_BYTES:
        known = await history.read_history(connection, exchange, with_bytes=True)
    facts = known.facts
    documents = [*_documents(facts, revealed=revealed)]
    return Story(
        exchange=exchange,
        moments=[
            Moment(fact, (fact.at - exchange.received_at).total_seconds(), _notes(fact, hidden=not revealed))
            for fact in facts
        ],
        command=pretty.command(exchange.body, revealed=revealed),
        reply=None if exchange.outcome is None else pretty.outcome(exchange.outcome, revealed=revealed),
        documents=documents,
        verdicts=[
            {"place": place, **verdict}
            for place, fact in enumerate(facts)
            for verdict in fact.notes.get("verdicts", ())
        ],
        certificates=[*_certificates(facts)],
        revealed=revealed,
        replies=[fact for fact in facts if fact.notes.get("kind") == "reply" and fact.name != "published"],
    )


def _notes(fact: Fact, *, hidden: bool) -> list[tuple[str, str]]:
    names = _NOTES if not hidden else tuple(name for name in _NOTES if name != "refusal")
    return [(name, str(fact.notes[name])) for name in names if fact.notes.get(name) not in (None, "")]


def _documents(facts: Sequence[Fact], *, revealed: bool) -> Iterator[Document]:
    for place, fact in enumerate(facts):
        way = _DOCUMENTS.get(fact.name)
        if way is None or not fact.size:
            continue
        shown = None if fact.data is None else pretty.document(fact.data, revealed=revealed)
        yield Document(place, way, fact, fact.size, shown, bool(fact.content))


def _certificates(facts: Sequence[Fact]) -> Iterator[Certificate]:
    """Yield every certificate of what was sent and received, each once, by the file it stands in first."""
    seen: set[str] = set()
    for fact in facts:
        if fact.name not in _DOCUMENTS or not fact.data:
            continue
        for der in _certificates_in(fact.data):
            fingerprint = hashlib.sha256(der).hexdigest()
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            try:
                read = read_certificate(der)
            except CertificateError:
                continue  # the exact bytes are there to be downloaded
            yield Certificate(
                fact.name, fingerprint, read.algorithm, read.not_before, read.not_after, read.subject_text
            )


def _certificates_in(data: bytes) -> Iterator[bytes]:
    try:
        root = parse(soap_message(data))
    except XmlError:
        return
    for element in root.iter(_CERTIFICATE):
        try:
            yield base64.b64decode("".join("".join(map(str, element.itertext())).split()), validate=True)
        except binascii.Error:
            continue
