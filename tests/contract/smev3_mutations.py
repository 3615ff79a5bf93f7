"""Single changes of a good signed SendRequest, each of which must cost it its acceptance."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from lxml import etree

from tests.contract.smev3_caller import BASIC, NAMES, REQUEST_DATA, TYPES, action, debt_requests

if TYPE_CHECKING:
    from tests.contract.smev3_caller import Caller

DS = NAMES["ds"]
DATA = re.compile(rb"<t:SenderProvidedRequestData.*</t:SenderProvidedRequestData>", re.DOTALL)
HOLDER = re.compile(rb"<t:CallerInformationSystemSignature>.*</t:CallerInformationSystemSignature>", re.DOTALL)
SIGNATURE = re.compile(
    rb"(?<=<t:CallerInformationSystemSignature>).*(?=</t:CallerInformationSystemSignature>)", re.DOTALL
)
C14N = '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>'
TRANSFORM = '<ds:Transform Algorithm="urn://smev-gov-ru/xmldsig/transform"></ds:Transform>'


@dataclass(frozen=True)
class Good:
    """A good message and the parts it was made of."""

    caller: Caller
    message: bytes
    identifier: str
    business: str
    stale_identifier: str

    @classmethod
    def make(cls, caller: Caller, identifier: str, stale_identifier: str) -> Good:
        """A request with a NodeID and both signatures."""
        business = debt_requests(action(data=REQUEST_DATA), identifier="PERSONAL_SIGNATURE")
        good = cls(caller, b"", identifier, business, stale_identifier)
        return cls(caller, good.build(), identifier, business, stale_identifier)

    def build(
        self,
        *,
        identifier: str | None = None,
        business: str | None = None,
        personal: str | None = None,
        by: str | None = None,
        data: Callable[[str], str] = str,
    ) -> bytes:
        """The message made anew with some part changed before it is signed; ``data`` changes the signed element."""
        official = self.caller.sign(self.business, by="sp") if personal is None else personal
        element = data(
            f'<t:SenderProvidedRequestData xmlns:t="{TYPES}" xmlns:b="{BASIC}" Id="SIGNED_BY_CONSUMER">'
            f"<t:MessageID>{identifier or self.identifier}</t:MessageID><t:NodeID>node-1</t:NodeID>"
            f"<b:MessagePrimaryContent>{business or self.business}</b:MessagePrimaryContent>"
            f"<t:PersonalSignature>{official}</t:PersonalSignature></t:SenderProvidedRequestData>"
        )
        return self.caller.envelope("SendRequest", element, by=by)

    @property
    def data(self) -> bytes:
        """The signed element."""
        return found(DATA, self.message)

    @property
    def signature(self) -> bytes:
        """ds:Signature of the information system."""
        return found(SIGNATURE, self.message)

    def evil(self, *, identifier: str = "") -> bytes:
        """The signed element with other content in it, by another Id or by none."""
        changed = self.data.replace("Пётр".encode(), "Павел".encode())
        changed = re.sub(rb"<t:PersonalSignature>.*</t:PersonalSignature>", b"", changed, flags=re.DOTALL)
        known = f' Id="{identifier}"'.encode() if identifier else b""
        return changed.replace(b' Id="SIGNED_BY_CONSUMER"', known, 1)


def found(pattern: re.Pattern[bytes], message: bytes) -> bytes:
    match = pattern.search(message)
    assert match is not None
    return match[0]


Mutation = Callable[[Good], bytes]


def swap(old: str | bytes, new: str | bytes, *, last: bool = False) -> Mutation:
    """Replace one occurrence; ``last`` the last one, which is in the information system's signature."""
    before, after = (part.encode() if isinstance(part, str) else part for part in (old, new))

    def mutate(good: Good) -> bytes:
        assert before in good.message, before
        if last:
            return after.join(good.message.rsplit(before, 1))
        return good.message.replace(before, after, 1)

    return mutate


def pattern(
    expression: bytes, replacement: bytes | Callable[[re.Match[bytes]], bytes], *, own: bool = False
) -> Mutation:
    """Replace by an expression; ``own`` inside the information system's signature only."""

    def mutate(good: Good) -> bytes:
        place = good.signature if own else good.message
        changed, count = re.subn(expression, replacement, place, count=1, flags=re.DOTALL)
        assert count == 1, expression
        return good.message.replace(good.signature, changed) if own else changed

    return mutate


def flip(position: int) -> Callable[[re.Match[bytes]], bytes]:
    """Change one bit of a base64 value between two tags."""

    def change(match: re.Match[bytes]) -> bytes:
        raw = bytearray(base64.b64decode(match[2]))
        raw[position] ^= 1
        return match[1] + base64.b64encode(bytes(raw)) + match[3]

    return change


def halves(match: re.Match[bytes]) -> bytes:
    """Put the second half of a base64 value first."""
    raw = base64.b64decode(match[2])
    return match[1] + base64.b64encode(raw[len(raw) // 2 :] + raw[: len(raw) // 2]) + match[3]


def certificate(name: str) -> Mutation:
    """Put another certificate into the information system's signature."""

    def mutate(good: Good) -> bytes:
        value = base64.b64encode(good.caller.certificate(name))
        return pattern(CERTIFICATE, lambda match: match[1] + value + match[3], own=True)(good)

    return mutate


def value_of(name: str) -> bytes:
    return rf"(<ds:{name}>)([^<]*)(</ds:{name}>)".encode()


CERTIFICATE, DIGEST, VALUE = value_of("X509Certificate"), value_of("DigestValue"), value_of("SignatureValue")


def body(content: Callable[[Good], bytes]) -> Mutation:
    """Put other content into the operation's element."""
    return lambda good: good.message.replace(found(DATA, good.message) + found(HOLDER, good.message), content(good))


def without_smev_transform(good: Good) -> bytes:
    """A signature that is right in every sum but leaves the service's transform out."""
    caller = good.caller
    digest = caller.gost.digest(256, etree.tostring(etree.fromstring(good.data), method="c14n", exclusive=True))
    info = found(re.compile(rb"<ds:SignedInfo.*</ds:SignedInfo>", re.DOTALL), good.signature).decode()
    info = (
        info.replace(TRANSFORM, "") if TRANSFORM in info else re.sub(r"<ds:Transform [^>]*smev-gov-ru[^>]*/>", "", info)
    )
    info = re.sub(r"(?<=<ds:DigestValue>)[^<]*", base64.b64encode(digest).decode(), info)
    alone = info if "xmlns:ds" in info else info.replace("<ds:SignedInfo", f'<ds:SignedInfo xmlns:ds="{DS}"', 1)
    key = caller.gost.load_key((caller.keys / f"{caller.name}.key.pem").read_bytes())
    canonical = etree.tostring(etree.fromstring(alone), method="c14n", exclusive=True)
    signed = base64.b64encode(caller.gost.sign(key, canonical))
    changed = re.sub(rb"<ds:SignedInfo.*</ds:SignedInfo>", info.encode(), good.signature, flags=re.DOTALL)
    changed = re.sub(VALUE, lambda match: match[1] + signed + match[3], changed)
    return good.message.replace(good.signature, changed)


CONTENT: dict[str, Mutation] = {
    "a letter of a name is another": swap("Пётр", "Петр"),
    "a digit of the insurance number is another": swap("11111111145", "11111111154"),
    "a space is doubled inside a value": swap("кв. 5", "кв.  5"),
    "a line break follows a value": swap("кв. 5", "кв. 5\n"),
    "an optional element is gone": swap("<dr:address-details>кв. 5</dr:address-details>", ""),
    "an optional element is added": swap("</dr:lastname>", "</dr:lastname><dr:middlename>Я</dr:middlename>"),
    "two elements changed places": swap(
        "<dr:series>1234</dr:series><dr:number>123456</dr:number>",
        "<dr:number>123456</dr:number><dr:series>1234</dr:series>",
    ),
    "two values changed places": swap(
        "Пётр</dr:firstname><dr:lastname>Тестов<", "Тестов</dr:firstname><dr:lastname>Пётр<"
    ),
    "the kind of the action is another": swap("SEND</dr:action-type>", "REVOKE</dr:action-type>"),
    "an action is added": lambda good: good.message.replace(
        b"<dr:action>", action(data=REQUEST_DATA).encode() + b"<dr:action>", 1
    ),
    "an action is repeated": pattern(rb"<dr:action>.*</dr:action>", lambda match: match[0] * 2),
    "the transport id is another": pattern(rb"(?<=<dr:transport-id>)[^<]*", str(uuid4()).encode()),
    "the version of the information type is another": swap("debt-requests/1.0.0", "debt-requests/1.0.1"),
    "the namespace of the common elements is another": swap("common/1.2.0", "common/1.2.1"),
    "an attribute is added": swap("<dr:action>", '<dr:action kind="x">'),
}

HEAD: dict[str, Mutation] = {
    "a digit of the MessageID is another": pattern(rb"(?<=<t:MessageID>)(.)", lambda m: b"0" if m[1] != b"0" else b"1"),
    "the MessageID is in capitals": pattern(rb"(?<=<t:MessageID>)[^<]*", lambda match: match[0].upper()),
    "the MessageID is a random one, signed anew": lambda good: good.build(identifier=str(uuid4())),
    "the MessageID is stale, signed anew": lambda good: good.build(identifier=good.stale_identifier),
    "the NodeID is another": swap("node-1", "node-2"),
    "the NodeID is gone": swap("<t:NodeID>node-1</t:NodeID>", ""),
    "it is marked as a test": swap("</t:PersonalSignature>", "</t:PersonalSignature><t:TestMessage/>"),
    "an end of life is added": swap("</t:NodeID>", "</t:NodeID><t:EOL>2999-01-01T00:00:00Z</t:EOL>"),
    "NodeID and MessageID changed places, signed anew": lambda good: good.build(
        data=lambda text: re.sub(r"(<t:MessageID>.*</t:MessageID>)(<t:NodeID>.*</t:NodeID>)", r"\2\1", text)
    ),
    "the signed element's Id is another": swap('Id="SIGNED_BY_CONSUMER"', 'Id="SIGNED_BY_CONSUMED"'),
    "the signed element's Id is gone": swap(' Id="SIGNED_BY_CONSUMER"', ""),
    "the Id is written ID": swap(' Id="SIGNED_BY_CONSUMER"', ' ID="SIGNED_BY_CONSUMER"'),
    "the Id is an xml:id": swap(' Id="SIGNED_BY_CONSUMER"', ' xml:id="SIGNED_BY_CONSUMER"'),
    "the Id is in a namespace": swap(' Id="SIGNED_BY_CONSUMER"', ' xmlns:w="urn:w" w:Id="SIGNED_BY_CONSUMER"'),
    "the Id is given twice in the message": swap('Id="PERSONAL_SIGNATURE"', 'Id="SIGNED_BY_CONSUMER"'),
    "the Id is given twice, signed anew": lambda good: good.build(
        business=good.business.replace("PERSONAL_SIGNATURE", "SIGNED_BY_CONSUMER"),
        personal=good.caller.sign(good.business.replace("PERSONAL_SIGNATURE", "SIGNED_BY_CONSUMER"), by="sp"),
    ),
}

SIGNATURES: dict[str, Mutation] = {
    "a bit of the digest is another": pattern(DIGEST, flip(0), own=True),
    "a bit of the signature value is another": pattern(VALUE, flip(5), own=True),
    "the last bit of the signature value is another": pattern(VALUE, flip(-1), own=True),
    "the halves of the signature value changed places": pattern(VALUE, halves, own=True),
    "the signature value is cut": pattern(VALUE, lambda m: m[1] + m[2][:40] + m[3], own=True),
    "the signature value is empty": pattern(VALUE, rb"\1\3", own=True),
    "the signature value is no base64": pattern(VALUE, rb"\1!!!!\3", own=True),
    "the certificate is another trusted one": certificate("giszhkh"),
    "the certificate is that of a longer key": certificate("ov512"),
    "the certificate is a stranger's": certificate("stranger"),
    "the certificate is no certificate": pattern(CERTIFICATE, rb"\1AAAA\3", own=True),
    "the certificate is gone": pattern(CERTIFICATE, b"", own=True),
    "the key information is gone": pattern(rb"<ds:KeyInfo>.*</ds:KeyInfo>", b"", own=True),
    "a stranger signed it": lambda good: good.build(by="stranger"),
    "an expired certificate signed it": lambda good: good.build(by="expired"),
    "an official signed for the system": lambda good: good.build(by="sp"),
    "the transforms changed places": pattern(
        rb"(<ds:Transform [^>]*?(?:/>|></ds:Transform>))(<ds:Transform [^>]*?(?:/>|></ds:Transform>))",
        rb"\2\1",
        own=True,
    ),
    "the service's transform is gone": pattern(
        rb"<ds:Transform [^>]*smev-gov-ru[^>]*?(?:/>|></ds:Transform>)", b"", own=True
    ),
    "the service's transform is left out, signed anew": without_smev_transform,
    "a transform is added": pattern(rb"</ds:Transforms>", C14N.encode() + b"</ds:Transforms>", own=True),
    "a transform that selects nothing is added": pattern(
        rb"</ds:Transforms>",
        b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>false()</ds:XPath></ds:Transform></ds:Transforms>',
        own=True,
    ),
    "the canonicalisation is another": swap(
        b'CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#',
        b'CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315',
        last=True,
    ),
    "the signature algorithm is another": swap(
        "gostr34102012-gostr34112012-256", "gostr34102012-gostr34112012-512", last=True
    ),
    "the digest algorithm is another": swap("algorithms:gostr34112012-256", "algorithms:gostr34112012-512", last=True),
    "the signature algorithm is unknown": swap("gostr34102012-gostr34112012-256", "rsa-sha256", last=True),
    "the reference names another element": swap("#SIGNED_BY_CONSUMER", "#PERSONAL_SIGNATURE", last=True),
    "the reference names nothing": swap("#SIGNED_BY_CONSUMER", "#NOBODY", last=True),
    "the reference means the document": swap("#SIGNED_BY_CONSUMER", "", last=True),
    "the reference leaves the document": swap("#SIGNED_BY_CONSUMER", "http://localhost/x", last=True),
    "the reference is given twice": pattern(rb"<ds:Reference.*</ds:Reference>", lambda match: match[0] * 2, own=True),
    "the reference is gone": pattern(rb"<ds:Reference.*</ds:Reference>", b"", own=True),
    "white space stands inside what the signature signs": pattern(
        rb"<ds:SignatureMethod", b"\n<ds:SignatureMethod", own=True
    ),
    "white space stands between the parts of the signature": pattern(
        rb"<ds:SignatureValue>", b"\n<ds:SignatureValue>", own=True
    ),
    "an attribute is added to what the signature signs": pattern(
        rb"<ds:Reference ", b'<ds:Reference Type="urn:x" ', own=True
    ),
    "the signature is that of another message": lambda good: good.message.replace(
        good.signature, found(SIGNATURE, good.build(identifier=good.stale_identifier))
    ),
    "the signature is gone": lambda good: good.message.replace(good.signature, b""),
    "the signature's place is gone": lambda good: HOLDER.sub(b"", good.message),
    "the signature is there twice": lambda good: good.message.replace(good.signature, good.signature * 2),
    "the signature's place is there twice": lambda good: HOLDER.sub(lambda match: match[0] * 2, good.message),
    "the signatures changed places": lambda good: good.message.replace(good.signature, b"@").replace(
        found(re.compile(rb"(?<=<t:PersonalSignature>).*(?=</t:PersonalSignature>)", re.DOTALL), good.message),
        good.signature,
    ),
    "the signature stands before what it signs": body(lambda good: found(HOLDER, good.message) + good.data),
    "the signature moved into the header": lambda good: HOLDER.sub(b"", good.message).replace(
        b"<s:Header/>", b"<s:Header>" + good.signature + b"</s:Header>"
    ),
    "a bit of the official's signature is another, signed anew": lambda good: good.build(
        personal=re.sub(VALUE, flip(3), good.caller.sign(good.business, by="sp").encode()).decode()
    ),
    "the official signed other content, signed anew": lambda good: good.build(
        personal=good.caller.sign(good.business.replace("Пётр", "Павел"), by="sp")
    ),
    "a stranger signed as the official, signed anew": lambda good: good.build(
        personal=good.caller.sign(good.business, by="stranger")
    ),
    "the official's signature is gone": pattern(rb"<t:PersonalSignature>.*</t:PersonalSignature>", b""),
}
