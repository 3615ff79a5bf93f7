"""``adapter shep``: ``verify`` judges signatures without any service; the journals and forms of order № 104."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapter import cli_shep_emergency, cli_shep_form, cli_shep_journal, cli_shep_selftest
from adapter.errors import Code
from adapter.signing.certificates import CertificateError, certificates_of, fingerprint, read_certificate
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from adapter.signing.kz_stamps import with_trust
from adapter.signing.standing import RevocationList, Standing, bin_of, read_lists, standing
from adapter.xml.parser import XmlError, parse
from adapter.xml.signature import SignatureVerdict
from adapter.xml.wssecurity import SOAP, is_unsupported, verify_document, verify_envelope

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from adapter.xml.stamps import Stamp

_REFUSED = 2


@dataclass(frozen=True, slots=True)
class _Known:
    """What the verdicts are made with: anchors, revocation lists, and certificates that messages may only name."""

    engine: KzEngine
    anchors: Sequence[bytes]
    lists: Sequence[RevocationList]
    named: Sequence[bytes]
    at: datetime


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its verb."""
    parser = subparsers.add_parser("shep", help="verify ШЭП messages; the journals and forms of order № 104")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verify = verbs.add_parser(
        "verify",
        help="judge the signature of SOAP messages and signed documents, one JSON line each; 0 when all are right",
    )
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a SOAP message, or a signed document")
    verify.add_argument("--trust", type=Path, metavar="FILE", help="trust anchors, PEM or DER: trust has to hold too")
    verify.add_argument("--crl", type=Path, action="append", default=[], metavar="FILE", help="a revocation list")
    verify.add_argument(
        "--gateway-certs", type=Path, metavar="FILE", help="certificates that messages only name, PEM or DER"
    )
    verify.set_defaults(run=run)
    cli_shep_journal.add_parser(verbs)
    cli_shep_emergency.add_parser(verbs)
    cli_shep_form.add_parser(verbs)
    cli_shep_selftest.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """Verify; 0 right, 1 a signature is not right, 2 refused or unreadable input."""
    try:
        known = _Known(
            KzEngine.open(),
            certificates_of(args.trust.read_bytes()) if args.trust else [],
            read_lists(file.read_bytes() for file in args.crl),
            certificates_of(args.gateway_certs.read_bytes()) if args.gateway_certs else [],
            datetime.now(UTC),
        )
    except GostUnavailableError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}")
    except CertificateError as error:
        return _refuse(str(error))
    code = 0
    for file in args.files:
        try:
            verdicts = _verdicts(file.read_bytes(), known)
        except OSError as error:
            code = _refuse(f"{file}: {error.strerror}")
            continue
        except XmlError as error:
            code = _refuse(f"{file}: {error.rule}")
            continue
        for verdict in verdicts:
            print(_line(file, verdict), flush=True)
            if not verdict.math or (known.anchors and verdict.trust != "trusted"):
                code = code or 1
    return code


def _verdicts(data: bytes, known: _Known) -> list[SignatureVerdict]:
    """Judge the transport signature of a SOAP message, or every signature of another document."""
    if parse(data).tag == f"{{{SOAP}}}Envelope":
        found = [verify_envelope(data, known.engine, known.named)]
    else:
        found = verify_document(data, known.engine)
    if not found:
        found = [SignatureVerdict("", "", "", math=False, reason="no signature", algorithm="", certificate=b"")]
    return [_with_standing(verdict, known) for verdict in found]


def _with_standing(verdict: SignatureVerdict, known: _Known) -> SignatureVerdict:
    found = Standing()
    if verdict.certificate:
        found = standing(known.engine, verdict.certificate, known.anchors, known.lists, known.at)
    stamp = None if verdict.stamp is None else with_trust(known.engine, verdict.stamp, known.anchors)
    return replace(verdict, trust=found.trust, period=found.period, revocation=found.revocation, stamp=stamp)


def _line(file: Path, verdict: SignatureVerdict) -> str:
    facts: dict[str, object] = {
        "file": str(file),
        "reference": verdict.reference,
        "element": verdict.element,
        "math": verdict.math,
        "reason": verdict.reason,
        "code": Code.UNSUPPORTED_ALGORITHM.wire if is_unsupported(verdict.reason) else "",
        "algorithm": verdict.algorithm,
        "trust": verdict.trust,
        "period": verdict.period,
        "revocation": verdict.revocation,
        "stamp": _stamp(verdict.stamp),
        "bin": "",
        "subject": "",
        "sha256": "",
    }
    try:
        if verdict.certificate:
            facts["sha256"] = fingerprint(verdict.certificate)
            facts["subject"] = read_certificate(verdict.certificate).subject_text
            facts["bin"] = bin_of(verdict.certificate)
    except CertificateError:
        pass  # the verdict already says that the signature is not right
    return json.dumps(facts, ensure_ascii=False)


def _stamp(stamp: Stamp | None) -> dict[str, str] | None:
    """Return what is told of a time stamp."""
    if stamp is None:
        return None
    told = {"verdict": stamp.verdict, "at": stamp.at, "trust": stamp.trust, "reason": stamp.reason}
    return told | {"sha256": fingerprint(stamp.certificate) if stamp.certificate else ""}


def _refuse(sentence: str) -> int:
    print(sentence.replace("\n", " "), file=sys.stderr)
    return _REFUSED
