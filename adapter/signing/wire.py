"""The JSON of schemas/sign-service.openapi.yaml as models, for the client and for the reference service.

Requests are closed (an unknown field is a fault of the sender), answers are open: a service may say more.
The client writes its requests, and reads answers that say what was hoped for, by the functions at the end: an exchange
pays for six of these bodies. Whatever else an answer says is read by the models.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime  # noqa: TC003  — pydantic reads the annotation at run time
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from adapter.signing.streebog import DigestAlgorithm  # noqa: TC001  — pydantic reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    WRONG_DIGEST = ("WRONG_DIGEST", 422)
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
    """``content`` is a standalone XML element (``smev3-xml``) or any bytes (``cms``, ``bare``)."""

    kind: Literal["smev3-xml", "cms", "bare"]
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


class SignDigestItem(_Request):
    """The ``digest`` of content that stays where it is, and the algorithm that it was made by."""

    key: str = Field(min_length=1, max_length=64)
    algorithm: DigestAlgorithm
    digest: Base64


class SignDigestRequest(_Request):
    """Up to MAX_ITEMS digests to sign."""

    items: list[SignDigestItem] = Field(min_length=1, max_length=MAX_ITEMS)


class VerifyDigestItem(_Request):
    """A PKCS#7 signature and the digest of the content that it should be over."""

    content: Base64
    algorithm: DigestAlgorithm
    digest: Base64


class VerifyDigestRequest(_Request):
    """Up to MAX_ITEMS things to verify; ``trust`` as in VerifyRequest."""

    items: list[VerifyDigestItem] = Field(min_length=1, max_length=MAX_ITEMS)
    trust: list[Base64] | None = Field(default=None, max_length=1000)


class Fault(_Answer):
    """Why an item, or the whole call, was refused; ``message`` is English and repeats no content."""

    status: int
    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    message: str = ""


class SignedItem(_Answer):
    """A signature (the ds:Signature element, DER PKCS#7, or a bare value) or an error, never both."""

    signature: Base64 | None = None
    certificate_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    error: Fault | None = None


class SignAnswer(_Answer):
    """One entry per item, in the order asked."""

    items: list[SignedItem]


class StampVerdict(_Answer):
    """What is known of a signature's time stamp (adapter/xml/stamps.py, Stamp)."""

    verdict: Literal["right", "wrong", "unsupported"]
    at: str
    trust: Literal["trusted", "untrusted", "unchecked"]
    certificate: Base64
    reason: str


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
    stamp: StampVerdict | None = None


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


#: What a verdict is made of: the values allowed, or the type.
_VERDICT: Final[dict[str, frozenset[str] | type]] = {
    "reference": str,
    "element": str,
    "parent": str,
    "math": bool,
    "reason": str,
    "algorithm": str,
    "trust": frozenset({"trusted", "untrusted", "unchecked"}),
    "period": frozenset({"valid", "expired", "not-yet-valid", "unchecked"}),
    "revocation": frozenset({"good", "revoked", "unchecked"}),
}


def base64_of(data: bytes) -> str:
    """Return standard base64."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def sign_request(items: Sequence[tuple[str, str, bytes]]) -> bytes:
    """Return a SignRequest of (kind, key, content)."""
    entries = [{"kind": kind, "key": key, "content": base64_of(content)} for kind, key, content in items]
    return orjson.dumps({"items": entries})


def verify_request(items: Sequence[tuple[bytes, bytes | None]], trust: orjson.Fragment | None) -> bytes:
    """Return a VerifyRequest of (content, data), ``data`` only for a PKCS#7; ``trust`` from :func:`trust_list`."""
    entries = [
        {"kind": "smev3-xml", "content": base64_of(content)}
        if data is None
        else {"kind": "cms", "content": base64_of(content), "data": base64_of(data)}
        for content, data in items
    ]
    request: dict[str, Any] = {"items": entries}
    if trust is not None:
        request["trust"] = trust
    return orjson.dumps(request)


def sign_digest_request(items: Sequence[tuple[str, DigestAlgorithm, bytes]]) -> bytes:
    """Return a SignDigestRequest of (key, algorithm, digest)."""
    entries = [{"key": key, "algorithm": algorithm, "digest": base64_of(digest)} for key, algorithm, digest in items]
    return orjson.dumps({"items": entries})


def verify_digest_request(
    items: Sequence[tuple[bytes, DigestAlgorithm, bytes]], trust: orjson.Fragment | None
) -> bytes:
    """Return a VerifyDigestRequest of (PKCS#7, algorithm, digest); ``trust`` from :func:`trust_list`."""
    entries = [
        {"content": base64_of(content), "algorithm": algorithm, "digest": base64_of(digest)}
        for content, algorithm, digest in items
    ]
    return orjson.dumps({"items": entries} if trust is None else {"items": entries, "trust": trust})


def trust_list(anchors: Sequence[bytes]) -> orjson.Fragment | None:
    """Return DER anchors as they stand in a request, ``None`` when there are none."""
    return orjson.Fragment(orjson.dumps([base64_of(anchor) for anchor in anchors])) if anchors else None


def read_signatures(body: bytes) -> list[bytes | Fault]:
    """Return the signature, or the fault, of each item of a SignAnswer. Raises ValueError when it is none."""
    try:
        return [_decoded(_text(entry["signature"])) for entry in _plain_items(body)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return [item.error or item.signature or b"" for item in SignAnswer.model_validate_json(body).items]


def read_verdicts(body: bytes) -> list[list[dict[str, Any]] | Fault]:
    """Return the verdicts (the fields of Verdict), or the fault, of each item of a VerifyAnswer.

    Raises ValueError when it is none.
    """
    try:
        return [[_verdict(verdict) for verdict in entry["verdicts"]] for entry in _plain_items(body)]
    except (AttributeError, KeyError, TypeError, ValueError):
        items = VerifyAnswer.model_validate_json(body).items
    found: list[list[dict[str, Any]] | Fault] = []
    for item in items:
        if item.error is None and item.verdicts is None:
            raise ValueError("an item without verdicts and without an error")
        found.append(item.error or [dict(verdict) for verdict in item.verdicts or ()])
    return found


def _plain_items(body: bytes) -> list[dict[str, Any]]:
    """Return the items of an answer in which no item is a refusal. Raises KeyError, TypeError, ValueError otherwise."""
    items = orjson.loads(body)["items"]
    if not isinstance(items, list) or any(entry.get("error") is not None for entry in items):
        raise TypeError
    return items


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _verdict(entry: dict[str, Any]) -> dict[str, Any]:
    if entry.get("stamp") is not None:
        raise TypeError  # rare: the model reads it
    verdict: dict[str, Any] = {"certificate": _decoded(entry["certificate"])}
    for name, allowed in _VERDICT.items():
        value = entry[name]
        if not (value in allowed if isinstance(allowed, frozenset) else isinstance(value, allowed)):
            raise TypeError
        verdict[name] = value
    return verdict
