"""The letter that announces planned work, three days before it (order № 104, rules 16 and 34)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.documents.word import MISSING, Paper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceNotice:
    """What the letter says. Moments are in the zone in which they are written; '' is what nobody has said.

    ``gateway`` and ``service`` are names for people, ``service`` '' means the whole gateway.
    """

    number: int
    written: datetime
    sender: str
    addressees: Sequence[str]
    gateway: str
    service: str
    begins: datetime
    ends: datetime
    reason: str


def maintenance_notice(notice: MaintenanceNotice) -> bytes:
    """Return the letter as docx, one page."""
    paper = Paper("Уведомление о технологическом перерыве", notice.written)
    for addressee in notice.addressees or (MISSING,):
        paper.text(addressee, right=True)
    paper.text(f"{notice.written:%d.%m.%Y} № {notice.number}")
    paper.heading("Уведомление о технологическом перерыве")
    what = f"информационное взаимодействие через {notice.gateway}"
    if notice.service:
        what = f"работа сервиса {notice.service}, {notice.gateway}"
    sender = notice.sender or MISSING
    paper.text(f"{sender} уведомляет о плановых работах. На время работ приостанавливается {what}.")
    hours = (notice.ends - notice.begins).total_seconds() / 3600
    paper.table(
        (),
        [
            ("Начало", _moment(notice.begins)),
            ("Окончание", _moment(notice.ends)),
            ("Продолжительность", f"{hours:.1f} ч".replace(".", ",")),
            ("Причина", notice.reason),
            ("Что недоступно", notice.service or notice.gateway),
        ],
        (1, 2),
    )
    paper.text("")
    paper.text(
        "Сообщения, направленные в это время, ожидают окончания работ и отправляются после него, если не истёк срок их "
        "исполнения. Просим учесть перерыв в работе своих информационных систем."
    )
    paper.text("")
    paper.text("Ответственное лицо: ______________________ / ______________________ / (подпись, ФИО, телефон)")
    return paper.finished()


def _moment(at: datetime) -> str:
    offset = f"{at:%z}"
    return f"{at:%d.%m.%Y %H:%M} (UTC{offset[:3]}:{offset[3:]})"
