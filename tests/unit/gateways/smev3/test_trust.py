from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from adapter.gateways.smev3.reading import open_envelope, read_delivery
from adapter.gateways.smev3.trust import Belief, judge, verdict_facts
from adapter.xml.signature import DIGEST_WRONG
from tests.unit.gateways.smev3.scripted import NAMES, business_answer, verdict

if TYPE_CHECKING:
    from adapter.gateways.smev3.trust import Judgement
    from adapter.xml.signature import SignatureVerdict

SENDER = verdict(
    reference="#SIGNED_BY_CALLER",
    element=NAMES.type("SenderProvidedResponseData"),
    parent=NAMES.type("SenderInformationSystemSignature"),
    trust="untrusted",
)


def judged(*verdicts: SignatureVerdict, body: bytes | None = None, require_trust: bool = True) -> Judgement:
    read = read_delivery(open_envelope(body or business_answer()), NAMES)
    assert read is not None
    return judge(verdicts, read.part, NAMES, require_trust=require_trust)


def test_a_right_trusted_signature_over_what_was_read_is_believed() -> None:
    assert judged(verdict()).belief is Belief.TAKE


def test_the_senders_verdict_decides_nothing() -> None:
    assert judged(SENDER, verdict()).belief is Belief.TAKE


def test_a_mathematically_wrong_signature_is_refused() -> None:
    judgement = judged(verdict(math=False, reason=DIGEST_WRONG))
    assert (judgement.belief, judgement.reason) == (Belief.REFUSE, DIGEST_WRONG)


def test_a_signature_that_cannot_be_judged_is_never_refused_to_the_gateway() -> None:
    judgement = judged(verdict(math=False, reason="the Id is not unique"))
    assert judgement.belief is Belief.PAUSE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trust": "untrusted"}, "not trusted"),
        ({"trust": "unchecked"}, "not checked"),
        ({"period": "expired"}, "expired"),
        ({"period": "not-yet-valid"}, "not-yet-valid"),
        ({"revocation": "revoked"}, "revoked"),
        ({"reference": "#OTHER"}, "does not cover"),
        ({"reference": ""}, "does not cover"),
        ({"element": NAMES.type("SenderProvidedResponseData")}, "does not cover"),
    ],
)
def test_everything_else_that_is_not_right_pauses(changes: dict[str, object], words: str) -> None:
    judgement = judged(verdict(**changes))
    assert judgement.belief is Belief.PAUSE
    assert words in judgement.reason


def test_no_signature_of_smev_pauses() -> None:
    assert judged(SENDER).belief is Belief.PAUSE
    assert judged().belief is Belief.PAUSE


def test_two_elements_with_the_signed_id_pause() -> None:
    body = business_answer('<z:Answer xmlns:z="urn:zoo" Id="SIGNED_BY_SMEV"/>')
    assert judged(verdict(), body=body).belief is Belief.PAUSE


def test_two_signatures_over_what_was_read_pause() -> None:
    assert judged(verdict(), verdict()).belief is Belief.PAUSE


def test_an_empty_id_matches_no_reference() -> None:
    body = business_answer().replace(b' Id="SIGNED_BY_SMEV"', b"")
    assert judged(verdict(reference="#"), body=body).belief is Belief.PAUSE


def test_without_anchors_trust_may_be_waived_but_distrust_may_not() -> None:
    assert judged(verdict(trust="unchecked"), require_trust=False).belief is Belief.TAKE
    assert judged(verdict(trust="untrusted"), require_trust=False).belief is Belief.PAUSE


def test_facts_for_the_journal_name_a_certificate_by_its_digest_alone() -> None:
    (facts,) = verdict_facts([verdict(certificate="СНИЛС".encode())])
    assert facts["certificate_sha256"] == hashlib.sha256("СНИЛС".encode()).hexdigest()
    assert "certificate" not in facts
    assert facts["parent"] == NAMES.type("SMEVSignature")
    assert (facts["math"], facts["trust"], facts["period"]) == (True, "trusted", "valid")
