"""From a signature's reference to the octets that its digest is of: the listed transforms, in their order.

Facts of СМЭВ3, Pitfall 6: one real message lists enveloped-signature, C14N 1.0 and the SMEV transform.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from adapter.xml.algorithms import unsupported
from adapter.xml.canonical import canonical_xml
from adapter.xml.parser import XmlError, parse
from adapter.xml.placement import DS
from adapter.xml.transform import exc_c14n, smev_transform_element, smev_transform_octets

EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
SMEV_TRANSFORM: Final = "urn://smev-gov-ru/xmldsig/transform"
_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_C14N_11: Final = "http://www.w3.org/2006/12/xml-c14n11"
_ENVELOPED: Final = f"{DS}enveloped-signature"
_COMMENTS: Final = "WithComments"
_EXCLUSIVE: Final = frozenset({EXC_C14N, EXC_C14N + _COMMENTS})
_INCLUSIVE: Final = frozenset({_C14N, f"{_C14N}#{_COMMENTS}", _C14N_11, f"{_C14N_11}#{_COMMENTS}"})
_TRANSFORMS: Final = _EXCLUSIVE | _INCLUSIVE | {SMEV_TRANSFORM, _ENVELOPED}
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_MOST_TRANSFORMS: Final = 8
#: At most so many times a document's bytes, or this many bytes, are digested for all its signatures: СМЭВ signs what
#: two others have signed before, and a document of nested signed elements would cost its square.
_MOST_TIMES: Final = 8
_LEAST_BYTES: Final = 2**20


class WrongSignatureError(XmlError):
    """The signature is not right; the rule says why."""


class UnsupportedError(WrongSignatureError):
    """The signature cannot be judged: it names an algorithm, a key or a transform that is not ours."""


class Allowance:
    """The bytes that may still be digested for one document's signatures."""

    def __init__(self, size: int) -> None:
        """``size`` is the document's, in bytes."""
        self._left = max(_LEAST_BYTES, _MOST_TIMES * size)

    def spend(self, octets: bytes) -> bytes:
        """Return ``octets``. Raises WrongSignatureError when nothing was left for them."""
        if self._left <= 0:
            raise WrongSignatureError("the signatures before this one sign too much for one document")
        self._left -= len(octets)
        return octets


def referenced_octets(
    reference: etree._Element, target: etree._Element, signature: etree._Element, allowance: Allowance
) -> bytes:
    """Apply the transforms that ``reference`` of ``signature`` lists to ``target``, which it names.

    An element that is left is canonicalised by C14N 1.0. Raises UnsupportedError, WrongSignatureError, and XmlError for
    what a transform refuses.
    """
    transforms = reference.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
    if len(transforms) > _MOST_TRANSFORMS:
        raise WrongSignatureError("too many transforms")
    value: etree._Element | bytes = target
    algorithms = [transform.get("Algorithm", "") for transform in transforms]
    for algorithm in algorithms:
        if algorithm not in _TRANSFORMS:
            raise UnsupportedError(unsupported("a transform", algorithm))
    allowance.spend(b"")
    for position, (transform, algorithm) in enumerate(zip(transforms, algorithms, strict=True)):
        if algorithm == EXC_C14N and algorithms[position + 1 : position + 2] == [SMEV_TRANSFORM]:
            continue  # the SMEV transform of an element begins with it
        if algorithm == SMEV_TRANSFORM:
            octets = smev_transform_octets(value) if isinstance(value, bytes) else smev_transform_element(value)
            value = allowance.spend(octets)
            continue
        if algorithm == _ENVELOPED:
            if isinstance(value, bytes):
                raise WrongSignatureError("enveloped-signature has to come before other transforms")
            value = _without(value, signature, allowance)
        else:
            element = parse(value) if isinstance(value, bytes) else value
            value = allowance.spend(canonicalize(element, transform))
    return value if isinstance(value, bytes) else allowance.spend(_c14n(value, _C14N))


def canonicalize(element: etree._Element, method: etree._Element) -> bytes:
    """Canonicalise by a CanonicalizationMethod or a Transform. Raises UnsupportedError, XmlError."""
    algorithm = method.get("Algorithm", "")
    if algorithm in _EXCLUSIVE:
        listed = method.find(f"{{{EXC_C14N}}}InclusiveNamespaces")
        inclusive = () if listed is None else listed.get("PrefixList", "").split()
        return exc_c14n(element, comments=algorithm != EXC_C14N, inclusive=inclusive)
    if algorithm in _INCLUSIVE:
        return _c14n(element, algorithm)
    raise UnsupportedError(unsupported("a canonicalisation", algorithm))


def _c14n(element: etree._Element, algorithm: str) -> bytes:
    """Return inclusive canonical XML of an element in its document: with what is in scope from above.

    That is namespaces and, by C14N 1.0, every xml: attribute; by 1.1 not xml:id.
    """
    inherited = {
        name: value
        for above in reversed(list(element.iterancestors(etree.Element)))
        for name, value in above.attrib.items()
        if str(name).startswith(_XML)
    }
    if algorithm.startswith(_C14N_11):
        inherited.pop(f"{_XML}id", None)
        if f"{_XML}base" in inherited:  # 1.1 joins the bases of all elements that are left out
            raise UnsupportedError(unsupported("a canonicalisation below xml:base", algorithm))
    try:
        if inherited.keys() - element.attrib.keys():
            element = _copy(element)
            for name, value in inherited.items():
                if name not in element.attrib:
                    element.set(name, value)
        return canonical_xml(element, exclusive=False, comments=algorithm.endswith(_COMMENTS))
    except etree.C14NError:
        raise WrongSignatureError("canonical XML is not defined: a namespace URI is relative") from None


def _copy(element: etree._Element, allowance: Allowance | None = None) -> etree._Element:
    """Return the element as the root of a document of its own, with the namespaces in scope."""
    octets = etree.tostring(element, encoding="utf-8", with_tail=False)
    return parse(octets if allowance is None else allowance.spend(octets))


def _without(element: etree._Element, signature: etree._Element, allowance: Allowance) -> etree._Element:
    """Return a copy of ``element`` without ``signature``; itself when the signature is not inside it."""
    steps: list[int] = []
    node = signature
    while node is not element:
        parent = node.getparent()
        if parent is None:
            return element
        steps.append(parent.index(node))
        node = parent
    if not steps:
        raise WrongSignatureError("a signature cannot be taken out of itself")
    copy = node = _copy(element, allowance)
    for step in reversed(steps):
        node = node[step]
    holder, before, tail = node.getparent(), node.getprevious(), node.tail or ""
    if holder is None:
        raise WrongSignatureError("a signature cannot be taken out of itself")
    holder.remove(node)  # and its tail, which is the document's
    if before is None:
        holder.text = (holder.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    return copy
