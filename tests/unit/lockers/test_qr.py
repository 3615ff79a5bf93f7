"""The code is read back by a reader that knows nothing of how it was written: OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.documents.qr_sheet import MARK, QrSheet, qr_sheet
from adapter.gateways.postamat.api import is_casenum
from adapter.lockers.qr import code_modules, code_png, code_svg, code_text

SEED = "1233|+7 (918) 555 55 54|1.22-52"
SVG = "{http://www.w3.org/2000/svg}"


def read(picture: np.ndarray) -> str:
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(picture)
    return text


def read_png(png: bytes) -> str:
    return read(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE))


def picture_of(modules: tuple[tuple[bool, ...], ...], scale: int = 8) -> np.ndarray:
    white = np.where(np.array(modules), 0, 255).astype(np.uint8)
    return np.kron(white, np.ones((scale, scale), np.uint8))


def page(pdf: bytes) -> pypdfium2.PdfPage:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    return document[0]


def sheet(casenum: str = "1.22-52", address: str = "248000, г. Калуга, ул. Кирова, д. 1") -> QrSheet:
    text = code_text("1233", "+7 (918) 555 55 54", casenum)
    return QrSheet(
        casenum=casenum,
        phone="+7 (918) 555 55 54",
        postamatid="1233",
        address=address,
        modules=code_modules(text),
    )


def test_the_text_is_the_description_s_example() -> None:
    assert code_text("1233", "+7 (918) 555 55 54", "1.22-52") == SEED
    assert code_text("1233", "89185555554", "1.22-52") == SEED


@pytest.mark.parametrize(
    ("number", "phone", "casenum"), [("a", "89185555554", "1"), ("1", "x", "1"), ("1", "89185555554", "1|2")]
)
def test_what_would_split_the_text_elsewhere_is_refused(number: str, phone: str, casenum: str) -> None:
    with pytest.raises(ValueError, match="номер"):
        code_text(number, phone, casenum)


@pytest.mark.parametrize("text", [SEED, "7|+7 (918) 555 55 54|К-15/2026", "7|+375291234567|" + "Я" * 64])
def test_the_png_is_read_back(text: str) -> None:
    png = code_png(text)
    assert png.startswith(b"\x89PNG")
    assert read_png(png) == text


def test_the_example_is_a_code_of_29_modules_with_a_quiet_zone() -> None:
    modules = code_modules(SEED)
    assert len(modules) == len(modules[0]) == 29 + 8
    assert not any(any(row) for row in (*modules[:4], *modules[-4:]))


def test_the_svg_draws_the_same_modules() -> None:
    root = etree.fromstring(code_svg(SEED))
    assert root.tag == f"{SVG}svg"
    line = next(path.get("d") for path in root.iter(f"{SVG}path") if path.get("stroke"))
    assert line is not None
    drawn, x, y = set(), 0.0, 0.0
    for command, *numbers in _commands(line):
        if command == "M":
            x, y = numbers
        elif command == "m":
            x, y = x + numbers[0], y + numbers[1]
        elif command == "h":
            drawn |= {(int(x) + step, int(y)) for step in range(int(numbers[0]))}
            x += numbers[0]
    assert drawn == {(x, y) for y, row in enumerate(code_modules(SEED)) for x, dark in enumerate(row) if dark}


def _commands(path: str) -> list[tuple[str, float, float] | tuple[str, float]]:
    words = path.replace("M", " M ").replace("m", " m ").replace("h", " h ").replace("-", " -").split()
    found, index = [], 0
    while index < len(words):
        count = 1 if words[index] == "h" else 2
        found.append((words[index], *map(float, words[index + 1 : index + 1 + count])))
        index += 1 + count
    return found


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=64).filter(is_casenum))
def test_any_case_number_is_read_back(casenum: str) -> None:
    text = code_text("1233", "89185555554", casenum)
    modules = code_modules(text)
    # OpenCV does not find every code at every size; what it finds has to be right.
    readers = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
    found = {reader.detectAndDecode(picture_of(modules, scale))[0] for reader in readers for scale in (4, 8)}
    assert found - {""} == {text}


def test_the_sheet_says_that_it_is_not_for_the_applicant() -> None:
    words = page(qr_sheet(sheet())).get_textpage().get_text_bounded()
    assert MARK in words
    for expected in ("1.22-52", "№ 1233", "ул. Кирова, д. 1", "+7 (918) 555 55 54"):
        assert expected in words


def test_the_sheet_is_one_a4_page_and_its_code_is_read_back_from_print() -> None:
    printed = page(qr_sheet(sheet()))
    assert [round(side) for side in printed.get_size()] == [595, 842]
    assert read(cv2.cvtColor(printed.render(scale=2).to_numpy(), cv2.COLOR_BGR2GRAY)) == SEED


def test_a_long_address_and_number_wrap_inside_the_margins() -> None:
    printed = page(qr_sheet(sheet("Д" * 64, "А" * 90 + " улица" * 30)))
    text = printed.get_textpage()
    boxes = [text.get_charbox(index) for index in range(text.count_chars())]
    assert max(box[2] for box in boxes) < 595 - 50
    assert min(box[1] for box in boxes) > 20


def test_the_same_sheet_is_the_same_bytes() -> None:
    assert qr_sheet(sheet()) == qr_sheet(sheet())
