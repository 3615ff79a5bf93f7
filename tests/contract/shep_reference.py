"""What the operator of the ШЭП published, where ../shared has it: schemas, WSDLs and samples."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from lxml import etree

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "shep"
SAMPLES = REFERENCE / "samples"
XS = "{http://www.w3.org/2001/XMLSchema}"


@cache
def reference() -> etree.XMLSchema:
    """The operator's schema, one file per namespace; its absence skips a test."""
    folder = REFERENCE / "xsd"
    if not folder.is_dir():
        pytest.skip("the operator's schemas (../shared) are not on this machine")
    root = etree.Element(f"{XS}schema")
    for path in sorted(folder.glob("*.xsd")):
        target = etree.parse(path).getroot().get("targetNamespace", "")
        etree.SubElement(root, f"{XS}import", namespace=target, schemaLocation=str(path))
    return etree.XMLSchema(root)
