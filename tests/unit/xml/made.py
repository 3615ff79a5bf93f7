"""Signatures made step by step, so that any part of one can be another than the adapter writes."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

from adapter.xml.parser import parse
from adapter.xml.signature import EXC_C14N

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.xml.conftest import Signer

DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
NEW = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
OLD = "http://www.w3.org/2001/04/xmldsig-more#"


@dataclass(frozen=True)
class Made:
    """A signature made step by step over an element that holds it, so that any of its parts can be another."""

    transforms: list[str]
    signed: Callable[[bytes], bytes]
    canonicalization: str = EXC_C14N
    method: str = f"{NEW}gostr34102012-gostr34112012-256"
    digest: str = f"{NEW}gostr34112012-256"
    inside: dict[str, str] = field(default_factory=dict)
    hashed: Callable[[Signer, bytes], bytes] = lambda signer, octets: signer.gost.digest(256, octets)
    references: str = ""

    def document(self, signer: Signer) -> bytes:
        """An element with a comment, unused namespaces and text before and behind the signature inside it."""
        before = '<v:a xmlns:v="urn:v" xmlns:unused="urn:u" Id="X" z="1" b="2">a<!-- c -->&gt;b '
        behind = " &gt; c<v:e/></v:a>"
        octets = self.signed((before + behind).encode())
        digest = base64.b64encode(self.hashed(signer, octets)).decode()
        listed = "".join(
            f'<ds:Transform Algorithm="{name}">{self.inside.get(name, "")}</ds:Transform>' for name in self.transforms
        )
        info = (
            f'<ds:SignedInfo xmlns:ds="{DS}"><ds:CanonicalizationMethod Algorithm="{self.canonicalization}"/>'
            f'<ds:SignatureMethod Algorithm="{self.method}"/><ds:Reference URI="#X">'
            f'<ds:Transforms>{listed}</ds:Transforms><ds:DigestMethod Algorithm="{self.digest}"/>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>{self.references}</ds:SignedInfo>"
        )
        document = f'{before}<ds:Signature xmlns:ds="{DS}">{info}</ds:Signature>{behind}'
        element = parse(document.encode()).find(f".//{{{DS}}}SignedInfo")
        assert element is not None
        exclusive = self.canonicalization == EXC_C14N
        value = signer.sign_octets(etree.tostring(element, method="c14n", exclusive=exclusive))
        rest = (
            f"<ds:SignatureValue>{base64.b64encode(value).decode()}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>"
            f"<ds:X509Certificate>{base64.b64encode(signer.certificate('ov')).decode()}</ds:X509Certificate>"
            "</ds:X509Data></ds:KeyInfo>"
        )
        return document.replace("</ds:Signature>", f"{rest}</ds:Signature>").encode()
