"""The JSON of schemas/sign-service.openapi.yaml as models, for the client and for the reference service.

Requests are closed (an unknown field is a fault of the sender), answers are open: a service may say more.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime  # noqa: TC003  — pydantic reads the annotation at run time
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

#: Items of one call, and bytes of one item's content after base64.
MAX_ITEMS = 100
MAX_CONTENT = 16 * 2**20
#: Bytes of one request as JSON.
MAX_BODY = 64 * 2**20


def _decoded(value: Any) -> bytes:
    """Return the bytes of strict standard base64; its ValueError never repeats the value."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("not base64")  # noqa: TRY004  — pydantic turns only ValueError into a fault
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]


class Refusal(Enum):
    """Codes of refusals, of one item or of a whole call: value is (code, HTTP status)."""

    MALFORMED_REQUEST = ("MALFORMED_REQUEST", 400)
    UNAUTHORIZED = ("UNAUTHORIZED", 401)
    KEY_FORBIDDEN = ("KEY_FORBIDDEN", 403)
    NOT_ALLOWED = ("NOT_ALLOWED", 403)
    NOT_FOUND = ("NOT_FOUND", 404)
    UNKNOWN_KEY = ("UNKNOWN_KEY", 404)
    METHOD_NOT_ALLOWED = ("METHOD_NOT_ALLOWED", 405)
    TOO_LARGE = ("TOO_LARGE", 413)
    NOT_XML = ("NOT_XML", 422)
    INTERNAL = ("INTERNAL", 500)
    OVERLOADED = ("OVERLOADED", 503)

    def __init__(self, code: str, status: int) -> None:
        """Unpack the value."""
        self.code = code
        self.status = status


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class SignItem(_Request):
    """``content`` is a standalone XML element (``smev3-xml``) or any bytes (``cms``)."""

    kind: Literal["smev3-xml", "cms"]
    key: str = Field(min_length=1, max_length=64)
    content: Base64


class SignRequest(_Request):
    """Up to MAX_ITEMS things to sign."""

    items: list[SignItem] = Field(min_length=1, max_length=MAX_ITEMS)


class VerifyXmlItem(_Request):
    """A whole signed XML document."""

    kind: Literal["smev3-xml"]
    content: Base64


class VerifyCmsItem(_Request):
    """A PKCS#7 signature and the bytes that it should be over."""

    kind: Literal["cms"]
    content: Base64
    data: Base64


class VerifyRequest(_Request):
    """Up to MAX_ITEMS things to verify; ``trust`` are DER anchors, without them the service's own apply."""

    items: list[Annotated[VerifyXmlItem | VerifyCmsItem, Field(discriminator="kind")]] = Field(
        min_length=1, max_length=MAX_ITEMS
    )
    trust: list[Base64] | None = Field(default=None, max_length=1000)


class Fault(_Answer):
    """Why an item, or the whole call, was refused; ``message`` is English and repeats no content."""

    status: int
    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    message: str = ""


class SignedItem(_Answer):
    """A signature (the ds:Signature element, or DER PKCS#7) or an error, never both."""

    signature: Base64 | None = None
    certificate_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    error: Fault | None = None


class SignAnswer(_Answer):
    """One entry per item, in the order asked."""

    items: list[SignedItem]


class Verdict(_Answer):
    """One signature's verdicts, apart (adapter/xml/signature.py, SignatureVerdict)."""

    reference: str
    element: str
    parent: str
    math: bool
    reason: str
    algorithm: str
    certificate: Base64
    trust: Literal["trusted", "untrusted", "unchecked"]
    period: Literal["valid", "expired", "not-yet-valid", "unchecked"]
    revocation: Literal["good", "revoked", "unchecked"]


class VerifiedItem(_Answer):
    """Verdicts of every signature found (an empty list: there is none) or an error."""

    verdicts: list[Verdict] | None = None
    error: Fault | None = None


class VerifyAnswer(_Answer):
    """One entry per item, in the order asked."""

    items: list[VerifiedItem]


class KeyEntry(_Answer):
    """A key that the service holds, and what it may sign."""

    name: str
    algorithm: str
    bits: Literal[256, 512]
    certificate: Base64
    certificate_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    subject: str
    not_before: datetime
    not_after: datetime
    allowed: list[str]


class CertificatesAnswer(_Answer):
    """Every key of the service."""

    keys: list[KeyEntry]


class CallRefused(_Answer):
    """The body of every answer that is not 200."""

    error: Fault
