"""An XSD choice as a rule of commands: which fields may stand together.

A model says it by ``xml_choices``: each choice is a tuple of branches, each branch the fields of one alternative,
separated by blanks. A field that its branch may leave out ends with ``?``; an empty branch means that the whole choice
may be absent.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from adapter.errors import FieldFault
from adapter.xml.mapping import XmlModel, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def choice_faults(tree: Mapping[str, Any], model: type[XmlModel], path: str = "") -> Iterator[FieldFault]:
    """Yield what breaks a choice of ``model`` or of a model below it; ``tree`` may have wrong types anywhere."""
    if not _has_choices(model):
        return
    given = {name for name, value in tree.items() if value is not None}
    for branches in model.xml_choices:
        yield from _of_one([branch.split() for branch in branches], given, path)
    for step in plan_of(model).elements:
        value, form = tree.get(step.field), step.form
        if isinstance(form, type) and step.many and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from choice_faults(item, form, f"{path}{step.field}[{index}].")
        elif isinstance(form, type) and isinstance(value, dict):
            yield from choice_faults(value, form, f"{path}{step.field}.")


def _of_one(branches: Sequence[Sequence[str]], given: set[str], path: str) -> Iterator[FieldFault]:
    """Yield the fields that are too many, or the one field that is missing."""
    begun = [branch for branch in branches if any(_name(field) in given for field in branch)]
    if not begun:
        if all(branches):
            firsts = [_name(branch[0]) for branch in branches]
            yield FieldFault(f"{path}{firsts[0]}", f"должно быть указано ровно одно из полей: {', '.join(firsts)}")
        return
    chosen = begun[0]
    for field in chosen:
        if not field.endswith("?") and field not in given:
            yield FieldFault(f"{path}{field}", f"поле обязательно вместе с {_present(chosen, given)}")
    for branch in begun[1:]:
        for name in map(_name, branch):
            if name in given and name not in map(_name, chosen):
                yield FieldFault(f"{path}{name}", f"не указывается вместе с {_present(chosen, given)}")


def _present(branch: Sequence[str], given: set[str]) -> str:
    return next(_name(field) for field in branch if _name(field) in given)


def _name(field: str) -> str:
    return field.removesuffix("?")


@cache
def _has_choices(model: type[XmlModel]) -> bool:
    """Tell whether ``model`` or any model below it has a choice; the answer is one for all commands."""
    seen, waiting = {model}, [model]
    while waiting:
        looked = waiting.pop()
        if looked.xml_choices:
            return True
        forms = {step.form for step in plan_of(looked).elements if isinstance(step.form, type)}
        waiting += forms - seen
        seen |= forms
    return False
