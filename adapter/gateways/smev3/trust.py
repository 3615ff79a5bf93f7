"""Whether an incoming message may be believed: the verdicts on its signatures, weighed against what we read.

Source: ARCHITECTURE, Security: the reference must be the node we read; verdicts apart; ``accepted=false`` only for a
mathematically wrong signature, everything else that is not right pauses the poller.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from adapter.xml.signature import COMPUTED_WRONG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapter.gateways.smev3.messages import Names
    from adapter.gateways.smev3.reading import SignedPart
    from adapter.xml.signature import SignatureVerdict


class Belief(StrEnum):
    """What to do with a message."""

    TAKE = "take"
    """Signed by СМЭВ over the very element that we read."""
    REFUSE = "refuse"
    """The СМЭВ signature is mathematically wrong: Ack with accepted=false."""
    PAUSE = "pause"
    """Not to be believed and not to be lost: no Ack, and a person has to look."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A belief and, unless it is TAKE, its reason as a short English sentence."""

    belief: Belief
    reason: str = ""


def judge(verdicts: Sequence[SignatureVerdict], part: SignedPart, names: Names, *, require_trust: bool) -> Judgement:
    """Weigh the verdicts on the message of which ``part`` was read.

    Only a signature that was computed wrong is REFUSE. One over another element than the one we read, or one that
    cannot be judged, is PAUSE: СМЭВ never sends such a message, so somebody on the way does, and an Ack would make the
    gateway forget the real one.
    """
    smev = [verdict for verdict in verdicts if verdict.parent == names.type("SMEVSignature")]
    if not smev:
        return Judgement(Belief.PAUSE, "message carries no SMEVSignature")
    right = [verdict for verdict in smev if verdict.math]
    if not right:
        belief = Belief.REFUSE if all(verdict.reason in COMPUTED_WRONG for verdict in smev) else Belief.PAUSE
        return Judgement(belief, smev[0].reason or "signature is not right")
    ours = [
        verdict
        for verdict in right
        if verdict.element == names.type(part.name) and part.id and verdict.reference == f"#{part.id}"
    ]
    if len(ours) != 1 or not part.id_is_unique:
        return Judgement(Belief.PAUSE, f"SMEVSignature does not cover exactly the {part.name} that was read")
    return _judge_certificate(ours[0], require_trust=require_trust)


def _judge_certificate(verdict: SignatureVerdict, *, require_trust: bool) -> Judgement:
    """Judge trust, period and revocation of the certificate behind a right signature."""
    if verdict.trust == "untrusted":
        return Judgement(Belief.PAUSE, "certificate of the SMEVSignature is not trusted")
    if verdict.trust != "trusted" and require_trust:
        return Judgement(Belief.PAUSE, "certificate of the SMEVSignature was not checked against trust anchors")
    if verdict.period in ("expired", "not-yet-valid"):
        return Judgement(Belief.PAUSE, f"certificate of the SMEVSignature is {verdict.period}")
    if verdict.revocation == "revoked":
        return Judgement(Belief.PAUSE, "certificate of the SMEVSignature is revoked")
    return Judgement(Belief.TAKE)


def verdict_facts(verdicts: Sequence[SignatureVerdict]) -> list[Mapping[str, Any]]:
    """Return the verdicts as plain facts for the journal.

    A certificate is named by its SHA-256 alone: its subject is personal data when an official signed.
    """
    return [
        {
            "reference": verdict.reference,
            "element": verdict.element,
            "parent": verdict.parent,
            "math": verdict.math,
            "reason": verdict.reason,
            "algorithm": verdict.algorithm,
            "certificate_sha256": hashlib.sha256(verdict.certificate).hexdigest() if verdict.certificate else "",
            "trust": verdict.trust,
            "period": verdict.period,
            "revocation": verdict.revocation,
        }
        for verdict in verdicts
    ]
