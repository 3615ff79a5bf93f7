"""Files of commands and answers as JSON: what a command may say of them, and how a reply tells what came. Pure.

Where a ``url`` or ``path`` leads, and whether it is allowed, is judged later, where files are opened.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import FieldFault
from adapter.exchange import Attachment
from adapter.services.json_body import Refused, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from adapter.exchange import StoredFile

#: The command's field, and that of a reply.
FIELD: Final = "attachments"
#: Most files of one command.
MOST: Final = 100

_SOURCES: Final = ("content_base64", "url", "path")
_KEYS: Final = ("name", "mime_type", *_SOURCES)
_MOST_NAME: Final = 200
_MOST_URL: Final = 2048
_MOST_PATH: Final = 4096
#: The types that СМЭВ3 takes (basic schema, RFC2046MimeTypesType).
_MIME_TYPE: Final = "(application|audio|image|text|video)/[A-Za-z0-9+.-]{1,127}"
_URL: Final = "(https?|ftp)://[^\\s/?#]+(/[^\\s]*)?"
#: Characters that hide in a name: controls, formats (direction marks), halves of pairs, line and paragraph ends.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ONE_SOURCE: Final = "нужно указать одно из полей content_base64, url, path"
_NULL: Final = "значение не может быть null"

#: JSON Schema of the field.
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "array",
    "description": "Файлы, которые передаются вместе с запросом",
    "maxItems": MOST,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "mime_type"],
        "oneOf": [{"required": [source]} for source in _SOURCES],
        "properties": {
            "name": {
                "type": "string",
                "description": "Имя файла без папок, своё у каждого файла команды",
                "minLength": 1,
                "maxLength": _MOST_NAME,
                "pattern": "^[^/\\\\]+$",
            },
            "mime_type": {
                "type": "string",
                "description": "Тип содержимого; должен ему соответствовать",
                "pattern": f"^{_MIME_TYPE}$",
            },
            "content_base64": {
                "type": "string",
                "description": "Содержимое файла",
                "contentEncoding": "base64",
                "minLength": 1,
            },
            "url": {
                "type": "string",
                "description": "Адрес http, https или ftp на узле из FILES_IN_HOSTS",
                "maxLength": _MOST_URL,
                "pattern": f"^{_URL}$",
            },
            "path": {
                "type": "string",
                "description": "Абсолютный путь к файлу в одной из папок FILES_IN_PATHS",
                "maxLength": _MOST_PATH,
                "pattern": "^/",
            },
        },
    },
}


class Taken:
    """The attachments of one command, taken out of its tree."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self.attachments: tuple[Attachment, ...] = ()

    def out_of(self, tree: dict[str, Any]) -> list[FieldFault]:
        """Take the field out of ``tree`` and return every rule that it breaks; it may be anything, or not there."""
        if FIELD not in tree:
            return []
        node = tree.pop(FIELD)
        if not isinstance(node, list):
            return [FieldFault(FIELD, _NULL if node is None else "ожидается список")]
        if len(node) > MOST:
            return [FieldFault(FIELD, f"слишком много элементов, допустимо не больше {MOST}")]
        faults: list[FieldFault] = []
        found = [_read(item, position, faults) for position, item in enumerate(node)]
        faults += _repeated(node)
        if not faults:
            self.attachments = tuple(attachment for attachment in found if attachment is not None)
        return faults


def rendered(files: Sequence[StoredFile]) -> list[dict[str, Any]]:
    """Return the files of an answer as a reply tells of them: a small one whole, a large one by its path.

    ``path`` is relative to FILES_ROOT, ``sha256`` in lower-case hex, ``size`` in bytes.
    """
    return [
        {
            "name": file.name,
            "mime_type": file.mime_type,
            "size": file.size,
            "sha256": file.sha256,
            **(
                {"path": file.path}
                if file.content is None
                else {"content_base64": base64.b64encode(file.content).decode("ascii")}
            ),
        }
        for file in files
    ]


def _read(item: Any, position: int, faults: list[FieldFault]) -> Attachment | None:
    """Return one attachment, or ``None`` with its faults added."""
    where = (FIELD, position)
    if not isinstance(item, dict):
        faults.append(FieldFault(path_of(where), _NULL if item is None else "ожидается объект"))
        return None
    before = len(faults)
    faults += [FieldFault(path_of([*where, *below]), rule) for below, rule in _shape(item)]
    read: dict[str, Any] = {}
    for key in _KEYS:
        if key in item:
            read[key], rule = _value(key, item[key])
            if rule:
                faults.append(FieldFault(path_of([*where, key]), rule))
    if len(faults) > before:
        return None
    return Attachment(read["name"], read["mime_type"], read.get("content_base64"), read.get("url"), read.get("path"))


def _shape(item: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with the fields that are there, whatever they hold: a path below the item, and the rule."""
    for key in item:
        if key not in _KEYS:
            close = get_close_matches(key[:64].lower().replace("-", "_"), _KEYS, n=1, cutoff=0.7)
            yield (key,), "неизвестное поле" + (f", возможно, имелось в виду {close[0]}" if close else "")
    for key in ("name", "mime_type"):
        if key not in item:
            yield (key,), "обязательное поле отсутствует"
    if sum(source in item for source in _SOURCES) != 1:
        yield (), _ONE_SOURCE


def _value(key: str, value: Any) -> tuple[Any, str]:
    """Return the value of a field and ``""``, or the rule that it breaks."""
    if isinstance(value, Refused):
        return None, value.rule
    if not isinstance(value, str):
        return None, _NULL if value is None else "ожидается строка"
    if not value:
        return None, "значение не может быть пустым"
    return _READERS[key](value)


def _name(value: str) -> tuple[str, str]:
    if len(value) > _MOST_NAME or len(value.encode("utf-8", "surrogatepass")) > 255:
        return value, f"слишком длинное значение, допустимо символов не больше {_MOST_NAME} и байт не больше 255"
    if "/" in value or "\\" in value or value in (".", ".."):
        return value, "ожидается имя файла без папок"
    if any(unicodedata.category(letter) in _HIDDEN for letter in value):
        return value, "имя не может содержать управляющие символы"
    return value, "имя не может начинаться или заканчиваться пробелом" if value != value.strip() else ""


def _mime_type(value: str) -> tuple[str, str]:
    right = re.fullmatch(_MIME_TYPE, value)
    return value, "" if right else "ожидается тип application, audio, image, text или video без параметров"


def _content(value: str) -> tuple[bytes | None, str]:
    try:
        return binascii.a2b_base64(value.encode("ascii"), strict_mode=True), ""
    except ValueError:  # binascii.Error and UnicodeEncodeError are
        return None, "значение не является base64"


def _url(value: str) -> tuple[str, str]:
    if len(value) > _MOST_URL:
        return value, f"слишком длинное значение, допустимо символов не больше {_MOST_URL}"
    right = re.fullmatch(_URL, value) and not any(unicodedata.category(letter) in _HIDDEN for letter in value)
    return value, "" if right else "ожидается адрес http, https или ftp"


def _path(value: str) -> tuple[str, str]:
    if len(value) > _MOST_PATH:
        return value, f"слишком длинное значение, допустимо символов не больше {_MOST_PATH}"
    return value, "" if value.startswith("/") else "ожидается абсолютный путь"


_READERS: Final[Mapping[str, Callable[[str], tuple[Any, str]]]] = {
    "name": _name,
    "mime_type": _mime_type,
    "content_base64": _content,
    "url": _url,
    "path": _path,
}


def _repeated(items: Sequence[Any]) -> Iterator[FieldFault]:
    """Yield a fault for each name that another file of the command has, also in other capitals."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and name:
            folded = unicodedata.normalize("NFC", name).casefold()
            if folded in seen:
                yield FieldFault(path_of([FIELD, position, "name"]), "имя уже есть у другого файла команды")
            seen.add(folded)
