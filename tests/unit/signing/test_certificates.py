from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adapter.signing.certificates import CertificateError, certificates_of, fingerprint, period, read_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_facts_of_a_certificate_are_read(der: Callable[[str], bytes]) -> None:
    leaf, authority = read_certificate(der("ov512")), read_certificate(der("ca"))
    assert leaf.algorithm == "GOST R 34.10-2012-512"
    assert authority.algorithm == "GOST R 34.10-2012-256"
    assert leaf.issuer == authority.subject
    assert (leaf.may_issue, authority.may_issue) == (False, True)
    assert "ТЕСТ" in leaf.subject_text


def test_a_period_is_judged_at_a_moment(der: Callable[[str], bytes]) -> None:
    facts = read_certificate(der("ov"))
    second = timedelta(seconds=1)
    assert period(der("ov"), facts.not_before - second) == "not-yet-valid"
    assert period(der("ov"), facts.not_before) == "valid"
    assert period(der("ov"), facts.not_after) == "valid"
    assert period(der("ov"), facts.not_after + second) == "expired"
    assert period(der("expired"), datetime.now(UTC)) == "expired"


@pytest.mark.parametrize("content", [b"", b"text", b"\x30\x03\x02\x01\x05", b"\x30\x82\xff\xff"])
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(CertificateError):
        read_certificate(content)


def test_bytes_after_a_certificate_are_refused(der: Callable[[str], bytes]) -> None:
    with pytest.raises(CertificateError):
        read_certificate(der("ov") + b"\0")


def test_a_file_may_hold_one_der_or_many_pem(keys: Path, der: Callable[[str], bytes]) -> None:
    both = (keys / "ca.crt.pem").read_bytes() + (keys / "stranger.crt.pem").read_bytes()
    assert certificates_of(both) == [der("ca"), der("stranger")]
    assert certificates_of(der("ca")) == [der("ca")]


def test_a_file_without_certificates_is_refused(keys: Path) -> None:
    for content in (b"", (keys / "ov.key.pem").read_bytes(), b"-----BEGIN CERTIFICATE-----\n!!\n"):
        with pytest.raises(CertificateError):
            certificates_of(content)


def test_a_fingerprint_is_sha256_in_hex() -> None:
    assert fingerprint(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
