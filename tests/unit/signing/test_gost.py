from __future__ import annotations

import base64
import gc
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from asn1crypto import pem
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.signing import libcrypto
from adapter.signing.certificates import read_certificate
from adapter.signing.gost import GostEngine, KeyUnreadableError
from adapter.signing.libcrypto import ENGINE_VARIABLE
from simulators.gost_material import Wanted, make_pair

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(__file__).parents[3]
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_BOTH = pytest.mark.parametrize(("name", "bits"), [("ov", 256), ("ov512", 512)])


@pytest.mark.parametrize(
    ("bits", "data", "expected"),
    [
        # GOST R 34.11-2012, appendix A: message M1; and the empty message
        (256, b"012345678901234567890123456789012345678901234567890123456789012", "9d151eefd8590b89daa6ba6cb74af927"),
        (512, b"012345678901234567890123456789012345678901234567890123456789012", "1b54d01a4af5b9d5cc3d86d68d285462"),
        (256, b"", "3f539a213e97c802cc229d474c6aa32a"),
    ],
)
def test_digests_are_those_of_the_standard(gost: GostEngine, bits: int, data: bytes, expected: str) -> None:
    digest = gost.digest(bits, data)
    assert len(digest) == bits // 8
    assert digest.hex().startswith(expected)


def test_a_zero_byte_does_not_end_the_data(gost: GostEngine) -> None:
    assert gost.digest(256, b"a\0b") != gost.digest(256, b"a\0c")


@_BOTH
def test_what_is_signed_verifies_and_nothing_else(
    gost: GostEngine, keys: Path, der: Callable[[str], bytes], name: str, bits: int
) -> None:
    key = gost.load_key((keys / f"{name}.key.pem").read_bytes())
    signature = gost.sign(key, b"data")
    assert gost.key_bits(key) == bits
    assert len(signature) == bits // 4
    assert gost.verify(der(name), b"data", signature)
    assert not gost.verify(der(name), b"Data", signature)
    assert not gost.verify(der("sp"), b"data", signature)
    half = len(signature) // 2
    assert not gost.verify(der(name), b"data", signature[half:] + signature[:half]), "s stands before r"


@_BOTH
def test_every_flipped_byte_of_a_signature_is_noticed(
    gost: GostEngine, keys: Path, der: Callable[[str], bytes], name: str, bits: int
) -> None:
    key = gost.load_key((keys / f"{name}.key.pem").read_bytes())
    signature = bytearray(gost.sign(key, b"data"))
    for place in range(len(signature)):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not gost.verify(der(name), b"data", bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_wrong(gost: GostEngine, der: Callable[[str], bytes], length: int) -> None:
    assert not gost.verify(der("ov"), b"data", bytes(length))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_certificate_verify_nothing(foreign: bytes) -> None:
    assert not GostEngine.open().verify(foreign, b"data", bytes(64))


def test_a_certificate_with_a_foreign_algorithm_verifies_nothing(gost: GostEngine, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=t", "-keyout", "k", "-out", "c"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=30,
    )
    assert not gost.verify(pem.unarmor((tmp_path / "c").read_bytes())[2], b"data", bytes(64))
    with pytest.raises(KeyUnreadableError, match="not a GOST"):
        gost.load_key((tmp_path / "k").read_bytes())


@pytest.mark.parametrize(
    "content",
    [b"", b"no PEM", pem.armor("CERTIFICATE", b"\x30\x00"), pem.armor("PRIVATE KEY", b"\x30\x00")],
)
def test_a_file_that_is_no_key_is_refused(gost: GostEngine, content: bytes) -> None:
    with pytest.raises(KeyUnreadableError):
        gost.load_key(content)


def test_a_key_is_matched_with_its_certificate(gost: GostEngine, keys: Path, der: Callable[[str], bytes]) -> None:
    key = gost.load_key((keys / "ov.key.pem").read_bytes())
    assert gost.matches(key, der("ov"))
    assert not gost.matches(key, der("sp"))
    assert not gost.matches(key, der("ov512"))


def test_a_key_neither_leaves_the_process_nor_can_be_replaced_by_something_else(gost: GostEngine, keys: Path) -> None:
    key = gost.load_key((keys / "ov.key.pem").read_bytes())
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(key)
    with pytest.raises(TypeError, match="load_key"):
        gost.sign("ov", b"data")


def test_the_real_messages_verify() -> None:
    folder = _ROOT.parent / "shared" / "reference" / "smev3" / "signed"
    if not folder.is_dir():
        pytest.skip("the reference messages are not on this machine")
    gost = GostEngine.open()
    seen = 0
    for file in sorted(folder.glob("*.xml")):
        for signature in etree.parse(str(file)).iter(f"{_DS}Signature"):
            covered = etree.tostring(signature.find(f"{_DS}SignedInfo"), method="c14n", exclusive=True)
            value = base64.b64decode(signature.findtext(f"{_DS}SignatureValue", ""))
            certificate = base64.b64decode(signature.findtext(f".//{_DS}X509Certificate", ""))
            assert gost.verify(certificate, covered, value), file.name
            assert not gost.verify(certificate, covered + b" ", value), file.name
            seen += 1
    assert seen >= 4


def test_a_chain_holds_by_real_signatures_only(gost: GostEngine, der: Callable[[str], bytes]) -> None:
    assert gost.chain(der("ov"), [der("ca")])
    assert gost.chain(der("ov512"), [der("sp"), der("ca")])
    assert gost.chain(der("expired"), [der("ca")]), "periods are judged apart"
    assert not gost.chain(der("stranger"), [der("ca")])
    assert not gost.chain(der("ov"), [])
    assert not gost.chain(b"no certificate", [der("ca")])


def test_an_anchor_vouches_for_itself_and_only_a_ca_for_others(gost: GostEngine, der: Callable[[str], bytes]) -> None:
    leaf = make_pair(gost, Wanted({"common_name": "ТЕСТ"}))
    below_a_leaf = make_pair(gost, Wanted({"common_name": "ТЕСТ ниже"}), leaf)
    assert gost.chain(leaf.certificate_der, [leaf.certificate_der])
    facts = read_certificate(below_a_leaf.certificate_der)
    assert gost.verify(leaf.certificate_der, facts.signed, facts.signature), "the signature itself is right"
    assert not gost.chain(below_a_leaf.certificate_der, [leaf.certificate_der])


def test_an_authority_of_the_same_name_is_not_the_authority(gost: GostEngine) -> None:
    wanted = Wanted({"common_name": "ТЕСТ УЦ"}, authority=True)
    real, double = make_pair(gost, wanted), make_pair(gost, wanted)
    leaf = make_pair(gost, Wanted({"common_name": "ТЕСТ"}), double)
    assert gost.chain(leaf.certificate_der, [real.certificate_der, double.certificate_der])
    assert not gost.chain(leaf.certificate_der, [real.certificate_der])


def test_an_intermediate_authority_is_an_anchor_of_its_own(gost: GostEngine) -> None:
    root = make_pair(gost, Wanted({"common_name": "ТЕСТ корень"}, bits=512, authority=True))
    middle = make_pair(gost, Wanted({"common_name": "ТЕСТ УЦ"}, authority=True), root)
    leaf = make_pair(gost, Wanted({"common_name": "ТЕСТ"}), middle)
    assert gost.chain(leaf.certificate_der, [root.certificate_der, middle.certificate_der])
    assert gost.chain(middle.certificate_der, [root.certificate_der])
    assert not gost.chain(leaf.certificate_der, [root.certificate_der])


def test_a_certificate_with_a_key_of_2001_is_still_read(gost: GostEngine, tmp_path: Path) -> None:
    if b"gost" not in subprocess.run(["openssl", "engine", "gost"], capture_output=True, check=False).stdout:
        pytest.skip("the openssl command does not find the engine in its own folder")
    for command in (
        "genpkey -engine gost -algorithm gost2001 -pkeyopt paramset:A -out k",
        "req -engine gost -x509 -new -key k -md_gost94 -subj /CN=t -out c",
    ):
        run = ["openssl", *command.split()]
        subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    certificate = pem.unarmor((tmp_path / "c").read_bytes())[2]
    facts = read_certificate(certificate)
    assert facts.algorithm == "GOST R 34.10-2001"
    assert gost.verify(certificate, facts.signed, facts.signature)
    assert not gost.verify(certificate, facts.signed + b" ", facts.signature)


def test_threads_share_keys(gost: GostEngine, keys: Path, der: Callable[[str], bytes]) -> None:
    key = gost.load_key((keys / "ov.key.pem").read_bytes())

    def both(number: int) -> bool:
        data = str(number).encode()
        return gost.verify(der("ov"), data, gost.sign(key, data)) and not gost.verify(der("ov"), data, bytes(64))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(both, range(400)))


def test_a_dropped_key_is_freed_once_and_a_used_one_not(
    gost: GostEngine, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = gost._library.functions
    free, freed = functions.EVP_PKEY_free, []
    monkeypatch.setattr(functions, "EVP_PKEY_free", lambda pointer: (freed.append(pointer), free(pointer)))
    content = (keys / "ov.key.pem").read_bytes()
    kept, dropped = gost.load_key(content), gost.load_key(content)
    pointer = dropped.pointer
    del dropped
    gc.collect()
    assert freed == [pointer]
    assert len(gost.sign(kept, b"data")) == 64


def _opened(**environment: str) -> subprocess.CompletedProcess[str]:
    code = "from adapter.signing.gost import GostEngine; print(GostEngine.open().digest(256, b'').hex()[:8])"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_missing_engine_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypto, "_candidates", lambda: iter([tmp_path / "gost.so"]))
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    with pytest.raises(libcrypto.GostUnavailableError, match="libengine-gost-openssl"):
        libcrypto._engine_file(None)


def test_an_engine_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gost.so").write_bytes(b"not a library")
    ended = _opened(**{ENGINE_VARIABLE: str(tmp_path / "gost.so")})
    assert ended.returncode != 0
    assert "GostUnavailableError" in ended.stderr
    assert "cannot be loaded" in ended.stderr


def test_an_engine_variable_that_names_nothing_is_no_silent_fallback(tmp_path: Path) -> None:
    ended = _opened(**{ENGINE_VARIABLE: str(tmp_path / "absent.so")})
    assert ended.returncode != 0
    assert "not a file" in ended.stderr


def test_an_engine_unpacked_elsewhere_is_loaded_by_its_variable(tmp_path: Path) -> None:
    copy = shutil.copy(next(path for path in libcrypto._candidates() if path.is_file()), tmp_path / "gost.so")
    ended = _opened(**{ENGINE_VARIABLE: str(copy)})
    assert (ended.returncode, ended.stdout.strip()) == (0, "3f539a21"), ended.stderr


def test_an_engine_that_a_configuration_loaded_first_is_shared(tmp_path: Path) -> None:
    found = next(path for path in libcrypto._candidates() if path.is_file())
    (tmp_path / "openssl.cnf").write_text(
        "openssl_conf = c\n[c]\nengines = e\n[e]\ngost = g\n[g]\nengine_id = gost\n"
        f"dynamic_path = {found}\ndefault_algorithms = ALL\n"
    )
    ended = _opened(OPENSSL_CONF=str(tmp_path / "openssl.cnf"))
    assert (ended.returncode, ended.stdout.strip()) == (0, "3f539a21"), ended.stderr
