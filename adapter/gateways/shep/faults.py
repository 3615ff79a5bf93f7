"""What the ШЭП says no with: SOAP faults with an ErrorInfo, and without one.

The gateway's codes are nobody's list (facts of ШЭП), so an ErrorInfo is a considered answer and refuses for good, its
code verbatim. A bare fault that blames the client refuses too; one that blames the server says nothing of what became
of the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from adapter.errors import AdapterError, Code

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Errors inside errors that are told; below them is nothing that helps.
_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """The XSD's ErrorInfo; each text is empty where the gateway gave none."""

    code: str
    message: str
    data: str = ""
    date: str = ""
    session_id: str = ""
    sub_error: ErrorInfo | None = None

    def details(self) -> dict[str, Any]:
        """Return what stands beside code and message, the nested error whole."""
        found: dict[str, Any] = {
            name: value
            for name, value in (
                ("error_data", self.data),
                ("error_date", self.date),
                ("session_id", self.session_id),
            )
            if value
        }
        if self.sub_error is not None:
            inner = self.sub_error
            found["sub_error"] = {"error_code": inner.code, "error_message": inner.message, **inner.details()}
        return found


@dataclass(frozen=True, slots=True)
class ShepFault:
    """A SOAP fault as it was read; ``info`` is ``None`` where its detail holds no ErrorInfo."""

    faultcode: str
    faultstring: str
    info: ErrorInfo | None = None

    @property
    def blames_server(self) -> bool:
        """Whether the faultcode (``soap:Server``, ``Server.userException``) blames the server."""
        return self.faultcode.rpartition(":")[2].partition(".")[0] == "Server"

    @property
    def is_considered(self) -> bool:
        """Whether the gateway says no to this very request, so that the same one will be refused again."""
        return self.info is not None or not self.blames_server


def read_fault(fault: etree._Element) -> ShepFault:
    """Read a SOAP 1.1 Fault by local names."""
    detail = _child(fault, "detail")
    info = None
    if detail is not None:
        holders = [detail, *detail.iterchildren(etree.Element)]
        holder = next((found for found in holders if _child(found, "errorCode") is not None), None)
        info = None if holder is None else error_info(holder)
    return ShepFault(_text(fault, "faultcode"), _text(fault, "faultstring"), info)


def error_info(holder: etree._Element, depth: int = 0) -> ErrorInfo:
    """Read an element of the type ErrorInfo by local names."""
    inner = _child(holder, "subError")
    return ErrorInfo(
        code=_text(holder, "errorCode"),
        message=_text(holder, "errorMessage"),
        data=_text(holder, "errorData"),
        date=_text(holder, "errorDate"),
        session_id=_text(holder, "sessionId"),
        sub_error=None if inner is None or depth >= _DEPTH else error_info(inner, depth + 1),
    )


def error_of(fault: ShepFault, *, details: Mapping[str, Any] | None = None) -> AdapterError:
    """Return the error that ``fault`` is to the one who asked: the gateway's code and words, verbatim.

    A fault without ErrorInfo is ``ADAPTER-GATEWAY-UNAVAILABLE`` when it blames the server, else
    ``ADAPTER-GATEWAY-PROTOCOL``. ``details`` are put before what is known of the fault itself.
    """
    own = Code.GATEWAY_UNAVAILABLE if fault.blames_server else Code.GATEWAY_PROTOCOL
    known = dict(details or {})
    if fault.info is None:
        if fault.faultcode:
            known["faultcode"] = fault.faultcode
        return AdapterError(own.wire, fault.faultstring or own.sentence, details=known)
    return AdapterError(
        fault.info.code or own.wire,
        fault.info.message or fault.faultstring or own.sentence,
        details={**known, **fault.info.details()},
    )


def _child(parent: etree._Element, name: str) -> etree._Element | None:
    return next((child for child in parent.iterchildren(etree.Element) if etree.QName(child).localname == name), None)


def _text(parent: etree._Element, name: str) -> str:
    found = _child(parent, name)
    return "" if found is None else "".join(str(piece) for piece in found.itertext(etree.Element)).strip()
