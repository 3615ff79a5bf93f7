"""Complex types of a schema as :class:`~adapter.drafting.shapes.Model`, or a sentence why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lxml import etree

from adapter.drafting.schemas import XSD
from adapter.drafting.shapes import Contract, DraftError, Member, Model, Text
from adapter.drafting.simple import builtin, named, simple

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.drafting.schemas import Schemas

_URI: Final = XSD[1:-1]
_SKIPPED: Final = frozenset({"annotation", "key", "keyref", "unique", "assert"})
_SIGNED: Final = "Id"

#: Members of a particle, each with whether it must stand when the particle does.
_Found = list[tuple[Member, bool]]


def read_contract(schemas: Schemas, request: str | None, answer: str | None, main: Path) -> Contract:
    """Return both messages. Raises DraftError, also when it is not plain which elements they are."""
    roots = schemas.elements()
    asked = _root(roots, request, "Request", "--request")
    told = _root(roots, answer, "Response", "--answer")
    return Contract(
        namespace=schemas.target(schemas.root),
        request=_Reader(schemas).root(roots[asked]),
        answer=_Reader(schemas).root(roots[told]),
        roots=(asked, told),
        description=_documentation(roots[asked]) or asked,
        files=(main.name, *(str(path.relative_to(schemas.folder)) for path in schemas.files if path.name != main.name)),
    )


def _root(roots: dict[str, etree._Element], wanted: str | None, ending: str, option: str) -> str:
    names = [wanted] if wanted else [name for name in roots if name.lower().endswith(ending.lower())]
    if not names and len(roots) == 2:
        # Of two, the one whose name says that it is the other message leaves this one.
        names = [name for name in roots if not name.lower().endswith(("request", "response"))]
    if len(names) != 1 or names[0] not in roots:
        known = ", ".join(sorted(roots)) or "none"
        raise DraftError(f"name the element of the message by {option}: the schema has {known}")
    return names[0]


class _Reader:
    """Walks from a root element down; ``way`` are the types it is inside of."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._known: dict[etree._Element, Model] = {}

    def root(self, node: etree._Element) -> Model:
        name = str(node.get("name"))
        form = self._form(node, name, ())
        if not isinstance(form, Model):
            raise DraftError(f"{name}: a message has to hold elements")
        form.name = name
        for member in list(form.members):
            if member.attribute and member.local == _SIGNED:
                form.identified = True
                form.members.remove(member)
        return form

    def _form(self, node: etree._Element, place: str, way: tuple[etree._Element, ...]) -> Text | Model:
        """Return what an element or attribute holds."""
        inner = node.find(f"{XSD}complexType")
        if inner is not None:
            return self._complex(inner, place, way)
        plain = node.find(f"{XSD}simpleType")
        if plain is not None:
            return simple(self._schemas, plain, place)
        name = node.get("type")
        if name is None:
            if etree.QName(node).localname == "element":
                raise DraftError(f"{place}: an element without a type may hold anything")
            return builtin("string", place)
        uri, local = self._schemas.resolve(node, name)
        if uri == _URI:
            return builtin(local, place)
        try:
            return named(self._schemas, node, name, place)
        except DraftError:
            found = self._schemas.find("complexType", node, name)
        return self._complex(found, place, way)

    def _complex(self, node: etree._Element, place: str, way: tuple[etree._Element, ...]) -> Model:
        if node in way:
            raise DraftError(f"{place}: the type {node.get('name')} holds itself; recursive types are not drafted")
        if node.get("mixed") == "true":
            raise DraftError(f"{place}: text between elements (mixed) is not drafted")
        if node in self._known:
            return self._known[node]
        model = Model(str(node.get("name") or place.rsplit("/", 1)[-1]), self._schemas.target(node))
        self._fill(model, node, place, (*way, node))
        seen: set[tuple[bool, str, str]] = set()
        for member in model.members:
            key = (member.attribute, member.namespace, member.local)
            if key in seen:
                raise DraftError(f"{place}: {member.local} stands in two places of one type; write this model by hand")
            seen.add(key)
        self._known[node] = model
        return model

    def _fill(self, model: Model, node: etree._Element, place: str, way: tuple[etree._Element, ...]) -> None:
        for child in node.iterchildren(etree.Element):
            kind = etree.QName(child).localname
            if kind in {"sequence", "choice", "all", "group"}:
                for member, needed in self._particle(model, child, place, way):
                    member.needed = needed
                    model.members.append(member)
            elif kind == "attribute":
                self._attribute(model, child, place)
            elif kind == "attributeGroup":
                self._fill(model, self._schemas.find("attributeGroup", child, str(child.get("ref"))), place, way)
            elif kind == "complexContent":
                self._extension(model, child, place, way)
            elif kind not in _SKIPPED:
                raise DraftError(f"{place}: xs:{kind} is not drafted")

    def _extension(self, model: Model, node: etree._Element, place: str, way: tuple[etree._Element, ...]) -> None:
        extension = node.find(f"{XSD}extension")
        if extension is None:
            raise DraftError(f"{place}: a restriction of a complex type is not drafted")
        base = self._schemas.find("complexType", extension, str(extension.get("base")))
        if base in way:
            raise DraftError(f"{place}: the type {base.get('name')} extends itself")
        self._fill(model, base, place, (*way, base))
        self._fill(model, extension, place, way)

    def _attribute(self, model: Model, node: etree._Element, place: str) -> None:
        if node.get("use") == "prohibited":
            return
        local = node.get("name")
        if local is None or node.get("form") == "qualified":
            raise DraftError(f"{place}: an attribute with a namespace ({node.get('ref') or local}) is not drafted")
        form = self._form(node, f"{place}/@{local}", ())
        member = Member(local, "", form, attribute=True, fixed=node.get("fixed"), description=_documentation(node))
        member.needed = node.get("use") == "required"
        model.members.append(member)

    def _particle(self, model: Model, node: etree._Element, place: str, way: tuple[etree._Element, ...]) -> _Found:
        """Return the members of a sequence, choice, all or group."""
        kind = etree.QName(node).localname
        if kind == "any":
            raise DraftError(f"{place}: xs:any may hold anything")
        least, most = _occurs(node)
        if kind == "element":
            return [(self._element(node, place, way, least, most), least > 0)]
        if most != 1:
            raise DraftError(f"{place}: a repeated xs:{kind} keeps an order that JSON has no place for")
        if kind == "group" and node.get("ref"):
            node = self._schemas.find("group", node, str(node.get("ref")))
        within = len(model.choices)
        parts = [
            self._particle(model, child, place, way)
            for child in node.iterchildren(etree.Element)
            if etree.QName(child).localname not in _SKIPPED
        ]
        if kind == "choice" or least == 0:
            # What may be absent as a whole takes its own choices along; the schema judges the rest.
            for inner in model.choices[within:]:
                if [] not in inner:
                    inner.append([])
        return _chosen(model, parts, least) if kind == "choice" else _in_a_row(model, parts, least)

    def _element(
        self, node: etree._Element, place: str, way: tuple[etree._Element, ...], least: int, most: int | None
    ) -> Member:
        description, qualified = _documentation(node), self._qualified(node)
        if node.get("ref"):
            node = self._schemas.find("element", node, str(node.get("ref")))
            description, qualified = description or _documentation(node), True
        local = str(node.get("name"))
        here = f"{place}/{local}"
        if node.get("abstract") == "true" or node.get("substitutionGroup"):
            raise DraftError(f"{here}: substitution groups are not drafted")
        if not qualified:
            raise DraftError(f"{here}: an element without a namespace (elementFormDefault) is not drafted")
        if len(way) > 60:
            raise DraftError(f"{place}: nested deeper than any message is")
        form = self._form(node, here, way)
        return Member(
            local,
            self._schemas.target(node),
            form,
            least,
            most,
            fixed=node.get("fixed"),
            empty=node.get("fixed") or node.get("default"),
            description=description,
        )

    def _qualified(self, node: etree._Element) -> bool:
        default = node.getroottree().getroot().get("elementFormDefault", "unqualified")
        return bool(node.get("form", default) == "qualified")


def _in_a_row(model: Model, parts: list[_Found], least: int) -> _Found:
    """Return the members of a sequence; one that may be absent is a choice between itself and nothing."""
    found = [entry for part in parts for entry in part]
    if least == 0 and len(found) > 1 and any(needed for _, needed in found):
        model.choices.append([found, []])
    return [(member, needed and least > 0) for member, needed in found]


def _chosen(model: Model, parts: list[_Found], least: int) -> _Found:
    """Return the members of a choice, and note its branches."""
    if len(parts) > 1 or least == 0:
        # A branch of which nothing has to stand may be chosen by leaving everything out.
        free = least == 0 or any(not any(needed for _, needed in part) for part in parts)
        model.choices.append([*(part for part in parts if part), *([[]] if free else [])])
        return [(member, False) for part in parts for member, _ in part]
    return parts[0] if parts else []


def _occurs(node: etree._Element) -> tuple[int, int | None]:
    most = node.get("maxOccurs", "1")
    return int(node.get("minOccurs", "1")), None if most == "unbounded" else int(most)


def _documentation(node: etree._Element) -> str:
    texts = node.iterfind(f"{XSD}annotation/{XSD}documentation")
    return " ".join(" ".join("".join(text.itertext()).split()) for text in texts)  # type: ignore[arg-type]
