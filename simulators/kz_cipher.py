"""AES-256-GCM and RSA-OAEP with SHA-256 for the reference signing service and the simulated ШЭП, by OpenSSL."""

from __future__ import annotations

import os
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p, create_string_buffer
from typing import TYPE_CHECKING, Final

from adapter.signing import libcrypto
from adapter.signing.certificates import read_certificate
from adapter.signing.kz import RSA, suite_of
from adapter.xml.encryption import encrypted_data, parts_of

if TYPE_CHECKING:
    from ctypes import CDLL

    from adapter.signing.kz import KzKey

_NONCE: Final = 12
_TAG: Final = 16
_OAEP: Final = 4
_GET_TAG, _SET_TAG = 0x10, 0x11
_PROTOTYPES: Final = {
    "EVP_aes_256_gcm": (c_void_p, []),
    "EVP_CIPHER_CTX_new": (c_void_p, []),
    "EVP_CIPHER_CTX_free": (None, [c_void_p]),
    "EVP_CIPHER_CTX_ctrl": (c_int, [c_void_p, c_int, c_int, c_void_p]),
    "EVP_CipherInit_ex": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_char_p, c_int]),
    "EVP_CipherUpdate": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_int]),
    "EVP_CipherFinal_ex": (c_int, [c_void_p, c_void_p, c_void_p]),
    "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_free": (None, [c_void_p]),
    "EVP_PKEY_encrypt_init": (c_int, [c_void_p]),
    "EVP_PKEY_decrypt_init": (c_int, [c_void_p]),
    "EVP_PKEY_encrypt": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_size_t]),
    "EVP_PKEY_decrypt": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_size_t]),
    "EVP_PKEY_CTX_set_rsa_padding": (c_int, [c_void_p, c_int]),
    "EVP_PKEY_CTX_set_rsa_oaep_md": (c_int, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_set_rsa_mgf1_md": (c_int, [c_void_p, c_void_p]),
    "EVP_sha256": (c_void_p, []),
}


class CipherError(ValueError):
    """Content that cannot be encrypted for somebody, or decrypted by a key; the text says no more."""


def encrypt(content: bytes, certificate: bytes) -> bytes:
    """Return the EncryptedData of ``content`` for the RSA key of a DER certificate. Raises CipherError."""
    if suite_of(certificate) is not RSA:
        raise CipherError("the certificate has no RSA key")
    crypto, info = _crypto(), read_certificate(certificate).public_key
    key = crypto.d2i_PUBKEY(None, byref(c_char_p(info)), len(info))
    crypto.ERR_clear_error()
    try:
        secret, nonce = os.urandom(32), os.urandom(_NONCE)
        wrapped = _rsa("encrypt", key, secret)
    finally:
        crypto.EVP_PKEY_free(key)
    return encrypted_data(wrapped, nonce + _gcm(secret, nonce, content, None))


def decrypt(data: bytes, key: KzKey) -> bytes:
    """Return what an EncryptedData holds. Raises CipherError; XmlError for what is none of ours."""
    wrapped, cipher = parts_of(data)
    if key.suite is not RSA or len(cipher) < _NONCE + _TAG:
        raise CipherError("the content cannot be decrypted")
    secret = _rsa("decrypt", key.pointer, wrapped)
    if len(secret) != 32:
        raise CipherError("the content cannot be decrypted")
    return _gcm(secret, cipher[:_NONCE], cipher[_NONCE:-_TAG], cipher[-_TAG:])


def _rsa(direction: str, key: int, data: bytes) -> bytes:
    """Wrap or unwrap a key."""
    crypto = _crypto()
    context = crypto.EVP_PKEY_CTX_new(key, None)
    try:
        length = c_size_t(1024)
        result = create_string_buffer(length.value)
        sha256 = crypto.EVP_sha256()
        done = (
            getattr(crypto, f"EVP_PKEY_{direction}_init")(context) == 1
            and crypto.EVP_PKEY_CTX_set_rsa_padding(context, _OAEP) == 1
            and crypto.EVP_PKEY_CTX_set_rsa_oaep_md(context, sha256) == 1
            and crypto.EVP_PKEY_CTX_set_rsa_mgf1_md(context, sha256) == 1
            and getattr(crypto, f"EVP_PKEY_{direction}")(context, result, byref(length), data, len(data)) == 1
        )
    finally:
        crypto.EVP_PKEY_CTX_free(context)
        crypto.ERR_clear_error()
    if not done:
        raise CipherError("the content cannot be decrypted")
    return result.raw[: length.value]


def _gcm(secret: bytes, nonce: bytes, data: bytes, tag: bytes | None) -> bytes:
    """Return ciphertext and tag of ``data``, or with ``tag`` what it is the ciphertext of. Raises CipherError."""
    crypto = _crypto()
    context = crypto.EVP_CIPHER_CTX_new()
    try:
        length, found = c_int(0), create_string_buffer(_TAG if tag is None else tag, _TAG)
        result = create_string_buffer(len(data) + _TAG)
        encrypts = int(tag is None)
        done = (
            crypto.EVP_CipherInit_ex(context, crypto.EVP_aes_256_gcm(), None, secret, nonce, encrypts) == 1
            and crypto.EVP_CipherUpdate(context, result, byref(length), data, len(data)) == 1
            and (tag is None or crypto.EVP_CIPHER_CTX_ctrl(context, _SET_TAG, _TAG, found) == 1)
            and crypto.EVP_CipherFinal_ex(context, create_string_buffer(_TAG), byref(c_int(0))) == 1
            and (tag is not None or crypto.EVP_CIPHER_CTX_ctrl(context, _GET_TAG, _TAG, found) == 1)
        )
    finally:
        crypto.EVP_CIPHER_CTX_free(context)
        crypto.ERR_clear_error()
    if not done:
        raise CipherError("the content cannot be decrypted")
    return result.raw[: length.value] + (found.raw if tag is None else b"")


def _crypto() -> CDLL:
    functions = libcrypto.load().functions
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(functions, name)
        function.restype, function.argtypes = result, arguments
    return functions
