"""Signature wrapping, spoilt envelopes, and the changes that the service's transform forgives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.contract.smev3_caller import SOAP, TYPES
from tests.contract.smev3_mutations import CONTENT, HEAD, HOLDER, SIGNATURES, Good, body, found, swap

if TYPE_CHECKING:
    from tests.contract.smev3_mutations import Mutation


def in_header(good: Good, parked: bytes, instead: bytes) -> bytes:
    """Park something in soap:Header and put something else into the place of the signed element."""
    message = good.message.replace(good.data, instead)
    return message.replace(b"<s:Header/>", b"<s:Header>" + parked + b"</s:Header>")


def in_metadata(good: Good, parked: bytes) -> bytes:
    """Other content in the signed element's place, with something parked in its BusinessProcessMetadata."""
    wrapped = b'<t:BusinessProcessMetadata><x:p xmlns:x="urn:x">' + parked + b"</x:p></t:BusinessProcessMetadata>"
    instead = good.evil(identifier="EVIL").replace(
        b"</t:SenderProvidedRequestData>", wrapped + b"</t:SenderProvidedRequestData>"
    )
    return good.message.replace(good.data, instead)


WRAPPING: dict[str, Mutation] = {
    "the signed element is parked in the header": lambda good: in_header(good, good.data, good.evil()),
    "the signed element is parked in the header, its Id on both": lambda good: in_header(
        good, good.data, good.evil(identifier="SIGNED_BY_CONSUMER")
    ),
    "the signed element is parked in the header, another Id in its place": lambda good: in_header(
        good, good.data, good.evil(identifier="EVIL")
    ),
    "the signed element is parked in the metadata of another": lambda good: in_metadata(good, good.data),
    "the signed element with its signature is parked in the metadata of another": lambda good: in_metadata(
        good, good.data + good.signature
    ),
    "the signed element is parked inside the signature": lambda good: good.message.replace(
        good.data, good.evil(identifier="EVIL")
    ).replace(
        b"</ds:Signature></t:CallerInformationSystemSignature>",
        b"<ds:Object>" + good.data + b"</ds:Object></ds:Signature></t:CallerInformationSystemSignature>",
    ),
    "the signed element comes second": body(
        lambda good: good.evil(identifier="EVIL") + good.data + found(HOLDER, good.message)
    ),
    "the signed element comes first, another second": body(
        lambda good: good.data + good.evil(identifier="EVIL") + found(HOLDER, good.message)
    ),
    "the signed element is parked after the signature": body(
        lambda good: good.evil(identifier="EVIL") + found(HOLDER, good.message) + good.data
    ),
    "another operation comes first": swap("<s:Body>", f'<s:Body><t:SendRequestRequest xmlns:t="{TYPES}"/>'),
    "the whole message is wrapped in another": lambda good: (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header/><s:Body>'.encode() + good.message + b"</s:Body></s:Envelope>"
    ),
    "a second body holds other content": lambda good: good.message.replace(
        b"</s:Body>",
        f'</s:Body><s:Body><t:SendRequestRequest xmlns:t="{TYPES}">'.encode()
        + good.evil()
        + b"</t:SendRequestRequest></s:Body>",
    ),
    "the business content is parked and another stands in its place, signed anew by nobody": lambda good: (
        good.message.replace(
            good.business.encode(),
            good.business.replace("Пётр", "Павел").replace("PERSONAL_SIGNATURE", "EVIL").encode(),
        ).replace(b"<s:Header/>", b"<s:Header>" + good.business.encode() + b"</s:Header>")
    ),
    "the official's content is parked in the header, the system signed anew": lambda good: good.build(
        business=good.business.replace("Пётр", "Павел").replace("PERSONAL_SIGNATURE", "EVIL")
    ).replace(b"<s:Header/>", b"<s:Header>" + good.business.encode() + b"</s:Header>"),
}

XML: dict[str, Mutation] = {
    "it is cut in the middle": lambda good: good.message[: len(good.message) // 2],
    "a byte is no UTF-8": swap("Пётр".encode(), b"\xff\xfe"),
    "it holds a NUL": swap("Пётр", "\0"),
    "a document type is declared": lambda good: b"<!DOCTYPE x>" + good.message,
    "an entity stands for a value": lambda good: (
        b'<!DOCTYPE x [<!ENTITY e "node-1">]>' + good.message.replace(b"node-1", b"&e;")
    ),
    "another encoding is declared": lambda good: b'<?xml version="1.0" encoding="cp1251"?>' + good.message,
    "the envelope is of SOAP 1.2": lambda good: good.message.replace(
        SOAP.encode(), b"http://www.w3.org/2003/05/soap-envelope"
    ),
    "the service is of another version": lambda good: good.message.replace(b"types/1.2", b"types/1.3"),
    "the operation is another": lambda good: good.message.replace(b"SendRequestRequest", b"SendResponseRequest"),
    "the body is empty": lambda good: re.sub(rb"<s:Body>.*</s:Body>", b"<s:Body/>", good.message, flags=re.DOTALL),
    "something follows the body": swap("</s:Body>", "</s:Body><x/>"),
    "the signed element is of another namespace": lambda good: good.message.replace(
        f'<t:SenderProvidedRequestData xmlns:t="{TYPES}"'.encode(), b'<t:SenderProvidedRequestData xmlns:t="urn:other"'
    ),
}

MUTATIONS = {**CONTENT, **HEAD, **SIGNATURES, **WRAPPING, **XML}


#: Changes that the service's transform forgives (facts, "SMEV transform facts", rules 1 to 8).
EQUIVALENTS: dict[str, Mutation] = {
    "nothing is changed": lambda good: good.message,
    "every prefix outside the signatures is another": lambda good: re.sub(
        rb"(?<=[<\s/:])(s|t|b|dr|c)(?=[:=])",
        lambda match: b"n" + match[1],
        good.message.replace(b"urn:dom", b"urn@dom"),
    ).replace(b"urn@dom", b"urn:dom"),
    "comments and white space stand between elements": lambda good: good.message.replace(b"<dr:", b"\n <!-- x --><dr:"),
    "letters are written by number": swap("Пётр", "&#x41F;ё&#1090;р"),
    "empty elements are written short": swap("<s:Header/>", "<s:Header></s:Header>"),
    "it begins with a declaration": lambda good: b'<?xml version="1.0" encoding="UTF-8"?>\n' + good.message,
}
