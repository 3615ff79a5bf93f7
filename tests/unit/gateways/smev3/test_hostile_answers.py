"""The gateway's readers, given what nobody should send: a message or UnreadableError, never anything else."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from adapter.gateways.smev3.answers import to_answer
from adapter.gateways.smev3.messages import SOAP
from adapter.gateways.smev3.reading import (
    UnreadableError,
    open_envelope,
    read_acceptance,
    read_delivery,
    read_soap_fault,
    root_part,
)
from adapter.gateways.smev3.requests import read_request, to_request
from adapter.gateways.smev3.statuses import read_async_message, status_answer
from tests.unit.gateways.smev3.scripted import NAMES

CORPUS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parents[2] / "xml" / "corpus").iterdir())}


def read(data: bytes) -> None:
    """Read one answer in every way that the client, its polls and its providers do."""
    with contextlib.suppress(UnreadableError):
        data = root_part(data)
    try:
        payload = open_envelope(data)
    except UnreadableError:
        return
    read_soap_fault(payload)
    with contextlib.suppress(UnreadableError):
        read_acceptance(payload, "SendRequest", NAMES)
    with contextlib.suppress(UnreadableError):
        delivery = read_delivery(payload, NAMES)
        if delivery is not None:
            to_answer(delivery, data, NAMES, verdicts=(), mine=True)
    with contextlib.suppress(UnreadableError):
        fetched = read_request(payload, NAMES)
        if fetched is not None:
            to_request(fetched, data, NAMES, verdicts=())
    with contextlib.suppress(UnreadableError):
        status = read_async_message(payload, data, NAMES)
        if status is not None:
            status_answer(status, NAMES, verdicts=())


@pytest.mark.parametrize("name", CORPUS)
def test_a_kept_file_is_read_or_unreadable(name: str) -> None:
    read(CORPUS[name])


TYPES = re.sub(r"^\{(.*)\}.*$", r"\1", NAMES.type("x"))
BASIC = re.sub(r"^\{(.*)\}.*$", r"\1", NAMES.base("x"))
#: Every element that a reader looks for, with a few that none does.
LEAVES = [
    "t:OriginalMessageId", "t:MessageID", "t:MessageId", "t:MessageType", "t:RejectionReasonCode", "t:StatusCategory",
    "t:RejectionReasonDescription", "t:StatusCode", "t:StatusDescription", "t:StatusDetails", "t:Mnemonic", "t:NodeId",
    "t:Code", "t:Description", "t:EOL", "t:ReplyTo", "t:TestMessage", "t:NodeID", "t:Key", "t:Value", "x:other",
    "b:ValidationError", "t:SmevFault",
]  # fmt: skip
BRANCHES = [
    "t:GetResponseResponse", "t:ResponseMessage", "t:Response", "t:SenderProvidedResponseData", "t:MessageMetadata",
    "t:GetRequestResponse", "t:RequestMessage", "t:Request", "t:Cancel", "t:SenderProvidedRequestData", "t:Sender",
    "t:GetStatusResponse", "t:SmevAsyncProcessingMessage", "t:AsyncProcessingStatusData", "t:AsyncProcessingStatus",
    "t:SendRequestResponse", "b:MessagePrimaryContent", "t:RequestRejected", "t:RequestStatus", "t:StatusParameter",
    "t:BusinessProcessMetadata", "t:FSAttachmentsList", "t:FSAttachment", "b:AttachmentContentList", "s:Fault",
    "detail", "b:RefAttachmentHeaderList", "b:RefAttachmentHeader", "t:SMEVSignature",
]  # fmt: skip
VALUES = st.sampled_from(
    ["", " ", "1", "requestIsRejectedBySmev", "BROADCAST", "00000000-0000-1000-8000-000000000000",
     "2026-13-40T99:99:99Z", "0000-00-00", "9" * 5000, "<!-- c -->", "a<!-- c -->b", "<?p?>", "<x:y/>", "&#13;",
     "\U0001f600", "true", "-1",
     "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)  # fmt: skip


def element(name: str, content: str) -> str:
    return f'<{name} Id="S" code="x" errorPosition="">{content}</{name}>'


LEAF = st.builds(element, st.sampled_from(LEAVES), VALUES)
TREES = st.recursive(
    LEAF, lambda inner: st.builds(element, st.sampled_from(BRANCHES), st.lists(inner, max_size=5).map("".join))
)
#: The ways down to where the readers begin, so that random content is not lost before it.
WAYS = [
    ("t:GetResponseResponse", "t:ResponseMessage", "t:Response"),
    ("t:GetResponseResponse", "t:ResponseMessage", "t:Response", "t:SenderProvidedResponseData"),
    ("t:GetRequestResponse", "t:RequestMessage", "t:Request"),
    ("t:GetRequestResponse", "t:RequestMessage", "t:Request", "t:SenderProvidedRequestData"),
    ("t:GetRequestResponse", "t:RequestMessage", "t:Cancel"),
    ("t:GetStatusResponse", "t:SmevAsyncProcessingMessage", "t:AsyncProcessingStatusData", "t:AsyncProcessingStatus"),
    ("t:SendRequestResponse", "t:MessageMetadata"),
    ("s:Fault", "detail"),
    (),
]
IDENTIFIED = "<t:MessageMetadata><t:MessageId>00000000-0000-1000-8000-000000000000</t:MessageId></t:MessageMetadata>"


def message(way: tuple[str, ...], content: list[str], *, identified: bool) -> bytes:
    inside = "".join(content)
    for name in reversed(way):
        extra = IDENTIFIED if identified and name in {"t:Response", "t:Request", "t:Cancel"} else ""
        inside = f"<{name}>{inside}{extra}</{name}>"
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:t="{TYPES}" xmlns:b="{BASIC}" xmlns:x="urn:x"><s:Body>{inside}</s:Body>'
        "</s:Envelope>"
    ).encode()


MESSAGES = st.builds(message, st.sampled_from(WAYS), st.lists(TREES, max_size=6), identified=st.booleans())


@seed(20261122)
@settings(max_examples=120, deadline=None)
@given(MESSAGES)
@example(b"")
@example(message((), [], identified=False))
def test_any_elements_in_any_place_are_read_or_unreadable(data: bytes) -> None:
    read(data)
