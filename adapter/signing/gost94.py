"""GOST R 34.11-94 with the test S-box, as Kazakh GOST 34.311 uses it (facts of ШЭП: id-GostR3411-94-TestParamSet).

OpenSSL's engine knows the CryptoPro S-box alone, so this is done in Python: about 400 kB a second, for old signatures
of small messages. Source: RFC 5831; numbers are little-endian, as the RFC's examples are read.
"""

from __future__ import annotations

from typing import Final

_SBOX: Final = (
    (4, 10, 9, 2, 13, 8, 0, 14, 6, 11, 1, 12, 7, 15, 5, 3),
    (14, 11, 4, 12, 6, 13, 15, 10, 2, 3, 8, 1, 0, 7, 5, 9),
    (5, 8, 1, 13, 10, 3, 4, 2, 14, 15, 12, 7, 6, 0, 9, 11),
    (7, 13, 10, 1, 0, 8, 9, 15, 14, 4, 6, 12, 11, 2, 5, 3),
    (6, 12, 7, 1, 5, 15, 13, 8, 4, 10, 9, 14, 0, 3, 11, 2),
    (4, 11, 10, 0, 7, 2, 1, 13, 3, 6, 8, 5, 9, 12, 15, 14),
    (13, 11, 4, 1, 3, 15, 5, 9, 0, 10, 14, 7, 6, 8, 2, 12),
    (1, 15, 13, 0, 5, 7, 10, 4, 9, 2, 3, 14, 6, 11, 8, 12),
)
_BLOCK: Final = 32
_WHOLE: Final = (1 << 256) - 1
_WORD: Final = 0xFFFFFFFF
_KEY_CONSTANTS: Final = (
    0,
    int("FF00FFFF000000FFFF0000FF00FFFF0000FF00FF00FF00FFFF00FF00FF00FF00", 16),
    0,
)
#: Byte ``j`` of a key is byte ``_ORDER[j]`` of what it is made of.
_ORDER: Final = tuple(8 * (j % 4) + j // 4 for j in range(_BLOCK))


def _rotated(value: int) -> int:
    return ((value << 11) | (value >> 21)) & _WORD


#: What one round makes of each byte of its word: two S-boxes and the rotation.
_ROUND: Final = tuple(
    tuple(_rotated((_SBOX[2 * n + 1][byte >> 4] << 4 | _SBOX[2 * n][byte & 15]) << 8 * n) for byte in range(256))
    for n in range(4)
)


def digest(data: bytes) -> bytes:
    """Return the 32 bytes of the digest of ``data``."""
    state = total = 0
    for start in range(0, len(data), _BLOCK):
        block = int.from_bytes(data[start : start + _BLOCK], "little")
        state = _step(block, state)
        total = (total + block) & _WHOLE
    state = _step(len(data) * 8, state)
    return _step(total, state).to_bytes(_BLOCK, "little")


def _step(block: int, state: int) -> int:
    """Return what ``block`` makes of ``state``."""
    encrypted = 0
    for number, key in enumerate(_keys(block, state)):
        encrypted |= _encrypt(key, state >> 64 * number & ((1 << 64) - 1)) << 64 * number
    return _mixed(state ^ _mixed(block ^ _mixed(encrypted, 12), 1), 61)


def _keys(block: int, state: int) -> list[tuple[int, ...]]:
    """Return four keys of eight words."""
    left, right = state, block
    keys = [_key(left ^ right)]
    for constant in _KEY_CONSTANTS:
        left = _shifted(left) ^ constant
        right = _shifted(_shifted(right))
        keys.append(_key(left ^ right))
    return keys


def _shifted(value: int) -> int:
    return (value >> 64) | (((value ^ value >> 64) & ((1 << 64) - 1)) << 192)


def _key(value: int) -> tuple[int, ...]:
    octets = value.to_bytes(_BLOCK, "little")
    key = bytes(octets[position] for position in _ORDER)
    return tuple(int.from_bytes(key[start : start + 4], "little") for start in range(0, _BLOCK, 4))


def _encrypt(key: tuple[int, ...], block: int) -> int:
    """Encrypt 64 bits by GOST 28147-89."""
    first, second, third, fourth = _ROUND
    low, high = block & _WORD, block >> 32
    for word in key * 3 + key[::-1]:
        mixed = (low + word) & _WORD
        low, high = (
            high ^ first[mixed & 255] ^ second[mixed >> 8 & 255] ^ third[mixed >> 16 & 255] ^ fourth[mixed >> 24],
            low,
        )
    return low << 32 | high


def _mixed(value: int, times: int) -> int:
    for _ in range(times):
        word = value ^ value >> 16 ^ value >> 32 ^ value >> 48 ^ value >> 192 ^ value >> 240
        value = value >> 16 | (word & 0xFFFF) << 240
    return value
