from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import signature_facts, verify_message
from adapter.xml.transform import TransformError, smev_transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.xml.signature import SignatureVerdict
    from tests.unit.xml.conftest import Signer

SIGNED = sorted((Path(__file__).parents[3].parent / "shared" / "reference" / "smev3" / "signed").glob("*.xml"))
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
TYPES = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2"
BASIC = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2"
DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
NEW = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
OLD = "http://www.w3.org/2001/04/xmldsig-more#"


@pytest.mark.skipif(not SIGNED, reason="the real signed messages are not here: ../shared is absent")
@pytest.mark.parametrize("path", SIGNED, ids=lambda path: path.name)
def test_every_signature_of_the_real_messages_is_right(path: Path, signer: Signer) -> None:
    verdicts = verify_message(path.read_bytes(), signer.gost)
    assert verdicts
    assert [verdict.reason for verdict in verdicts if not verdict.math] == []


@pytest.mark.skipif(not SIGNED, reason="the real signed messages are not here: ../shared is absent")
@pytest.mark.parametrize("path", SIGNED, ids=lambda path: path.name)
def test_no_signature_of_a_real_message_survives_a_changed_letter_of_what_it_signs(path: Path, signer: Signer) -> None:
    data = path.read_bytes()
    changed = re.sub(rb"(?<=>)([0-9a-f]{8})(?=-[0-9a-f]{4}-11ea-)", b"00000000", data)
    assert changed != data
    assert not any(verdict.math for verdict in verify_message(changed, signer.gost))


def business(identifier: str | None = "PERSONAL") -> str:
    known = f' Id="{identifier}"' if identifier else ""
    return f'<v:Query xmlns:v="urn:vs"{known}>\n  <v:name>Пётр &gt; Павел</v:name></v:Query>'


def data(content: str = "", personal: str = "", identifier: str = "SIGNED_BY_CONSUMER") -> str:
    holder = f"<t:PersonalSignature>{personal}</t:PersonalSignature>" if personal else ""
    return (
        f'<t:SenderProvidedRequestData xmlns:t="{TYPES}" xmlns:b="{BASIC}" Id="{identifier}">'
        f"<t:MessageID>1</t:MessageID><b:MessagePrimaryContent>{content or business()}</b:MessagePrimaryContent>"
        f"{holder}</t:SenderProvidedRequestData>"
    )


def envelope(element: str, signature: str, *, header: str = "", after: str = "", body: str = "") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header>{header}</s:Header><s:Body><t:SendRequestRequest xmlns:t="{TYPES}">'
        f"{element}<t:CallerInformationSystemSignature>{signature}</t:CallerInformationSystemSignature>{after}"
        f"</t:SendRequestRequest>{body}</s:Body></s:Envelope>"
    ).encode()


def only(message: bytes | str, signer: Signer) -> SignatureVerdict:
    (verdict,) = verify_message(message if isinstance(message, bytes) else message.encode(), signer.gost)
    return verdict


@pytest.mark.parametrize("name", ["ov", "ov512"])
def test_what_was_signed_is_right_and_the_verdict_names_it(signer: Signer, name: str) -> None:
    verdict = only(envelope(data(), signer.sign(data(), name)), signer)
    assert (verdict.math, verdict.reason) == (True, "")
    assert verdict.reference == "#SIGNED_BY_CONSUMER"
    assert verdict.element == f"{{{TYPES}}}SenderProvidedRequestData"
    assert verdict.parent == f"{{{TYPES}}}CallerInformationSystemSignature"
    assert verdict.certificate == signer.certificate(name)
    assert verdict.trust == verdict.period == verdict.revocation == "unchecked"


@pytest.mark.parametrize("identifier", ["PERSONAL", None])
def test_both_signatures_of_a_message_are_judged_each_over_its_own_element(
    signer: Signer, identifier: str | None
) -> None:
    root = business(identifier)
    element = data(root, signer.sign(root, "sp", prefix="sig"))
    official, system = verify_message(envelope(element, signer.sign(element)), signer.gost)
    assert (official.math, official.reason, official.element) == (True, "", "{urn:vs}Query")
    assert (official.reference, official.parent) == (
        f"#{identifier}" if identifier else "",
        f"{{{TYPES}}}PersonalSignature",
    )
    assert (system.math, system.reason) == (True, "")


def test_a_signature_has_no_whitespace_inside_and_reads_back(signer: Signer) -> None:
    signature = signer.sign(data('<v:a xmlns:v="urn:v"/>', identifier="a&amp;b&quot;&lt;"))
    assert not re.search(r">\s+<|\n", signature)
    facts = signature_facts(signature.encode())
    assert facts.reference == '#a&b"<'
    assert facts.certificate == signer.certificate("ov")
    assert facts.algorithm == f"{NEW}gostr34102012-gostr34112012-256"
    signed = smev_transform(data('<v:a xmlns:v="urn:v"/>', identifier="a&amp;b&quot;&lt;").encode())
    assert facts.digest == signer.gost.digest(256, signed)


@pytest.mark.parametrize("attribute", ["Id", "ID", "id"])
def test_the_id_may_be_written_in_three_ways(signer: Signer, attribute: str) -> None:
    element = f'<v:a xmlns:v="urn:v" {attribute}="X"/>'
    assert only(f"<m>{element}{signer.sign(element)}</m>", signer).math


def test_base64_in_lines_and_a_chain_of_certificates_are_read(signer: Signer) -> None:
    signature = signer.sign(data())
    lines = re.sub(r"(?<=>)([A-Za-z0-9+/=]{60,})(?=<)", lambda found: re.sub("(.{64})", "\\1\r\n", found[1]), signature)
    chain = (
        f"<ds:X509Certificate>{base64.b64encode(signer.certificate('ca')).decode()}</ds:X509Certificate></ds:X509Data>"
    )
    assert lines != signature
    verdict = only(envelope(data(), lines.replace("</ds:X509Data>", chain)), signer)
    assert (verdict.math, verdict.certificate) == (True, signer.certificate("ov"))


@pytest.mark.parametrize("bad", [b"<a/>", b"<a", f'<ds:Signature xmlns:ds="{DS}"/>'.encode()])
def test_facts_are_read_of_signatures_only(bad: bytes) -> None:
    with pytest.raises(XmlError):
        signature_facts(bad)


def test_what_the_transform_refuses_is_not_signed(signer: Signer) -> None:
    with pytest.raises(TransformError):
        signer.sign("<a/>")
    with pytest.raises(ValueError, match="prefix"):
        signer.sign(data(), prefix='x" y="')


# ---- placement ----

OTHER = data('<v:Query xmlns:v="urn:vs">evil</v:Query>')
CALLER = "t:CallerInformationSystemSignature"


def operation(content: str) -> str:
    return f'<t:SendRequestRequest xmlns:t="{TYPES}">{content}</t:SendRequestRequest>'


MOVED: dict[str, Callable[[str], bytes]] = {
    "the signed element moved to the header, another in its place": lambda sig: envelope(
        OTHER.replace("SIGNED_BY_CONSUMER", "OTHER"), sig, header=data()
    ),
    "the same without an Id": lambda sig: envelope(OTHER.replace(' Id="SIGNED_BY_CONSUMER"', ""), sig, header=data()),
    "a copy with the same Id in the header": lambda sig: envelope(data(), sig, header=data()),
    "a copy with the same Id beside it": lambda sig: envelope(data() + OTHER, sig),
    "another element of the same kind beside it": lambda sig: envelope(
        data() + OTHER.replace("SIGNED_BY_CONSUMER", "OTHER"), sig
    ),
    "the element wrapped": lambda sig: envelope(f"<t:Wrapper>{data()}</t:Wrapper>", sig),
    "the signed element inside ds:Object, another in its place": lambda sig: envelope(
        OTHER, sig.replace("</ds:Signature>", f"<ds:Object>{data()}</ds:Object></ds:Signature>")
    ),
    "the operation moved to the header": lambda sig: envelope(
        OTHER, "", header=operation(f"{data()}<{CALLER}>{sig}</{CALLER}>")
    ),
    "a second operation in the body": lambda sig: envelope(data(), sig, body=operation("")),
    "a second body": lambda sig: envelope(data(), sig).replace(b"</s:Envelope>", b"<s:Body/></s:Envelope>"),
    "the operation inside business data": lambda sig: envelope(data(), sig)
    .replace(b"<s:Body>", b"<s:Body><v:x xmlns:v='urn:v'>")
    .replace(b"</s:Body>", b"</v:x></s:Body>"),
    "the envelope inside another document": lambda sig: b"<x>" + envelope(data(), sig) + b"</x>",
    "two signatures in one place": lambda sig: envelope(data(), sig + sig),
    "two places of the same kind": lambda sig: envelope(data(), sig, after=f"<{CALLER}>{sig}</{CALLER}>"),
    "the signature in another kind of place": lambda sig: envelope(data(), sig).replace(
        CALLER.encode(), b"t:SMEVSignature"
    ),
    "a reference to the whole document": lambda sig: envelope(data(), sig.replace("#SIGNED_BY_CONSUMER", "")),
    "a reference out of the document": lambda sig: envelope(data(), sig.replace("#SIGNED_BY_CONSUMER", "http://x/#a")),
    "a reference to nothing": lambda sig: envelope(data(), sig.replace("#SIGNED_BY_CONSUMER", "#OTHER")),
    "a reference without URI": lambda sig: envelope(data(), sig.replace(' URI="#SIGNED_BY_CONSUMER"', "")),
    "two references": lambda sig: envelope(
        data(), re.sub("(<ds:Reference.*</ds:Reference>)", r"\1\1", sig)
    ),
}  # fmt: skip


@pytest.mark.parametrize("move", MOVED.values(), ids=MOVED.keys())
def test_moved_wrapped_and_doubled_elements_are_refused_with_a_reason(
    signer: Signer, move: Callable[[str], bytes]
) -> None:
    message = move(signer.sign(data()))
    verdicts = verify_message(message, signer.gost)
    assert verdicts
    assert not any(verdict.math for verdict in verdicts)
    assert all(verdict.reason for verdict in verdicts)


def test_a_copy_of_the_signed_element_inside_a_signature_does_not_count(signer: Signer) -> None:
    root = business()
    signature = signer.sign(root, "sp").replace("</ds:Signature>", f"<ds:Object>{root}</ds:Object></ds:Signature>")
    element = data(root, signature)
    assert [verdict.math for verdict in verify_message(envelope(element, signer.sign(element)), signer.gost)] == [
        True
    ] * 2


def test_a_signature_over_a_namespace_named_by_an_iri_is_judged_like_any_other(signer: Signer) -> None:
    root = '<v:Query xmlns:v="http://пф.рф/ВВ/ЗДП/2016-04-15" Id="PERSONAL"><v:name>Пётр</v:name></v:Query>'
    element = data(root, signer.sign(root, "sp"))
    message = envelope(element, signer.sign(element))
    assert [verdict.math for verdict in verify_message(message, signer.gost)] == [True, True]
    changed = message.replace("Пётр".encode(), "Павел".encode(), 1)
    assert [verdict.math for verdict in verify_message(changed, signer.gost)] == [False, False]


def test_a_registry_record_of_1_3_may_hold_several_signatures_over_its_content(signer: Signer) -> None:
    directive = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/directive/1.3"
    content = f'<d:RecordContent xmlns:d="{directive}" Id="R1"><v:Query xmlns:v="urn:vs"/></d:RecordContent>'
    officials = "".join(
        f"<d:PersonalSignature>{signer.sign(content, name)}</d:PersonalSignature>" for name in ("sp", "ov512")
    )
    record = f'<d:Record xmlns:d="{directive}">{content}{officials}</d:Record>'
    assert [verdict.reason for verdict in verify_message(record.encode(), signer.gost)] == ["", ""]


def test_every_signing_place_of_the_service_is_known(signer: Signer) -> None:
    def response(name: str, child: str) -> str:
        return f'<t:{name} xmlns:t="{TYPES}" Id="{name}">{child}</t:{name}>'

    provided = response("SenderProvidedResponseData", "<t:MessageID>1</t:MessageID>")
    inner = f"<t:SenderInformationSystemSignature>{signer.sign(provided)}</t:SenderInformationSystemSignature>"
    whole = response("Response", provided + inner)
    smev = "<t:SMEVSignature>{}</t:SMEVSignature>"
    places = {
        "GetResponseResponse": f"<t:ResponseMessage>{whole}{smev}</t:ResponseMessage>",
        "GetRequestResponse": f"<t:RequestMessage>{response('Request', '')}{smev}</t:RequestMessage>",
        "SendRequestResponse": f"{response('MessageMetadata', '')}{smev}",
        "GetStatusResponse": "<t:SmevAsyncProcessingMessage>"
        f"{response('AsyncProcessingStatusData', '')}{smev}</t:SmevAsyncProcessingMessage>",
        "GetResponseRequest": f"{response('MessageTypeSelector', '')}<{CALLER}>{{}}</{CALLER}>",
        "GetStatusRequest": f"{response('Timestamp', '')}<{CALLER}>{{}}</{CALLER}>",
        "AckRequest": f"{response('AckTargetMessage', '1')}<{CALLER}>{{}}</{CALLER}>",
    }  # fmt: skip
    for operation, content in places.items():
        operation_element = parse(f'<t:{operation} xmlns:t="{TYPES}">{content.format("")}</t:{operation}>'.encode())
        holder = next(
            node for node in operation_element.iter() if len(node) == 0 and str(node.tag).endswith("Signature")
        )
        signed = next(node for node in holder.itersiblings(preceding=True))
        signature = signer.sign(etree.tostring(signed, encoding="unicode", with_tail=False))
        message = f'<t:{operation} xmlns:t="{TYPES}">{content.format(signature)}</t:{operation}>'.encode()
        verdicts = verify_message(message, signer.gost)
        assert [verdict.reason for verdict in verdicts] == [""] * len(verdicts), operation


BROKEN = {
    "no SignedInfo": ("<ds:SignedInfo>.*</ds:SignedInfo>", ""),
    "no value": ("<ds:SignatureValue>.*</ds:SignatureValue>", ""),
    "a value that is no base64": ("(<ds:SignatureValue>)[^<]*", r"\1*"),
    "an empty value": ("(<ds:SignatureValue>)[^<]*", r"\1"),
    "no certificate": ("<ds:KeyInfo>.*</ds:KeyInfo>", ""),
    "a certificate that is none": ("(<ds:X509Certificate>)[^<]*", r"\1AAAA"),
    "a digest of another length": ("(<ds:DigestValue>)[^<]*", r"\1AAAA"),
    "no digest method": ("<ds:DigestMethod[^>]*>(</ds:DigestMethod>)?", ""),
    "no canonicalisation": ("<ds:CanonicalizationMethod[^>]*>(</ds:CanonicalizationMethod>)?", ""),
}


@pytest.mark.parametrize(("pattern", "replacement"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_signature_is_refused_with_a_reason(signer: Signer, pattern: str, replacement: str) -> None:
    broken, count = re.subn(pattern, replacement, signer.sign(data()))
    assert count
    verdict = only(envelope(data(), broken), signer)
    assert not verdict.math
    assert verdict.reason


def test_a_certificate_of_somebody_else_and_keys_that_are_not_gost_are_refused(signer: Signer) -> None:
    signature = signer.sign(data())
    own = base64.b64encode(signer.certificate("ov")).decode()
    for name in ("sp", "ov512"):
        other = base64.b64encode(signer.certificate(name)).decode()
        verdict = only(envelope(data(), signature.replace(own, other)), signer)
        assert not verdict.math
        assert hashlib.sha256(verdict.certificate).digest() == hashlib.sha256(signer.certificate(name)).digest()


def test_a_document_that_is_no_xml_is_refused_as_a_whole(signer: Signer) -> None:
    with pytest.raises(XmlError):
        verify_message(b"<a>", signer.gost)
    assert verify_message(b"<a/>", signer.gost) == []
