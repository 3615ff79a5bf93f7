"""The one XML parser of the adapter: hardened, and explicit at every call (ARCHITECTURE, Security).

Everything that arrives as XML (gateway answers, business content, documents to sign) is read here. Whitespace,
comments and processing instructions are kept, because signatures are checked over them; CDATA becomes plain text.
Mind that lxml's ``element.text`` ends at the first comment: read a leaf's text by ``"".join(element.itertext())``.
"""

from __future__ import annotations

from xml.parsers import expat

from lxml import etree

#: Bytes of one document unless the caller says otherwise: business data of СМЭВ3 is at most 5 MB.
MAX_BYTES = 16 * 2**20
#: Namespaces in force in one place. JAXB declares some hundreds on a root; canonical XML costs the square of them.
MAX_NAMESPACES = 1000
#: Encodings in which "xmlns" is written as in ASCII.
_LIKE_ASCII = ("UTF-8", "US-ASCII", "ASCII", "WINDOWS-125", "CP125", "ISO-8859-", "KOI8-")


class XmlError(ValueError):
    """A document breaks a rule of XML or ours; ``rule`` is an English sentence that never holds document values."""

    def __init__(self, rule: str) -> None:
        """Keep ``rule`` as the error's only text."""
        super().__init__(rule)
        self.rule = rule


def _parser(*, recover: bool) -> etree.XMLParser:
    # huge_tree=False is what bounds the depth (256 elements) and the size of one text (10 MB) inside libxml2.
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=recover,
        remove_blank_text=False,
        strip_cdata=True,
        collect_ids=False,
    )


_PARSER = _parser(recover=False)


def parse(data: bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """Return the root of ``data``, a whole document of at most ``max_bytes`` bytes.

    No DTD (so no entities of its own), nothing fetched, at most 256 elements deep and 1000 namespaces in force in one
    place. Raises XmlError, whose rule names the place but no content.
    """
    if len(data) > max_bytes:
        raise XmlError(f"the document is larger than {max_bytes} bytes")
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        root = _with_foreign_names(data, error)
        if root is None:
            raise XmlError(f"not well-formed XML: {_sentence(error)}") from None
    except ValueError as error:
        # Anything else lxml says about its input; its texts may quote the input.
        raise XmlError(f"not readable XML ({type(error).__name__})") from None
    if root is None or not isinstance(root.tag, str):
        raise XmlError("not well-formed XML: no root element")
    # libxml2 has not expanded or fetched anything at this point; its own limits stop amplification in attributes.
    document = root.getroottree().docinfo
    if document.internalDTD is not None:
        raise XmlError("a document type declaration is not allowed")
    # Of UTF-16 by its byte order mark alone lxml says that it is UTF-8.
    is_like_ascii = b"\0" not in data[:8] and (document.encoding or "UTF-8").upper().startswith(_LIKE_ASCII)
    # Declarations without a prefix add at most one for each level.
    if not is_like_ascii or data.count(b"xmlns:") >= MAX_NAMESPACES:
        _check_namespaces(root)
    return root


def _check_namespaces(root: etree._Element) -> None:
    in_force = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        in_force += 1 if event == "start-ns" else -1
        if in_force > MAX_NAMESPACES:
            raise XmlError(f"more than {MAX_NAMESPACES} namespaces are in force in one place")


def _with_foreign_names(data: bytes, error: etree.XMLSyntaxError) -> etree._Element | None:
    """Return the root of a document in which nothing is wrong but that names of namespaces are no URIs, else ``None``.

    XML allows such names, and several виды сведений have them (``http://пф.рф/…``); libxml2 calls them errors and
    reads on. ``error`` is what it said at the strict reading.
    """
    if getattr(error, "code", None) != etree.ErrorTypes.WAR_NS_URI:
        return None
    parser = _parser(recover=True)
    try:
        root = etree.fromstring(data, parser)
        # After any error libxml2 no longer looks for what stands behind the root, so another parser has to.
        judge = expat.ParserCreate()
        judge.StartDoctypeDeclHandler = _refuse_doctype
        judge.Parse(data, True)  # noqa: FBT003  — positional-only
    except (etree.XMLSyntaxError, expat.ExpatError):
        return None
    faults = (entry for entry in parser.error_log if entry.level >= etree.ErrorLevels.ERROR)
    return root if all(fault.type == etree.ErrorTypes.WAR_NS_URI for fault in faults) else None


def _refuse_doctype(*_: object) -> None:
    raise XmlError("a document type declaration is not allowed")


def serialize(element: etree._Element) -> bytes:
    """Return ``element`` as UTF-8 without declaration, tail or any reformatting, its namespaces declared on it."""
    return etree.tostring(element, encoding="utf-8", xml_declaration=False, with_tail=False)


def _sentence(error: etree.XMLSyntaxError) -> str:
    """Say libxml2's rule by its code and place: its messages quote names and values."""
    entry = getattr(error.error_log, "last_error", None)
    name = getattr(entry, "type_name", "") or "ERR_DOCUMENT_EMPTY"
    rule = name.removeprefix("ERR_").removeprefix("NS_ERR_").replace("_", " ").lower()
    line, column = error.position
    return f"{rule} at line {line}, column {column}"
