"""The proof of one exchange as a file: exact bytes, certificates, verdicts, checksums and a page to print.

The same journal gives the same file, byte for byte: dates inside the zip are fixed, members are stored unpacked (no
compressor's version shows), and who has looked is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import ssl
import zipfile
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.recovery.history import LOOKED
from adapter.recovery.page import page
from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adapter.recovery.history import Fact, History

_FIXED: Final = (1980, 1, 1, 0, 0, 0)
_CERTIFICATE: Final = "{http://www.w3.org/2000/09/xmldsig#}X509Certificate"
_JSON: Final = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
_NAMES: Final = {"received": "command", "written": "message", "parked": "message", "pending": "message"}


def make_archive(history: History) -> bytes:
    """Return the zip of an exchange whose history was read with its bytes."""
    facts = [fact for fact in history.facts if fact.name != LOOKED]
    members: dict[str, bytes] = {}
    files: dict[int, str] = {}
    for place, fact in enumerate(facts):
        named = dict(_members(fact, len(files) + 1))
        if named:
            files[place] = next(iter(named))
            members |= named
    certificates = _certificates(members)
    members |= certificates
    verdicts = [
        {"file": files.get(place, ""), **verdict}
        for place, fact in enumerate(facts)
        for verdict in fact.notes.get("verdicts", ())
    ]
    members["verdicts.json"] = orjson.dumps(verdicts, default=str, option=_JSON)
    members["timeline.txt"] = page(history.exchange, facts, files, verdicts, len(certificates)).encode()
    members["manifest.json"] = _manifest(history, facts, files, members)
    return _zip(members)


def _members(fact: Fact, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of one fact: what came or went, the business root beside it, the raw AMQP properties."""
    stem = f"{number:02}-{_NAMES.get(fact.name, fact.name)}"
    if fact.data is not None:
        yield f"{stem}.{_extension(fact.data)}", fact.data
    if fact.content:
        yield f"{stem}.content.{_extension(fact.content)}", fact.content
    if fact.properties is not None:
        yield f"{stem}.properties.bin", fact.properties


def _extension(data: bytes) -> str:
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return "xml"
    return "json" if start in (b"{", b"[") else "bin"


def _certificates(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return every certificate inside the signatures of the XML members, by its SHA-256."""
    found: dict[str, bytes] = {}
    for data in members.values():
        for der in _certificates_in(data):
            found[f"certificates/{hashlib.sha256(der).hexdigest()}.pem"] = ssl.DER_cert_to_PEM_cert(der).encode()
    return dict(sorted(found.items()))


def _certificates_in(data: bytes) -> Iterator[bytes]:
    try:
        root = parse(soap_message(data))
    except XmlError:  # JSON, property bytes, a broken answer: kept as they are, and without a signature to read
        return
    for element in root.iter(_CERTIFICATE):
        text = "".join(str(part) for part in element.itertext())
        try:
            der = base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error:  # a foreign signature may hold anything; the exact bytes are in the archive all the same
            continue
        if der:
            yield der


def _manifest(history: History, facts: Sequence[Fact], files: Mapping[int, str], members: Mapping[str, bytes]) -> bytes:
    exchange = history.exchange
    manifest: dict[str, Any] = {
        "exchange": {
            "id": exchange.id,
            "action": exchange.action,
            "state": exchange.state,
            "code": exchange.outcome_code,
            "message_id": exchange.message_id,
            "correlation_id": exchange.correlation,
            "gateway": exchange.gateway,
            "gateway_id": exchange.gateway_id,
            "command_sha256": exchange.body_sha256.hex(),
            "command_bytes": exchange.body_size,
            "command_kept": exchange.body is not None,
        },
        "timeline": [
            {
                "at": fact.at,
                "event": fact.name,
                "state": fact.state,
                "code": fact.code,
                "bytes": fact.size,
                "message_id": fact.message_id,
                "file": files.get(place),
                "notes": {name: note for name, note in fact.notes.items() if name != "verdicts"},
            }
            for place, fact in enumerate(facts)
        ],
        "members": [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        ],
    }
    return orjson.dumps(manifest, default=str, option=_JSON)


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=_FIXED)
            info.create_system = 3
            info.external_attr = 0o600 << 16
            archive.writestr(info, data)
    return buffer.getvalue()
