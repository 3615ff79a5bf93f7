"""Names on the wire of the message exchange service, by version (facts: smev3.md, "Protocol facts")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.paths import SCHEMAS

if TYPE_CHECKING:
    from pathlib import Path

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
XOP = "http://www.w3.org/2004/08/xop/include"
SMEV_TRANSFORM = "urn://smev-gov-ru/xmldsig/transform"

_ROOT = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the service: its three namespaces, its path on the server and its schema."""

    number: str
    types: str
    basic: str
    faults: str
    folder: Path

    @classmethod
    def of(cls, number: str) -> Version:
        """Return version ``number``; the namespaces of all published versions differ by the number alone."""
        return cls(
            number=number,
            types=f"{_ROOT}/{number}",
            basic=f"{_ROOT}/basic/{number}",
            faults=f"{_ROOT}/faults/{number}",
            folder=SCHEMAS / "smev3" / number,
        )

    @property
    def schema(self) -> Path:
        """The file that brings in every part of this version's schema."""
        return self.folder / "service.xsd"

    @property
    def path(self) -> str:
        """Path of the endpoint, as the real contours have it."""
        return f"/smev/v{self.number}/ws"

    @property
    def declarations(self) -> str:
        """Namespace declarations of our answers, with the prefixes the real service uses."""
        return f'xmlns="{self.basic}" xmlns:ns2="{self.types}" xmlns:ns3="{self.faults}"'

    @property
    def names_people_read(self) -> bool:
        """Whether MessageMetadata gives a HumanReadableName of every party."""
        return self.number != "1.2"

    @property
    def tells_of_broker(self) -> bool:
        """Whether MessageMetadata gives the destination and the kind of interaction."""
        return self.number == "1.1"

    @property
    def rejects_responses_late(self) -> bool:
        """Whether there is a status for a response that the core rejects after it was taken."""
        return self.number != "1.1"

    def delivered(self, message_type: str) -> str:
        """Return the status of a message in the moment of its delivery."""
        if self.number != "1.1":
            return "messageIsDelivered"
        return "responseIsDelivered" if message_type == "RESPONSE" else "requestIsAcceptedBySmev"

    def type(self, local: str) -> str:
        """Return the ``{namespace}local`` tag of the types schema."""
        return f"{{{self.types}}}{local}"

    def base(self, local: str) -> str:
        """Return the ``{namespace}local`` tag of the basic schema."""
        return f"{{{self.basic}}}{local}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its request element, the elements of which the caller signs one, and who has it."""

    name: str
    signed: tuple[str, ...]
    versions: tuple[str, ...] = ("1.1", "1.2", "1.3")

    @property
    def request(self) -> str:
        """Local name of the request element."""
        return f"{self.name}Request"


#: Local names of what is signed are written with ``b:`` when they are in the basic namespace.
OPERATIONS = {
    operation.request: operation
    for operation in (
        Operation("SendRequest", ("SenderProvidedRequestData",)),
        Operation("SendResponse", ("SenderProvidedResponseData",)),
        Operation("GetRequest", ("b:MessageTypeSelector",)),
        Operation("GetResponse", ("b:MessageTypeSelector", "OriginalMessageID")),
        Operation("GetStatus", ("b:Timestamp",)),
        Operation("Ack", ("b:AckTargetMessage",)),
        Operation("GetIncomingQueueStatistics", ("b:Timestamp",), versions=("1.1",)),
    )
}

VERSIONS = {number: Version.of(number) for number in ("1.1", "1.2", "1.3")}


def signed_names(operation: Operation, version: Version) -> frozenset[str]:
    """Return the names, in ``{namespace}local`` form, of which the caller signs exactly one."""
    return frozenset(
        version.base(name[2:]) if name.startswith("b:") else version.type(name) for name in operation.signed
    )
