"""Contents as people read them: indented, coloured by words, masked unless revealed. Pure.

Everything that came from outside passes through ``escape``: what is returned is safe to stand in a page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from lxml import etree
from markupsafe import Markup, escape

from adapter.recovery.masking import masked_body, masked_outcome, readable
from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Elements whose texts are words of a protocol, never of a person: shown masked or not.
_TECHNICAL: Final = frozenset(
    {
        "MessageID", "ReferenceMessageID", "TransactionCode", "NodeID", "MessageType", "OriginalMessageId",
        "OriginalMessageID", "SendingTimestamp", "ReceiptTimestamp", "DeliveryTimestamp", "SendingDate", "Status",
        "status", "AckTargetMessage", "InteractionType", "Mnemonic", "RegionType", "to", "messageId", "correlationId",
        "messageDate", "serviceId", "messageType", "sessionId", "responseDate", "routeId", "error-code", "errorCode",
        "code", "RejectionReasonCode", "faultcode", "transport-id", "request-id", "guid",
    }
)  # fmt: skip
#: Namespaces of protocols: a вид сведений may call anything of a person by the same names.
_PROTOCOLS: Final = ("urn://x-artefacts-smev-gov-ru/services/message-exchange/", "http://bip.bee.kz/")
#: Attributes that say how, not what.
_PLAIN_ATTRIBUTES: Final = frozenset({"Algorithm", "URI", "Id", "EncodingType", "ValueType", "type", "nil"})
_LONGEST_LINES: Final = 2500
_LONG_TEXT: Final = 400
_BLOB: Final = re.compile(r"[A-Za-z0-9+/\s]{200,}={0,2}\s*")
_XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"
#: What masking.py puts in place of a value, as pages show it.
_MASKED: Final = re.compile(r'"<(?:text, (\d+) characters|number|true or false)>"')
_JSON_PART: Final = re.compile(
    r'(?P<mask>"<(?:text, \d+ characters|number|true or false)>")(?!\s*:)|'
    r'(?P<name>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)


def command(body: bytes | None, *, revealed: bool) -> Markup:
    """Return the body of a command, or of any JSON that came in."""
    return _json(readable(body) if revealed else masked_body(body))


def outcome(body: bytes | None, *, revealed: bool) -> Markup:
    """Return the outcome of an exchange."""
    return _json(readable(body) if revealed else masked_outcome(body))


def json_text(value: Any) -> str:
    """Return JSON as people edit it: UTF-8, two blanks deep."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def document(data: bytes, *, revealed: bool) -> Markup:
    """Return what was sent or received: XML, JSON, or how many bytes of something else."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"["):
        return command(data, revealed=revealed)
    try:
        root = parse(soap_message(data))
    except XmlError as error:
        return Markup('<i class="c">{}</i>').format(f"<{len(data)} bytes, {error.rule}>")
    lines = []
    for number, line in enumerate(_element(root, 0, revealed=revealed)):
        if number == _LONGEST_LINES:
            lines.append(Markup('<i class="c">…</i>'))
            break
        lines.append(line)
    return Markup("\n").join(lines)


def _json(value: Any) -> Markup:
    if isinstance(value, str):
        return escape(value)
    text, place, parts = json_text(value), 0, []
    for found in _JSON_PART.finditer(text):
        parts.append(escape(text[place : found.start()]))
        shown = _MASKED.sub(r"••• \1", found.group()).rstrip() if found.lastgroup == "mask" else found.group()
        parts.append(Markup('<i class="{}">{}</i>').format((found.lastgroup or "")[0], shown))
        place = found.end()
    parts.append(escape(text[place:]))
    return Markup().join(parts)


def _element(node: etree._Element, depth: int, *, revealed: bool) -> Iterator[Markup]:
    """Yield the lines of one element; comments and instructions are left to the exact bytes."""
    pad = "  " * depth
    name = _name(node)
    start = Markup('{}<i class="p">&lt;</i><i class="e">{}</i>{}').format(pad, name, _attributes(node, revealed))
    children = [child for child in node if isinstance(child.tag, str)]
    if not children:
        text = "".join(str(part) for part in node.itertext())
        if not text.strip():
            yield start + Markup('<i class="p">/&gt;</i>')
            return
        shown = _text(node, text, revealed=revealed)
        yield start + Markup('<i class="p">&gt;</i>{}<i class="p">&lt;/{}&gt;</i>').format(shown, name)
        return
    yield start + Markup('<i class="p">&gt;</i>')
    for child in children:
        yield from _element(child, depth + 1, revealed=revealed)
    yield Markup('{}<i class="p">&lt;/{}&gt;</i>').format(pad, name)


def _name(node: etree._Element) -> str:
    local = etree.QName(node).localname
    return f"{node.prefix}:{local}" if node.prefix else local


def _attributes(node: etree._Element, revealed: bool) -> Markup:  # noqa: FBT001  — a part of one walk
    parent = node.getparent()
    inherited = {} if parent is None else parent.nsmap
    parts = [
        Markup(' <i class="a">{}</i>=<i class="t">"{}"</i>').format(f"xmlns:{prefix}" if prefix else "xmlns", uri)
        for prefix, uri in node.nsmap.items()
        if inherited.get(prefix) != uri
    ]
    for key, value in node.attrib.items():
        name = etree.QName(str(key))
        told = str(value) if revealed or name.localname in _PLAIN_ATTRIBUTES else _hidden(str(value))
        prefix = "xml:" if name.namespace == _XML_NAMESPACE else ""
        parts.append(Markup(' <i class="a">{}{}</i>=<i class="t">"{}"</i>').format(prefix, name.localname, told))
    return Markup().join(parts)


def _text(node: etree._Element, text: str, *, revealed: bool) -> Markup:
    if _BLOB.fullmatch(text):
        return Markup('<i class="c">{}</i>').format(f"base64, {len(text)}")
    if not revealed and not _is_technical(etree.QName(node)):
        return Markup('<i class="m">{}</i>').format(_hidden(text))
    return Markup('<i class="t">{}</i>').format(text if len(text) <= _LONG_TEXT else f"{text[:_LONG_TEXT]}…")


def _is_technical(name: etree.QName) -> bool:
    return name.localname in _TECHNICAL and (name.namespace or "").startswith(_PROTOCOLS)


def _hidden(text: str) -> str:
    """Return what stands for a masked text: that it is there, and how long."""
    return f"••• {len(text.strip())}"
