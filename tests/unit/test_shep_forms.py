"""The forms of order № 104 as data, held to the order; tables that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter import cli
from adapter.documents.grid import Grid, as_csv, as_xlsx
from adapter.documents.shep_forms import read_form, read_rows
from adapter.documents.word import MISSING
from adapter.settings.shep_registry import ShepRegistry, read_registry
from adapter.shep_journals.formats import message_formats
from adapter.shep_journals.forms import NOT_APPLICABLE, as_docx, fill, interactions
from tests.documents_read import sheet, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).parents[2]
SEED = PROJECT.parent / "shared" / "seeds" / "004_5d97ab057cde2d8c.txt"
ASTANA = timezone(timedelta(hours=5))


@pytest.fixture(scope="module")
def order() -> list[str]:
    """The order's lines, without those that are empty."""
    if not SEED.is_file():
        pytest.skip("the order is not in ../shared/seeds here")
    return [line.strip() for line in SEED.read_text("utf-8").splitlines() if line.strip()]


def appendix(order: Sequence[str], number: int) -> list[str]:
    """Return the lines of one appendix; others only mention it."""
    begin, end = (
        next(
            index
            for index, line in enumerate(order)
            if line == f"Приложение {wanted}" and order[index + 1].startswith("к Правилам")
        )
        for wanted in (number, number + 1)
    )
    return order[begin:end]


def plain(text: str) -> str:
    return " ".join(text.replace("«", '"').replace("»", '"').split())


def must_follow(rows: Sequence[Mapping[str, Any]], lines: list[str]) -> None:
    """Each row's number stands before its name, one row after the other."""
    place = 0
    for row in rows:
        pairs = range(place, len(lines) - 1)
        found = [index for index in pairs if lines[index : index + 2] == [str(row["n"]), row["element"]]]
        assert found, (row["n"], row["element"])
        place = found[0] + 2


@pytest.mark.parametrize("number", [1, 3, 5])
def test_the_applications_have_the_rows_of_the_order_in_its_order(order: list[str], number: int) -> None:
    form, lines = read_form(number), appendix(order, number)
    assert plain(form["title"]) in plain(" ".join(lines))
    (part,) = [part for part in form["parts"] if part["of"] == "service"]
    must_follow([row for section in part["sections"] for row in section["rows"]], lines)
    assert [row["n"] for section in part["sections"] for row in section["rows"]] == list(
        range(1, {1: 28, 3: 12, 5: 18}[number])
    )
    text = plain(" ".join(lines))
    titles = [section["title"] for section in part["sections"]] + [one["title"] for one in form["parts"]]
    # Of form 1 the order's text has lost two titles; of form 5 it writes two of them in lines of their own.
    lost = {"3. Маршруты сервиса", "4. Параметры доставки сервиса"} if number == 1 else set()
    assert [
        title
        for title in titles
        if title not in lost and plain(title).replace(". К", " К") not in text.replace(". К", " К")
    ] == []


@pytest.mark.parametrize("table", ["users", "routes", "points"])
def test_the_tables_of_a_service_have_the_rows_of_the_order(order: list[str], table: str) -> None:
    lines = appendix(order, 5)
    start = next(
        index
        for index, line in enumerate(lines)
        if line.startswith({"users": "2.", "routes": "3.", "points": "4."}[table])
    )
    must_follow(read_rows(table), lines[start:])


def test_form_2_has_the_headings_of_the_order(order: list[str]) -> None:
    form, lines = read_form(2), appendix(order, 2)
    assert form["title"] in lines
    assert sorted([*form["headings"][1:], *(group["title"] for group in form["groups"])]) == sorted(
        lines[lines.index(form["title"]) + 1 : -9]
    )


def test_the_format_table_of_form_1_has_the_headings_of_the_order(order: list[str]) -> None:
    lines = appendix(order, 1)
    (part,) = [part for part in read_form(1)["parts"] if part["of"] == "formats"]
    must_follow(
        [{"n": n, "element": heading} for n, heading in enumerate(part["headings"], 1)],
        lines[lines.index(part["title"]) :],
    )


@pytest.fixture(scope="module")
def registry() -> ShepRegistry:
    return read_registry(str(PROJECT / "deploy/local/shep-services.toml"))


def test_every_field_of_the_forms_is_one_of_the_registry(registry: ShepRegistry) -> None:
    service = registry.service("AsyncEcho")
    assert service is not None
    everything = fill(1, registry, service, formats=[["Запрос"] * 6])
    assert everything.missing == [
        "1. Описание сервисов, строка 14: Основание на публикацию сервиса на ШЭП",
        "1. Описание сервисов, строка 15: Описание форматов сообщений",
        "1. Описание сервисов, строка 20: Адрес описания",
        "1. Описание сервисов, строка 26: Адреса тестового сервиса",
        "1. Описание сервисов, строка 27: Тестовые запросы и ответы",
    ]
    assert fill(3, registry, service, applicant="adapter").missing == []
    assert len(fill(3, registry, service).missing) == 6


def test_a_form_says_what_is_filled_in_and_what_is_not(registry: ShepRegistry) -> None:
    service = registry.service("SyncEcho")
    assert service is not None
    described, users, routes, points, formats = tables(as_docx(fill(1, registry, service), datetime.now(UTC)))
    assert described[0] == ["№", "Элемент", "Описание", "Правила заполнения", "Значение"]
    values = {row[0]: row[-1] for row in described if len(row) == 5}
    assert (values["3"], values["18"], values["20"]) == ("214452507123", "SyncEcho", MISSING)
    assert [values[number] for number in ("23", "24", "25")] == [NOT_APPLICABLE] * 3
    assert [row[-1] for row in users[1:]] == [
        "1",
        "ТЕСТ Организация адаптера",
        "ТЕСТ Информационная система адаптера",
        "ТИСА",
    ]
    assert routes[1:] == [[NOT_APPLICABLE]]
    assert [row[-1] for row in points[1:]][4:8] == ["45 секунд", "45", "10", "40 секунд"]
    assert formats[1:] == [[MISSING]]


def test_the_formats_of_messages_come_from_the_schema() -> None:
    rows = message_formats(PROJECT / "schemas/zhkh-debt-requests/1.0.0/debt-requests.xsd")
    assert {row[0] for row in rows} == {"Запрос", "Ответ"}
    by_field = {row[3]: row for row in rows if row[0] == "Запрос"}
    assert by_field["action/request-data/applicant-info/snils"][2:5:2] == ["Строковый, 11 симв.", "Да"]
    assert by_field["action"][5] == "до 50 раз"
    assert by_field["action/action-type"][5] == "одно из: SEND, REVOKE"


def test_whatever_a_schema_may_hold_has_a_row(tmp_path: Path) -> None:
    file = tmp_path / "wild.xsd"
    file.write_text(
        """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:w" xmlns="urn:w">
        <xs:complexType name="Base"><xs:sequence><xs:element name="code" type="Code"/></xs:sequence>
        <xs:attribute name="id" type="xs:int" use="required"/></xs:complexType>
        <xs:simpleType name="Code"><xs:restriction base="xs:string"><xs:enumeration value="A"/>
        <xs:enumeration value="B"/>
        </xs:restriction></xs:simpleType>
        <xs:complexType name="Tree" mixed="true"><xs:complexContent><xs:extension base="Base"><xs:choice minOccurs="0">
        <xs:element name="leaf" type="xs:anyType"/><xs:element name="branch" type="Tree" maxOccurs="3"/>
        <xs:any processContents="lax"/></xs:choice></xs:extension></xs:complexContent></xs:complexType>
        <xs:element name="AskRequest" type="Tree"/><xs:element name="AskResponse" type="xs:boolean"/></xs:schema>""",
        encoding="utf-8",
    )
    assert message_formats(file) == [
        ["Запрос", "code", "Строковый", "code", "Да", "одно из: A, B"],
        ["Запрос", "id", "Целое число", "@id", "Да", ""],
        ["Запрос", "leaf", "anyType", "leaf", "Нет", "один из вариантов"],
        ["Запрос", "branch", "Группа", "branch", "Нет", "один из вариантов; до 3 раз; содержит такую же группу"],
        ["Запрос", "Любой элемент", "Произвольный", "*", "Нет", "один из вариантов"],
        ["Ответ", "AskResponse", "Логический", "AskResponse", "Да", ""],
    ]


def test_form_2_has_a_row_for_each_user_of_each_service(registry: ShepRegistry) -> None:
    grid_of, missing = interactions(registry, ASTANA)
    assert [row[3] for row in grid_of.rows] == [service.name for service in registry.services]
    rows = sheet(as_xlsx(grid_of))
    assert (rows[2][1], rows[2][5]) == ("Информация о сервисе", "Пользователь сервиса")
    assert rows[3] == read_form(2)["headings"]
    assert "SyncEcho, пользователь 1: Основание подключение пользователя к сервису" in missing


def test_the_command_takes_the_schema_that_the_registry_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (PROJECT / "deploy/local/shep-services.toml").read_text("utf-8")
    row = 'key = "AsyncEcho"\n'
    assert row in text
    (tmp_path / "services.toml").write_text(text.replace(row, f'{row}xsd = "formats/echo.xsd"\n'), encoding="utf-8")
    (tmp_path / "formats").mkdir()
    schema = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:e" xmlns="urn:e">
    <xs:element name="EchoRequest"><xs:complexType><xs:sequence><xs:element name="iin" type="xs:string" minOccurs="0">
    <xs:annotation><xs:documentation>ИИН</xs:documentation></xs:annotation></xs:element></xs:sequence></xs:complexType>
    </xs:element><xs:element name="EchoResponse"><xs:complexType><xs:sequence>
    <xs:element name="on" type="xs:date" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
    </xs:schema>"""
    (tmp_path / "formats/echo.xsd").write_text(schema, encoding="utf-8")
    monkeypatch.setenv("SHEP_SERVICES_FILE", str(tmp_path / "services.toml"))
    file = tmp_path / "form.docx"
    assert cli.main(["shep", "form", "1", "AsyncEcho", "-o", str(file)]) == 0
    assert tables(file.read_bytes())[-1][1:] == [
        ["Запрос", "ИИН", "Строковый", "iin", "Нет", ""],
        ["Ответ", "on", "Дата", "on", "Да", "повторяется"],
    ]
    said = capsys.readouterr()
    assert "5. Описание форматов сообщений сервиса" not in said.err
    assert said.out == f"{file} written, 5 rows are not filled in\n"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["1", "Nothing"], "SERVICE: must be a key of the registry"),
        (["1", "AsyncEcho", "-o", "form.xlsx"], "-o: form 1 is written as .docx"),
        (["1", "AsyncEcho", "--xsd", "nothing.xsd"], "--xsd: nothing.xsd: nothing.xsd cannot be read"),
        (["3", "AsyncEcho", "--user", "nobody"], "--user: must be the key of a system"),
    ],
    ids=["service", "ending", "xsd", "user"],
)
def test_what_is_wrong_is_named_by_its_argument(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHEP_SERVICES_FILE", str(PROJECT / "deploy/local/shep-services.toml"))
    assert cli.main(["shep", "form", *arguments]) == 1
    assert capsys.readouterr().err.startswith(told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [6, 7])
def test_the_journals_have_the_headings_of_the_order_in_its_order(order: list[str], number: int) -> None:
    form, lines = read_form(number), appendix(order, number)
    assert form["title"] in lines
    headings = form["headings"] if number == 7 else form["headings"][1:]
    start = lines.index(form["title"]) + 1
    assert lines[start : start + len(headings)] == headings
    assert len(form["headings"]) == {6: 9, 7: 10}[number]
    assert len(form["widths"]) == len(form["headings"])


def grid(rows: Sequence[Sequence[object]]) -> Grid:
    return Grid("Журнал", ["п/н", "Дата"], [5, 20], rows, ASTANA)


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_csv_opens_in_excel_and_moments_are_local() -> None:
    data = as_csv(grid([[1, datetime(2026, 11, 22, 19, 30, tzinfo=UTC)], [2, None]]))
    assert data == b"\xef\xbb\xbf" + "п/н;Дата\r\n1;23.11.2026 00:30:00\r\n2;\r\n".encode()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "|x", "\n=1"], ids=range(8))
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    (_, row) = read_csv(as_csv(grid([[1, text]])))
    assert row[1].startswith("'")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=2), max_size=4))
def test_whatever_a_message_says_is_a_text_in_both_tables(rows: list[list[str]]) -> None:
    read = read_csv(as_csv(grid(rows)))
    assert len(read) == len(rows) + 1
    for cell in [cell for row in read for cell in row]:
        assert not cell.lstrip(" \xa0").startswith(("=", "+", "-", "@"))
    as_xlsx(grid(rows))


def test_the_sheet_has_title_headings_and_numbers_of_columns() -> None:
    rows = sheet(as_xlsx(grid([[1, "=1+1"]])))
    assert rows[0][0] == "Журнал"
    assert rows[3:] == [["п/н", "Дата"], [1, 2], [1, "=1+1"]]


@pytest.mark.parametrize(
    "words",
    [
        ["shep", "journal"],
        ["shep", "emergency"],
        ["shep", "emergency", "open"],
        ["shep", "emergency", "export"],
        ["shep", "form"],
        ["shep", "selftest"],
        ["maintenance"],
        ["maintenance", "add"],
        ["maintenance", "end"],
    ],
    ids=" ".join,
)
def test_every_command_shows_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  adapter {words[0]}" in capsys.readouterr().out
