"""Signed documents in business data still verify after queue, gateway and queue: both directions, all three forms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adapter.xml.wssecurity import DS, verify_document
from tests.contract.shep_signing import Hand
from tests.integration.shep_house import told

if TYPE_CHECKING:
    from adapter.signing.kz import KzEngine
    from tests.integration.shep_house import Shep

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")

#: What canonical XML is sensitive to: namespaces, whitespace, references, comments, CDATA, attributes in any order.
DOCUMENT = (
    '<d:документ xmlns:d=\'urn:d\' xmlns:q="urn:q" z=\'1\'  a="q:имя &quot;&#10;&#9;">\r\n\t<q:n/><n xmlns=""></n>'
    "<!-- c --><?pi x?>&#13; &lt;&#65;]]&gt; <![CDATA[<x> & y]]>\u00a0\U0001f600<xsi:e xmlns:xsi='urn:not-the-usual'"
    " xsi:type='t:x' xmlns:t='urn:t'/></d:документ>"
)


def forms(document: str) -> list[dict[str, Any]]:
    """The three forms of business data around one signed document."""
    named = {"namespace": "urn:their-type", "name": "Type"}
    return [
        {"form": "child", "content": document},
        {"form": "text", "content": document},
        {"form": "typed", "content": document, "type": named},
    ]


def must_verify(data: dict[str, Any], sent: dict[str, Any], kz: KzEngine) -> None:
    """The same bytes in the same form, both signatures right."""
    assert data == sent
    verdicts = verify_document(data["content"].encode(), kz)
    assert [(verdict.math, verdict.reason) for verdict in verdicts] == [(True, "")]


def signed(kz: KzEngine, shep: Shep) -> str:
    document = Hand(kz, shep.stand.folder, "other").document(DOCUMENT.encode()).decode()
    assert DS in document
    return document


async def test_what_we_send_comes_back_as_it_was_signed(shep: Shep, kz: KzEngine) -> None:
    for data in forms(signed(kz, shep)):
        asked = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": data}}
        reply = await shep.upstream.ask("shep.sync.send", asked)
        must_verify(reply["result"]["response_data"]["data"], data, kz)
        sent = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": data}}
        async with shep.events("shep.message.received") as arrived:
            assert "result" in await shep.upstream.ask("shep.async.send", sent)
            must_verify((await told(arrived))["data"], data, kz)


async def test_what_we_are_asked_and_answer_is_as_it_was_signed(shep: Shep, kz: KzEngine) -> None:
    for data in forms(signed(kz, shep)):
        given = data | ({"type": list(data["type"].values())} if "type" in data else {})
        asked = {"sender_id": "other", "service_id": "OwnSync", "data": given}
        async with shep.events("shep.sync.requested") as arrived:
            answer = asyncio.create_task(shep.stand.post("/_sim/ask", asked, 200))
            request = await told(arrived)
            must_verify(request["data"], data, kz)
            command = {"message_id": request["message_id"], "data": data}
            assert "result" in await shep.upstream.ask("shep.sync.answer", command)
            must_verify((await asyncio.wait_for(answer, 15))["response_data"]["data"], data, kz)
