"""A command's bytes to its model, or ALL broken rules at once in the words of the upstream developer."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, ValidationError

from adapter.errors import FieldFault, InvalidCommandError
from adapter.services.fields import PATTERN_RULES
from adapter.services.json_body import MAX_FAULTS, capped, decode, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)

#: Pydantic's error types as Russian rules; ``{…}`` are limits of the rule, never the value.
_RULES: Mapping[str, str] = {
    "missing": "обязательное поле отсутствует",
    "extra_forbidden": "неизвестное поле",
    "string_type": "ожидается строка",
    "int_type": "ожидается целое число",
    "int_from_float": "ожидается целое число",
    "float_type": "ожидается число",
    "bool_type": "ожидается true или false",
    "list_type": "ожидается список",
    "dict_type": "ожидается объект",
    "model_type": "ожидается объект",
    "none_required": "ожидается null",
    "string_pattern_mismatch": "значение не соответствует образцу {pattern}",
    "literal_error": "допустимые значения: {expected}",
    "enum": "допустимые значения: {expected}",
    "empty": "значение не может быть пустым",
    "string_too_short": "слишком короткое значение, нужно символов не меньше {min_length}",
    "string_too_long": "слишком длинное значение, допустимо символов не больше {max_length}",
    "too_short": "слишком мало элементов, нужно не меньше {min_length}",
    "too_long": "слишком много элементов, допустимо не больше {max_length}",
    "greater_than": "число должно быть больше {gt}",
    "greater_than_equal": "число должно быть не меньше {ge}",
    "less_than": "число должно быть меньше {lt}",
    "less_than_equal": "число должно быть не больше {le}",
    "multiple_of": "число должно быть кратно {multiple_of}",
    "finite_number": "ожидается конечное число",
}
_NULL = "значение не может быть null"
_OTHER = "недопустимое значение"


def read_command(  # noqa: PLR0913  — the ways in which one command is unlike another
    body: bytes,
    model_type: type[ModelT],
    *,
    rules: Callable[[Mapping[str, Any]], Iterable[FieldFault]] = lambda _tree: (),
    context: object = None,
    apart: Callable[[dict[str, Any]], Iterable[FieldFault]] = lambda _tree: (),
    verbatim: Container[str] = (),
) -> ModelT:
    """Return the command that ``body`` holds, UTF-8 JSON.

    ``rules`` are those that no field can judge alone. It is given the tree as it came, right or wrong in its types, so
    that its findings stand beside those of the fields; it may yield and never raises. ``context`` reaches the model's
    validators. ``apart`` takes out of the tree, before all else, what is no part of the model, and returns its faults.
    ``verbatim`` are the paths of fields that hold XML, where CDATA and every character of XML 1.0 may stand.
    Raises InvalidCommandError with every fault found, and nothing else whatever the bytes are.
    """
    decoded = decode(body, verbatim)
    tree = decoded.tree
    beside = list(apart(tree))
    broken = list(rules(tree))
    found = list(decoded.faults)
    said = {fault.path for fault in found}
    found += [fault for fault in beside if fault.path not in said]
    try:
        command = model_type.model_validate(tree, context=context)
    except ValidationError as error:
        said = {fault.path for fault in (*found, *broken)}
        found += [fault for fault in _translated(error, model_type, tree) if fault.path not in said]
    else:
        if not found and not broken:
            return command
    # Raised out here: pydantic's own error holds the values. Rules come last, so that the cap never hides a field.
    raise InvalidCommandError(capped([*found, *broken]))


def _translated(error: ValidationError, model_type: type[BaseModel], tree: Mapping[str, Any]) -> list[FieldFault]:
    """Return pydantic's faults; branches of a union at one path become one fault."""
    by_path: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False)[: MAX_FAULTS + 1]:
        segments = _segments(detail, tree)
        rules = by_path.setdefault(path_of(segments), [])
        rule = _rule(detail, segments, model_type)
        if rule not in rules:
            rules.append(rule)
    return [FieldFault(path, " либо ".join(rules)) for path, rules in by_path.items()]


def _segments(detail: ErrorDetails, tree: Any) -> list[int | str]:
    """Return the error's place in the tree, without what pydantic adds to name a union's branch."""
    segments: list[int | str] = []
    node = tree
    for segment in detail["loc"]:
        if _holds(node, segment):
            node = node[segment]
        elif detail["type"] != "missing" or segment != detail["loc"][-1]:
            continue
        segments.append(segment)
    return segments


def _holds(node: Any, segment: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(segment, int) and segment < len(node)
    return isinstance(node, dict) and segment in node


def _rule(detail: ErrorDetails, segments: Sequence[int | str], model_type: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if "rule" in context:
        return str(context["rule"])
    if kind == "extra_forbidden":
        meant = _meant(str(segments[-1]), _model_at(model_type, segments[:-1]))
        return f"{_RULES[kind]}, возможно, имелось в виду {meant}" if meant else _RULES[kind]
    if kind.endswith("_type") and detail["input"] is None:
        return _NULL
    if kind == "string_pattern_mismatch" and context["pattern"] in PATTERN_RULES:
        return PATTERN_RULES[context["pattern"]]
    if kind == "string_too_short" and context["min_length"] == 1:
        kind = "empty"
    elif kind in ("literal_error", "enum"):
        context = {"expected": context["expected"].replace(" or ", ", ").replace("'", "")}
    return _RULES.get(kind, _OTHER).format_map(context)


def _model_at(model_type: type[BaseModel], segments: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model of the object at ``segments``."""
    found: type[BaseModel] | None = model_type
    for segment in segments:
        if isinstance(segment, str) and found is not None:
            info = found.model_fields.get(segment)
            found = _model_in(info.annotation) if info else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _meant(name: str, model: type[BaseModel] | None) -> str | None:
    """Return the field that ``name`` most likely means."""
    if model is None:
        return None
    names = [spelling for field, info in model.model_fields.items() for spelling in (field, *_spellings(info))]
    close = get_close_matches(name[:64].lower().replace("-", "_"), names, n=1, cutoff=0.7)
    return close[0] if close else None


def _spellings(info: Any) -> list[str]:
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice for choice in choices if isinstance(choice, str)]
