"""The algorithms of Kazakh certificates: RSA with SHA-256, GOST 34.10-2015 of 512 bits, and GOST 34.310-2004.

The curves, keys and hashes are those of OpenSSL's GOST engine under other identifiers; a signature value is the byte
reverse of the engine's (``r`` then ``s``, each little-endian). GOST 34.310-2004 is verified and never made; SHA-1 and
GOST 34.10-2015 of 256 bits are neither. Source: facts of ШЭП, Security. This is no certified СКЗИ.
"""

from __future__ import annotations

import hashlib
import weakref
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p, create_string_buffer
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from asn1crypto import core, pem, x509

from adapter.signing import gost94, libcrypto
from adapter.signing.certificates import CertificateError, read_certificate
from adapter.signing.gost import GostEngine, KeyUnreadableError
from adapter.xml.wssecurity import UnsupportedAlgorithmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.xml.stamps import Stamp

_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_KZ: Final = "urn:ietf:params:xml:ns:pkigovkz:xmlsec:algorithms:"
#: Bytes that are hashed by GOST 34.311, which takes a second for so many.
GOST_2004_LIMIT: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Suite:
    """Algorithms that go together: their XML names, and the OIDs of the key and of a certificate's signature."""

    name: str
    signature_method: str
    digest_method: str
    key_oid: str
    certificate_oid: str


RSA: Final = Suite(
    "RSA-SHA256",
    f"{_MORE}rsa-sha256",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.11",
)
GOST_2015: Final = Suite(
    "GOST 34.10-2015-512",
    f"{_KZ}gostr34102015-gostr34112015-512",
    f"{_KZ}gostr34112015-512",
    "1.2.398.3.10.1.1.2.2",
    "1.2.398.3.10.1.1.2.3.2",
)
GOST_2004: Final = Suite(
    "GOST 34.310-2004",
    f"{_MORE}gost34310-gost34311",
    f"{_MORE}gost34311",
    "1.2.398.3.10.1.1.1.1",
    "1.2.398.3.10.1.1.1.2",
)
SUITES: Final = (RSA, GOST_2015, GOST_2004)

#: The curve inside a Kazakh key, and the Russian identifiers of the same key: its algorithm, its curve, its hash.
_RUSSIAN: Final = {
    GOST_2015: ("1.2.398.3.10.1.1.2.2.1", "1.2.643.7.1.1.1.2", "1.2.643.7.1.2.1.2.1", "1.2.643.7.1.1.2.3"),
    GOST_2004: ("1.2.398.3.10.1.1.1.1.1", "1.2.643.2.2.19", "1.2.643.2.2.35.1", "1.2.643.2.2.30.1"),
}
_PROTOTYPES: Final = {
    "EVP_sha256": (c_void_p, []),
    "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_free": (None, [c_void_p]),
    "EVP_PKEY_verify_init": (c_int, [c_void_p]),
    "EVP_PKEY_verify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "EVP_PKEY_get_size": (c_int, [c_void_p]),
}


class KzKey:
    """A key inside OpenSSL, freed with the last reference; ``suite`` tells what it makes. Never printed or pickled."""

    __slots__ = ("__weakref__", "bits", "digest", "engine", "pointer", "suite")

    def __init__(self, library: libcrypto.Libcrypto, pointer: int, suite: Suite) -> None:
        """Take ownership of the EVP_PKEY at ``pointer``."""
        functions = library.functions
        self.pointer = pointer
        self.suite = suite
        #: What OpenSSL hashes with, and by which engine.
        self.digest = functions.EVP_sha256() if suite is RSA else library.digest("1.2.643.7.1.1.2.3")
        self.engine = None if suite is RSA else library.engine
        size = int(functions.EVP_PKEY_get_size(pointer))
        self.bits = size * 8 if suite is RSA else size * 4
        weakref.finalize(self, functions.EVP_PKEY_free, pointer).atexit = False

    def __reduce__(self) -> str:
        """Refuse to leave the process."""
        raise TypeError("a key does not leave its process")


class KzEngine:
    """Digests, signatures and chains of Kazakh certificates; every method may be called from any thread."""

    def __init__(self, gost: GostEngine) -> None:
        """``gost`` holds the loaded engine."""
        self._gost = gost
        self._library = libcrypto.load()
        self._functions = self._library.functions
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(self._functions, name)
            function.restype = result
            function.argtypes = arguments
        self._public_key = lru_cache(maxsize=256)(self._read_public_key)

    @classmethod
    def open(cls) -> KzEngine:
        """Load the engine, or share the loaded one. Raises GostUnavailableError, naming the package to install."""
        return cls(GostEngine.open())

    def digest(self, method: str, data: bytes) -> bytes:
        """Return the digest of ``data`` by the XML name ``method``. Raises UnsupportedAlgorithmError."""
        if method == RSA.digest_method:
            return hashlib.sha256(data).digest()
        if method == GOST_2015.digest_method:
            return self._gost.digest(512, data)
        if method == GOST_2004.digest_method:
            if len(data) > GOST_2004_LIMIT:
                raise UnsupportedAlgorithmError("GOST 34.311 of so large a message is unsupported")
            return gost94.digest(data)
        raise UnsupportedAlgorithmError("the digest algorithm is unsupported")

    def verify(self, method: str, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is over ``data`` by ``method`` (its XML name) and the key of ``certificate``.

        False for a certificate that cannot be read or whose key is of another algorithm. Raises
        UnsupportedAlgorithmError for an algorithm that is not known here.
        """
        suite = next((known for known in SUITES if known.signature_method == method), None)
        if suite is None:
            raise UnsupportedAlgorithmError("the signature algorithm is unsupported")
        return self._verify(suite, certificate, data, signature)

    def load_key(self, pem_bytes: bytes, certificate: bytes) -> KzKey:
        """Return the private key (unencrypted PKCS#8 PEM) of ``certificate`` (DER).

        A GOST key stands in the file under its Russian identifiers. Raises KeyUnreadableError when the key cannot be
        read, makes no signatures here or is not of the certificate; CertificateError.
        """
        suite = suite_of(certificate)
        if suite not in (RSA, GOST_2015):
            raise KeyUnreadableError("no key that signs here: RSA or GOST 34.10-2015 of 512 bits")
        try:
            kind, _, der = pem.unarmor(pem_bytes)
        except ValueError:
            raise KeyUnreadableError("not a PEM file") from None
        if kind != "PRIVATE KEY":
            raise KeyUnreadableError(f"expected an unencrypted PKCS#8 PRIVATE KEY, found {kind}")
        pointer = self._functions.d2i_AutoPrivateKey(None, byref(c_char_p(der)), len(der))
        # Success too leaves errors, of decoders that were tried first: TLS of this thread would take them for its own.
        self._functions.ERR_clear_error()
        if not pointer:
            raise KeyUnreadableError("not a private key")
        key = KzKey(self._library, pointer, suite)
        public = self._public_key(certificate)
        if public is None or self._functions.EVP_PKEY_eq(pointer, public.pointer) != 1:
            self._functions.ERR_clear_error()
            raise KeyUnreadableError("the certificate is not of this key")
        return key

    def sign(self, key: KzKey, data: bytes) -> bytes:
        """Return the signature value over ``data`` (hashed here), as XML Signature and X.509 carry it."""
        context = self._functions.EVP_MD_CTX_new()
        try:
            length = c_size_t(int(self._functions.EVP_PKEY_get_size(key.pointer)))
            result = create_string_buffer(length.value)
            if (
                self._functions.EVP_DigestSignInit(context, None, key.digest, key.engine, key.pointer) != 1
                or self._functions.EVP_DigestSign(context, result, byref(length), data, len(data)) != 1
            ):
                raise KeyUnreadableError(f"the key cannot sign: {self._library.last_error()}")
        finally:
            self._functions.EVP_MD_CTX_free(context)
        value = result.raw[: length.value]
        return value if key.suite is RSA else value[::-1]

    def chain(self, certificate: bytes, anchors: Sequence[bytes]) -> bool:
        """Tell whether ``certificate`` (DER) is one of ``anchors`` or was really signed by one that may issue.

        Every anchor is trusted itself; periods and revocation are judged apart. Raises CertificateError for an anchor
        that cannot be read.
        """
        if certificate in anchors:
            return True
        try:
            facts = read_certificate(certificate)
            suite = _certificate_suite(certificate)
        except CertificateError:
            return False
        return any(
            authority.may_issue
            and authority.subject == facts.issuer
            and suite is not None
            and self._verify(suite, anchor, facts.signed, facts.signature)
            for anchor, authority in ((anchor, read_certificate(anchor)) for anchor in anchors)
        )

    def issued(self, authority: bytes, oid: str, signed: bytes, signature: bytes) -> bool:
        """Tell whether ``authority`` (DER) made ``signature`` of the algorithm ``oid`` over DER bytes, as of a CRL."""
        suite = next((known for known in SUITES if known.certificate_oid == oid), None)
        return suite is not None and self._verify(suite, authority, signed, signature)

    def stamp(self, token: bytes, octets: bytes) -> Stamp:
        """Judge a time stamp token of RFC 3161 (DER) over ``octets``; never raises. Its trust is judged apart."""
        from adapter.signing.kz_stamps import judged  # noqa: PLC0415  — which is made of this module's suites

        return judged(self, token, octets)

    def _verify(self, suite: Suite, certificate: bytes, data: bytes, signature: bytes) -> bool:
        try:
            key = self._public_key(certificate)
        except CertificateError:
            return False
        if key is None or key.suite is not suite or len(signature) > 1024:
            return False
        if suite is GOST_2004:
            return self._verify_digest(key, self.digest(suite.digest_method, data), signature[::-1])
        value = signature if suite is RSA else signature[::-1]
        context = self._functions.EVP_MD_CTX_new()
        try:
            right: bool = (
                self._functions.EVP_DigestVerifyInit(context, None, key.digest, key.engine, key.pointer) == 1
                and self._functions.EVP_DigestVerify(context, value, len(value), data, len(data)) == 1
            )
        finally:
            self._functions.EVP_MD_CTX_free(context)
        if not right:
            self._functions.ERR_clear_error()
        return right

    def _verify_digest(self, key: KzKey, digest: bytes, signature: bytes) -> bool:
        """Verify over a digest made elsewhere."""
        if len(signature) != 2 * len(digest):
            return False
        context = self._functions.EVP_PKEY_CTX_new(key.pointer, key.engine)
        try:
            right: bool = (
                self._functions.EVP_PKEY_verify_init(context) == 1
                and self._functions.EVP_PKEY_verify(context, signature, len(signature), digest, len(digest)) == 1
            )
        finally:
            self._functions.EVP_PKEY_CTX_free(context)
        if not right:
            self._functions.ERR_clear_error()
        return right

    def _read_public_key(self, certificate: bytes) -> KzKey | None:
        """Return the key of a certificate, ``None`` for one of no suite of ours. Raises CertificateError."""
        info = read_certificate(certificate).public_key
        suite = suite_of(certificate)
        if suite is None:
            return None
        if suite is not RSA:
            info = _russian(suite, info)
            if not info:
                return None
        pointer = self._functions.d2i_PUBKEY(None, byref(c_char_p(info)), len(info))
        self._functions.ERR_clear_error()  # as with private keys
        if not pointer:
            return None
        return KzKey(self._library, pointer, suite)


def suite_of(certificate: bytes) -> Suite | None:
    """Return the algorithms of a DER certificate's key, ``None`` for other ones. Raises CertificateError."""
    info = read_certificate(certificate).public_key
    try:
        oid = core.Sequence.load(core.Sequence.load(info)[0].dump())[0].dotted
    except (ValueError, TypeError, AttributeError, IndexError):
        raise CertificateError("the public key cannot be read") from None
    return next((suite for suite in SUITES if suite.key_oid == oid), None)


def _certificate_suite(certificate: bytes) -> Suite | None:
    """Return the algorithms by which a DER certificate is signed. Raises CertificateError."""
    try:
        oid = x509.Certificate.load(certificate)["signature_algorithm"]["algorithm"].dotted
    except (ValueError, TypeError, KeyError):
        raise CertificateError("the certificate's signature cannot be read") from None
    return next((suite for suite in SUITES if suite.certificate_oid == oid), None)


def _russian(suite: Suite, info: bytes) -> bytes:
    """Return a Kazakh SubjectPublicKeyInfo under Russian identifiers, empty for a curve that is not known."""
    curve, algorithm, russian_curve, digest = _RUSSIAN[suite]
    try:
        named, point = (core.Sequence.load(info)[place] for place in (0, 1))
        parameters = core.Sequence.load(named.dump())[1]
        if core.Sequence.load(parameters.dump())[0].dotted != curve:
            return b""
        octets = point.contents[1:]  # behind the count of unused bits
    except (ValueError, TypeError, AttributeError, IndexError):
        return b""
    return spki(algorithm, russian_curve, digest, octets)


def spki(algorithm: str, curve: str, digest: str, octets: bytes) -> bytes:
    """Return a SubjectPublicKeyInfo of a GOST key; ``octets`` is what stands in its BIT STRING."""
    result: bytes = _Info(
        {
            "algorithm": _Algorithm({"algorithm": algorithm, "parameters": _Curve({"curve": curve, "digest": digest})}),
            "key": core.OctetBitString(octets),
        }
    ).dump()
    return result


class _Curve(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    _fields = [("curve", core.ObjectIdentifier), ("digest", core.ObjectIdentifier)]  # noqa: RUF012  — its way


class _Algorithm(core.Sequence):  # type: ignore[misc]  # same
    _fields = [("algorithm", core.ObjectIdentifier), ("parameters", _Curve)]  # noqa: RUF012  — same


class _Info(core.Sequence):  # type: ignore[misc]  # same
    _fields = [("algorithm", _Algorithm), ("key", core.OctetBitString)]  # noqa: RUF012  — same
