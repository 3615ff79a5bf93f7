"""Who signed a message, over what, and may they: the checks of ЭП-ОВ and ЭП-СП.

Every finding is a SignatureVerificationFault with the enumerated value the real service has for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from asn1crypto import x509
from lxml import etree

from adapter.signing.certificates import period, read_certificate
from adapter.xml.signature import verify_message
from simulators.smev3.faults import refuse, refuse_signature
from simulators.smev3.names import SMEV_TRANSFORM, XMLDSIG, signed_names
from simulators.smev3.queues import Party

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from adapter.signing.gost import GostEngine
    from adapter.xml.signature import SignatureVerdict
    from simulators.smev3.names import Operation, Version

_SIGNATURE = f"{{{XMLDSIG}}}Signature"
_TRANSFORM = f"{{{XMLDSIG}}}Transform"
_ACCEPTED_ALGORITHM = "gostr34102012"
_WRONG = "ЭП-ОВ не соответствует подписанным данным"


@dataclass(frozen=True, slots=True)
class Sender:
    """An information system as the service knows it: by the subject of its certificate, so that renewal keeps it."""

    identity: str
    party: Party
    certificate: bytes


class SignatureDesk:
    """Checks signatures against one set of trust anchors."""

    def __init__(self, gost: GostEngine, anchors: Sequence[bytes], officials: Sequence[bytes] = ()) -> None:
        """``anchors`` are DER certificates; ``officials`` are people's ones, which are registered for no system."""
        self._gost = gost
        self._anchors = tuple(anchors)
        self._officials = frozenset(officials)
        self._trusted = lru_cache(maxsize=1024)(self._chain)

    def check(
        self,
        data: bytes,
        body: etree._Element,
        operation: Operation,
        version: Version,
        now: datetime,
    ) -> Sender:
        """Check every signature the operation calls for and return who signed. Raises RefusedError.

        ``data`` is the message as received, ``body`` the operation's element in its parsed tree.
        """
        holder = body.find(f"{{{version.types}}}CallerInformationSystemSignature")
        if holder is None:
            raise refuse_signature("NoSignatureFound", "Отсутствует ЭП-ОВ", place="SPS:1")
        verdicts = self._verdicts(data, body)
        names = signed_names(operation, version)
        target = next((child for child in body.iterchildren(etree.Element) if child.tag in names), None)
        verdict = self._one(holder, verdicts)
        self._judge(verdict, target, holder)
        self._judge_certificate(verdict.certificate, now, "ЭП-ОВ")
        if verdict.certificate in self._officials:
            raise refuse("SenderIsNotRegistered", place="SPS:6")
        self._check_personal(body, version, verdicts, now)
        return sender_of(verdict.certificate)

    def _verdicts(self, data: bytes, body: etree._Element) -> dict[etree._Element, SignatureVerdict]:
        """Return the verdict of each signature element: both lists are in document order."""
        elements = list(body.getroottree().getroot().iter(_SIGNATURE))
        verdicts = verify_message(data, self._gost)
        if len(elements) != len(verdicts):
            raise refuse_signature("SignatureIsInvalid", "Некорректная структура XMLDSig", place="SPS:2")
        return dict(zip(elements, verdicts, strict=True))

    def _one(self, holder: etree._Element, verdicts: dict[etree._Element, SignatureVerdict]) -> SignatureVerdict:
        signatures = [child for child in holder.iterchildren(etree.Element) if child.tag == _SIGNATURE]
        if len(signatures) != 1:
            raise refuse_signature("NoSignatureFound", "Отсутствует ЭП-ОВ", place="SPS:1")
        signature = signatures[0]
        if _has_loose_text(signature) or not _names_transform(signature):
            raise refuse_signature("SignatureIsInvalid", "Некорректная структура XMLDSig", place="SPS:2")
        return verdicts[signature]

    def _judge(self, verdict: SignatureVerdict, target: etree._Element | None, holder: etree._Element) -> None:
        """Refuse a signature that is not right over exactly ``target``."""
        name = etree.QName(holder).localname
        identifier = None if target is None else target.get("Id")
        by_id = identifier is not None and verdict.reference == f"#{identifier}"
        by_document = name == "PersonalSignature" and verdict.reference == "" and identifier is None
        if target is None or not (by_id or by_document) or (verdict.element and verdict.element != target.tag):
            sentence = "ЭП подписывает не ту часть сообщения, которую требуется подписать"
            raise refuse_signature("IncorrectSignatureTarget", sentence, place="SPS:3")
        if not verdict.math or verdict.element != target.tag or verdict.parent != holder.tag:
            raise refuse_signature("SignatureIsInvalid", _WRONG, place="SPS:2")
        if _ACCEPTED_ALGORITHM not in verdict.algorithm:
            raise refuse_signature("SignatureIsInvalid", "Алгоритм ЭП не поддерживается", place="SPS:2")

    def _judge_certificate(self, certificate: bytes, now: datetime, what: str) -> None:
        if not self._trusted(certificate):
            raise refuse_signature("CertificateIsNotFound", f"Сертификат {what} не найден", place="SPS:5")
        state = period(certificate, now)
        if state != "valid":
            until = read_certificate(certificate).not_after.strftime("%Y-%m-%d %H:%M")
            sentence = f"Срок действия сертификата {what} истёк. Сертификат действителен до {until}"
            if state == "not-yet-valid":
                sentence = f"Срок действия сертификата {what} ещё не наступил"
            raise refuse_signature("CertificateIsExpired", sentence, place="SPS:4")

    def _check_personal(
        self,
        body: etree._Element,
        version: Version,
        verdicts: dict[etree._Element, SignatureVerdict],
        now: datetime,
    ) -> None:
        holder = body.find(f"*/{{{version.types}}}PersonalSignature")
        if holder is None:
            return
        content = body.find(f"*/{{{version.basic}}}MessagePrimaryContent")
        root = None if content is None else next(content.iterchildren(etree.Element), None)
        verdict = self._one(holder, verdicts)
        self._judge(verdict, root, holder)
        self._judge_certificate(verdict.certificate, now, "ЭП-СП")

    def _chain(self, certificate: bytes) -> bool:
        return bool(certificate) and self._gost.chain(certificate, self._anchors)


def sender_of(certificate: bytes) -> Sender:
    """Return the system that ``certificate`` (DER, readable) names."""
    subject = read_certificate(certificate).subject
    identity = hashlib.sha256(subject).hexdigest()
    name = x509.Name.load(subject).native.get("common_name", "")
    return Sender(identity, Party(f"SIM{identity[:6].upper()}", str(name)[:500]), certificate)


def _has_loose_text(signature: etree._Element) -> bool:
    """Tell whether text stands between the elements of a ds:Signature, which the service forbids (facts: ЭП-СП)."""
    return any(
        (len(element) and element.text) or (element is not signature and element.tail) for element in signature.iter()
    )


def _names_transform(signature: etree._Element) -> bool:
    return any(transform.get("Algorithm") == SMEV_TRANSFORM for transform in signature.iter(_TRANSFORM))
