"""What a provider says to a request: business content, a rejection, or a status that ends nothing.

Source: types schema, SenderProvidedResponseData, and facts, smev3.md, Response choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from adapter.errors import Code, KnownError
from adapter.exchange import Progress, Refusal
from adapter.gateways.smev3.messages import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.exchange import Attachment, Call
    from adapter.gateways.smev3.messages import Names

PROVIDER_ID = "SIGNED_BY_PROVIDER"
#: ``string-4000`` of the basic schema, in characters.
_DESCRIPTION_LIMIT = 4000
_INT = range(-(2**31), 2**31)


class RejectionCode(StrEnum):
    """Why a provider rejects a request; the schema knows no other."""

    ACCESS_DENIED = "ACCESS_DENIED"
    NO_DATA = "NO_DATA"
    UNKNOWN_REQUEST_DESCRIPTION = "UNKNOWN_REQUEST_DESCRIPTION"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reason of a rejection; the consumer reads ``description`` verbatim, up to 4000 characters."""

    code: RejectionCode
    description: str


@dataclass(frozen=True, slots=True)
class PrimaryContent:
    """The business answer, a last word: ``content`` is its root element, ``official`` wants an ЭП-СП over it.

    ``attachments`` are files that go with it.
    """

    content: bytes
    official: bool = False
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True, slots=True)
class RequestRejected:
    """A rejection, a last word; ``reasons`` holds one at least."""

    reasons: Sequence[Rejection]


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """How far a request has come. ``code`` is a 32-bit number in schemas 1.1 and 1.3, any text in 1.2."""

    code: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)


Word = PrimaryContent | RequestRejected | RequestStatus


def word_of(call: Call) -> Word:
    """Return what a call says to a request. Raises KnownError for a rejection code that no schema knows."""
    match call.instead:
        case Refusal(reasons):
            known = set(RejectionCode)
            if any(code not in known for code, _ in reasons):
                raise _refused("unknown rejection code")
            return RequestRejected([Rejection(RejectionCode(code), words) for code, words in reasons])
        case Progress(code, description, parameters):
            return RequestStatus(code, description, parameters)
        case None:
            return PrimaryContent(call.content, official=call.official, attachments=call.attachments)


def response_data(  # noqa: PLR0913  — one argument per element of the schema
    names: Names,
    *,
    message_id: str,
    reply_to: str,
    word: Word,
    personal_signature: bytes = b"",
    attachments: bytes = b"",
) -> bytes:
    """Return SenderProvidedResponseData as a standalone element, ready to be signed.

    ``reply_to`` is ReplyTo of the request, ``personal_signature`` the ds:Signature over the content or empty,
    ``attachments`` both lists of their headers. Raises KnownError for a word that the schema of this version does not
    allow.
    """
    head = b'<t:SenderProvidedResponseData xmlns:t="%b" xmlns:b="%b" Id="%b">' % (
        names.types.encode(),
        names.basic.encode(),
        PROVIDER_ID.encode(),
    )
    said = _said(names, word, personal_signature, attachments)
    to = b"<t:MessageID>%b</t:MessageID><t:To>%b</t:To>" % (text(message_id), text(reply_to))
    return b"".join((head, to, said, b"</t:SenderProvidedResponseData>"))


def _said(names: Names, word: Word, personal_signature: bytes, attachments: bytes) -> bytes:
    """Return the choice of the schema that ``word`` is."""
    if isinstance(word, PrimaryContent):
        content = b"<b:MessagePrimaryContent>%b</b:MessagePrimaryContent>" % word.content
        if personal_signature:
            content += b"<t:PersonalSignature>%b</t:PersonalSignature>" % personal_signature
        return content + attachments
    if isinstance(word, RequestRejected):
        if not word.reasons:
            raise _refused("rejection without a reason")
        return b"".join(map(_rejection, word.reasons))
    return _status(names, word)


def _rejection(reason: Rejection) -> bytes:
    return (
        b"<t:RequestRejected><t:RejectionReasonCode>%b</t:RejectionReasonCode><t:RejectionReasonDescription>%b"
        b"</t:RejectionReasonDescription></t:RequestRejected>"
    ) % (text(reason.code), _description(reason.description))


def _status(names: Names, status: RequestStatus) -> bytes:
    if names.version != "1.2" and not _is_int(status.code):
        raise _refused("status code is no 32-bit number")
    parameters = b"".join(
        b"<t:StatusParameter><t:Key>%b</t:Key><t:Value>%b</t:Value></t:StatusParameter>" % (text(key), text(value))
        for key, value in status.parameters.items()
    )
    return (
        b"<t:RequestStatus><t:StatusCode>%b</t:StatusCode>%b<t:StatusDescription>%b</t:StatusDescription>"
        b"</t:RequestStatus>"
    ) % (text(status.code), parameters, _description(status.description))


def _is_int(code: str) -> bool:
    digits = code.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(code) in _INT


def _description(words: str) -> bytes:
    if len(words) > _DESCRIPTION_LIMIT:
        raise _refused("description is over 4000 characters")
    return text(words)


def _refused(rule: str) -> KnownError:
    return KnownError(Code.INTERNAL, details={"rule": rule})
