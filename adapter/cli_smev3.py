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
from adapter.xml.multipart import SoapMessage, read_message
from adapter.xml.parser import XmlError, parse, serialize
from adapter.xml.placement import DS, is_place_of_service
from adapter.xml.signature import VALUE_WRONG, SignatureVerdict, verify_message
from adapter.xml.transform import smev_transform

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

_REFUSED = 2
#: A message of СМЭВ3 is smaller by far, with all its parts; what is larger is another file.
_MOST_BYTES = 64 * 2**20
_STDIN = Path("-")
_AS_IT_TRAVELLED = "right over the message as it travelled: the content of included parts is not signed"
_INDENTED = "right but for blanks between the parts of the signature: the message was re-formatted after it was signed"


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of output: a signature of ``file``, or a file that has none (``math`` false, ``reason`` says so)."""

    file: str
    verdict: SignatureVerdict
    trust: str
    period: str
    subject: str
    note: str

    def holds(self, *, trusted: bool) -> bool:
        return self.verdict.math and (not trusted or self.trust == "trusted")

    @property
    def is_not_ours(self) -> bool:
        """Tell whether business content brought the signature along, made by an algorithm that nobody here counts."""
        return not self.verdict.judged and not is_place_of_service(self.verdict.parent)

    def to_json(self) -> str:
        verdict = self.verdict
        facts = {
            "file": self.file,
            "reference": verdict.reference,
            "element": verdict.element,
            "parent": verdict.parent,
            "judged": verdict.judged,
            "math": verdict.math,
            "reason": verdict.reason,
            "note": self.note,
            "trust": self.trust,
            "period": self.period,
            "revocation": verdict.revocation,
            "algorithm": verdict.algorithm,
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
        description="Judges every signature of message files and prints one JSON line for each. Exit codes: 0 every"
        " signature is right, 1 one is not or a file has none, 2 a file cannot be read. A signature that business"
        " content brings along, by an algorithm that is not GOST, is told (judged: false) and does not count.",
    )
    verify.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a SOAP message, plain or multipart, as it was saved; a folder of them; - is standard input",
    )
    verify.add_argument("--trust", type=Path, metavar="FILE", help="trust anchors, PEM or DER: trust has to hold too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; 0 done and right, 1 a signature is not right, 2 refused or unreadable input."""
    if args.verb == "transform":
        return _transform()
    return _verify(args.files, args.trust)


def _transform() -> int:
    try:
        output = smev_transform(_read(_STDIN))
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
    for file in _files(files):
        try:
            found = _verdicts(read_message(_read(file)), gost)
        except OSError as error:
            code = _refuse(f"{file}: {error.strerror}")
            continue
        except XmlError as error:
            code = _refuse(f"{file}: {error.rule}")
            continue
        lines = [_line(file, judged, gost, anchors, now) for judged in found or [(_none(), "")]]
        for line in lines:
            print(line.to_json(), flush=True)
        held = [line.holds(trusted=anchors is not None) for line in lines]
        if not any(held) or not all(right or line.is_not_ours for right, line in zip(held, lines, strict=True)):
            code = code or 1
    return code


def _files(named: Sequence[Path]) -> Iterator[Path]:
    """Return every file named, a folder's in order of their paths."""
    for path in named:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("[!.]*") if file.is_file())
        else:
            yield path


def _read(file: Path) -> bytes:
    """Return a file's bytes. Raises OSError, and XmlError for more than any message holds."""
    if file == _STDIN:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        with file.open("rb") as source:
            data = source.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise XmlError(f"a message has at most {_MOST_BYTES} bytes")
    return data


def _verdicts(message: SoapMessage, gost: GostEngine) -> list[tuple[SignatureVerdict, str]]:
    """Judge every signature over the whole message, with its included parts; look twice at one that is not right.

    Some senders sign the reference to a part instead of its content: such a signature is right, and says less. One that
    would be right if nobody had indented it is not right, but its reader wants to know.
    """
    judged = [(verdict, "") for verdict in verify_message(message.whole, gost)]
    if message.root is not message.whole and not all(verdict.math for verdict, _ in judged):
        travelled = verify_message(message.root, gost)
        judged = [
            (second, _AS_IT_TRAVELLED) if second.math and not first[0].math else first
            for first, second in zip(judged, travelled, strict=True)
        ]
    if any(verdict.reason == VALUE_WRONG for verdict, _ in judged):
        plain = verify_message(_without_indentation(message.whole), gost)
        judged = [
            (first[0], _INDENTED) if second.math and not first[0].math else first
            for first, second in zip(judged, plain, strict=True)
        ]
    return judged


def _without_indentation(document: bytes) -> bytes:
    """Take the blanks between elements out of every signature: the service writes none there."""
    root = parse(document)
    for signature in root.iter(f"{{{DS}}}Signature"):
        for element in signature.iter():
            if len(element) and not (element.text or "").strip():
                element.text = None
            if element is not signature and not (element.tail or "").strip():
                element.tail = None
    return serialize(root)


def _none() -> SignatureVerdict:
    return SignatureVerdict(
        "", "", "", math=False, reason="the document has no signature", algorithm="", certificate=b""
    )


def _line(
    file: Path, judged: tuple[SignatureVerdict, str], gost: GostEngine, anchors: Sequence[bytes] | None, now: datetime
) -> _Line:
    """Judge trust and period, which are apart from the mathematics."""
    verdict, note = judged
    certificate = verdict.certificate
    trust = "unchecked"
    if anchors is not None:
        trust = "trusted" if certificate and gost.chain(certificate, anchors) else "untrusted"
    try:
        return _Line(
            str(file), verdict, trust, period(certificate, now), read_certificate(certificate).subject_text, note
        )
    except CertificateError:  # the verdict already says that the signature is not right
        return _Line(str(file), verdict, trust, "unchecked", "", note)


def _refuse(sentence: str) -> int:
    print(sentence.replace("\n", " "), file=sys.stderr)
    return _REFUSED
