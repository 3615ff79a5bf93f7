"""Hostile forms of a signed message: a Body signed elsewhere, and every other way to have another one believed.

The corpus is written for a message of :meth:`tests.contract.shep_signing.Hand.signed`, whose Body says GOOD; wherever a
form has a Body of its own in the place that is read, that says EVIL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from adapter.xml.wssecurity import DS, SOAP, WSSE, WSU

if TYPE_CHECKING:
    from tests.contract.shep_signing import Hand

GOOD, EVIL = b"GOOD", b"EVIL"
_ID = b' wsu:Id="id-1"'


@dataclass(frozen=True)
class Victim:
    """A message that somebody really signed, ``payload`` saying GOOD, and the key of the one who forges."""

    hand: Hand
    forger: Hand
    payload: str

    @cached_property
    def message(self) -> bytes:
        return self.hand.signed(self.payload)

    @cached_property
    def body(self) -> bytes:
        return self._between(b"<S:Body", b"</S:Envelope>")

    @cached_property
    def signature(self) -> bytes:
        return self._between(b"<ds:Signature ", b"</wsse:Security>")

    @cached_property
    def forged(self) -> bytes:
        """The signature of the forger over the Body that says EVIL."""
        return self.forger.signature(self.evil())

    def evil(self, identifier: bytes = _ID) -> bytes:
        return self.body.replace(GOOD, EVIL).replace(_ID, identifier)

    def read(self, body: bytes, *, header: bytes = b"", security: bytes = b"", after: bytes = b"") -> bytes:
        """The message with another Body, and the given pieces behind Security, in it, and behind the Body."""
        message = self.message.replace(self.body, body + after)
        message = message.replace(b"</S:Header>", header + b"</S:Header>")
        return message.replace(b"</wsse:Security>", security + b"</wsse:Security>")

    def swap(self, old: bytes, new: bytes) -> bytes:
        assert old in self.message, old
        return self.message.replace(old, new)

    def _between(self, start: bytes, end: bytes) -> bytes:
        return self.message[self.message.index(start) : self.message.index(end)]


Form = Callable[[Victim], bytes]


def _security(victim: Victim, content: bytes, more: bytes = b"") -> bytes:
    return b'<wsse:Security xmlns:wsse="%b"%b>%b</wsse:Security>' % (WSSE.encode(), more, content)


def _enveloped(header: bytes, body: bytes) -> bytes:
    return b'<S:Envelope xmlns:S="%b"><S:Header>%b</S:Header>%b</S:Envelope>' % (SOAP.encode(), header, body)


def _reference(victim: Victim, change: Callable[[bytes], bytes]) -> bytes:
    """The message that says EVIL with its Reference written otherwise."""
    message = victim.read(victim.evil())
    (found,) = re.findall(rb"<ds:Reference.*</ds:Reference>", message)
    return message.replace(found, change(found))


def _transform(victim: Victim, inside: bytes) -> bytes:
    """The message that says EVIL with one more transform, which would leave what differs out."""
    return _reference(victim, lambda r: r.replace(b"<ds:Transforms>", b"<ds:Transforms>" + inside))


def _keys(victim: Victim, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """The message that says EVIL by the forger, with both certificates named."""
    (own,) = re.findall(rb"<ds:KeyInfo>(.*)</ds:KeyInfo>", victim.signature)
    (theirs,) = re.findall(rb"<ds:KeyInfo>(.*)</ds:KeyInfo>", victim.forged)
    signature = victim.forged.replace(theirs, change(own, theirs))
    return _enveloped(_security(victim, signature), victim.evil())


_PARKED: Mapping[str, Form] = {
    f"the signed Body is parked {where}, {what}": (
        lambda victim, place=place, identifier=identifier: place(victim, victim.evil(identifier))
    )
    for where, place in {
        "behind Security": lambda victim, evil: victim.read(evil, header=victim.body),
        "in Security": lambda victim, evil: victim.read(evil, security=victim.body),
        "in a header of its own": lambda victim, evil: victim.read(
            evil, header=b'<x:Old xmlns:x="urn:x" S:mustUnderstand="0">' + victim.body + b"</x:Old>"
        ),
        "behind the other": lambda victim, evil: victim.read(evil, after=victim.body),
        "before the other": lambda victim, evil: victim.read(victim.body, after=evil),
        "beside the other in a wrapper": lambda victim, evil: victim.read(
            evil, after=b'<x:w xmlns:x="urn:x">' + victim.body + b"</x:w>"
        ),
        "in the other's business data": lambda victim, evil: victim.read(
            evil.replace(b"</data>", victim.body + b"</data>")
        ),
        "in the other's end": lambda victim, evil: victim.read(evil.replace(b"</S:Body>", victim.body + b"</S:Body>")),
        "in an Object of the signature": lambda victim, evil: victim.read(evil).replace(
            b"</ds:Signature>", b"<ds:Object>" + victim.body + b"</ds:Object></ds:Signature>"
        ),
        "in KeyInfo": lambda victim, evil: victim.read(evil).replace(b"</ds:KeyInfo>", victim.body + b"</ds:KeyInfo>"),
        "in SignedInfo": lambda victim, evil: victim.read(evil).replace(
            b"</ds:SignedInfo>", victim.body + b"</ds:SignedInfo>"
        ),
    }.items()
    for what, identifier in {
        "the other without an Id": b"",
        "the other with the same Id": _ID,
        "the other with another Id": b' wsu:Id="id-2"',
        "the other with an Id of no namespace": b' Id="id-1"',
        "the other with ID in capitals": b' ID="id-1"',
        "the other with xml:id": b' xml:id="id-1"',
        "the other with two Ids": b' wsu:Id="id-2" Id="id-1"',
        "the other with an Id of WSSE": b' w:Id="id-1" xmlns:w="%b"' % WSSE.encode(),
    }.items()
}

_SIGNATURES: Mapping[str, Form] = {
    "the Body is changed": lambda v: v.read(v.evil()),
    "a second signature, by a forger": lambda v: v.read(v.evil(), security=v.forged),
    "the forger's signature comes first": lambda v: _enveloped(_security(v, v.forged + v.signature), v.evil()),
    "a second Security holds the forger's signature": lambda v: v.read(v.evil(), header=_security(v, v.forged)),
    "a Security for another actor comes first": lambda v: _enveloped(
        _security(v, v.signature, b' S:actor="urn:next"') + _security(v, v.forged), v.evil()
    ),
    "the forger alone signs": lambda v: _enveloped(_security(v, v.forged), v.evil()),
    "the forger names the victim's certificate": lambda v: _keys(v, lambda own, _: own),
    "the forger names both certificates, the victim's first": lambda v: _keys(v, lambda own, theirs: own + theirs),
    "the forger names both certificates, his own first": lambda v: _keys(v, lambda own, theirs: theirs + own),
    "the forger adds the victim's certificate as X509Data": lambda v: _keys(
        v,
        lambda own, theirs: (
            theirs + b"<ds:X509Data><ds:X509Certificate>%b</ds:X509Certificate></ds:X509Data>" % _certificate(own)
        ),
    ),
    "the key is given as a value": lambda v: _keys(
        v, lambda own, _: b"<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>" + own
    ),
    "the signature stands in the Body": lambda v: _enveloped(
        _security(v, b""), v.evil().replace(b"</S:Body>", v.signature + b"</S:Body>")
    ),
    "the signature stands outside Security": lambda v: _enveloped(v.signature, v.evil()),
    "the signature stands in a Security of no namespace": lambda v: _enveloped(
        b"<Security>" + v.signature + b"</Security>", v.evil()
    ),
    "there is no signature": lambda v: _enveloped(b"", v.evil()),
    "Security is empty": lambda v: _enveloped(_security(v, b""), v.evil()),
    "there is no header": lambda v: re.sub(rb"<S:Header>.*</S:Header>", b"", v.read(v.evil())),
    "the header comes behind the Body": lambda v: re.sub(
        rb"(<S:Header>.*</S:Header>)(<S:Body.*</S:Body>)", rb"\2\1", v.message
    ),
    "SignedInfo stands twice": lambda v: re.sub(
        rb"<ds:SignedInfo>.*</ds:SignedInfo>", lambda m: m[0] * 2, v.read(v.evil())
    ),
    "the signature of the victim is in an Object of the forger's": lambda v: _enveloped(
        _security(
            v, v.forged.replace(b"</ds:Signature>", b"<ds:Object>" + v.signature + b"</ds:Object></ds:Signature>")
        ),
        v.evil(),
    ),
    "the value is empty": lambda v: re.sub(
        rb"(<ds:SignatureValue>).*(</ds:SignatureValue>)", rb"\1\2", v.read(v.evil())
    ),
    "the algorithm is none": lambda v: v.read(v.evil()).replace(v.hand.names.signature_method.encode(), b"none"),
    "the algorithm is an HMAC": lambda v: v.read(v.evil()).replace(
        v.hand.names.signature_method.encode(), DS.encode() + b"hmac-sha1"
    ),
    "the algorithm is of the other kind of key": lambda v: v.swap(
        v.hand.names.signature_method.encode(), v.forger.names.signature_method.encode()
    ),
    "the digest is truncated": lambda v: re.sub(rb"(<ds:DigestValue>)[^<]*", rb"\1AAAA", v.read(v.evil())),
}
_REFERENCES: Mapping[str, Form] = {
    "the reference is to the whole document": lambda v: _reference(v, lambda r: r.replace(b"#id-1", b"")),
    "the reference names nothing": lambda v: _reference(v, lambda r: r.replace(b' URI="#id-1"', b"")),
    "the reference is an XPointer": lambda v: _reference(v, lambda r: r.replace(b"#id-1", b"#xpointer(id('id-1'))")),
    "the reference is to the root by XPointer": lambda v: _reference(v, lambda r: r.replace(b"#id-1", b"#xpointer(/)")),
    "the reference is percent-encoded": lambda v: _reference(v, lambda r: r.replace(b"#id-1", b"#id%2D1")),
    "the reference leads to another place": lambda v: _reference(
        v, lambda r: r.replace(b"#id-1", b"http://127.0.0.1/body.xml")
    ),
    "the reference leads to a file": lambda v: _reference(v, lambda r: r.replace(b"#id-1", b"file:///etc/hostname")),
    "a second reference is to the Body": lambda v: _reference(v, lambda r: r + r.replace(b"#id-1", b"#id-2")),
    "there is no reference": lambda v: _reference(v, lambda _: b""),
    "references are in a Manifest": lambda v: _reference(v, lambda r: b"<ds:Manifest>" + r + b"</ds:Manifest>"),
    "the header is signed instead": lambda v: v.read(
        v.evil(b' wsu:Id="id-2"'), header=b'<x:x xmlns:x="urn:x" Id="id-1"/>'
    ),
    "an XPath leaves the difference out": lambda v: _transform(
        v,
        b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>false()</ds:XPath>'
        b"</ds:Transform>",
    ),
    "an XPath filter leaves the difference out": lambda v: _transform(
        v, b'<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>'
    ),
    "an XSLT writes what was signed": lambda v: _transform(
        v, b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'
    ),
    "the signature is taken for an enveloped one": lambda v: _transform(
        v, b'<ds:Transform Algorithm="%benveloped-signature"/>' % DS.encode()
    ),
    "the token is signed instead": lambda v: _transform(
        v,
        b'<ds:Transform Algorithm="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0'
        b'#STR-Transform"/>',
    ),
    "base64 is decoded": lambda v: _transform(v, b'<ds:Transform Algorithm="%bbase64"/>' % DS.encode()),
    "there are no transforms": lambda v: _reference(v, lambda r: re.sub(rb"<ds:Transforms>.*</ds:Transforms>", b"", r)),
}
_DOCUMENTS: Mapping[str, Form] = {
    "the message stands in the Body of another": lambda v: _enveloped(
        b"", b"<S:Body>" + v.evil() + v.message + b"</S:Body>"
    ),
    "the message stands in the header of another": lambda v: _enveloped(v.message, v.evil(b"")),
    "the signed header serves another envelope": lambda v: _enveloped(_security(v, v.signature), v.evil()),
    "the envelope is of SOAP 1.2": lambda v: v.read(v.evil()).replace(
        SOAP.encode(), b"http://www.w3.org/2003/05/soap-envelope"
    ),
    "a Body of SOAP 1.2 stands beside": lambda v: v.read(
        v.body, after=b'<s:Body xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>'
    ),
    "a Body of no namespace is read": lambda v: v.read(v.evil().replace(b"S:Body", b"Body"), header=v.body),
    "something stands between header and Body": lambda v: v.message.replace(b"<S:Body", b"<x/><S:Body"),
    "an entity says EVIL": lambda v: b'<!DOCTYPE S [<!ENTITY e "EVIL">]>' + v.message.replace(GOOD, b"&e;"),
    "a DTD names the Id": lambda v: (
        b"<!DOCTYPE S [<!ATTLIST S:Body xid ID #IMPLIED>]>" + v.read(v.evil(b' xid="id-1"'), header=v.body)
    ),
    "a DTD gives the Id by default": lambda v: (
        b'<!DOCTYPE S [<!ATTLIST S:Body Id CDATA "id-1">]>' + v.read(v.evil(b""))
    ),
    "an external entity is asked for": lambda v: (
        b'<!DOCTYPE S [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + v.message.replace(GOOD, b"&e;")
    ),
    "entities grow": lambda v: (
        b'<!DOCTYPE S [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>' + v.message.replace(GOOD, b"&b;")
    ),
    "the business data are included from elsewhere": lambda v: v.read(
        v.body.replace(
            GOOD, b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname" parse="text"/>'
        )
    ),
    "a comment cuts a value": lambda v: v.message.replace(GOOD, b"GOOD<!-- x -->EVIL"),
    "it is written in UTF-7": lambda v: b'<?xml version="1.0" encoding="UTF-7"?>' + v.read(v.evil()),
    "the Ids are of a namespace of its own": lambda v: v.read(v.evil(), header=v.body).replace(
        WSU.encode(), b"urn:not-wsu", 1
    ),
    "a namespace changes what the Body is": lambda v: v.message.replace(b"<n:", b'<n:x xmlns:n="urn:x"/><n:', 1),
}
CORPUS: Mapping[str, Form] = {**_PARKED, **_SIGNATURES, **_REFERENCES, **_DOCUMENTS}


def _certificate(key_info: bytes) -> bytes:
    (found,) = re.findall(rb"<wsse:KeyIdentifier[^>]*>([^<]*)<", key_info)
    return found
