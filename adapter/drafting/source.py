"""The Python of a drafted module."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from adapter.drafting.naming import class_name, field_name, plural, unique
from adapter.drafting.shapes import Contract, Member, Model, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WIDTH: Final = 110
_LONG_KIND: Final = 60
#: What tells a class of the answer from one of the command.
TOLD: Final = "Told"
#: The pattern by which schemas say UUID.
UUID: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
#: Texts of builtin types, as far as a pattern can say it; the schema knows the rest.
_FORMS: Final[Mapping[str, str]] = {
    "dateTime": r"^-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$",
    "decimal": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$",
    "base64Binary": r"^[A-Za-z0-9+/ \r\n\t]*={0,2}$",
    "hexBinary": r"^([0-9a-fA-F]{2})*$",
    "gYear": r"^-?[0-9]{4,}(Z|[+-][0-9]{2}:[0-9]{2})?$",
}
#: What XSD's patterns have and ours read differently.
_FOREIGN: Final = re.compile(r"\\[icIC]|\\p\{Is|-\[|\^(?<!\[\^)|\$|\\[bBAzZ]|\(\?")


def name_all(model: Model, taken: set[str], suffix: str = "") -> list[Model]:
    """Name every member of ``model`` and below; return the models, inner ones first, under classes of their own."""
    found: dict[int, Model] = {}

    def visit(node: Model) -> None:
        if id(node) in found:
            return
        fields: set[str] = set()
        for member in node.members:
            name = field_name(member.local)
            member.name = unique(plural(name) if member.most != 1 else name, fields)
            if isinstance(member.form, Model):
                visit(member.form)
        found[id(node)] = node

    visit(model)
    for node in found.values():
        node.name = unique(class_name(node.name) + (suffix if node is not model else ""), taken)
    return list(found.values())


def quoted(text: str) -> str:
    """Return ``text`` as a string literal in the quotes that need the fewest escapes."""
    literal = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f")
    if '"' in text and "'" not in text:
        return "'" + literal[1:-1].replace('\\"', '"') + "'"
    return literal


def strings(text: str, indent: str) -> str:
    """Return ``text`` as one literal, or as several on lines of their own inside brackets."""
    if len(quoted(text)) + len(indent) <= _WIDTH:
        return quoted(text)
    pieces = [text[start : start + 80] for start in range(0, len(text), 80)]
    return f"\n{indent}".join(quoted(piece) for piece in pieces)


def value_source(value: Any, indent: str = "") -> str:
    """Return a JSON value as Python, an entry a line."""
    inner = f"{indent}    "
    if isinstance(value, dict):
        entries = "".join(f"{inner}{quoted(key)}: {value_source(item, inner)},\n" for key, item in value.items())
        return f"{{\n{entries}{indent}}}" if entries else "{}"
    if isinstance(value, list):
        entries = "".join(f"{inner}{value_source(item, inner)},\n" for item in value)
        return f"[\n{entries}{indent}]" if entries else "[]"
    if isinstance(value, str) and len(quoted(value)) + len(inner) > _WIDTH:
        return f"(\n{inner}{strings(value, inner)}\n{indent})"
    return quoted(value) if isinstance(value, str) else repr(value)


class Writer:
    """Writes the classes of one contract and remembers what they need imported."""

    def __init__(self, contract: Contract) -> None:
        """Name the contract's namespaces and classes."""
        self._contract = contract
        self.namespaces: dict[str, str] = {contract.namespace: "NS"}
        self.aliases: dict[str, str] = {}
        self.used: set[str] = set()
        taken: set[str] = {"NS", "Service", "Example", "InformationType", "Namespace", "Xml", "XmlModel", "Field"}
        taken |= {"Annotated", "ClassVar", "Literal", "Mapping", "Date", "Uuid", "Snils", "EXAMPLE"}
        self._taken = taken
        self.request = name_all(contract.request, taken)
        self.answer = name_all(contract.answer, taken, TOLD)

    def classes(self) -> str:
        """Return every class, inner ones first."""
        written = [self._class(model, strict=True) for model in self.request]
        return "\n\n\n".join([*written, *(self._class(model, strict=False) for model in self.answer)])

    def namespace(self, uri: str) -> str:
        """Return the constant of a namespace."""
        return self.namespaces.setdefault(uri, f"NS{len(self.namespaces)}")

    def _class(self, model: Model, *, strict: bool) -> str:
        lines = [f"class {model.name}(XmlModel):"]
        lines += [f'    """{"Of the command" if strict else "Of the answer"}."""', ""]
        lines.append(f"    xml_ns: ClassVar[Namespace] = {self.namespace(model.namespace)}")
        if model.identified:
            lines.append("    xml_id: ClassVar[bool] = True")
        if strict and model.choices:
            lines += self._choices(model)
        lines += (
            ["", *(self._member(member, model, strict=strict) for member in model.members)] if model.members else []
        )
        return "\n".join(lines)

    def _choices(self, model: Model) -> Iterator[str]:
        yield "    xml_choices = ("
        for branches in model.choices:
            yield "        ("
            for branch in branches:
                ordered = sorted(branch, key=lambda entry: not entry[1])
                words = " ".join(member.name if needed else f"{member.name}?" for member, needed in ordered)
                literal = strings(words, " " * 16)
                yield f"            ({literal})," if "\n" in literal else f"            {literal},"
            yield "        ),"
        yield "    )"

    def _member(self, member: Member, model: Model, *, strict: bool) -> str:
        optional = not member.needed
        kind = self._kind(member, model, strict=strict)
        arguments = ["None"] if optional else []
        if strict and member.description:
            text = member.description if len(member.description) <= 600 else f"{member.description[:599]}…"
            arguments.append(f"description={strings(text, ' ' * 8)}")
        annotation = f"{kind} | None" if optional else kind
        if not arguments:
            return f"    {member.name}: {annotation}"
        if arguments == ["None"]:
            return f"    {member.name}: {annotation} = None"
        self.used.add("Field")
        entries = "".join(f"        {argument},\n" for argument in arguments)
        return f"    {member.name}: {annotation} = Field(\n{entries}    )"

    def _alias(self, member: Member, kind: str) -> str:
        if kind not in self.aliases:
            self.aliases[kind] = unique(f"{class_name(member.local)}Value", self._taken)
        return self.aliases[kind]

    def _kind(self, member: Member, model: Model, *, strict: bool) -> str:
        form = member.form
        kind = form.name if isinstance(form, Model) else self._text(form, member.fixed, strict=strict)
        if "\n" in kind:
            kind = self._alias(member, kind)
        notes = list(self._xml(member, model, strict=strict))
        if member.most != 1:
            kind = f"list[{kind}]"
            least = member.least or int(any(member is one for one, _ in _choosable(model)))
            limits = [f"min_length={least}"] if least else []
            limits += [f"max_length={member.most}"] if member.most is not None else []
            if strict and limits:
                self.used.add("Field")
                notes.insert(0, f"Field({', '.join(limits)})")
        if notes:
            self.used.add("Annotated")
        whole = f"Annotated[{kind}, {', '.join(notes)}]" if notes else kind
        if notes and len(whole) > _LONG_KIND:
            lines = "".join(f"        {part},\n" for part in (kind, *notes))
            whole = f"Annotated[\n{lines}    ]"
        return whole

    def _xml(self, member: Member, model: Model, *, strict: bool) -> Iterator[str]:
        words = []
        if member.attribute:
            words.append("attribute=True")
        elif member.namespace != model.namespace:
            words.append(f"ns={self.namespace(member.namespace)}")
        if member.most != 1 or member.local != member.name.replace("_", "-"):
            words.insert(0, f"name={quoted(member.local)}")
        if not strict and member.empty is not None and not isinstance(member.form, Model):
            words.append(f"empty={quoted(member.empty)}")
        if words:
            self.used.add("Xml")
            yield f"Xml({', '.join(words)})"

    def _text(self, form: Text, fixed: str | None, *, strict: bool) -> str:
        if not strict or form.kind == "bool":
            return form.kind
        known = self._known(form)
        if known:
            self.used.add(known)
            return known
        values = form.enumeration if fixed is None else (fixed,)
        if values and form.kind == "str" and all(len(quoted(value)) <= _WIDTH for value in values):
            self.used.add("Literal")
            return f"Literal[\n    {_lines(values)}\n]" if len(values) > 1 else f"Literal[{quoted(values[0])}]"
        limits = list(_limits(form))
        if not limits:
            return form.kind
        self.used |= {"Annotated", "Field"}
        return f"Annotated[\n    {form.kind},\n    Field({', '.join(limits)}),\n]"

    @staticmethod
    def _known(form: Text) -> str:
        if form.special == "date":
            return "Date"
        if form.patterns == (UUID,):
            return "Uuid"
        return "Snils" if form.patterns in ((r"\d{11}",), ("[0-9]{11}",)) else ""


def _choosable(model: Model) -> list[tuple[Member, bool]]:
    """Return the members that are in any choice: an empty list of one would be neither there nor absent."""
    return [entry for branches in model.choices for branch in branches for entry in branch]


def _lines(values: tuple[str, ...]) -> str:
    return ",\n    ".join(quoted(value) for value in values) + ","


def _limits(form: Text) -> Iterator[str]:
    names = (("ge", form.low), ("le", form.high), ("min_length", form.min_length), ("max_length", form.max_length))
    yield from (f"{name}={value}" for name, value in names if value is not None)
    pattern = _FORMS.get(form.special) or _pattern(form.patterns)
    if pattern:
        yield f"\n        pattern={strings(pattern, ' ' * 8)},\n    "


def _pattern(patterns: tuple[str, ...]) -> str:
    """Return the alternatives as one pattern of ours, "" where only the schema can judge them."""
    whole = f"^(?:{'|'.join(patterns)})$"
    if not patterns or any(_FOREIGN.search(pattern) for pattern in patterns):
        return ""
    try:
        SchemaValidator(core_schema.str_schema(pattern=whole))
    except SchemaError:
        return ""
    return whole
