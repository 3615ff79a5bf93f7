"""The sheet with a case's QR code that an employee takes to the locker; it is not for the applicant.

Source: seeds/002_f03ffb5ed5d4afbc.txt, «отдельным листом, не выдаваемым заявителю».
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reportlab.lib.units import mm

from adapter.documents.pdf import BOLD, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "Внутренний документ МФЦ. Заявителю не выдаётся"


@dataclass(frozen=True, slots=True, kw_only=True)
class QrSheet:
    """What stands on the sheet. ``modules`` are the code's rows with its quiet zone, true is black."""

    casenum: str
    phone: str
    postamatid: str
    address: str
    modules: Sequence[Sequence[bool]]


def qr_sheet(sheet: QrSheet) -> bytes:
    """Return the sheet as PDF, one A4 page."""
    page = Page(f"QR-код для постамата, дело {sheet.casenum}")
    page.boxed(MARK)
    page.gap(8 * mm)
    page.text("Выдача результата услуги через постамат", size=16, font=BOLD)
    page.gap(4 * mm)
    page.text(f"Дело: {sheet.casenum}", size=13)
    page.text(f"Постамат № {sheet.postamatid}: {sheet.address}", size=13)
    page.text(f"Телефон заявителя: {sheet.phone}", size=13)
    page.gap(6 * mm)
    page.squares(sheet.modules, side=90 * mm)
    page.gap(4 * mm)
    page.text("Специалисту МФЦ", size=12, font=BOLD)
    for number, step in enumerate(_STEPS, start=1):
        page.text(f"{number}. {step}", indent=4 * mm)
    page.gap(6 * mm)
    page.text("Код содержит персональные данные. После закладки документов уничтожьте лист.", size=9)
    return page.finished()


_STEPS = (
    "Возьмите результат услуги и этот лист и подойдите к постамату с указанным номером.",
    "Отсканируйте код сканером постамата.",
    "Заложите документы в открывшуюся ячейку и закройте её.",
    "Убедитесь, что статус дела изменился на «В постамате».",
)
