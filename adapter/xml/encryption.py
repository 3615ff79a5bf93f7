"""XML Encryption of a message's content: AES-256-GCM under a key that RSA-OAEP (SHA-256) wraps; no arithmetic here.

The order № 104 (Приложение 8, scenario 3) wants messages encrypted, then signed, and names no algorithm: this is our
choice. An EncryptedData holds the wrapped key, the ciphertext (12 bytes of nonce, the rest, a tag of 16 bytes) and, for
all to read and covered by the signature, the serviceId. Source: W3C XML Encryption 1.1.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from lxml import etree

_XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_XENC11: Final = "http://www.w3.org/2009/xmlenc11#"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
#: What stands in the place of a Body's content.
ENCRYPTED: Final = f"{{{_XENC}}}EncryptedData"
_CONTENT: Final = f"{_XENC}Content"
_AES: Final = f"{_XENC11}aes256-gcm"
_RSA: Final = f"{_XENC11}rsa-oaep"
_SHA256: Final = f"{_XENC}sha256"
_MGF1: Final = f"{_XENC11}mgf1sha256"
_END: Final = b"</xenc:EncryptedData>"
_METHOD: Final = f"{{{_XENC}}}EncryptionMethod"
_VALUE: Final = f"{{{_XENC}}}CipherData/{{{_XENC}}}CipherValue"
_KEY: Final = f"{{{_DS}}}KeyInfo/{{{_XENC}}}EncryptedKey"
_SERVICE: Final = f"{{{_XENC}}}EncryptionProperties/{{{_XENC}}}EncryptionProperty/serviceId"


def encrypted_data(wrapped: bytes, cipher: bytes) -> bytes:
    """Return an EncryptedData: ``wrapped`` is the key under RSA-OAEP, ``cipher`` nonce, ciphertext and tag."""
    return (
        f'<xenc:EncryptedData xmlns:xenc="{_XENC}" Type="{_CONTENT}">'
        f'<xenc:EncryptionMethod Algorithm="{_AES}"/><ds:KeyInfo xmlns:ds="{_DS}"><xenc:EncryptedKey>'
        f'<xenc:EncryptionMethod Algorithm="{_RSA}"><ds:DigestMethod Algorithm="{_SHA256}"/>'
        f'<xenc11:MGF xmlns:xenc11="{_XENC11}" Algorithm="{_MGF1}"/></xenc:EncryptionMethod>'
        f"<xenc:CipherData><xenc:CipherValue>{_base64(wrapped)}</xenc:CipherValue></xenc:CipherData>"
        "</xenc:EncryptedKey></ds:KeyInfo>"
        f"<xenc:CipherData><xenc:CipherValue>{_base64(cipher)}</xenc:CipherValue></xenc:CipherData>"
    ).encode() + _END


def parts_of(data: bytes) -> tuple[bytes, bytes]:
    """Return the wrapped key and the ciphertext of an EncryptedData. Raises XmlError for any other form of one."""
    root = parse(data, max_bytes=64 * 2**20)
    key = root.find(_KEY)
    if root.tag != ENCRYPTED or root.get("Type") != _CONTENT or key is None:
        raise XmlError("this is no content encrypted under a wrapped key")
    method, wrapping = root.find(_METHOD), key.find(_METHOD)
    digest = None if wrapping is None else wrapping.find(f"{{{_DS}}}DigestMethod")
    mask = None if wrapping is None else wrapping.find(f"{{{_XENC11}}}MGF")
    named = tuple("" if found is None else found.get("Algorithm", "") for found in (method, wrapping, digest, mask))
    if named != (_AES, _RSA, _SHA256, _MGF1):
        raise XmlError("the algorithm of the encryption is unsupported")
    return _octets(key), _octets(root)


def with_service(data: bytes, service_id: str) -> bytes:
    """Return an EncryptedData that names its service for all to read. Raises XmlError for one of another form."""
    if not data.endswith(_END):
        raise XmlError("this is no encrypted content that could name its service")
    named = f"<serviceId>{escape(service_id)}</serviceId>"
    properties = f"<xenc:EncryptionProperty>{named}</xenc:EncryptionProperty>"
    written = f"<xenc:EncryptionProperties>{properties}</xenc:EncryptionProperties>".encode()
    return data[: -len(_END)] + written + _END


def service_in(element: etree._Element) -> str:
    """Return the service that an EncryptedData names, '' for none or several."""
    found = element.findall(_SERVICE)
    return (found[0].text or "") if len(found) == 1 else ""


def _octets(holder: etree._Element) -> bytes:
    values = holder.findall(_VALUE)
    if len(values) != 1:
        raise XmlError("the encrypted content has no single value")
    try:
        return base64.b64decode("".join((values[0].text or "").split()).encode(), validate=True)
    except (binascii.Error, ValueError):
        raise XmlError("the encrypted content is not base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
