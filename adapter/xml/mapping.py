"""Pydantic models to XML elements and back, declared by the models themselves.

A model's fields in their order are the elements of an XSD sequence:

* ``snake_case`` becomes ``kebab-case``; ``Annotated[..., Xml(name=...)]`` says otherwise;
* a ``list`` field becomes repeated elements without a wrapper, its plural name made singular (``errors`` -> ``error``);
* an element's namespace is that of the class that DECLARES the field, exactly as an XSD extension keeps the base
  type's elements in the base type's namespace; ``Xml(ns=...)`` says otherwise;
* ``None`` is an absent element; an empty model is an empty element;
* leaves are ``str``, string ``Literal``, ``int`` and ``bool``. Dates travel as the text they came as.

What a model means is worked out once per class into a plan, so that ``dump`` and ``load`` only walk it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from lxml import etree
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from adapter.xml.parser import XmlError

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
#: Hints to a validating reader; they change nothing in the document's meaning.
_HINTS = frozenset({f"{_XSI}schemaLocation", f"{_XSI}noNamespaceSchemaLocation"})
_WHITESPACE = " \t\r\n"
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
#: Longest foreign name that an error repeats.
_NAME_SHOWN = 64


class Namespace(NamedTuple):
    """An XML namespace and the prefix that we write it with."""

    uri: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Xml:
    """Metadata of a field whose XML differs from the default: ``Annotated[str, Xml(name="ID")]``."""

    name: str | None = None
    """Local name of the element or attribute."""
    ns: Namespace | None = None
    """Namespace of the element; attributes have none."""
    attribute: bool = False
    """An unqualified attribute instead of a child element."""
    empty: str | None = None
    """What an empty element means: an XSD ``fixed`` or ``default`` value."""


class XmlModel(BaseModel):
    """Base of every mapped model: strict types, no unknown fields, immutable."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    #: Namespace of the elements that this class declares.
    xml_ns: ClassVar[Namespace]
    #: Whether the element may carry an ``Id`` attribute for a signature to point at.
    xml_id: ClassVar[bool] = False
    #: Choices among fields that are optional here; the mapping itself does not look at them (services/choices.py).
    xml_choices: ClassVar[tuple[tuple[str, ...], ...]] = ()


ModelT = TypeVar("ModelT", bound=XmlModel)


def record(name: str, ns: Namespace, /, **fields: Any) -> type[XmlModel]:
    """Return a model class written in one expression, for the many small types of an answer.

    ``record("Period", NS, start_date=Date, end_date=Date | None)`` declares a required and an optional field; a field
    that may repeat is ``many(...)``. Types that a command holds are better written as classes, with descriptions.
    """
    shapes = {field: (kind, None if _may_be_absent(kind) else ...) for field, kind in fields.items()}
    base = type(name, (XmlModel,), {"xml_ns": ns, "__module__": __name__})
    make: Callable[..., Any] = create_model  # its overloads know no mapping of definitions
    return cast("type[XmlModel]", make(name, __base__=base, **shapes))


def _may_be_absent(kind: Any) -> bool:
    arguments = get_args(kind)
    return NoneType in arguments or (get_origin(kind) is Annotated and NoneType in get_args(arguments[0]))


def many(kind: Any) -> Any:
    """Return the type of a field of a record whose element repeats or is absent."""
    return list[kind] | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """How a scalar is written and read; ``decode`` raises ValueError with the rule that the text breaks."""

    encode: Callable[[Any], str]
    decode: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One field of a plan; its values are leaves or models."""

    field: str
    tag: str
    many: bool
    form: Leaf | type[XmlModel]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model class means in XML."""

    elements: tuple[Step, ...]
    attributes: tuple[Step, ...]
    by_tag: Mapping[str, Step]
    by_attribute: Mapping[str, Step]
    nsmap: dict[str, str]
    identified: bool


def dump(model: XmlModel, root: etree.QName, *, identifier: str | None = None) -> etree._Element:
    """Return ``model`` as an element named ``root``; ``identifier`` becomes its ``Id`` attribute.

    Every namespace is declared on the root, with the prefixes that the models name. Raises XmlError when a text holds
    a character that XML cannot carry, ValueError when the model takes no ``Id``.
    """
    plan = plan_of(type(model))
    element = etree.Element(root, nsmap=plan.nsmap)
    if identifier is not None:
        if not plan.identified:
            raise ValueError(f"{type(model).__name__} takes no Id attribute")
        element.set("Id", identifier)
    try:
        _fill(element, model, plan)
    except ValueError:
        # lxml's own sentence may one day quote the text: it is not passed on.
        raise XmlError(f"{root.localname}: a text holds characters that XML cannot carry") from None
    return element


def load(element: etree._Element, model_type: type[ModelT]) -> ModelT:
    """Return the model that ``element`` holds; the element's own name is the caller's to check.

    Strict about names: an unknown element, attribute or namespace, a repeated single element or text between elements
    raises XmlError, which names the place and the rule and never a value. Texts are kept as they stand, comments are
    skipped. The order of elements is the schema's to check.
    """
    data = _read(element, plan_of(model_type), element)
    try:
        return model_type.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        rule = "required element is missing" if first["type"] == "missing" else first["type"].replace("_", " ")
        place = _place(etree.QName(element).localname, first["loc"], model_type)
    raise XmlError(f"{place}: {rule}")


def _fill(parent: etree._Element, model: XmlModel, plan: Plan) -> None:
    values = model.__dict__
    for step in plan.attributes:
        value = values[step.field]
        if value is not None and isinstance(step.form, Leaf):
            parent.set(step.tag, step.form.encode(value))
    for step in plan.elements:
        value = values[step.field]
        if value is None:
            continue
        for item in value if step.many else (value,):
            child = etree.SubElement(parent, step.tag)
            if isinstance(step.form, Leaf):
                child.text = step.form.encode(item)
            else:
                _fill(child, item, plan_of(step.form))


def _read(element: etree._Element, plan: Plan, top: etree._Element) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, text in _attributes(element):
        attribute = plan.by_attribute.get(name)
        if attribute is not None and isinstance(attribute.form, Leaf):
            data[attribute.field] = _decoded(text, attribute.form, element, top)
        elif name not in _HINTS and not (plan.identified and name == "Id"):
            raise XmlError(f"{_path(element, top)}: unknown attribute {_shown(name)}")
    _refuse_text(element.text, element, top)
    for child in element:
        _refuse_text(child.tail, element, top)
        if not isinstance(child.tag, str):
            continue
        step = plan.by_tag.get(child.tag)
        if step is None:
            raise XmlError(f"{_path(element, top)}: {_why_unknown(child.tag, plan)}")
        form = step.form
        value: Any = (
            _decoded(_text(child, top), form, child, top)
            if isinstance(form, Leaf)
            else _read(child, plan_of(form), top)
        )
        if step.many:
            data.setdefault(step.field, []).append(value)
        elif step.field in data:
            raise XmlError(f"{_path(child, top)}: element may stand only once")
        else:
            data[step.field] = value
    return data


def _attributes(element: etree._Element) -> list[tuple[str, str]]:
    return cast("list[tuple[str, str]]", element.items())


def _text(element: etree._Element, top: etree._Element) -> str:
    """Return a leaf's text, across comments: a comment must not cut a signed value short."""
    for name, _ in _attributes(element):
        if name not in _HINTS:
            raise XmlError(f"{_path(element, top)}: unknown attribute {_shown(name)}")
    if len(element) == 0:
        return element.text or ""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str):
            raise XmlError(f"{_path(element, top)}: text expected, found element {_shown(child.tag)}")
        parts.append(child.tail or "")
    return "".join(parts)


def _decoded(text: str, leaf: Leaf, element: etree._Element, top: etree._Element) -> Any:
    try:
        return leaf.decode(text)
    except ValueError as error:
        raise XmlError(f"{_path(element, top)}: {error}") from None


def _refuse_text(text: str | None, element: etree._Element, top: etree._Element) -> None:
    if text and text.strip(_WHITESPACE):
        raise XmlError(f"{_path(element, top)}: text between elements")


def _why_unknown(tag: str, plan: Plan) -> str:
    name = etree.QName(tag)
    if any(etree.QName(known).localname == name.localname for known in plan.by_tag):
        return f"element {_shown(name.localname)} is in the wrong namespace"
    return f"unknown element {_shown(name.localname)}"


def _shown(name: str) -> str:
    local = etree.QName(name).localname
    return local if len(local) <= _NAME_SHOWN else f"{local[:_NAME_SHOWN]}…"


def _path(element: etree._Element, top: etree._Element) -> str:
    """Return the local names from ``top`` down to ``element``, with a position where a name is repeated."""
    names: list[str] = []
    node: etree._Element | None = element
    while node is not None:
        parent = None if node is top else node.getparent()
        same = [] if parent is None else [sibling for sibling in parent if sibling.tag == node.tag]
        position = f"[{same.index(node) + 1}]" if len(same) > 1 else ""
        names.append(f"{_shown(str(node.tag))}{position}")
        node = parent
    return "/".join(reversed(names))


def _place(root: str, location: tuple[int | str, ...], model_type: type[XmlModel]) -> str:
    """Return a pydantic location in terms of XML names."""
    place, model = root, model_type
    for part in location:
        if isinstance(part, int):
            place += f"[{part + 1}]"
            continue
        step = next((s for s in (*plan_of(model).elements, *plan_of(model).attributes) if part == s.field), None)
        place += f"/{etree.QName(step.tag).localname if step else part}"
        if step and not isinstance(step.form, Leaf):
            model = step.form
    return place


@cache
def plan_of(model_type: type[XmlModel]) -> Plan:
    """Return what ``model_type`` means in XML. Raises TypeError for a field that has no XML form."""
    elements: list[Step] = []
    attributes: list[Step] = []
    for name, info in model_type.model_fields.items():
        kind, many, xml = _shape(info.annotation, info.metadata)
        local = xml.name or _local_name(name, many=many)
        namespace = xml.ns or _namespace(model_type, name)
        tag = local if xml.attribute else f"{{{namespace.uri}}}{local}"
        form = kind if issubclass(kind, XmlModel) else _LEAVES.get(kind)
        if form is None or (xml.attribute and (many or not isinstance(form, Leaf))):
            raise TypeError(f"{model_type.__name__}.{name}: {kind.__name__} has no XML form here")
        if xml.empty is not None and isinstance(form, Leaf):
            form = Leaf(form.encode, partial(_read_with_default, form.decode, xml.empty))
        (attributes if xml.attribute else elements).append(Step(name, tag, many, form))
    return Plan(
        elements=tuple(elements),
        attributes=tuple(attributes),
        by_tag={step.tag: step for step in elements},
        by_attribute={step.tag: step for step in attributes},
        nsmap=_nsmap(model_type),
        identified=model_type.xml_id,
    )


def _shape(annotation: Any, metadata: list[Any]) -> tuple[type, bool, Xml]:
    """Return a field's leaf or model type, whether it repeats, and its Xml metadata."""
    found = list(metadata)
    many = False
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation, found = arguments[0], [*found, *arguments[1:]]
        elif origin in (Union, UnionType) and len(set(arguments) - {NoneType}) == 1:
            annotation = next(argument for argument in arguments if argument is not NoneType)
        elif origin is list and not many:
            annotation, many = arguments[0], True
        elif origin is Literal and all(isinstance(argument, str) for argument in arguments):
            annotation = str
        else:
            break
    if not isinstance(annotation, type):
        raise TypeError(f"{annotation} has no XML form")
    return annotation, many, next((item for item in found if isinstance(item, Xml)), Xml())


def _local_name(field: str, *, many: bool) -> str:
    return (_singular(field) if many else field).replace("_", "-")


def _singular(name: str) -> str:
    """Return the singular of a regular English plural: ``entries`` -> ``entry``, ``ids`` -> ``id``."""
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    if name.endswith("sses"):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _namespace(model_type: type[XmlModel], field: str) -> Namespace:
    declaring = next(base for base in model_type.__mro__ if field in get_annotations(base))
    if not issubclass(declaring, XmlModel):
        raise TypeError(f"{model_type.__name__}.{field}: its class {declaring.__name__} has no namespace")
    return declaring.xml_ns


def _nsmap(model_type: type[XmlModel]) -> dict[str, str]:
    """Return prefix -> URI of everything below ``model_type``, its own namespace included."""
    found: dict[str, str] = {}
    waiting, seen = [model_type], {model_type}
    while waiting:
        model = waiting.pop()
        used = [model.xml_ns]
        for name, info in model.model_fields.items():
            kind, _, xml = _shape(info.annotation, info.metadata)
            used.append(xml.ns or _namespace(model, name))
            if issubclass(kind, XmlModel) and kind not in seen:
                seen.add(kind)
                waiting.append(kind)
        for namespace in used:
            if found.setdefault(namespace.prefix, namespace.uri) != namespace.uri:
                raise TypeError(f"{model_type.__name__}: prefix {namespace.prefix} means two namespaces")
    return found


def _read_integer(text: str) -> int:
    collapsed = text.strip(_WHITESPACE)
    if not _INTEGER.fullmatch(collapsed):
        raise ValueError("integer expected")
    return int(collapsed)


def _read_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip(_WHITESPACE)]
    except KeyError:
        raise ValueError("boolean expected") from None


def _read_with_default(decode: Callable[[str], Any], empty: str, text: str) -> Any:
    return decode(text or empty)


_LEAVES: Mapping[type, Leaf] = {
    str: Leaf(str, str),
    int: Leaf(str, _read_integer),
    bool: Leaf(lambda value: "true" if value else "false", _read_boolean),
}
