"""One version of the service: the desks of both sides, and what is neither's: Ack, GetStatus, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.smev3.consumer import ConsumerDesk
from simulators.smev3.contents import Author
from simulators.smev3.faults import refuse
from simulators.smev3.provider import ProviderDesk

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.smev3.door import Arrival
    from simulators.smev3.messages import Writer
    from simulators.smev3.names import Version
    from simulators.smev3.office import Office
    from simulators.smev3.queues import Letter


class Core:
    """The operations of one version over what all versions share."""

    def __init__(self, version: Version, writer: Writer, office: Office) -> None:
        """``writer`` writes in that version."""
        self._version = version
        self._writer = writer
        self._office = office
        author = Author(writer)
        office.authors[version.number] = author
        self.consumer = ConsumerDesk(version, author, office)
        self.provider = ProviderDesk(version, author, office)

    def take(self, arrival: Arrival, now: datetime) -> Letter | None:
        """Lease what GetRequest or GetResponse asks for, ``None`` when the queue is empty. Raises RefusedError."""
        desk = self.provider.take_request if arrival.operation.name == "GetRequest" else self.consumer.take_response
        return desk(arrival, now)

    def deliver(self, operation: str, letter: Letter | None, now: datetime, *, broken: bool) -> bytes:
        """Return the answer of ``operation`` with ``letter`` or without one; ``broken`` spoils the core's signature."""
        if letter is None:
            return self._writer.nothing(operation)
        return self._writer.delivery(letter, now, broken=broken or letter.broken_signature)

    def ack(self, arrival: Arrival, now: datetime) -> bytes:
        """Take a confirmation; the answer is not signed. Raises RefusedError (TargetMessageIsNotFound)."""
        target = arrival.target
        accepted = target.get("accepted", "true").strip() in {"true", "1"}
        if not self._office.queues.ack(arrival.sender.identity, target.text or "", now, accepted=accepted):
            raise refuse("TargetMessageIsNotFound", place="SPM:5")
        return self._writer.nothing("Ack")

    def status(self, arrival: Arrival) -> bytes:
        """Return the oldest word about the caller's own messages and forget it: no Ack could name it."""
        waiting = self._office.statuses.get((arrival.sender.identity, self._version.number))
        return self._writer.status(waiting.popleft()) if waiting else self._writer.nothing("GetStatus")

    def statistics(self, arrival: Arrival, now: datetime) -> bytes:
        """Return how many messages wait in the caller's queues, answers being those of the NodeID it gives."""
        node = arrival.body.findtext(self._version.type("NodeID")) or ""
        found = self._office.queues.statistics(arrival.sender.identity, self._version.number, now)
        return self._writer.statistics(
            (f"{arrival.sender.party.mnemonic}.{address.box}", number)
            for address, number in found
            if address.box == "request" or address.node == node
        )
