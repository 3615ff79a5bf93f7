"""How a signature of the ШЭП names its certificate: carried in it, in a token beside it, or by issuer and number."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from asn1crypto import x509

from adapter.xml.parser import XmlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_WSSE: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU_ID: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id"
_TOKEN: Final = f"{_WSSE}SecurityTokenReference"
#: Parts of a distinguished name as text: ``CN=…,C=KZ``; a comma inside a value has a backslash.
_PART: Final = re.compile(r"\s*([A-Za-z0-9.]+)\s*=\s*((?:\\.|[^,\\])*)(?:,|$)")


class UnknownCertificateError(XmlError):
    """The certificate is only named, and is none of those given; the rule says so."""


def certificate_of(signature: etree._Element, certificates: Sequence[bytes]) -> bytes:
    """Return the DER certificate of ``signature``, a ds:Signature; ``certificates`` are those it may only name.

    Raises UnknownCertificateError, or XmlError when there is none or it cannot be read.
    """
    info = signature.find(f"{_DS}KeyInfo")
    if info is None:
        raise XmlError("KeyInfo is missing")
    for place in ("", f"{_TOKEN}/"):
        carried = info.find(f"{place}{_DS}X509Data/{_DS}X509Certificate")
        if carried is not None:
            return _octets(carried)
        named = info.find(f"{place}{_DS}X509Data/{_DS}X509IssuerSerial")
        if named is not None:
            return _named(named, certificates)
    identifier = info.find(f"{_TOKEN}/{_WSSE}KeyIdentifier")
    if identifier is not None:
        return _identified(identifier)
    reference = info.find(f"{_TOKEN}/{_WSSE}Reference")
    if reference is not None:
        return _beside(signature, reference.get("URI", ""))
    raise XmlError("the signature names no certificate")


def _identified(identifier: etree._Element) -> bytes:
    if not identifier.get("ValueType", "").endswith("#X509v3"):
        raise UnknownCertificateError("the certificate is named by something else than itself")
    return _octets(identifier)


def _beside(signature: etree._Element, uri: str) -> bytes:
    """Return what a BinarySecurityToken beside the signature carries."""
    holder = signature.getparent()
    tokens = [] if holder is None else holder.findall(f"{_WSSE}BinarySecurityToken")
    found = [token for token in tokens if uri.startswith("#") and token.get(_WSU_ID) == uri[1:]]
    if len(found) != 1 or not found[0].get("ValueType", "").endswith("#X509v3"):
        raise XmlError("the token with the certificate is not beside the signature")
    return _octets(found[0])


def _named(named: etree._Element, certificates: Sequence[bytes]) -> bytes:
    """Return the certificate of an X509IssuerSerial."""
    issuer = named.findtext(f"{_DS}X509IssuerName", "")
    number = named.findtext(f"{_DS}X509SerialNumber", "").strip()
    wanted = sorted(re.sub(r"\\(.)", r"\1", value).strip() for _, value in _PART.findall(issuer))
    for der in certificates:
        certificate = x509.Certificate.load(der)
        if str(certificate.serial_number) == number and sorted(_values(certificate.issuer)) == wanted:
            return der
    raise UnknownCertificateError("the certificate is only named, and is none of those that are known")


def _values(name: x509.Name) -> list[str]:
    return [str(part["value"].native).strip() for relative in name.chosen for part in relative]


def _octets(element: etree._Element) -> bytes:
    text = "".join(str(piece) for piece in element.itertext())
    try:
        der = base64.b64decode("".join(text.split()).encode(), validate=True)
        x509.Certificate.load(der, strict=True)
    except (binascii.Error, ValueError, TypeError):
        raise XmlError("the certificate cannot be read") from None
    return der
