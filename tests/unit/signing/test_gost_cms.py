from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from asn1crypto import cms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.signing.gost_cms import CmsError, signer_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adapter.signing.gost import GostEngine

_BOTH = pytest.mark.parametrize("name", ["ov", "ov512"])
_MOMENT = datetime(2026, 5, 17, 12, 30, 15, tzinfo=UTC)


@pytest.fixture
def sign(gost: GostEngine, keys: Path, der: Callable[[str], bytes]) -> Callable[..., bytes]:
    def signed(name: str, data: bytes, **choices: object) -> bytes:
        key = gost.load_key((keys / f"{name}.key.pem").read_bytes())
        return gost.sign_cms(key, der(name), data, signed_at=_MOMENT, **choices)

    return signed


@_BOTH
def test_a_signature_is_right_over_its_data_only(
    gost: GostEngine, sign: Callable[..., bytes], der: Callable[[str], bytes], name: str
) -> None:
    signature = sign(name, b"attachment")
    verdict = gost.verify_cms(signature, b"attachment")
    assert (verdict.math, verdict.reason, verdict.certificate) == (True, "", der(name))
    assert verdict.signed_at == _MOMENT
    assert signer_certificate(signature) == der(name)
    other = gost.verify_cms(signature, b"attachmenT")
    assert (other.math, other.reason) == (False, "the digest is of other data")


def test_a_signature_is_detached_with_one_signer_and_the_attributes_smev_wants(sign: Callable[..., bytes]) -> None:
    signed = cms.ContentInfo.load(sign("ov", b"attachment"))["content"]
    assert signed["encap_content_info"]["content"].native is None
    assert len(signed["signer_infos"]) == 1
    names = [attribute["type"].native for attribute in signed["signer_infos"][0]["signed_attrs"]]
    assert set(names) == {"content_type", "message_digest", "signing_time"}


def test_enclosed_content_has_to_be_the_data_given(gost: GostEngine, sign: Callable[..., bytes]) -> None:
    signature = sign("ov", b"attachment", detached=False)
    assert gost.verify_cms(signature, b"attachment").math
    assert gost.verify_cms(signature, b"else").reason == "the enclosed content is not the data given"


@_BOTH
def test_openssl_agrees(gost: GostEngine, sign: Callable[..., bytes], keys: Path, tmp_path: Path, name: str) -> None:
    if b"gost" not in subprocess.run(["openssl", "engine", "gost"], capture_output=True, check=False).stdout:
        pytest.skip("the openssl command does not find the engine in its own folder")
    (tmp_path / "data").write_bytes(b"attachment\r\n")
    (tmp_path / "ours").write_bytes(sign(name, b"attachment\r\n"))
    openssl = ["openssl", "cms", "-engine", "gost", "-binary"]
    ours = ["-verify", "-inform", "DER", "-in", "ours", "-content", "data", "-CAfile", keys / "ca.crt.pem"]
    subprocess.run([*openssl, *ours, "-purpose", "any", "-out", "out"], cwd=tmp_path, check=True, capture_output=True)
    bits = "512" if name == "ov512" else "256"
    theirs = ["-sign", "-in", "data", "-signer", keys / f"{name}.crt.pem", "-inkey", keys / f"{name}.key.pem"]
    more = ["-md", f"md_gost12_{bits}", "-outform", "DER", "-out", "theirs"]
    subprocess.run([*openssl, *theirs, *more], cwd=tmp_path, check=True, capture_output=True)
    verdict = gost.verify_cms((tmp_path / "theirs").read_bytes(), b"attachment\r\n")
    assert (verdict.math, verdict.reason) == (True, "")


def test_no_changed_byte_verifies_or_crashes_unless_nothing_signed_changed(
    gost: GostEngine, sign: Callable[..., bytes]
) -> None:
    signature = sign("ov", b"attachment")
    signer = cms.ContentInfo.load(signature)["content"]["signer_infos"][0]
    covered = signer["signed_attrs"].contents + signer["signature"].contents
    survived = []
    for place in range(len(signature)):
        changed = bytearray(signature)
        changed[place] ^= 0x01
        if gost.verify_cms(bytes(changed), b"attachment").math:
            survived.append(place)
    begins = {
        signature.index(part): len(part) for part in (signer["signed_attrs"].contents, signer["signature"].contents)
    }
    protected = {place for begin, length in begins.items() for place in range(begin, begin + length)}
    assert len(protected) == len(covered)
    assert not protected & set(survived)


def _changed(signature: bytes, change: Callable[[cms.SignedData], None]) -> bytes:
    info = cms.ContentInfo.load(signature)
    change(info["content"])
    return info.dump()


def _without_attribute(name: str) -> Callable[[cms.SignedData], None]:
    def change(signed: cms.SignedData) -> None:
        signer = signed["signer_infos"][0]
        signer["signed_attrs"] = [attribute for attribute in signer["signed_attrs"] if attribute["type"].native != name]

    return change


def _two_signers(signed: cms.SignedData) -> None:
    signed["signer_infos"] = [signed["signer_infos"][0], signed["signer_infos"][0]]


def _no_certificate(signed: cms.SignedData) -> None:
    signed["certificates"] = []


def _other_digest(signed: cms.SignedData) -> None:
    signed["signer_infos"][0]["digest_algorithm"] = {"algorithm": "sha256"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_attribute("content_type"), "the signed attribute content_type is missing or repeated"),
        (_without_attribute("message_digest"), "the signed attribute message_digest is missing or repeated"),
        (_without_attribute("signing_time"), "the signature value is wrong"),
        (_two_signers, "not exactly one signer"),
        (_no_certificate, "the signer's certificate is not enclosed"),
        (_other_digest, "not a GOST R 34.10-2012 signature"),
    ],
)
def test_a_signature_that_breaks_a_rule_is_refused_by_name(
    gost: GostEngine, sign: Callable[..., bytes], change: Callable[[cms.SignedData], None], reason: str
) -> None:
    verdict = gost.verify_cms(_changed(sign("ov", b"attachment"), change), b"attachment")
    assert (verdict.math, verdict.reason) == (False, reason)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(foreign=st.binary(max_size=200))
def test_foreign_bytes_are_judged_not_raised(gost: GostEngine, foreign: bytes) -> None:
    verdict = gost.verify_cms(foreign, b"attachment")
    assert not verdict.math
    assert verdict.reason
    with pytest.raises(CmsError):
        signer_certificate(foreign)
