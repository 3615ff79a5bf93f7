"""Forms that signatures of СМЭВ3 take in the wild, beside the one that the adapter writes itself."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from asn1crypto import pem

from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import SMEV_TRANSFORM, VALUE_WRONG, verify_message
from adapter.xml.transform import exc_c14n, smev_transform
from tests.unit.xml.made import DS, NEW, Made
from tests.unit.xml.test_referenced import ENVELOPED
from tests.unit.xml.test_signature import business, data, envelope

if TYPE_CHECKING:
    from tests.unit.xml.conftest import Signer

SIGNED = Path(__file__).with_name("signed")
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


def math(message: bytes | str, signer: Signer) -> list[bool]:
    encoded = message if isinstance(message, bytes) else message.encode()
    return [verdict.math for verdict in verify_message(encoded, signer.gost)]


def test_a_signature_of_2001_is_judged_as_ever(signer: Signer) -> None:
    """By a key of GOST R 34.10-2001 that was thrown away, with GOST R 34.11-94, under the old names."""
    message = (SIGNED / "gost-2001.xml").read_text("utf-8")
    assert math(message, signer) == [True]
    assert math(message.replace("Пётр", "Павел"), signer) == [False]
    assert math(message.replace('exc-c14n#"/><ds:SignatureMethod', 'exc-c14n#" /><ds:SignatureMethod'), signer) == [
        True
    ]
    value = re.sub("(<ds:SignatureValue>)(.)", lambda found: found[1] + ("A" if found[2] != "A" else "B"), message)
    (verdict,) = verify_message(value.encode(), signer.gost)
    assert verdict.reason == VALUE_WRONG


def test_comments_that_a_tool_left_beside_the_signatures_do_not_matter(signer: Signer) -> None:
    root = business()
    element = data(root, signer.sign(root, "sp"))
    message = envelope(element, signer.sign(element)).decode()
    commented = re.sub("(<t:(?:Personal|CallerInformationSystem)Signature>)", r"\1\n<!--Optional:-->", message)
    assert commented.count("Optional") == 2
    assert math(commented, signer) == [True, True]


@pytest.mark.parametrize("names", [("ca", "ov"), ("ov", "ca"), ("sp", "ca", "ov")])
def test_of_several_certificates_the_one_whose_key_fits_is_the_signers(signer: Signer, names: tuple[str, ...]) -> None:
    chain = "".join(
        f"<ds:X509Certificate>{base64.b64encode(signer.certificate(name)).decode()}</ds:X509Certificate>"
        for name in names
    )
    signature = re.sub("<ds:X509Certificate>.*</ds:X509Certificate>", chain, signer.sign(data()))
    (verdict,) = verify_message(envelope(data(), signature), signer.gost)
    assert (verdict.math, verdict.certificate) == (True, signer.certificate("ov"))
    too_many = signature.replace(chain, chain * 9)
    assert math(envelope(data(), too_many), signer) == [False]


def test_a_certificate_in_a_whole_file_or_in_a_token_of_the_header_is_read(signer: Signer) -> None:
    der = signer.certificate("ov")
    encoded = base64.b64encode(der).decode()
    signature = signer.sign(data())
    file = signature.replace(encoded, pem.armor("CERTIFICATE", der).decode())
    assert math(envelope(data(), file), signer) == [True]
    named = re.sub(
        "<ds:X509Data>.*</ds:X509Data>",
        f'<w:SecurityTokenReference xmlns:w="{WSSE}"><w:Reference URI="#T"/></w:SecurityTokenReference>',
        signature,
    )
    token = f'<w:BinarySecurityToken xmlns:w="{WSSE}" xmlns:u="{WSU}" u:Id="T">{encoded}</w:BinarySecurityToken>'
    assert math(envelope(data(), named, header=token), signer) == [True]
    assert math(envelope(data(), named, header=token + token), signer) == [False]
    assert math(envelope(data(), named, header='<T Id="T"/>'), signer) == [False]


@pytest.mark.parametrize("tag", [0x12, 0x14, 0x16, 0x1E])
def test_a_name_that_nobody_can_read_in_a_certificate_does_not_make_its_signatures_wrong(
    signer: Signer, tag: int
) -> None:
    """The certificate's own signature is broken by this, which is trust's matter."""
    der = signer.certificate("ov")
    name = "ТЕСТ Информационная система".encode()
    odd = der.replace(b"\x0c%c%b" % (len(name), name), b"%c%c%b" % (tag, len(name), name))
    assert odd != der
    signature = signer.sign(data())
    swapped = signature.replace(base64.b64encode(der).decode(), base64.b64encode(odd).decode())
    assert math(envelope(data(), swapped), signer) == [True]


PROPERTIES = f'<ds:Object xmlns:ds="{DS}"><q:Signed xmlns:q="urn:q" Id="P">x</q:Signed></ds:Object>'


def properties(signer: Signer) -> str:
    """A second reference, as XAdES has it, to properties inside the signature."""
    octets = exc_c14n(parse(PROPERTIES.encode())[0])
    return (
        '<ds:Reference URI="#P"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{NEW}gostr34112012-256"/>'
        f"<ds:DigestValue>{base64.b64encode(signer.gost.digest(256, octets)).decode()}</ds:DigestValue></ds:Reference>"
    )


def test_a_signature_with_properties_of_its_own_is_right_when_all_its_references_are(signer: Signer) -> None:
    made = Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, references=properties(signer))
    document = made.document(signer).decode().replace("</ds:Signature>", f"{PROPERTIES}</ds:Signature>")
    assert math(document, signer) == [True]
    assert math(document.replace(">x</q:Signed>", ">y</q:Signed>"), signer) == [False]
    assert math(document.replace(PROPERTIES, ""), signer) == [False]
    assert math(document.replace('z="1"', 'z="2"'), signer) == [False]


def test_in_the_services_places_exactly_one_element_outside_is_signed(signer: Signer) -> None:
    other = re.search("<ds:Reference.*</ds:Reference>", signer.sign('<v:Other xmlns:v="urn:v" Id="O"/>'))
    assert other is not None
    signature = signer.sign(data())
    both = signature.replace("</ds:SignedInfo>", f"{other[0]}</ds:SignedInfo>")
    (verdict,) = verify_message(envelope(data(), both, header='<v:Other xmlns:v="urn:v" Id="O"/>'), signer.gost)
    assert not verdict.math
    inner = re.sub("<ds:Reference.*</ds:Reference>", properties(signer), signature)
    inner = inner.replace("</ds:Signature>", f"{PROPERTIES}</ds:Signature>")
    (verdict,) = verify_message(envelope(data(), inner), signer.gost)
    assert verdict.reason == "the signature has to sign exactly one element outside itself"


SIGNATURE = f'<s:Signature xmlns:s="{DS}"/>'.encode()


def test_a_document_of_nothing_but_signatures_is_refused() -> None:
    with pytest.raises(XmlError, match="10000 signatures"):
        verify_message(b"<m>%b</m>" % (SIGNATURE * 10_001), NoGost())


class NoGost:
    """Never asked."""

    def digest(self, bits: int, data: bytes) -> bytes:
        raise AssertionError

    def digest_94(self, data: bytes) -> bytes:
        raise AssertionError

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        raise AssertionError

    def sign(self, key: object, data: bytes) -> bytes:
        raise AssertionError


ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1251", "koi8-r"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_encoding_of_the_message_does_not_matter(signer: Signer, encoding: str) -> None:
    message = envelope(data(), signer.sign(data())).decode()
    declared = encoding.removesuffix("-le").removesuffix("-be")
    assert math(f'<?xml version="1.0" encoding="{declared}"?>{message}'.encode(encoding), signer) == [True]


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3"])
def test_every_version_of_the_service_is_judged_by_the_same_rules(signer: Signer, version: str) -> None:
    def of(text: str) -> str:
        return text.replace("types/1.2", f"types/{version}").replace("basic/1.2", f"basic/{version}")

    element = of(data())
    message = of(envelope(data(), signer.sign(element)).decode())
    assert math(message, signer) == [True]
    assert math(message.replace("Id=", "id="), signer) == [False], "the spelling of the Id is signed"
    fragment = re.search("<t:SendRequestRequest.*</t:SendRequestRequest>", message, re.DOTALL)
    assert fragment is not None
    assert math(fragment[0], signer) == [True]
    assert math(message.replace("<s:Header></s:Header>", ""), signer) == [True]
