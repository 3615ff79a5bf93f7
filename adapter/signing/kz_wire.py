"""The JSON of SIGN_SERVICE's calls for the ШЭП (schemas/sign-service.openapi.yaml, /v1/kz/*), both ways."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  — pydantic reads the annotation at run time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapter.signing.wire import MAX_ITEMS, Base64, Fault

#: What is signed: the Body of a SOAP message (WS-Security), or a whole document (an enveloped signature).
Kind = Literal["wsse", "xml"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class KzSignItem(_Request):
    """``content`` is a standalone SOAP Body with a wsu:Id (``wsse``) or a document (``xml``).

    ``tsp`` asks for a time stamp over the signature's value; a transport signature takes none.
    """

    kind: Kind
    key: Annotated[str, Field(min_length=1, max_length=64)]
    content: Base64
    tsp: bool = False


class KzSignRequest(_Request):
    """Up to MAX_ITEMS things to sign; answered by a SignAnswer of ds:Signature elements."""

    items: list[KzSignItem] = Field(min_length=1, max_length=MAX_ITEMS)


class KzVerifyItem(_Request):
    """A whole SOAP message (``wsse``) or document (``xml``); ``certificates`` are DER, for what only names its own."""

    kind: Kind
    content: Base64
    certificates: list[Base64] = Field(default=[], max_length=100)


class KzVerifyRequest(_Request):
    """Up to MAX_ITEMS things to verify; ``trust`` are DER anchors, without them the service's own apply."""

    items: list[KzVerifyItem] = Field(min_length=1, max_length=MAX_ITEMS)
    trust: list[Base64] | None = Field(default=None, max_length=1000)


class KzEncryptItem(_Request):
    """``content`` is to be encrypted for the RSA key of ``certificate``, DER."""

    content: Base64
    certificate: Base64


class KzEncryptRequest(_Request):
    """Up to MAX_ITEMS things to encrypt; answered by xenc:EncryptedData elements."""

    items: list[KzEncryptItem] = Field(min_length=1, max_length=MAX_ITEMS)


class KzDecryptItem(_Request):
    """``content`` is an xenc:EncryptedData for the key ``key``."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    content: Base64


class KzDecryptRequest(_Request):
    """Up to MAX_ITEMS things to decrypt; answered by their content."""

    items: list[KzDecryptItem] = Field(min_length=1, max_length=MAX_ITEMS)


class KzContentItem(_Answer):
    """What came of one item: its content, or an error."""

    content: Base64 | None = None
    error: Fault | None = None


class KzContentAnswer(_Answer):
    """One entry per item, in the order asked."""

    items: list[KzContentItem]


class KzKeyEntry(_Answer):
    """A key that the service holds, and what it may do: ``wsse`` and ``xml`` sign, ``decrypt`` opens."""

    name: str
    algorithm: str
    certificate: Base64
    certificate_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    subject: str
    not_before: datetime
    not_after: datetime
    allowed: list[str]


class KzCertificatesAnswer(_Answer):
    """Every key of the service for the ШЭП."""

    keys: list[KzKeyEntry]
