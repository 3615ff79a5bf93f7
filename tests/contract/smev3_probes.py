"""Probes of the message exchange schemas: what is valid, what is not, in prefixes of ours; see :func:`tree`.

``VALID`` and ``INVALID`` are judged so by version 1.2. ``ALSO_VALID`` and ``ALSO_INVALID`` are by version what only
that one says. Prefixes: t types, b basic, f faults, r routing, d directive.
"""

from __future__ import annotations

from lxml import etree

ROOT = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"
VERSIONS = ("1.1", "1.2", "1.3")


def namespaces(version: str) -> dict[str, str]:
    """Prefix -> namespace of every part of a version."""
    parts = {"b": "basic", "f": "faults", "r": "routing", "d": "directive"}
    return {"t": f"{ROOT}/{version}"} | {prefix: f"{ROOT}/{part}/{version}" for prefix, part in parts.items()}


def tree(text: str, version: str = "1.2") -> etree._Element:
    """Parse a probe with the prefixes of this file bound on its root."""
    head, mark, tail = text.partition(">")
    if head.endswith("/"):
        head, mark = head[:-1], "/>"
    bound = "".join(f' xmlns:{prefix}="{name}"' for prefix, name in namespaces(version).items())
    return etree.fromstring(f"{head}{bound}{mark}{tail}")


ID = "8ac9a002-c751-11eb-bc0d-001a4a165f5b"
SIGNATURE = '<x:Signature xmlns:x="http://www.w3.org/2000/09/xmldsig#"/>'
CONTENT = '<b:MessagePrimaryContent><z:Zoo xmlns:z="urn:zoo"/></b:MessagePrimaryContent>'
MIME = "<b:MimeType>text/plain</b:MimeType>"
METADATA = (
    f"<t:MessageMetadata><t:MessageId>{ID}</t:MessageId><t:MessageType>RESPONSE</t:MessageType>"
    "<t:SendingTimestamp>2026-01-01T00:00:00Z</t:SendingTimestamp></t:MessageMetadata>"
)


def request(inner: str = "", *, identifier: str = ID, content: str = CONTENT, after: str = "") -> str:
    """SendRequestRequest with ``inner`` before the content and ``after`` behind it."""
    return (
        f"<t:SendRequestRequest><t:SenderProvidedRequestData><t:MessageID>{identifier}</t:MessageID>{inner}{content}"
        f"{after}</t:SenderProvidedRequestData></t:SendRequestRequest>"
    )


def response(inner: str, *, metadata: str = METADATA) -> str:
    """GetResponseResponse with ``inner`` after To."""
    return (
        f"<t:GetResponseResponse><t:ResponseMessage><t:Response><t:OriginalMessageId>{ID}</t:OriginalMessageId>"
        f"<t:SenderProvidedResponseData><t:MessageID>{ID}</t:MessageID><t:To>x</t:To>{inner}"
        f"</t:SenderProvidedResponseData>{metadata}</t:Response></t:ResponseMessage></t:GetResponseResponse>"
    )


def status(fault: str = "", category: str = "requestIsRejectedBySmev", details: str = "") -> str:
    """AsyncProcessingStatus."""
    return (
        f"<t:AsyncProcessingStatus><t:OriginalMessageId>{ID}</t:OriginalMessageId>"
        f"<t:StatusCategory>{category}</t:StatusCategory>{details}{fault}</t:AsyncProcessingStatus>"
    )


def selector(inner: str) -> str:
    return f"<t:GetResponseRequest><b:MessageTypeSelector>{inner}</b:MessageTypeSelector></t:GetResponseRequest>"


def rejected(code: str, text: str = "x") -> str:
    return (
        f"<t:RequestRejected><t:RejectionReasonCode>{code}</t:RejectionReasonCode>"
        f"<t:RejectionReasonDescription>{text}</t:RejectionReasonDescription></t:RequestRejected>"
    )


def attachments(header: str = "", content: str = "") -> str:
    """A request with one header and one content."""
    return request(after=f"<b:AttachmentHeaderList>{header}</b:AttachmentHeaderList>").replace(
        "</t:SendRequestRequest>", f"{content}</t:SendRequestRequest>"
    )


def content_of(identifier: str) -> str:
    return (
        f"<b:AttachmentContentList><b:AttachmentContent><b:Id>{identifier}</b:Id><b:Content>AAAA</b:Content>"
        "</b:AttachmentContent></b:AttachmentContentList>"
    )


HEADER = f"<b:AttachmentHeader><b:contentId>a1</b:contentId>{MIME}</b:AttachmentHeader>"
STATUS = (
    "<t:RequestStatus><t:StatusCode>1</t:StatusCode>{}<t:StatusDescription>d</t:StatusDescription></t:RequestStatus>"
)
STAMP = "<b:Timestamp>2026-01-01T00:00:00+03:00</b:Timestamp>"
TYPED = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type'
ACK = '<t:AckRequest><b:AckTargetMessage Id="A"{}>{}</b:AckTargetMessage></t:AckRequest>'

VALID = {
    "a request": request(),
    "a request with everything before its content": request(
        f"<t:ReferenceMessageID>{ID}</t:ReferenceMessageID><t:TransactionCode>t</t:TransactionCode>"
        "<t:NodeID>n</t:NodeID><t:EOL>2026-01-01T00:00:00Z</t:EOL>"
    ),
    "a request with everything after its content": request(
        after=f"<t:PersonalSignature>{SIGNATURE}</t:PersonalSignature><b:AttachmentHeaderList>{HEADER}"
        f"</b:AttachmentHeaderList><b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:Hash>h"
        f"</b:Hash>{MIME}</b:RefAttachmentHeader></b:RefAttachmentHeaderList><t:BusinessProcessMetadata>"
        '<z:a xmlns:z="urn:zoo"/><z:b xmlns:z="urn:zoo"/></t:BusinessProcessMetadata><t:TestMessage/>'
        "<t:Sender><t:Mnemonic>m</t:Mnemonic></t:Sender>"
    ),
    "an attachment inside the message": attachments(HEADER, content_of("a1")),
    "a receipt": (
        f"<t:SendRequestResponse>{METADATA}<t:SMEVSignature>{SIGNATURE}</t:SMEVSignature></t:SendRequestResponse>"
    ),
    "a selector by time alone": selector(STAMP),
    "a selector by both names and a node": selector(
        "<b:NamespaceURI>urn:zoo</b:NamespaceURI><b:RootElementLocalName>Zoo"
        f"</b:RootElementLocalName>{STAMP}<b:NodeID>n</b:NodeID>"
    ),
    "a selector by the original message": (
        f"<t:GetResponseRequest><t:OriginalMessageID>{ID}</t:OriginalMessageID></t:GetResponseRequest>"
    ),
    "an empty queue": "<t:GetResponseResponse/>",
    "an answer": response(CONTENT),
    "an answer with a sender": response(CONTENT + "<t:Sender><t:Mnemonic>m</t:Mnemonic></t:Sender>"),
    "two rejections": response(rejected("NO_DATA") + rejected("FAILURE")),
    "a status with parameters": response(
        STATUS.format("<t:StatusParameter><t:Key>k</t:Key><t:Value>v</t:Value></t:StatusParameter>" * 2)
    ),
    "a late rejection without a fault": response(status()),
    "a late rejection with a typed fault": response(
        status(
            f'<t:SmevFault {TYPED}="f:InvalidContent"><b:Code>c</b:Code>'
            '<f:ValidationError errorPosition="-1">e</f:ValidationError></t:SmevFault>'
        )
    ),
    "an ack": ACK.format("", ID),
    "an ack that accepts": ACK.format(' accepted="1"', ID),
    "the answer to an ack": "<t:AckResponse/>",
    "a question for a status": (
        f"<t:GetStatusRequest>{STAMP}<t:CallerInformationSystemSignature>{SIGNATURE}"
        "</t:CallerInformationSystemSignature></t:GetStatusRequest>"
    ),
    "an empty status": "<t:GetStatusResponse/>",
    "a status of the core": (
        "<t:GetStatusResponse><t:SmevAsyncProcessingMessage>"
        f'<t:AsyncProcessingStatusData Id="A">{status()}'
        "</t:AsyncProcessingStatusData></t:SmevAsyncProcessingMessage></t:GetStatusResponse>"
    ),
    "a request for the provider": (
        "<t:GetRequestResponse><t:RequestMessage><t:Request><t:SenderProvidedRequestData>"
        f"<t:MessageID>{ID}</t:MessageID>{CONTENT}"
        f"</t:SenderProvidedRequestData>{METADATA}<t:ReplyTo>x</t:ReplyTo></t:Request>"
        "</t:RequestMessage></t:GetRequestResponse>"
    ),
    "a response sent": (
        f"<t:SendResponseRequest><t:SenderProvidedResponseData><t:MessageID>{ID}</t:MessageID>"
        f"<t:To>x</t:To>{CONTENT}"
        "</t:SenderProvidedResponseData></t:SendResponseRequest>"
    ),
    "a fault without a word": "<f:MessageIsAlreadySent/>",
    "a fault with words by its type": (
        f'<f:MessageIsAlreadySent {TYPED}="b:SmevFault"><b:Description>d</b:Description></f:MessageIsAlreadySent>'
    ),
    "a signature fault": (
        "<f:SignatureVerificationFault><f:SignatureVerificationFault>NoSignatureFound"
        "</f:SignatureVerificationFault></f:SignatureVerificationFault>"
    ),
    "an overflow": (
        "<f:DestinationOverflow><f:MessageBrokerAddress>a</f:MessageBrokerAddress>"
        "<f:DestinationName>d</f:DestinationName></f:DestinationOverflow>"
    ),
    "a size limit": "<f:AttachmentSizeLimitExceeded><f:PermittedTotalAttachmentSize>1</f:PermittedTotalAttachmentSize>"
    "<f:RealTotalAttachmentSize>2</f:RealTotalAttachmentSize></f:AttachmentSizeLimitExceeded>",
    "a quota": (
        "<f:QuoteLimitExceeded><f:RemainedTotalQuoteSize>1</f:RemainedTotalQuoteSize>"
        "<f:RealTotalAttachmentSize>2</f:RealTotalAttachmentSize></f:QuoteLimitExceeded>"
    ),
    "an unsupported type": (
        "<f:BusinessDataTypeIsNotSupported><b:Code>c</b:Code><f:RootElementLocalName>l"
        "</f:RootElementLocalName>"
        "<f:RootElementNamespaceURI>n</f:RootElementNamespaceURI></f:BusinessDataTypeIsNotSupported>"
    ),
}

INVALID = {
    "a MessageID in capitals": request(identifier=ID.upper()),
    "a MessageID with a space": request(identifier=f" {ID}"),
    "no MessageID": request().replace(f"<t:MessageID>{ID}</t:MessageID>", ""),
    "no content": request(content=""),
    "content without a root": request(content="<b:MessagePrimaryContent/>"),
    "two roots": request(content=CONTENT.replace("</b:", '<z:Zoo xmlns:z="urn:zoo"/></b:')),
    "a root in no namespace": request(content="<b:MessagePrimaryContent><zoo/></b:MessagePrimaryContent>"),
    "a root in the basic namespace": request(content="<b:MessagePrimaryContent><b:Zoo/></b:MessagePrimaryContent>"),
    "content of the types namespace": request(
        content=CONTENT.replace("b:MessagePrimaryContent", "t:MessagePrimaryContent")
    ),
    "a node before the MessageID": request().replace("<t:MessageID>", "<t:NodeID>n</t:NodeID><t:MessageID>"),
    "a node after the content": request(after="<t:NodeID>n</t:NodeID>"),
    "a node of 51 letters": request(f"<t:NodeID>{'n' * 51}</t:NodeID>"),
    "a transaction code of 1501 letters": request(f"<t:TransactionCode>{'n' * 1501}</t:TransactionCode>"),
    "an end of life that is no moment": request("<t:EOL>tomorrow</t:EOL>"),
    "a test mark with text": request(after="<t:TestMessage>1</t:TestMessage>"),
    "a signature of another namespace": request(
        after='<t:PersonalSignature><z:Signature xmlns:z="urn:zoo"/></t:PersonalSignature>'
    ),
    "two signatures in one place": request(after=f"<t:PersonalSignature>{SIGNATURE * 2}</t:PersonalSignature>"),
    "no signature in its place": request(after="<t:PersonalSignature/>"),
    "metadata of our own namespace": request(after="<t:BusinessProcessMetadata><t:x/></t:BusinessProcessMetadata>"),
    "a sender without a mnemonic": request(after="<t:Sender/>"),
    "an unknown attribute": request().replace("<t:SenderProvidedRequestData>", '<t:SenderProvidedRequestData id="x">'),
    "an Id that is no name": request().replace("<t:SenderProvidedRequestData>", '<t:SenderProvidedRequestData Id="1">'),
    "an empty list of attachments": attachments(),
    "a media type of another family": attachments(HEADER.replace("text/plain", "multipart/mixed")),
    "an attachment's Id that starts with a digit": attachments(HEADER, content_of("1a")),
    "half a selector": selector(f"<b:NamespaceURI>urn:zoo</b:NamespaceURI>{STAMP}"),
    "a selector without a time": selector(""),
    "a local name with a colon": selector(
        f"<b:NamespaceURI>urn:zoo</b:NamespaceURI><b:RootElementLocalName>z:Zoo</b:RootElementLocalName>{STAMP}"
    ),
    "no selector": "<t:GetResponseRequest/>",
    "two answers in one response": response(CONTENT).replace(
        "</t:ResponseMessage>", "</t:ResponseMessage><t:ResponseMessage/>"
    ),
    "a response without its metadata": response(CONTENT, metadata=""),
    "a response of nothing": response(""),
    "content beside a rejection": response(CONTENT + rejected("NO_DATA")),
    "an unknown reason": response(rejected("BECAUSE")),
    "a reason of 4001 letters": response(rejected("NO_DATA", "x" * 4001)),
    "two statuses": response(STATUS.format("") * 2),
    "a parameter without a value": response(STATUS.format("<t:StatusParameter><t:Key>k</t:Key></t:StatusParameter>")),
    "an unknown category": response(status(category="lost")),
    "details of 501 letters": response(status(details=f"<t:StatusDetails>{'x' * 501}</t:StatusDetails>")),
    "a fault of an unknown type": response(status(f'<t:SmevFault {TYPED}="f:Nonsense"/>')),
    "a fault's fields without its type": response(
        status('<t:SmevFault><f:ValidationError errorPosition="-1">e</f:ValidationError></t:SmevFault>')
    ),
    "a validation error without a position": response(
        status(f'<t:SmevFault {TYPED}="f:InvalidContent"><f:ValidationError>e</f:ValidationError></t:SmevFault>')
    ),
    "an unknown message type": response(CONTENT, metadata=METADATA.replace("RESPONSE", "ANSWER")),
    "metadata without a time": response(CONTENT, metadata=METADATA.replace("SendingTimestamp", "SendingTime")),
    "an ack without an Id": ACK.format("", ID).replace(' Id="A"', ""),
    "an ack that accepts perhaps": ACK.format(' accepted="perhaps"', ID),
    "an ack of no message": ACK.format("", ""),
    "an answer to an ack with a child": "<t:AckResponse><t:x/></t:AckResponse>",
    "a question for a status without a signature": f"<t:GetStatusRequest>{STAMP}</t:GetStatusRequest>",
    "a fault with words and no type": (
        "<f:MessageIsAlreadySent><b:Description>d</b:Description></f:MessageIsAlreadySent>"
    ),
    "an unknown signature finding": (
        "<f:SignatureVerificationFault><f:SignatureVerificationFault>Bad"
        "</f:SignatureVerificationFault></f:SignatureVerificationFault>"
    ),
    "an overflow without a place": "<f:DestinationOverflow/>",
    "a size that is no number": (
        "<f:QuoteLimitExceeded><f:RemainedTotalQuoteSize>x</f:RemainedTotalQuoteSize>"
        "<f:RealTotalAttachmentSize>2</f:RealTotalAttachmentSize></f:QuoteLimitExceeded>"
    ),
    "a fault nobody knows": "<f:Nonsense/>",
    "an operation of version 1.1": "<t:GetIncomingQueueStatisticsRequest/>",
}

#: MessageMetadata of 1.1 and of 1.3: parties have a name for people, 1.1 tells of the broker.
PARTY = "<t:Mnemonic>m</t:Mnemonic><t:HumanReadableName>n</t:HumanReadableName>"
METADATA_11 = (
    f"<t:MessageMetadata><t:MessageId>{ID}</t:MessageId><t:MessageType>RESPONSE</t:MessageType><t:Sender>{PARTY}"
    "</t:Sender><t:SendingTimestamp>2026-01-01T00:00:00Z</t:SendingTimestamp><t:DestinationName>q</t:DestinationName>"
    f"<t:Recipient>{PARTY}</t:Recipient><t:SupplementaryData><t:InteractionType>OIV2OIV</t:InteractionType>"
    "</t:SupplementaryData><t:Status>responseIsDelivered</t:Status></t:MessageMetadata>"
)
METADATA_13 = METADATA.replace(
    "<t:SendingTimestamp>",
    "<t:Sender><t:HumanReadableName>n</t:HumanReadableName></t:Sender><t:SendingTimestamp>",
)
CANCEL = (
    f"<t:GetRequestResponse><t:RequestMessage><t:Cancel><b:MessageReference>{ID}</b:MessageReference>"
    f"<t:MessageID>{ID}</t:MessageID>{METADATA_11}</t:Cancel></t:RequestMessage></t:GetRequestResponse>"
)
ROUTED = (
    f"<r:RoutingInformation><r:MessageID>{ID}</r:MessageID><r:DynamicRouting><r:DynamicValue>1</r:DynamicValue>"
    "</r:DynamicRouting><r:IdentifierRouting><r:IdentifierValue>2</r:IdentifierValue></r:IdentifierRouting>"
    "<r:RegistryRouting><r:RegistryRecordRouting><r:RecordId>1</r:RecordId><r:UseGeneralRouting>true"
    "</r:UseGeneralRouting></r:RegistryRecordRouting></r:RegistryRouting></r:RoutingInformation>"
)
ROUTING_STATUS = (
    "<r:RoutingStatus><r:DynamicRoutingStatus><r:DynamicValue>1</r:DynamicValue><r:RoutingStatusCode>{}"
    "</r:RoutingStatusCode></r:DynamicRoutingStatus><r:RegistryRoutingStatus><r:RecordId>1</r:RecordId>"
    "<r:RoutingStatusCode>success</r:RoutingStatusCode></r:RegistryRoutingStatus></r:RoutingStatus>"
)
RECORD = (
    "<d:Registry><d:RegistryRecord><d:RecordId>1</d:RecordId><d:Record Id='R'><d:RecordContent>{}</d:RecordContent>"
    "<d:PersonalSignature>" + SIGNATURE + "</d:PersonalSignature></d:Record></d:RegistryRecord></d:Registry>"
)
ARCHIVE = "<b:Archive><b:File><b:Name>n</b:Name><b:NamespaceUri>u</b:NamespaceUri></b:File></b:Archive>"


def routed(inner: str) -> str:
    """SendRequestRequest with a Routing of ``inner``."""
    return request().replace("</t:SendRequestRequest>", f"<r:Routing>{inner}</r:Routing></t:SendRequestRequest>")


ALSO_VALID = {
    "1.1": {
        "a full metadata": response(CONTENT, metadata=METADATA_11),
        "word of a request taken back": CANCEL,
        "a question for queues": (
            f"<t:GetIncomingQueueStatisticsRequest><t:NodeID>n</t:NodeID>{STAMP}</t:GetIncomingQueueStatisticsRequest>"
        ),
        "an answer about queues": (
            '<t:GetIncomingQueueStatisticsResponse><t:QueueStatistics queueName="q" pendingMessageNumber="1"/>'
            "<t:QueueStatistics/></t:GetIncomingQueueStatisticsResponse>"
        ),
    },
    "1.2": {},
    "1.3": {
        "a sender named for people alone": response(CONTENT, metadata=METADATA_13),
        "an archive among the attachments": attachments(
            HEADER.replace("<b:MimeType>", "<b:NamespaceUri>u</b:NamespaceUri><b:MimeType>").replace(
                "</b:AttachmentHeader>", f"{ARCHIVE}</b:AttachmentHeader>"
            ),
            content_of("a1"),
        ),
        "a file with its name": request(
            after="<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:FileName>f</b:FileName>"
            f"<b:NamespaceUri>u</b:NamespaceUri><b:Hash>h</b:Hash>{MIME}{ARCHIVE}</b:RefAttachmentHeader>"
            "</b:RefAttachmentHeaderList>"
        ),
        "a routed request": routed(f"{ROUTED}<r:RoutingSignature>{SIGNATURE}</r:RoutingSignature>"),
        "a status of routing": response(status(details=ROUTING_STATUS.format("success")), metadata=METADATA_13),
        "a registry": RECORD.format('<z:Zoo xmlns:z="urn:zoo"/>'),
        "an end of life with words": "<f:EndOfLifeReached><b:Description>d</b:Description></f:EndOfLifeReached>",
        "a person's access denied": "<f:PersonalAccessDenied><b:Code>c</b:Code></f:PersonalAccessDenied>",
        "the new categories": response(status(category="responseIsQueued"), metadata=METADATA_13),
    },
}
ALSO_INVALID = {
    "1.1": {
        "an ack without its verdict": ACK.format("", ID),
        "a metadata without a destination": response(
            CONTENT, metadata=METADATA_11.replace("<t:DestinationName>q</t:DestinationName>", "")
        ),
        "a status code of letters": response(STATUS.format("").replace(">1<", ">one<"), metadata=METADATA_11),
        "a place of 51 letters": response(
            status(f"<t:SmevFault><b:Code>{'c' * 51}</b:Code></t:SmevFault>"), metadata=METADATA_11
        ),
        "a selector by the original message": VALID["a selector by the original message"],
        "a category of version 1.2": response(status(category="messageIsArchived"), metadata=METADATA_11),
        "a number that is none": (
            '<t:GetIncomingQueueStatisticsResponse><t:QueueStatistics pendingMessageNumber="x"/>'
            "</t:GetIncomingQueueStatisticsResponse>"
        ),
    },
    "1.2": {},
    "1.3": {
        "a sender without a name": response(CONTENT, metadata=METADATA_13.replace("HumanReadableName", "Mnemonic")),
        "an unsigned route": routed(ROUTED),
        "an unknown end of a route": response(status(details=ROUTING_STATUS.format("lost")), metadata=METADATA_13),
        "a record of nothing": RECORD.format(""),
        "a status code of letters": response(STATUS.format("").replace(">1<", ">one<"), metadata=METADATA_13),
        "a sender of the caller's own": request(after="<t:Sender><t:Mnemonic>m</t:Mnemonic></t:Sender>"),
    },
}


def known(version: str) -> dict[str, tuple[str, bool]]:
    """Name -> (probe, is it valid) of everything that is said about a version for certain."""
    verdicts = {name: (text, True) for name, text in ALSO_VALID[version].items()}
    verdicts |= {name: (text, False) for name, text in ALSO_INVALID[version].items()}
    if version == "1.2":
        verdicts |= {name: (text, True) for name, text in VALID.items()}
        verdicts |= {name: (text, False) for name, text in INVALID.items()}
    return verdicts
