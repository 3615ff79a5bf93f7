from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from adapter.errors import Code, SignerError
from adapter.signing import returned
from adapter.signing.returned import ReturnedSignatures

if TYPE_CHECKING:
    from collections.abc import Callable

_CERTIFICATE = b"certificate"
_FRAME = (
    '<d:Signature xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:SignedInfo><d:SignatureMethod Algorithm="urn:s"/>'
    '{before}<d:Reference URI="{uri}"><d:DigestValue>{digest}</d:DigestValue></d:Reference></d:SignedInfo>'
    "<d:SignatureValue>{value}</d:SignatureValue><d:KeyInfo><d:X509Data><d:X509Certificate>Y2VydGlmaWNhdGU="
    "</d:X509Certificate></d:X509Data></d:KeyInfo></d:Signature>"
)


class _Sums:
    """Stands for the engine: a sum of the right length, so that the element decides."""

    def digest(self, bits: int, data: bytes) -> bytes:
        return hashlib.shake_128(data).digest(bits // 8)

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        raise NotImplementedError

    def sign(self, key: object, data: bytes) -> bytes:
        raise NotImplementedError


def _element(identifier: str, text: str = "x") -> bytes:
    return f'<a xmlns="urn:a" Id="{identifier}">{text}</a>'.encode()


def _signature(element: bytes, uri: str, *, before: str = "") -> bytes:
    identifier = element.partition(b'Id="')[2].partition(b'"')[0].decode()
    text = element.partition(b">")[2].partition(b"<")[0].decode()
    transformed = f'<ns1:a xmlns:ns1="urn:a" Id="{identifier}">{text}</ns1:a>'.encode()
    digest = returned.wire.base64_of(_Sums().digest(256, transformed))
    return _FRAME.format(uri=uri, digest=digest, value="dmFsdWU=", before=before).encode()


def _wrong(check: Callable[[], object]) -> bool:
    with pytest.raises(SignerError) as caught:
        check()
    return caught.value.known is Code.SIGNATURE_WRONG and not caught.value.retryable


def test_a_known_frame_is_read_no_more_and_judged_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = ReturnedSignatures(_Sums())
    one, two = _element("ONE"), _element("TWO", "y")
    found = checks.check_xml(one, _signature(one, "#ONE"))
    assert found == hashlib.sha256(_CERTIFICATE).hexdigest()

    def never(_signature: bytes) -> None:
        pytest.fail("read again")

    monkeypatch.setattr(returned, "signature_facts", never)
    assert checks.check_xml(two, _signature(two, "#TWO")) == found
    assert _wrong(lambda: checks.check_xml(two, _signature(two, "#ONE")))
    assert _wrong(lambda: checks.check_xml(two, _signature(_element("TWO", "z"), "#TWO")))


@pytest.mark.parametrize(
    "decoy",
    [
        '<!-- URI="#ONE" -->',
        '<d:Other URI="#ONE"/>',
        "<!-- DigestValue>YWJj< -->",
        "<d:Other><d:DigestValue>YWJj</d:DigestValue></d:Other>",
    ],
)
def test_places_that_only_look_like_the_varying_ones_are_not_taken_for_them(decoy: str) -> None:
    checks = ReturnedSignatures(_Sums())
    one, two = _element("ONE"), _element("TWO")
    # Without the decoy's help the first signature is right; the second names another element than it is asked for.
    checks.check_xml(one, _signature(one, "#ONE", before=decoy))
    misled = _signature(two, "#ONE", before=decoy.replace("#ONE", "#TWO"))
    assert _wrong(lambda: checks.check_xml(two, misled))
    checks.check_xml(two, _signature(two, "#TWO", before=decoy))


def test_frames_are_bounded() -> None:
    checks = ReturnedSignatures(_Sums())
    one = _element("ONE")
    for number in range(200):
        checks.check_xml(one, _signature(one, "#ONE", before=f"<d:Other>{number}</d:Other>"))
    assert len(checks._frames) <= 64
