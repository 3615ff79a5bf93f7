"""Time stamps over the value of a signature, as XAdES has them: SignatureTimeStamp among the unsigned properties.

A stamp stands outside of what is signed, so it is put in when the signature is made, and proves that it was there at
that moment. Source: ETSI TS 101 903 v1.4.2, 7.3; RFC 3161. Order № 104 (rules 23, 24): business data may have one,
the transport signature has none.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from adapter.xml.canonical import canonical_xml
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml import etree

_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_XADES: Final = "http://uri.etsi.org/01903/v1.3.2#"
_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_START: Final = b"<ds:Signature "
_PATH: Final = "/".join(
    (
        f"{{{_DS}}}Object",
        *(
            f"{{{_XADES}}}{name}"
            for name in (
                "QualifyingProperties",
                "UnsignedProperties",
                "UnsignedSignatureProperties",
                "SignatureTimeStamp",
            )
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is known of a time stamp, verdicts apart.

    ``verdict`` is right, wrong or unsupported; ``at`` the authority's moment (ISO 8601, UTC), empty when unreadable;
    ``trust`` trusted, untrusted or unchecked; ``certificate`` the authority's, DER; ``reason`` a short English rule.
    """

    verdict: str
    at: str = ""
    trust: str = "unchecked"
    certificate: bytes = b""
    reason: str = ""


def stamped(signature: bytes, token: Callable[[bytes], bytes]) -> bytes:
    """Return a ds:Signature with a time stamp; ``token`` gives one (DER) over the octets of its value.

    Raises XmlError for what is no ds:Signature, or has a stamp already.
    """
    root = parse(signature)
    value = root.find(f"{{{_DS}}}SignatureValue")
    if value is None or not signature.startswith(_START) or root.get("Id") is not None:
        raise XmlError("not a signature to be stamped")
    identifier = f"sig-{uuid4()}"
    encoded = base64.b64encode(token(canonical_xml(value, exclusive=True))).decode()
    stamp = (
        f'<ds:Object><xades:QualifyingProperties xmlns:xades="{_XADES}" Target="#{identifier}">'
        "<xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp>"
        f'<ds:CanonicalizationMethod Algorithm="{_EXC_C14N}"></ds:CanonicalizationMethod>'
        f"<xades:EncapsulatedTimeStamp>{encoded}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
        "</xades:UnsignedSignatureProperties></xades:UnsignedProperties></xades:QualifyingProperties></ds:Object>"
    ).encode()
    end = signature.rindex(b"</ds:Signature>")
    named = b'<ds:Signature Id="%b" ' % identifier.encode()
    return named + signature[len(_START) : end] + stamp + signature[end:]


def stamp_of(signature: etree._Element, judge: Callable[[bytes, bytes], Stamp]) -> Stamp | None:
    """Return what is known of the time stamp of a ds:Signature, ``None`` when it has none.

    ``judge`` is given the token (DER) and the octets that it should be over.
    """
    found = signature.findall(_PATH)
    if not found:
        return None
    value = signature.find(f"{{{_DS}}}SignatureValue")
    tokens = found[0].findall(f"{{{_XADES}}}EncapsulatedTimeStamp")
    method = found[0].find(f"{{{_DS}}}CanonicalizationMethod")
    form = _C14N if method is None else method.get("Algorithm", "")
    if len(found) != 1 or len(tokens) != 1 or value is None or form not in {_C14N, _EXC_C14N}:
        return Stamp("unsupported", reason="the form of the time stamp is unsupported")
    try:
        token = base64.b64decode("".join((tokens[0].text or "").split()).encode(), validate=True)
    except (binascii.Error, ValueError):
        return Stamp("wrong", reason="the time stamp is not base64")
    return judge(token, canonical_xml(value, exclusive=form == _EXC_C14N))
