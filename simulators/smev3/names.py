"""Names on the wire of the message exchange service, by version (facts: smev3.md, "Protocol facts")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.paths import SCHEMAS

if TYPE_CHECKING:
    from pathlib import Path

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
SMEV_TRANSFORM = "urn://smev-gov-ru/xmldsig/transform"

_ROOT = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the service: its three namespaces, its path on the server and its schema."""

    number: str
    types: str
    basic: str
    faults: str
    schema: Path

    @classmethod
    def of(cls, number: str) -> Version:
        """Return version ``number``; the namespaces of all published versions differ by the number alone."""
        return cls(
            number=number,
            types=f"{_ROOT}/{number}",
            basic=f"{_ROOT}/basic/{number}",
            faults=f"{_ROOT}/faults/{number}",
            schema=SCHEMAS / "smev3" / number / "service.xsd",
        )

    @property
    def path(self) -> str:
        """Path of the endpoint, as the real contours have it."""
        return f"/smev/v{self.number}/ws"

    @property
    def declarations(self) -> str:
        """Namespace declarations of our answers, with the prefixes the real service uses."""
        return f'xmlns="{self.basic}" xmlns:ns2="{self.types}" xmlns:ns3="{self.faults}"'


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its request element and the elements, one of which the caller signs."""

    name: str
    signed: tuple[str, ...]

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
    )
}

VERSIONS = {"1.2": Version.of("1.2")}


def signed_names(operation: Operation, version: Version) -> frozenset[str]:
    """Return the names, in ``{namespace}local`` form, of which the caller signs exactly one."""
    return frozenset(
        f"{{{version.basic}}}{name[2:]}" if name.startswith("b:") else f"{{{version.types}}}{name}"
        for name in operation.signed
    )
