"""GOST R 34.11-2012 and GOST R 34.10-2012 in this process, by OpenSSL's engine.

This serves verification without a service, the reference signing service and tests. It is not a certified СКЗИ:
production plugs a certified service into the contract of schemas/sign-service.openapi.yaml.

A signature value is what XMLDSig, CMS and X.509 carry alike: ``s`` then ``r``, 32 (64) bytes each, big-endian
(facts of СМЭВ3, "Signature value"); the engine produces and reads exactly that form.
"""

from __future__ import annotations

import weakref
from ctypes import byref, c_char_p, c_size_t, create_string_buffer
from functools import lru_cache
from typing import TYPE_CHECKING

from asn1crypto import pem

from adapter.signing import gost_cms, libcrypto
from adapter.signing.certificates import CertificateError, read_certificate, read_public_key
from adapter.signing.gost_cms import CmsVerdict
from adapter.signing.libcrypto import GostUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

__all__ = ["CmsVerdict", "GostEngine", "GostKey", "GostUnavailableError", "KeyUnreadableError"]

_STREEBOG = {256: "1.2.643.7.1.1.2.2", 512: "1.2.643.7.1.1.2.3"}
_GOST_94 = "1.2.643.2.2.9"
#: Key algorithm: its size in bits and the digest that it signs. 2001 keys are read only: old messages carry them.
_KEYS = {
    "1.2.643.7.1.1.1.1": (256, _STREEBOG[256]),
    "1.2.643.7.1.1.1.2": (512, _STREEBOG[512]),
    "1.2.643.2.2.19": (256, _GOST_94),
}


class KeyUnreadableError(ValueError):
    """A private key cannot be read, or is no GOST key; the text never holds key material."""


class GostKey:
    """A key inside OpenSSL; freed with the last reference. ``bits`` is 256 or 512. Never printed, never pickled."""

    __slots__ = ("__weakref__", "bits", "digest", "pointer")

    def __init__(self, library: libcrypto.Libcrypto, pointer: int, bits: int, digest: int) -> None:
        """Take ownership of the EVP_PKEY at ``pointer``; ``digest`` is the EVP_MD that this key signs."""
        self.pointer = pointer
        self.bits = bits
        self.digest = digest
        # Not at exit: OpenSSL's own clean-up owns the memory by then.
        weakref.finalize(self, library.functions.EVP_PKEY_free, pointer).atexit = False

    def __reduce__(self) -> str:
        """Refuse to leave the process."""
        raise TypeError("a key does not leave its process")


class GostEngine:
    """Digests, signatures and certificate chains; every method may be called from any thread."""

    def __init__(self, library: libcrypto.Libcrypto) -> None:
        """Use :meth:`open`."""
        self._library = library
        self._functions = library.functions
        self._streebog = {bits: library.digest(oid) for bits, oid in _STREEBOG.items()}
        self._gost_94 = library.digest(_GOST_94)
        self._kinds = {library.nid(oid): (bits, library.digest(digest)) for oid, (bits, digest) in _KEYS.items()}
        self._public_key = lru_cache(maxsize=256)(self._read_public_key)

    @classmethod
    def open(cls, path: Path | None = None) -> GostEngine:
        """Load the engine, or share the loaded one. Raises GostUnavailableError, naming the package to install."""
        return cls(libcrypto.load(path))

    def digest(self, bits: int, data: bytes) -> bytes:
        """Return the GOST R 34.11-2012 (Streebog) digest of ``data``, ``bits`` 256 or 512."""
        result = create_string_buffer(bits // 8)
        if self._functions.EVP_Digest(data, len(data), result, None, self._streebog[bits], self._library.engine) != 1:
            raise GostUnavailableError(f"the digest failed: {self._library.last_error()}")
        return result.raw

    def digest_94(self, data: bytes) -> bytes:
        """Return the GOST R 34.11-94 digest of ``data`` (parameters of CryptoPro), which old messages carry."""
        result = create_string_buffer(32)
        if self._functions.EVP_Digest(data, len(data), result, None, self._gost_94, self._library.engine) != 1:
            raise GostUnavailableError(f"the digest failed: {self._library.last_error()}")
        return result.raw

    def load_key(self, pem_bytes: bytes) -> GostKey:
        """Return the private key of an unencrypted PKCS#8 PEM. Raises KeyUnreadableError."""
        try:
            kind, _, der = pem.unarmor(pem_bytes)
        except ValueError:
            raise KeyUnreadableError("not a PEM file") from None
        if kind != "PRIVATE KEY":
            raise KeyUnreadableError(f"expected an unencrypted PKCS#8 PRIVATE KEY, found {kind}")
        key = self._adopt(self._functions.d2i_AutoPrivateKey(None, byref(c_char_p(der)), len(der)))
        if key is None:
            raise KeyUnreadableError("not a GOST R 34.10 private key")
        return key

    def key_bits(self, key: object) -> int:
        """Return 256 or 512 of a key that :meth:`load_key` gave."""
        return _own(key).bits

    def matches(self, key: object, certificate: bytes) -> bool:
        """Tell whether ``certificate`` (DER) holds the public half of ``key``. Raises CertificateError."""
        public = self._public_key(certificate)
        return public is not None and self._functions.EVP_PKEY_eq(_own(key).pointer, public.pointer) == 1

    def sign(self, key: object, data: bytes) -> bytes:
        """Return the signature value over ``data`` (hashed here), 64 or 128 bytes."""
        own = _own(key)
        context = self._functions.EVP_MD_CTX_new()
        try:
            length = c_size_t(own.bits // 4)
            result = create_string_buffer(length.value)
            engine = self._library.engine
            if (
                self._functions.EVP_DigestSignInit(context, None, own.digest, engine, own.pointer) != 1
                or self._functions.EVP_DigestSign(context, result, byref(length), data, len(data)) != 1
            ):
                raise KeyUnreadableError(f"the key cannot sign: {self._library.last_error()}")
            return result.raw[: length.value]
        finally:
            self._functions.EVP_MD_CTX_free(context)

    def verify(self, certificate: bytes, data: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is over ``data`` by the key of ``certificate`` (DER).

        False also for a certificate that cannot be read or has no GOST key: this judges foreign bytes, never raises.
        """
        try:
            key = self._public_key(certificate)
        except CertificateError:
            return False
        if key is None or len(signature) != key.bits // 4:
            return False
        context = self._functions.EVP_MD_CTX_new()
        try:
            engine = self._library.engine
            right: bool = (
                self._functions.EVP_DigestVerifyInit(context, None, key.digest, engine, key.pointer) == 1
                and self._functions.EVP_DigestVerify(context, signature, len(signature), data, len(data)) == 1
            )
        finally:
            self._functions.EVP_MD_CTX_free(context)
        if not right:
            self._functions.ERR_clear_error()
        return right

    def chain(self, certificate: bytes, anchors: Sequence[bytes]) -> bool:
        """Tell whether ``certificate`` (DER) is one of ``anchors`` or was really signed by one of them.

        Every anchor is trusted itself, so issuing (intermediate) authorities are listed among them; an anchor
        that is no CA only vouches for itself. Periods are judged apart (:func:`certificates.period`).
        Raises CertificateError for an anchor that cannot be read.
        """
        if certificate in anchors:
            return True
        try:
            facts = read_certificate(certificate)
        except CertificateError:
            return False
        for anchor in anchors:
            authority = read_certificate(anchor)
            if authority.may_issue and authority.subject == facts.issuer:  # noqa: SIM102  — cheap tests before the sum
                if self.verify(anchor, facts.signed, facts.signature):
                    return True
        return False

    def sign_cms(
        self, key: object, certificate: bytes, data: bytes, *, detached: bool = True, signed_at: datetime | None = None
    ) -> bytes:
        """Return a DER PKCS#7 (CMS) signature of ``data`` by one signer, as СМЭВ wants it with attachments."""
        return gost_cms.sign(self, _own(key), certificate, data, detached=detached, signed_at=signed_at)

    def verify_cms(self, cms: bytes, data: bytes) -> CmsVerdict:
        """Judge a DER PKCS#7 over ``data``; never raises for foreign bytes."""
        return gost_cms.verify(self, cms, data)

    def _read_public_key(self, certificate: bytes) -> GostKey | None:
        info = read_public_key(certificate)
        return self._adopt(self._functions.d2i_PUBKEY(None, byref(c_char_p(info)), len(info)))

    def _adopt(self, pointer: int | None) -> GostKey | None:
        """Own what OpenSSL parsed; ``None`` when it parsed nothing or no GOST key."""
        # Success too leaves errors, of decoders that were tried first: TLS of this thread would take them for its own.
        self._functions.ERR_clear_error()
        if not pointer:
            return None
        kind = self._kinds.get(self._functions.EVP_PKEY_get_base_id(pointer))
        if kind is None:
            self._functions.EVP_PKEY_free(pointer)
            return None
        return GostKey(self._library, pointer, *kind)


def _own(key: object) -> GostKey:
    if not isinstance(key, GostKey):
        raise TypeError("expected a key from GostEngine.load_key")
    return key
