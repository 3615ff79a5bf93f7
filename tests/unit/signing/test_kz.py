"""RSA and GOST as Kazakhstan writes them: values, keys, chains, revocation lists, owners."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.signing import gost94, libcrypto
from adapter.signing.certificates import CertificateError
from adapter.signing.gost import GostEngine, KeyUnreadableError
from adapter.signing.kz import GOST_2004, GOST_2004_LIMIT, GOST_2015, RSA, KzEngine, suite_of
from adapter.signing.standing import bin_of, read_lists, standing
from adapter.xml.wssecurity import UnsupportedAlgorithmError
from simulators.kz_material import make_list
from simulators.shep.keys import OTHER_BIN, OWN_BIN, read_pair

pytest_plugins = ("tests.contract.shep_fixtures",)

SAMPLES = Path(__file__).parents[3].parent / "shared" / "reference" / "shep" / "samples"
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"This is message, length=32 bytes", "b1c466d37519b82e8319819ff32595e047a28cb6f83eff1c6916a815a637fffa"),
        (
            b"Suppose the original message has length = 50 bytes",
            "471aba57a60a770d3a76130635c1fbea4ef14de51f78b4ae57dd893b62f55208",
        ),
    ],
)
def test_the_digest_of_1994_is_that_of_its_rfc(data: bytes, expected: str) -> None:
    assert gost94.digest(data).hex() == expected


@pytest.mark.parametrize("line", range(3))
def test_real_signature_values_verify(kz: KzEngine, line: int) -> None:
    jobs = SAMPLES / "gost_jobs.txt"
    if not jobs.is_file():
        pytest.skip("the reference samples (../shared) are not on this machine")
    _, data, digest, signed, value, *_, certificate = jobs.read_text("utf-8").splitlines()[line].split("|")
    der = bytes.fromhex(certificate)
    suite = suite_of(der)
    assert suite is not None
    assert kz.digest(suite.digest_method, bytes.fromhex(data)).hex() == digest
    assert kz.verify(suite.signature_method, der, bytes.fromhex(signed), bytes.fromhex(value))
    assert not kz.verify(suite.signature_method, der, bytes.fromhex(signed), bytes.fromhex(value)[::-1])


@pytest.mark.parametrize("name", ["shep", "shep-gost"])
def test_what_a_key_signs_verifies_by_its_certificate_alone(kz: KzEngine, shep_keys: Path, name: str) -> None:
    pair, other = read_pair(shep_keys, name), read_pair(shep_keys, "gateway" if name == "shep" else "gateway-gost")
    key = kz.load_key(pair.key, pair.certificate_der)
    method, value = key.suite.signature_method, kz.sign(key, b"data")
    assert kz.verify(method, pair.certificate_der, b"data", value)
    assert not kz.verify(method, pair.certificate_der, b"date", value)
    assert not kz.verify(method, other.certificate_der, b"data", value)
    assert not kz.verify(method, b"no certificate", b"data", value)


def test_a_key_makes_no_signature_of_another_algorithm(kz: KzEngine, shep_keys: Path) -> None:
    pair = read_pair(shep_keys, "shep")
    value = kz.sign(kz.load_key(pair.key, pair.certificate_der), b"data")
    assert not kz.verify(GOST_2015.signature_method, pair.certificate_der, b"data", value)
    assert not kz.verify(GOST_2004.signature_method, pair.certificate_der, b"data", value)


@settings(max_examples=60, deadline=None)
@given(value=st.binary(max_size=300))
@pytest.mark.parametrize("name", ["shep", "shep-gost"])
def test_no_made_up_value_verifies(kz: KzEngine, shep_keys: Path, name: str, value: bytes) -> None:
    der = read_pair(shep_keys, name).certificate_der
    suite = suite_of(der)
    assert suite is not None
    assert not kz.verify(suite.signature_method, der, b"data", value)


@pytest.mark.parametrize(
    "method",
    ["", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha1", RSA.digest_method, GOST_2015.signature_method + "x"],
)
def test_unknown_algorithms_are_named_as_such(kz: KzEngine, shep_keys: Path, method: str) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="is unsupported"):
        kz.verify(method, read_pair(shep_keys, "shep").certificate_der, b"", b"")
    with pytest.raises(UnsupportedAlgorithmError, match="is unsupported"):
        kz.digest(method.replace("#sha256", "#sha1"), b"")


def test_the_slow_digest_is_not_made_of_much(kz: KzEngine) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="is unsupported"):
        kz.digest(GOST_2004.digest_method, bytes(GOST_2004_LIMIT + 1))


def test_a_key_is_read_only_with_its_own_certificate(kz: KzEngine, shep_keys: Path, gost_keys: Path) -> None:
    pair, other = read_pair(shep_keys, "shep"), read_pair(shep_keys, "gateway")
    with pytest.raises(KeyUnreadableError, match="not of this key"):
        kz.load_key(pair.key, other.certificate_der)
    with pytest.raises(KeyUnreadableError, match="not a PEM"):
        kz.load_key(b"nonsense", pair.certificate_der)
    russian = read_pair(gost_keys, "ov")
    with pytest.raises(KeyUnreadableError, match="RSA or GOST"):
        kz.load_key(russian.key, russian.certificate_der)


def test_verdicts_on_a_certificate_are_apart(kz: KzEngine, shep_keys: Path) -> None:
    anchors = [read_pair(shep_keys, "ca").certificate_der]
    lists = read_lists([(shep_keys / "ca.crl").read_bytes()])

    def found(name: str) -> tuple[str, str, str]:
        known = standing(kz, read_pair(shep_keys, name).certificate_der, anchors, lists, NOW)
        return known.trust, known.period, known.revocation

    assert found("shep") == found("shep-gost") == ("trusted", "valid", "good")
    assert found("revoked") == ("trusted", "valid", "revoked")
    assert found("expired") == ("trusted", "expired", "good")
    assert found("foreign") == ("untrusted", "valid", "unchecked")


def test_a_revocation_list_is_believed_only_signed_and_in_force(kz: KzEngine, shep_keys: Path) -> None:
    authority, stranger = read_pair(shep_keys, "ca"), read_pair(shep_keys, "gateway")
    der = read_pair(shep_keys, "shep").certificate_der
    anchors = [authority.certificate_der]
    old = make_list(kz, authority, [der], next_update=NOW - timedelta(hours=1))
    forged = make_list(kz, type(authority)(stranger.key, stranger.certificate), [der])
    spoilt = bytearray(make_list(kz, authority, [der]))
    spoilt[-1] ^= 1
    for data in (old, forged, bytes(spoilt)):
        assert standing(kz, der, anchors, read_lists([data]), NOW).revocation == "unchecked"
    assert standing(kz, der, anchors, read_lists([make_list(kz, authority, [der])]), NOW).revocation == "revoked"


@given(data=st.binary(max_size=200))
def test_what_is_no_revocation_list_is_told_without_its_bytes(data: bytes) -> None:
    with pytest.raises(CertificateError, match="not a readable revocation list"):
        read_lists([data])


def test_the_owner_is_read_from_the_certificate(shep_keys: Path, gost_keys: Path) -> None:
    assert bin_of(read_pair(shep_keys, "shep").certificate_der) == OWN_BIN
    assert bin_of(read_pair(shep_keys, "other").certificate_der) == OTHER_BIN
    assert bin_of(read_pair(gost_keys, "ov").certificate_der) == ""


def test_the_engine_is_shared_with_the_russian_one(kz: KzEngine) -> None:
    assert kz.digest(GOST_2015.digest_method, b"x") == GostEngine.open().digest(512, b"x")


@pytest.mark.parametrize("name", ["shep", "shep-gost"])
def test_no_work_leaves_errors_that_tls_of_this_thread_would_find(kz: KzEngine, shep_keys: Path, name: str) -> None:
    pair, errors = read_pair(shep_keys, name), libcrypto.load().functions
    errors.ERR_clear_error()
    key = kz.load_key(pair.key, pair.certificate_der)
    value = kz.sign(key, b"data")
    method = key.suite.signature_method
    assert kz.verify(method, pair.certificate_der, b"data", value)
    assert not kz.verify(method, pair.certificate_der, b"other", value)
    assert kz.chain(pair.certificate_der, [read_pair(shep_keys, "ca").certificate_der])
    GostEngine.open().load_key(read_pair(shep_keys, "shep-gost").key)
    assert errors.ERR_peek_last_error() == 0
