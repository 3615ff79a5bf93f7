from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from adapter.xml.parser import parse
from adapter.xml.signature import EXC_C14N, SMEV_TRANSFORM, verify_message
from adapter.xml.transform import exc_c14n, smev_transform, smev_transform_octets
from tests.unit.xml.made import C14N, DS, NEW, OLD, Made

if TYPE_CHECKING:
    from adapter.xml.signature import SignatureVerdict
    from tests.unit.xml.conftest import Signer


def only(message: bytes | str, signer: Signer) -> SignatureVerdict:
    (verdict,) = verify_message(message if isinstance(message, bytes) else message.encode(), signer.gost)
    return verdict


C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
ENVELOPED = f"{DS}enveloped-signature"


def inclusive(source: bytes, *, comments: bool = False) -> bytes:
    return etree.tostring(parse(source), method="c14n", with_comments=comments)


LISTS = {
    "enveloped, exc-c14n, SMEV": Made([ENVELOPED, EXC_C14N, SMEV_TRANSFORM], smev_transform),
    "enveloped, SMEV": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform),
    "enveloped, c14n 1.0, SMEV": Made([ENVELOPED, C14N, SMEV_TRANSFORM], smev_transform),
    "enveloped, exc-c14n": Made([ENVELOPED, EXC_C14N], lambda source: exc_c14n(parse(source))),
    "enveloped, exc-c14n with comments": Made(
        [ENVELOPED, f"{EXC_C14N}WithComments"], lambda source: exc_c14n(parse(source), comments=True)
    ),
    "enveloped, exc-c14n with comments, SMEV": Made(
        [ENVELOPED, f"{EXC_C14N}WithComments", SMEV_TRANSFORM],
        lambda source: smev_transform_octets(exc_c14n(parse(source), comments=True)),
    ),
    "enveloped, exc-c14n with a prefix list": Made(
        [ENVELOPED, EXC_C14N],
        lambda source: exc_c14n(parse(source), inclusive=["unused"]),
        inside={EXC_C14N: f'<i:InclusiveNamespaces xmlns:i="{EXC_C14N}" PrefixList="unused #default"/>'},
    ),
    "enveloped, c14n 1.0": Made([ENVELOPED, C14N], inclusive),
    "enveloped, c14n 1.0 with comments": Made(
        [ENVELOPED, f"{C14N}#WithComments"], lambda source: inclusive(source, comments=True)
    ),
    "enveloped alone: c14n 1.0 follows by itself": Made([ENVELOPED], inclusive),
    "enveloped, SMEV, c14n 1.0": Made(
        [ENVELOPED, SMEV_TRANSFORM, C14N], lambda source: inclusive(smev_transform(source))
    ),
    "SignedInfo by c14n 1.0": Made([ENVELOPED, EXC_C14N, SMEV_TRANSFORM], smev_transform, canonicalization=C14N),
    "enveloped, c14n 1.1": Made([ENVELOPED, C14N_11], inclusive),
    "SignedInfo by c14n 1.1": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, canonicalization=C14N_11),
    "a digest of 94 under its old name": Made(
        [ENVELOPED, SMEV_TRANSFORM],
        smev_transform,
        digest=f"{OLD}gostr3411",
        hashed=lambda signer, octets: signer.gost.digest_94(octets),
    ),
    "a digest of 512 bits by a key of 256": Made(
        [ENVELOPED, SMEV_TRANSFORM],
        smev_transform,
        digest=f"{NEW}gostr34112012-512",
        hashed=lambda signer, octets: signer.gost.digest(512, octets),
    ),
    "old names with a key of 2012": Made(
        [ENVELOPED, EXC_C14N, SMEV_TRANSFORM],
        smev_transform,
        method=f"{OLD}gostr34102001-gostr3411",
        digest=f"{OLD}gostr3411",
    ),
    "old names in the new family": Made(
        [ENVELOPED, EXC_C14N, SMEV_TRANSFORM],
        smev_transform,
        method=f"{NEW}gostr34102001-gostr3411",
        digest=f"{NEW}gostr3411",
    ),
}
WRONG_LISTS = {
    "SMEV listed but not applied": Made([ENVELOPED, EXC_C14N, SMEV_TRANSFORM], lambda source: exc_c14n(parse(source))),
    "SMEV applied but not listed": Made([ENVELOPED, EXC_C14N], smev_transform),
    "enveloped too late": Made([EXC_C14N, ENVELOPED, SMEV_TRANSFORM], smev_transform),
    "an unknown transform": Made([ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116"], smev_transform),
    "more transforms than anybody needs": Made([ENVELOPED, *[SMEV_TRANSFORM] * 8], smev_transform),
    "a digest of 94 under a name of 2012": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, hashed=lambda signer, octets: signer.gost.digest_94(octets)
    ),
    "an unknown canonicalisation": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, canonicalization="urn:x"),
    "a 512 bit name for a 256 bit key": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, method=f"{NEW}gostr34102012-gostr34112012-512"
    ),
    "a 512 bit name for a 256 bit digest": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, digest=f"{NEW}gostr34112012-512"
    ),
    "an unknown signature algorithm": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, method=f"{OLD}rsa-sha256"
    ),
    "an unknown digest algorithm": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, digest="http://www.w3.org/2001/04/xmlenc#sha256"
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", LISTS.values(), ids=LISTS.keys())
def test_the_listed_transforms_are_applied_in_their_order(signer: Signer, made: Made) -> None:
    verdict = only(made.document(signer), signer)
    assert (verdict.math, verdict.reason) == (True, "")


@pytest.mark.parametrize("made", WRONG_LISTS.values(), ids=WRONG_LISTS.keys())
def test_other_transforms_and_algorithms_than_stated_are_refused(signer: Signer, made: Made) -> None:
    verdict = only(made.document(signer), signer)
    assert not verdict.math
    assert verdict.reason


UNSUPPORTED = {
    "http://www.w3.org/TR/1999/REC-xslt-19991116": Made(
        [ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116"], smev_transform
    ),
    "urn:x": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, canonicalization="urn:x"),
    f"{OLD}rsa-sha256": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, method=f"{OLD}rsa-sha256"),
    "http://www.w3.org/2001/04/xmlenc#sha256": Made(
        [ENVELOPED, SMEV_TRANSFORM], smev_transform, digest="http://www.w3.org/2001/04/xmlenc#sha256"
    ),
    "none is named": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, method=""),
    "a name that is none": Made([ENVELOPED, SMEV_TRANSFORM], smev_transform, method="Иванов Иван"),
}


@pytest.mark.parametrize(("name", "made"), UNSUPPORTED.items(), ids=UNSUPPORTED.keys())
def test_what_is_not_ours_is_not_judged_and_said_by_its_name(signer: Signer, name: str, made: Made) -> None:
    verdict = only(made.document(signer), signer)
    assert (verdict.math, verdict.judged) == (False, False)
    assert verdict.reason.endswith(f"unsupported: {name}")


@pytest.mark.parametrize(("attribute", "judged"), [("xml:id", True), ("xml:base", False)])
def test_canonical_xml_1_1_takes_other_attributes_from_above_than_1_0(
    signer: Signer, attribute: str, *, judged: bool
) -> None:
    made = Made([C14N_11], lambda _: inclusive(b'<v:a xmlns:v="urn:v" Id="X"/>')).document(signer)
    signature = re.search(rb"<ds:Signature .*</ds:Signature>", made)
    assert signature is not None
    verdict = only(f'<m {attribute}="a"><v:a xmlns:v="urn:v" Id="X"/>{signature[0].decode()}</m>', signer)
    assert (verdict.math, verdict.judged) == (judged, judged)


def test_a_document_that_signs_itself_over_and_over_is_given_up(signer: Signer) -> None:
    element = f'<v:a xmlns:v="urn:v" Id="X">{"x" * 300_000}</v:a>'
    verdicts = verify_message(f"<m>{element}{signer.sign(element) * 20}</m>".encode(), signer.gost)
    assert [verdict.math for verdict in verdicts[:8]] == [True] * 8
    assert verdicts[19].reason == "the signatures before this one sign too much for one document"


def test_inclusive_canonical_form_takes_what_is_in_scope_from_above(signer: Signer) -> None:
    """C14N 1.0 of a part: the namespaces and xml: attributes of what stands around it belong to it."""
    scope = 'xmlns:unused="urn:u" xml:lang="ru"'
    octets = inclusive(f'<v:a xmlns:v="urn:v" {scope} Id="X"/>'.encode())
    made = Made([C14N], lambda _: octets).document(signer)
    signature = re.search(rb"<ds:Signature .*</ds:Signature>", made)
    assert signature is not None
    message = f'<m xml:lang="en"><n {scope}><v:a xmlns:v="urn:v" Id="X"/></n>{signature[0].decode()}</m>'
    verdict = only(message, signer)
    assert (verdict.math, verdict.reason) == (True, "")


def test_a_relative_namespace_where_inclusive_canonical_form_is_wanted_is_refused(signer: Signer) -> None:
    made = Made([C14N], lambda _: b"").document(signer)
    signature = re.search(rb"<ds:Signature .*</ds:Signature>", made)
    assert signature is not None
    verdict = only(b'<m><v xmlns="relative" Id="X"/>' + signature[0] + b"</m>", signer)
    assert (verdict.math, "relative" in verdict.reason) == (False, True)
