"""Names of a schema as names of Python and JSON: ASCII, snake_case for fields, CamelCase for classes."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Final

from pydantic import BaseModel

_LETTERS: Final = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_LATIN: Final = "a,b,v,g,d,e,e,zh,z,i,y,k,l,m,n,o,p,r,s,t,u,f,kh,ts,ch,sh,shch,,y,,e,yu,ya"
_CYRILLIC: Final = dict(zip(_LETTERS, _LATIN.split(","), strict=True))
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: Names that a model's fields cannot have: they would hide what the class body needs, or pydantic's own.
_TAKEN: Final = frozenset({"str", "int", "bool", "list", "xml_ns", "xml_id", "xml_choices", *dir(BaseModel)})


def _words(name: str) -> list[str]:
    ascii_name = "".join(_latin(letter) for letter in name)
    return _WORD.findall(ascii_name)


def _latin(letter: str) -> str:
    found = _CYRILLIC.get(letter.lower())
    if found is None:
        return letter if letter.isascii() else " "
    return found.capitalize() if letter.isupper() else found


def field_name(local: str) -> str:
    """Return the field of the element or attribute ``local``."""
    name = "_".join(word.lower() for word in _words(local)) or "element"
    name = f"n_{name}" if name[0].isdigit() else name
    taken = keyword.iskeyword(name) or name in _TAKEN
    return f"{name}_value" if taken else name


def plural(name: str) -> str:
    """Return the plural that a list field has; names of masses stay."""
    if name.endswith(("data", "info", "ies", "ings")):
        return name
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def class_name(local: str) -> str:
    """Return the class of the type or element ``local``."""
    whole = "".join(word[:1].upper() + word[1:] for word in _words(local))
    name = whole.removesuffix("Type") or whole or "Element"
    name = f"N{name}" if name[0].isdigit() else name
    return f"{name}Value" if keyword.iskeyword(name) or hasattr(builtins, name) else name


def unique(name: str, taken: set[str]) -> str:
    """Return ``name``, numbered when it is in ``taken``, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
