"""WS-Security of the ШЭП: right signatures verify, and only over the Body that is read."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.signing.certificates import read_certificate
from adapter.xml.parser import XmlError
from adapter.xml.signature import DIGEST_WRONG
from adapter.xml.wssecurity import (
    DS,
    SOAP,
    UNSIGNED,
    WSSE,
    WSU,
    X509V3,
    is_unsupported,
    verify_document,
    verify_envelope,
)
from deploy.local.console import StepError
from deploy.local.debian import provide
from tests.contract.shep_reference import SAMPLES
from tests.contract.shep_signing import Hand, enveloped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)

PAYLOAD = '<x:a xmlns:x="urn:x"><b>текст &lt;1&gt; &amp;</b><!-- --><c z="1" a="2"/></x:a>'


@pytest.fixture(params=["shep", "shep-gost"])
def hand(kz: KzEngine, shep_keys: Path, request: pytest.FixtureRequest) -> Hand:
    return Hand(kz, shep_keys, request.param)


@pytest.fixture
def rsa(kz: KzEngine, shep_keys: Path) -> Hand:
    return Hand(kz, shep_keys, "shep")


def test_a_signed_body_verifies(hand: Hand) -> None:
    verdict = verify_envelope(hand.signed(PAYLOAD), hand.engine)
    assert verdict.math, verdict.reason
    assert verdict.certificate == hand.certificate
    assert verdict.reference == "#id-1"
    assert verdict.element == f"{{{SOAP}}}Body"


def test_the_signature_has_the_form_of_the_gateway(rsa: Hand) -> None:
    signature = etree.fromstring(rsa.signature(f'<S:Body xmlns:S="{SOAP}" xmlns:w="{WSU}" w:Id="id-1"/>'.encode()))
    assert [etree.QName(child).localname for child in signature] == ["SignedInfo", "SignatureValue", "KeyInfo"]
    (identifier,) = signature.iter(f"{{{WSSE}}}KeyIdentifier")
    assert identifier.get("ValueType") == X509V3
    assert base64.b64decode(identifier.text or "") == rsa.certificate
    assert b"Timestamp" not in etree.tostring(signature)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda m: m.replace("текст".encode(), "тексты".encode()), DIGEST_WRONG),
        (lambda m: m.replace(b'z="1"', b'z="2"'), DIGEST_WRONG),
        (lambda m: re.sub(rb"(<ds:SignatureValue>)(.{8})", rb"\1AAAAAAAA", m), "the signature value is wrong"),
        (lambda m: m.replace(b"#id-1", b"#id-2"), "not over the Body"),
        (lambda m: m.replace(b'URI="#id-1"', b'URI=""'), "not over the Body"),
        (lambda m: m.replace(b"<c ", b'<c ID="id-1" '), "not unique"),
        (lambda m: m.replace(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-md5"), "unsupported"),
        (lambda m: m.replace(b"xmlenc#sha256", b"xmldsig#sha1"), "unsupported"),
        (lambda m: m.replace(b"#X509v3", b"#X509SubjectKeyIdentifier"), "something else"),
        (lambda m: m.replace(b"<ds:KeyInfo>", b"<ds:KeyInf>").replace(b"</ds:KeyInfo>", b"</ds:KeyInf>"), "KeyInfo"),
        (lambda m: re.sub(rb"(X509v3\">).{20}", rb"\1", m), "certificate cannot be read"),
        (lambda m: re.sub(rb"<ds:Reference.*</ds:Reference>", lambda r: r[0] * 2, m), "exactly one reference"),
        (lambda m: re.sub(rb"<ds:Signature .*</ds:Signature>", lambda r: r[0] * 2, m), "one Security with one"),
    ],
)
def test_a_spoilt_message_is_refused(rsa: Hand, spoil: Callable[[bytes], bytes], rule: str) -> None:
    verdict = verify_envelope(spoil(rsa.signed(PAYLOAD)), rsa.engine)
    assert not verdict.math
    assert rule in verdict.reason
    assert is_unsupported(verdict.reason) == ("unsupported" in rule)


def test_a_body_signed_elsewhere_is_not_the_one_that_is_read(hand: Hand) -> None:
    honest = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-1">{PAYLOAD}</S:Body>'
    signature = hand.signature(honest.encode()).decode()
    evil = honest.replace("текст", "ложь")
    places = {
        "in the header, the other without an Id": enveloped(evil.replace(' wsu:Id="id-1"', ""), signature + honest),
        "in the header, both with the Id": enveloped(evil, signature + honest),
        "in the header, the other with another Id": enveloped(evil.replace("id-1", "id-2"), signature + honest),
        "inside the payload": enveloped(
            f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-2"><w>{honest}</w></S:Body>', signature
        ),
        "a second Id by another name": enveloped(evil.replace("wsu:Id", 'Id="id-1" wsu:Id'), signature + honest),
    }
    for place, message in places.items():
        verdict = verify_envelope(message, hand.engine)
        assert not verdict.math, place
    two = enveloped(evil + honest, signature)
    with pytest.raises(XmlError, match="one Body"):
        verify_envelope(two, hand.engine)


def test_a_signature_beside_the_header_signs_nothing(rsa: Hand) -> None:
    body = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-1">{PAYLOAD}</S:Body>'
    signature = rsa.signature(body.encode()).decode()
    inside = enveloped(body.replace("<c ", f"{signature}<c "), "")
    assert verify_envelope(inside, rsa.engine).reason == UNSIGNED
    elsewhere = enveloped(body, f"<wsse:Other>{signature}</wsse:Other>")
    assert "one Security with one" in verify_envelope(elsewhere, rsa.engine).reason


def test_a_token_beside_the_signature_carries_the_certificate(rsa: Hand) -> None:
    token = (
        f'<wsse:BinarySecurityToken xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" wsu:Id="X509-1" ValueType="{X509V3}">'
        f"{base64.b64encode(rsa.certificate).decode()}</wsse:BinarySecurityToken>"
    )

    def referred(signature: str) -> str:
        reference = '<wsse:Reference URI="#X509-1"/>'
        return token + re.sub(r"<wsse:KeyIdentifier.*</wsse:KeyIdentifier>", reference, signature)

    assert verify_envelope(rsa.signed(PAYLOAD, referred), rsa.engine).math
    astray = verify_envelope(rsa.signed(PAYLOAD, lambda s: referred(s).replace("#X509-1", "#X509-2")), rsa.engine)
    assert "token" in astray.reason


def test_a_certificate_that_is_only_named_has_to_be_known(rsa: Hand) -> None:
    facts = read_certificate(rsa.certificate)

    def named(signature: str, number: int = facts.serial) -> str:
        return re.sub(
            r"<wsse:KeyIdentifier.*</wsse:KeyIdentifier>",
            "<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN=ТЕСТ УДОСТОВЕРЯЮЩИЙ ЦЕНТР (RSA),C=KZ"
            f"</ds:X509IssuerName><ds:X509SerialNumber>{number}</ds:X509SerialNumber></ds:X509IssuerSerial>"
            "</ds:X509Data>",
            signature,
        )

    message = rsa.signed(PAYLOAD, named)
    assert verify_envelope(message, rsa.engine, [rsa.certificate]).math
    assert "none of those" in verify_envelope(message, rsa.engine).reason
    other = rsa.signed(PAYLOAD, lambda signature: named(signature, facts.serial + 1))
    assert "none of those" in verify_envelope(other, rsa.engine, [rsa.certificate]).reason


def test_a_document_with_an_enveloped_signature_verifies(hand: Hand) -> None:
    document = hand.document('<r xmlns="urn:r" xmlns:q="urn:q" a="q:b"><b>текст</b> конец</r>'.encode())
    (verdict,) = verify_document(document, hand.engine)
    assert verdict.math, verdict.reason
    for changed in (document.replace(b"</b>", b"!</b>"), document.replace(b' xmlns:q="urn:q"', b"")):
        (verdict,) = verify_document(changed, hand.engine)
        assert verdict.reason == DIGEST_WRONG


def test_a_signature_over_a_part_does_not_sign_the_document(rsa: Hand) -> None:
    document = rsa.document(b'<r><b Id="part">1</b></r>').replace(b'URI=""', b'URI="#part"')
    (verdict,) = verify_document(document, rsa.engine)
    assert "whole document" in verdict.reason
    assert verify_document(b"<r/>", rsa.engine) == []


def test_a_document_of_countless_signatures_is_not_judged(rsa: Hand) -> None:
    document = b"<r>%b</r>" % (b'<ds:Signature xmlns:ds="%b"/>' % DS.encode() * 33)
    with pytest.raises(XmlError, match="more than 32"):
        verify_document(document, rsa.engine)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_no_changed_byte_goes_unseen_or_breaks_the_judge(kz: KzEngine, shep_keys: Path, place: int, value: int) -> None:
    hand = Hand(kz, shep_keys, "shep-gost")
    message = hand.document(b"<r><b>text</b></r>")
    at = place % len(message)
    changed = message[:at] + bytes([value]) + message[at + 1 :]
    try:
        verdicts = verify_document(changed, kz)
    except XmlError:
        return
    if any(verdict.math for verdict in verdicts):
        assert etree.fromstring(changed).findtext("b") == "text"


@pytest.mark.parametrize(
    ("name", "documents"),
    [
        ("ncanode_wsse_rsa_sha256_verified.xml", False),
        ("nitec_sync_request_gost2004.xml", False),
        ("nitec_sync_response_gost2004.xml", False),
        ("mitwork_xmldsig_gost2015.xml", True),
    ],
)
def test_real_signatures_verify_and_tampered_copies_do_not(kz: KzEngine, name: str, documents: bool) -> None:  # noqa: FBT001  — a case
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip("the reference samples (../shared) are not on this machine")

    def judged(data: bytes) -> Any:
        return verify_document(data, kz)[0] if documents else verify_envelope(data, kz)

    message = path.read_bytes()
    assert judged(message).math, judged(message).reason
    old, new = (b">test<", b">tast<") if documents else (b"<messageId>", b"<messageId>0")
    assert old in message
    assert judged(message.replace(old, new, 1)).reason == DIGEST_WRONG


@pytest.fixture(scope="session")
def xmlsec1() -> tuple[Path, dict[str, str]]:
    """The program and where its libraries are, from Debian when the machine has none."""
    try:
        program = provide("xmlsec1", "usr/bin/xmlsec1", quiet=True)
    except StepError as error:
        pytest.skip(f"Debian's xmlsec1 cannot be had here: {error}")
    libraries = [str(path) for path in program.parents[1].glob("lib/*-linux-gnu*")]
    return program, os.environ | ({} if program.parts[1] == "usr" else {"LD_LIBRARY_PATH": ":".join(libraries)})


def test_xmlsec1_verifies_our_rsa_signature(
    rsa: Hand, shep_keys: Path, tmp_path: Path, xmlsec1: tuple[Path, dict[str, str]]
) -> None:
    body = f'<S:Body xmlns:S="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="id-1">{PAYLOAD}</S:Body>'
    message, (program, environment) = tmp_path / "message.xml", xmlsec1

    def verified(data: bytes, *more: str) -> bool:
        message.write_bytes(data)
        # It looks for certificates in X509Data alone: of the others it is told the key.
        arguments = [program, "--verify", *more, "--pubkey-cert-pem", shep_keys / "shep.crt.pem", message]
        return subprocess.run(arguments, check=False, capture_output=True, env=environment).returncode == 0

    def transport(data: bytes) -> bool:
        return verified(data, "--id-attr:Id", f"{SOAP}:Body")

    signed = enveloped(body, rsa.signature(body.encode()).decode())
    assert transport(signed)
    assert not transport(signed.replace("текст".encode(), "ложь".encode()))
    document = rsa.document(PAYLOAD.encode())
    assert verified(document)
    assert not verified(document.replace("текст".encode(), "ложь".encode()))
