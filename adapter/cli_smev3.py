"""``adapter smev3 transform`` and ``adapter smev3 verify``: without configuration, service or network."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.certificates import CertificateError, certificates_of, fingerprint, period, read_certificate
from adapter.signing.gost import GostEngine, GostUnavailableError
from adapter.xml.multipart import soap_message
from adapter.xml.parser import XmlError
from adapter.xml.signature import SignatureVerdict, verify_message
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_REFUSED = 2


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of output: a signature of ``file``, or a file that has none (``math`` false, ``reason`` says so)."""

    file: str
    verdict: SignatureVerdict
    trust: str
    period: str
    subject: str

    def holds(self, *, trusted: bool) -> bool:
        return self.verdict.math and (not trusted or self.trust == "trusted")

    def to_json(self) -> str:
        verdict = self.verdict
        facts = {
            "file": self.file,
            "reference": verdict.reference,
            "element": verdict.element,
            "parent": verdict.parent,
            "math": verdict.math,
            "reason": verdict.reason,
            "trust": self.trust,
            "period": self.period,
            "subject": self.subject,
            "sha256": fingerprint(verdict.certificate) if verdict.certificate else "",
        }
        return json.dumps(facts, ensure_ascii=False)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its two verbs."""
    parser = subparsers.add_parser("smev3", help="transform and verify СМЭВ3 messages without any service")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("transform", help="apply the SMEV transform: XML on standard input, bytes on standard output")
    verify = verbs.add_parser(
        "verify",
        help="judge every signature of message files, one JSON line each; exit code 0 when all are right",
    )
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a SOAP message, plain or multipart")
    verify.add_argument("--trust", type=Path, metavar="FILE", help="trust anchors, PEM or DER: trust has to hold too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; 0 done and right, 1 a signature is not right, 2 refused or unreadable input."""
    if args.verb == "transform":
        return _transform()
    return _verify(args.files, args.trust)


def _transform() -> int:
    try:
        output = smev_transform(sys.stdin.buffer.read())
    except XmlError as error:
        return _refuse(f"cannot be transformed: {error.rule}")
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    return 0


def _verify(files: Sequence[Path], trust: Path | None) -> int:
    try:
        gost = GostEngine.open()
        anchors = None if trust is None else certificates_of(trust.read_bytes())
    except GostUnavailableError as error:
        return _refuse(str(error))
    except (OSError, CertificateError) as error:
        return _refuse(f"{trust}: {error.strerror if isinstance(error, OSError) else error}")
    now = datetime.now(UTC)
    code = 0
    for file in files:
        try:
            verdicts = verify_message(soap_message(file.read_bytes()), gost)
        except OSError as error:
            code = _refuse(f"{file}: {error.strerror}")
            continue
        except XmlError as error:
            code = _refuse(f"{file}: {error.rule}")
            continue
        for verdict in verdicts or [_none()]:
            line = _line(str(file), verdict, gost, anchors, now)
            print(line.to_json(), flush=True)
            if not line.holds(trusted=anchors is not None):
                code = code or 1
    return code


def _none() -> SignatureVerdict:
    return SignatureVerdict(
        "", "", "", math=False, reason="the document has no signature", algorithm="", certificate=b""
    )


def _line(
    file: str, verdict: SignatureVerdict, gost: GostEngine, anchors: Sequence[bytes] | None, now: datetime
) -> _Line:
    """Judge trust and period, which are apart from the mathematics."""
    certificate = verdict.certificate
    trust = "unchecked"
    if anchors is not None:
        trust = "trusted" if certificate and gost.chain(certificate, anchors) else "untrusted"
    try:
        return _Line(file, verdict, trust, period(certificate, now), read_certificate(certificate).subject_text)
    except CertificateError:  # the verdict already says that the signature is not right
        return _Line(file, verdict, trust, "unchecked", "")


def _refuse(sentence: str) -> int:
    print(sentence.replace("\n", " "), file=sys.stderr)
    return _REFUSED
