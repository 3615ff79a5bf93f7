"""A page for each action in the form of the first service's description; the index; the page of events. In Russian.

What stands between the marks of notes is written by hand and kept; everything else is generated.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from adapter.contract.catalog import OWN_QUEUE, events, providers, services
from adapter.contract.events import BY_NAME, example_of
from adapter.contract.schemas import command_schema, event_schema, reply_schema
from adapter.contract.tables import cell, structures, table
from adapter.contract.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta

    from adapter.exchange import Service

#: Pages that ``adapter new-service`` drafts from an XSD, whose descriptions the models do not have.
DRAFTED: Final = frozenset({"zhkh-debt-responses"})
_MADE: Final = "<!-- Создано командой adapter docs services --write; вручную пишется только текст между notes. -->\n"
_NOTES: Final = re.compile(r"<!-- notes -->\n(.*?)<!-- /notes -->\n", re.DOTALL)
_OUTCOMES: Final = "[wire.md](../wire.md#outcomes)"
_BOTH: Final = "¹ присутствует ровно один из элементов\n"
_KINDS: Final[Mapping[str, str]] = {
    "smev3": "Адаптер для СМЭВ3 сервиса",
    "epgu": "Адаптер для REST API ЕПГУ",
    "shep": "Адаптер для сервиса ШЭП",
    "vshep": "Адаптер для сервиса ВШЭП",
    "postamat": "Приложение постаматов",
}
_WAYS: Final[Mapping[str, str]] = {
    "smev3": "<--> C[СМЭВ3] <--> D[{partner}]",
    "epgu": "<--> C[ЕСИА и ЕПГУ]",
    "shep": "<--> C[ШЭП] <--> D[Информационная система]",
    "vshep": "<--> C[ВШЭП] <--> D[Информационная система]",
    "postamat": "<--> C[(Справочник и дела)] <--> D[Постаматы]",
}
_ABOUT: Final[Mapping[str, str]] = {
    "smev3": "СМЭВ3",
    "epgu": "ЕПГУ",
    "shep": "ШЭП",
    "postamat": "Постаматы",
}
#: Pages by hand that tell what several actions have in common.
_OVERVIEWS: Final[Mapping[str, str]] = {
    "epgu.md": "заявления на ЕПГУ",
    "epgu-correspondence.md": "переписка с заявителем ЕПГУ",
    "postamat.md": "постаматы",
    "shep.md": "вызовы и сообщения через ШЭП",
    "smev3-provider.md": "запросы других систем через СМЭВ3",
}


def pages(present: Mapping[str, str]) -> dict[str, str]:
    """Return every generated page by its name below docs/services; ``present`` are the pages as they are now."""
    found = {
        f"{action}.md": service_page(service, _notes(present.get(f"{action}.md", "")))
        for action, service in services().items()
        if action not in DRAFTED
    }
    return {**found, "README.md": index(), "events.md": events_page()}


def _notes(page: str) -> str:
    match = _NOTES.search(page)
    return match[1] if match else ""


def service_page(service: Service, notes: str) -> str:
    """Return the page of one action with its handwritten ``notes``."""
    parts = [
        f"# {service.title}\n\n{_MADE}",
        _table(("Атрибут", "Значение"), _attributes(service)),
        _flow(service),
        f"<!-- notes -->\n{notes}<!-- /notes -->\n",
        "## Переменные окружения\n",
        _table(("Название", "Описание"), variables_of(service)),
        "Все переменные с пояснениями: [configuration.md](../configuration.md).\n",
        *_parameters(service),
        *_answer(service),
        *_told(service),
        *_examples(service),
    ]
    return "\n".join(parts)


def _attributes(service: Service) -> Iterator[tuple[str, str]]:
    action = service.action
    queue = "shep.КЛЮЧ" if action == OWN_QUEUE else action
    yield "Название", queue
    yield "Наименование", service.title
    yield "Тип", _KINDS[service.gateway]
    if service.gateway == "smev3":
        yield "Версия СМЭВ", "СМЭВ3"
    if service.schema:
        yield "Версия ВС", service.schema.split("/")[1]
    yield from getattr(service, "attributes", {}).items()
    root = getattr(service, "request_root", None)
    if root is not None:
        yield "Пространство имён", str(root.namespace)
    yield "Очередь команд", f"`{queue}`"
    yield "Очередь ответов, если не указан reply_to", f"`{queue}.reply`"
    yield "Срок команды по умолчанию", f"{_duration(service.deadline)} с момента получения"
    links = ((f"{action}.json", "команда"), (f"{action}.reply.json", "ответ"))
    yield "JSON Schema", ", ".join(f"[{word}](../../schemas/json/{name})" for name, word in links)


def _duration(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, unit in ((3600, "ч"), (60, "мин")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} с"


def _flow(service: Service) -> str:
    way = _WAYS[service.gateway].format(partner=getattr(service, "partner", "Поставщик сведений"))
    return f"```mermaid\nflowchart LR\n    A[ИС организации] <--> Q[(RabbitMQ)] <--> B[Адаптер] {way}\n```\n"


def _parameters(service: Service) -> Iterator[str]:
    yield "## Принимаемые параметры\n"
    yield "Необязательное поле со значением `null` считается отсутствующим. Неизвестные поля не допускаются.\n"
    first, *below = structures(command_schema(service), [example.request for example in service.examples], "")
    choices = getattr(getattr(service, "request", None), "xml_choices", ())
    told = {name: "- ¹" for choice in choices for branch in choice for name in branch.replace("?", "").split()}
    yield table(first, marks=told)
    for choice in choices:
        yield f"¹ ровно одна возможность из: {_choice(choice)}\n"
    for structure in below:
        yield f"### Структура элемента {structure.name}\n"
        yield table(structure)


def _choice(choice: tuple[str, ...]) -> str:
    def shown(branch: str) -> str:
        return ", ".join(f"[{name[:-1]}]" if name.endswith("?") else name for name in branch.split())

    return "; ".join(shown(branch) or "ничего" for branch in choice)


def _answer(service: Service) -> Iterator[str]:
    yield "## Параметры ответа\n"
    schema: dict[str, Any] = reply_schema(service)
    brings_files = hasattr(service, "answer")
    # What a dry run replies is told once for all actions, in wire.md.
    result, _ = schema["properties"]["result"]["anyOf"]
    schema["properties"]["result"] = {**result, "description": "Результат"}
    replies = [json.loads(json.dumps(example.reply)) for example in service.examples]
    first, *below = structures(schema, replies, "")
    names = ("result", "error", "attachments") if brings_files else ("result", "error")
    yield table(first, only=names, marks={"result": "- ¹", "error": "- ¹"})
    yield _BOTH
    for structure in below:
        if structure.name != "StoredFile" or brings_files:
            yield f"### Структура элемента {structure.name}\n"
            yield table(structure)
    if not brings_files and not any(example.reply.get("result") for example in service.examples):
        yield "Результат не имеет постоянного состава.\n"
    yield f"Коды ошибок: [errors.md](../errors.md). Ответ на `x-dry-run` и общие правила: {_OUTCOMES}.\n"


def _told(service: Service) -> Iterator[str]:
    names = list(getattr(service, "events", ()))
    if names:
        yield "## События\n"
        yield _table(
            ("Событие", "Когда"), ((f"[{name}](events.md#{_anchor(name)})", BY_NAME[name].title) for name in names)
        )


def _examples(service: Service) -> Iterator[str]:
    if not service.examples:
        return
    yield "## Примеры\n"
    many = len(service.examples) > 1
    for number, example in enumerate(service.examples, 1):
        yield f"### Пример {number}. {example.title}\n" if many else f"### {example.title}\n"
        yield f"Запрос:\n\n{_json(example.request)}"
        yield f"Ответ:\n\n{_json(example.reply)}"


_EVENTS: Final = """\
Обменник `adapter.events`, ключ маршрутизации и долговечная очередь — имя события. Общий член `command` называет
команду, `exchange` — обмен, начатый шлюзом. Свойства и порядок: [wire.md](../wire.md#events).
"""


def events_page() -> str:
    """Return the page of all events."""
    parts = [
        f"# События\n\n{_MADE}",
        _EVENTS,
        _table(("Событие", "Когда"), ((f"[{name}](#{_anchor(name)})", BY_NAME[name].title) for name in events())),
    ]
    for name in events():
        page, example = BY_NAME[name], example_of(BY_NAME[name])
        schema = event_schema(name)
        shared = ("command", "exchange")
        schema["properties"] = {key: part for key, part in schema["properties"].items() if key not in shared}
        first, *below = structures(schema, [example] if example else [], "")
        parts.append(f"## {name}\n")
        parts.append(f"{page.title}. [JSON Schema](../../schemas/json/{name}.event.json)\n")
        if page.members:
            parts.append(table(first))
        parts += [f"{structure.name}:\n\n{table(structure)}" for structure in below if structure.name not in _SHARED]
        if example:
            parts.append(_json(example))
    return "\n".join(parts)


#: Structures that are told with the replies.
_SHARED: Final = frozenset({"Error", "StoredFile", "Fields"})


def index() -> str:
    """Return the index of actions and events, by gateway."""
    parts = [f"# Сервисы\n\n{_MADE}", "У каждого действия своя страница: атрибуты, параметры, ответы, примеры.\n"]
    for gateway, title in _ABOUT.items():
        rows = [
            (f"[{action}]({action}.md)", service.title)
            for action, service in services().items()
            if service.gateway == gateway
        ]
        parts += [f"## {title}\n", _table(("Действие", "Что делает"), rows)]
    parts.append("## Что приходит без команды\n")
    rows = [
        (provider.title, ", ".join(f"[{name}](events.md#{_anchor(name)})" for name in provider.events))
        for provider in providers().values()
    ]
    parts += [_table(("Что", "События"), rows), "Все события: [events.md](events.md).\n", "## Обзоры\n"]
    parts.append(_table(("Страница", "О чём"), ((f"[{name}]({name})", about) for name, about in _OVERVIEWS.items())))
    return "\n".join(parts)


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _json(tree: Any) -> str:
    return f"```json\n{json.dumps(tree, ensure_ascii=False, indent=2)}\n```\n"


def _table(heading: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {heading[0]} | {heading[1]} |", "|---|---|", *(f"| {left} | {cell(right)} |" for left, right in rows)]
    return "\n".join(lines) + "\n"
