"""Whose key made a signature: the certificates that its KeyInfo holds or names."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Final

from asn1crypto import algos, core, x509
from lxml import etree

from adapter.xml.algorithms import signature_bits, unsupported
from adapter.xml.placement import DS, Places
from adapter.xml.referenced import UnsupportedError, WrongSignatureError

_CERTIFICATES: Final = f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_TOKENS: Final = f"{{{DS}}}KeyInfo/{{{_WSSE}}}SecurityTokenReference/{{{_WSSE}}}Reference"
#: Some software puts the whole file of a certificate where its base64 belongs.
_ARMOR: Final = re.compile(r"-----(?:BEGIN|END) CERTIFICATE-----")
_MOST: Final = 16
_KEY_BITS: Final = {"1.2.643.7.1.1.1.1": 256, "1.2.643.7.1.1.1.2": 512}
_KEY_2001: Final = "1.2.643.2.2.19"


def octets_of(element: etree._Element) -> bytes:
    """Read base64, in lines or not. Raises WrongSignatureError."""
    text = _ARMOR.sub("", "".join(str(piece) for piece in element.itertext()))
    try:
        return base64.b64decode("".join(text.split()).encode(), validate=True)
    except (binascii.Error, ValueError):
        raise WrongSignatureError(f"{etree.QName(element).localname} is not base64") from None


def certificates(signature: etree._Element, places: Places | None = None) -> list[bytes]:
    """Return the certificates of a ds:Signature as DER, in their order; chains come in any.

    With ``places`` those count too that the signature names elsewhere in its document (WS-Security's
    BinarySecurityToken). Raises WrongSignatureError when there is none.
    """
    found = signature.findall(_CERTIFICATES)
    if not found and places is not None:
        tokens = [places.named(reference.get("URI", "")[1:]) for reference in signature.findall(_TOKENS)[:_MOST]]
        found = [token for token in tokens if token.tag == f"{{{_WSSE}}}BinarySecurityToken"]
    if not found:
        raise WrongSignatureError("X509Certificate is missing")
    if len(found) > _MOST:
        raise WrongSignatureError("X509Certificate is there too often")
    return [octets_of(element) for element in found]


def check_key(certificate: bytes, algorithm: str) -> None:
    """Check that ``algorithm``, a signature method URI, may be made with the key of a DER certificate.

    Raises UnsupportedError, WrongSignatureError.
    """
    stated = signature_bits(algorithm)
    if stated is None:
        raise UnsupportedError(unsupported("the signature algorithm", algorithm))
    key = _key_algorithm(certificate)
    bits = 0 if key == _KEY_2001 else _KEY_BITS.get(key)
    if bits is None:
        raise UnsupportedError(unsupported("the certificate's key", key))
    if stated not in (0, bits):
        raise WrongSignatureError("the certificate's key is not of the stated signature algorithm")


@lru_cache(maxsize=256)
def _key_algorithm(certificate: bytes) -> str:
    """Return the OID of a DER certificate's public key."""
    try:
        info = x509.Certificate.load(certificate, strict=True)["tbs_certificate"]["subject_public_key_info"].dump()
        # asn1crypto's own reading of a public key fails for GOST, so the identifier is read by itself.
        return str(algos.AlgorithmIdentifier.load(core.Sequence.load(info)[0].dump())["algorithm"].dotted)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        raise WrongSignatureError("X509Certificate is not readable") from None
