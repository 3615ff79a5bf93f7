"""What the archive of an application must look like: flat, without archives inside, with the files its service wants.

Pure: services judge names before anything is done, the gateway judges ready archives by the same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: The ending of a detached signature beside its file.
SIGNATURE: Final = ".sig"
#: Several signatures of one file may have other names; this file tells them (1.13).
SIGN_CONFIG: Final = "sign_config.xml"
#: Most files of an archive.
MOST_FILES: Final = 1_000

_ENDINGS: Final = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".z", ".arj", ".cab")
_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ")
#: Documents that are zip files inside.
_ZIPPED: Final = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub")


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What one service wants; patterns are regular expressions of whole names.

    ``required`` are files of which at least one must be there for each, ``signed`` those that need a signature,
    ``names`` what a name may be. ``most_files`` counts files without signatures, ``most_bytes`` all of them.
    """

    required: Sequence[str] = ()
    signed: Sequence[str] = ()
    names: str = ""
    most_files: int = MOST_FILES
    most_bytes: int = 2**33

    def wants_signature(self, name: str) -> bool:
        """Tell whether a file of this name has to be signed."""
        return not _is_signature(name) and any(re.fullmatch(pattern, name) for pattern in self.signed)


_NOTHING: Final = ServiceRules()


@cache
def _known() -> Mapping[str, ServiceRules]:
    told = orjson.loads(resources.files(__package__).joinpath("services.json").read_bytes())
    found = {}
    for entry in told["services"]:
        codes = entry.pop("codes")
        found.update(dict.fromkeys(codes, ServiceRules(**entry)))
    return found


def rules_of(service_code: str) -> ServiceRules:
    """Return the rules of a service; of one that is not known, those of every archive alone."""
    return _known().get(service_code, _NOTHING)


def name_faults(names: Sequence[str], rules: ServiceRules, *, nested: bool) -> Iterator[tuple[int | None, str]]:
    """Yield what is wrong with the names of an archive's files: position (``None``: of the whole), and the rule.

    ``nested`` allows archives inside. Signatures that will be made are not among the names.
    """
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if "/" in name or "\\" in name or name in {"", ".", ".."}:
            yield position, "имя файла без папок: архив должен быть плоским"
        elif name.casefold() in seen:
            yield position, "имя уже есть у другого файла"
        elif not nested and name.lower().endswith(_ENDINGS):
            yield position, "вложенный архив не допускается"
        elif rules.names and not _is_signature(name) and not re.fullmatch(rules.names, name):
            yield position, "имя файла не соответствует требованиям услуги"
        seen[name.casefold()] = position
    yield from _whole(names, rules)
    for position, name in enumerate(names):
        if _is_signature(name) and SIGN_CONFIG not in names and name.removesuffix(SIGNATURE) not in names:
            yield position, "нет файла, к которому относится подпись"


def _whole(names: Sequence[str], rules: ServiceRules) -> Iterator[tuple[None, str]]:
    """Yield what is wrong with all the files together."""
    for pattern in rules.required:
        if not any(re.fullmatch(pattern, name) for name in names):
            yield None, f"нет обязательного файла услуги: {_plain(pattern)}"
    files = [name for name in names if not _is_signature(name)]
    if len(files) > min(rules.most_files, MOST_FILES):
        yield None, f"слишком много файлов, допустимо {min(rules.most_files, MOST_FILES)}"


def unsigned(names: Sequence[str], rules: ServiceRules) -> list[str]:
    """Return the files that need a signature and have none beside them."""
    if SIGN_CONFIG in names:
        return []
    there = set(names)
    return [name for name in names if rules.wants_signature(name) and name + SIGNATURE not in there]


def is_archive(name: str, head: bytes) -> bool:
    """Tell whether content that begins with ``head`` is an archive; documents that are zip files inside are none."""
    return not name.lower().endswith(_ZIPPED) and head.startswith(_STARTS)


def _is_signature(name: str) -> bool:
    return name.endswith(SIGNATURE)


def _plain(pattern: str) -> str:
    """Write a pattern as a person reads it."""
    return pattern.replace("[0-9A-Fa-f-]{36}", "{guid}").replace("\\", "")
