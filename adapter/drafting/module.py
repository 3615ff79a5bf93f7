"""A contract as files: the service's module, an example of its command, its page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.drafting.naming import class_name
from adapter.drafting.shapes import Model, Text
from adapter.drafting.source import TOLD, UUID, Writer, quoted, strings, value_source
from adapter.drafting.values import example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter.drafting.shapes import Contract, Member

_VERSION: Final = re.compile(r"[/:](\d+(?:\.\d+)*)/?$")


@dataclass(frozen=True, slots=True)
class Draft:
    """Texts of the files of a new service; ``schema`` is where its XSD goes below schemas/."""

    module: str
    source: str
    command: dict[str, Any]
    reply: dict[str, Any]
    page: str
    schema: str


def version_of(namespace: str) -> str:
    """Return the version that a namespace ends with."""
    found = _VERSION.search(namespace)
    return found[1] if found else "1.0.0"


def draft(contract: Contract, action: str) -> Draft:
    """Write the files of ``action``."""
    schema = f"{action}/{version_of(contract.namespace)}/{contract.files[0]}"
    writer = Writer(contract)
    command, told = example(contract.request), example(contract.answer)
    reply = told if "error" in told or "result" in told else {"result": told}
    return Draft(
        module=action.replace("-", "_"),
        source=_source(contract, action, writer, schema, _example(command, reply)),
        command=command,
        reply=reply,
        page=_page(contract, action, writer, command, reply),
        schema=schema,
    )


def _source(contract: Contract, action: str, writer: Writer, schema: str, example_source: str) -> str:
    classes = writer.classes()
    name = class_name(action)
    constants = [
        f"{constant} = Namespace(\n    {strings(uri, '    ')},\n    {quoted(_prefix(index))},\n)"
        for index, (uri, constant) in enumerate(writer.namespaces.items())
    ]
    parts = [
        _head(action)
        + _imports(writer)
        + "\n".join([*constants, *(f"{name} = {kind}" for kind, name in writer.aliases.items())])
        + "\n",
        classes + "\n",
        example_source,
        _service(contract, action, schema),
        f"make = {name}Service.configured\n",
    ]
    return "\n\n".join(parts)


def _head(action: str) -> str:
    return f'"""{action[:40]}: drafted from an XSD; rules that no schema holds are to be added by hand."""\n\n'


def _example(command: dict[str, Any], reply: dict[str, Any]) -> str:
    arguments = (quoted("Пример"), value_source(command, "    "), value_source(reply, "    "))
    return "EXAMPLE = Example(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")\n"


def _service(contract: Contract, action: str, schema: str) -> str:
    title = strings(contract.description[:300], " " * 8)
    lines = [
        f"class {class_name(action)}Service(InformationType):",
        f'    """The service of action {action}."""',
        "",
        f"    action = {quoted(action)}",
        f"    title = (\n        {title}\n    )" if "\n" in title else f"    title = {title}",
        f"    schema = {quoted(schema)}",
        "    examples = (EXAMPLE,)",
        f"    request = {contract.request.name}",
        f"    request_root = etree.QName(NS.uri, {quoted(contract.roots[0])})",
        f"    answer = {contract.answer.name}",
        f"    answer_root = etree.QName(NS.uri, {quoted(contract.roots[1])})",
    ]
    return "\n".join(lines) + "\n"


def _prefix(index: int) -> str:
    return f"ns{index}" if index else "tns"


def _imports(writer: Writer) -> str:
    typing = ", ".join(sorted({"ClassVar"} | (writer.used & {"Annotated", "Literal"})))
    fields = sorted(writer.used & {"Date", "Snils", "Uuid"})
    mapping = ["Namespace", *(["Xml"] if "Xml" in writer.used else []), "XmlModel"]
    lines = [f"from typing import {typing}", "", "from lxml import etree"]
    lines += ["from pydantic import Field"] if "Field" in writer.used else []
    lines += ["", "from adapter.exchange import Example"]
    lines += [f"from adapter.services.fields import {', '.join(fields)}"] if fields else []
    lines += ["from adapter.services.information_type import InformationType"]
    return "\n".join([*lines, f"from adapter.xml.mapping import {', '.join(mapping)}", "", ""])


def _page(contract: Contract, action: str, writer: Writer, command: dict[str, Any], reply: dict[str, Any]) -> str:
    blocks = [json.dumps(document, ensure_ascii=False, indent=2) for document in (command, reply)]
    return "\n".join(
        [
            f"# {contract.description}",
            "",
            "| Атрибут | Значение |\n|---|---|",
            f"| Название | {action} |",
            "| Тип | Адаптер для СМЭВ3 сервиса |",
            f"| Версия ВС | {version_of(contract.namespace)} |",
            f"| Пространство имён | {contract.namespace} |",
            f"| Очередь команд | `{action}` |",
            f"| Очередь ответов, если не указан reply_to | `{action}.reply` |",
            "",
            "## Принимаемые параметры",
            "",
            "Необязательное поле со значением `null` считается отсутствующим. Неизвестные поля не допускаются.",
            "",
            *_tables(writer.request),
            "## Параметры ответа",
            "",
            *_tables(writer.answer),
            "## Пример",
            "",
            f"Запрос:\n\n```json\n{blocks[0]}\n```\n\nОтвет:\n\n```json\n{blocks[1]}\n```\n",
        ]
    )


def _tables(models: list[Model]) -> Iterator[str]:
    for model in reversed(models):
        if model is not models[-1]:
            yield f"### Структура элемента {_shown(model)}\n"
        yield "| Параметр | Описание | Обязательное |\n|---|---|---|"
        chosen = {id(one) for branches in model.choices for branch in branches for one, _ in branch}
        for member in model.members:
            mark = "- ¹" if id(member) in chosen else "+" if member.needed else "-"
            yield f"| {member.name} | {_described(member)} | {mark} |"
        yield "".join(f"\n¹ {_alternatives(branches)}\n" for branches in model.choices)


def _alternatives(branches: list[list[tuple[Member, bool]]]) -> str:
    """Say a choice: optional fields of a branch stand in brackets."""
    said = (", ".join(one.name if needed else f"[{one.name}]" for one, needed in branch) for branch in branches)
    head = "не больше одной возможности из" if [] in branches else "ровно одна возможность из"
    return f"{head}: {'; '.join(words for words in said if words)}"


def _shown(model: Model) -> str:
    return model.name.removesuffix(TOLD)


def _described(member: Member) -> str:
    form = member.form
    kind = f"элемент {_shown(form)}" if isinstance(form, Model) else _kind(form)
    count = "" if member.most == 1 else "список" if member.most is None else f"список до {member.most}"
    words = [member.description.replace("|", "\\|").replace("<", "&lt;"), f"{count}: {kind}" if count else kind]
    return "; ".join(word for word in words if word)


def _kind(form: Text) -> str:
    if form.enumeration:
        return ", ".join(form.enumeration).replace("|", "\\|")
    if form.patterns == (UUID,):
        return "UUID"
    if form.min_length == form.max_length is not None:
        return f"строка из {form.max_length} символов"
    if form.max_length is not None and form.kind == "str":
        return f"строка до {form.max_length} символов"
    names = {"int": "целое число", "bool": "true или false"}
    return names.get(form.kind) or {"date": "дата", "dateTime": "дата и время"}.get(form.special, "строка")
