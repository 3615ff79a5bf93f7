"""Every version of the message exchange service in the simulator: what it says is valid, and its own alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lxml import etree

from adapter.xml.signature import verify_message
from simulators.smev3.faults import FAULTS
from tests.contract.smev3_caller import DEBT_REQUESTS, REQUEST_DATA, action, debt_requests
from tests.contract.smev3_probes import ROOT, VERSIONS, namespaces
from tests.contract.smev3_worlds import CONTENT, ORIGINAL, OWN, XS, ZOO, Both, body_of, valid

if TYPE_CHECKING:
    from adapter.signing.gost import GostEngine
    from tests.contract.smev3_world import Reply

pytest_plugins = ("tests.contract.smev3_fixtures",)

REJECTED = (
    "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode><t:RejectionReasonDescription>Нет данных"
    "</t:RejectionReasonDescription></t:RequestRejected>"
)


def new_request() -> str:
    return debt_requests(action(data=REQUEST_DATA))


def category(reply: Reply) -> str | None:
    return reply.text(".//t:AsyncProcessingStatusData/t:AsyncProcessingStatus/t:StatusCategory")


async def test_an_exchange_with_the_built_in_provider_is_valid_throughout(both: Both, gost: GostEngine) -> None:
    world = both.consumer
    identifier = world.fresh()
    receipt = valid(await world.post(world.caller.send_request(new_request(), identifier)))
    assert receipt.text(OWN) == identifier
    answer = valid(await world.poll(names=(DEBT_REQUESTS, "ImportDebtRequestsResponse")))
    assert answer.text(ORIGINAL) == identifier
    assert all(verdict.math for verdict in verify_message(answer.body, gost))
    assert len(verify_message(answer.body, gost)) == 2
    assert len(body_of(valid(await world.ack(answer)))) == 0
    assert len(body_of(valid(await world.poll()))) == 0


async def test_everything_that_may_come_instead_of_an_answer_is_valid(both: Both) -> None:
    world = both.consumer
    for rule in (
        {"request_status": 1, "silent": True},
        {"request_rejected": {"code": "NO_DATA"}},
        {"rejection": True},
        {"rejection": "DestinationOverflow"},
        {"rejection": "SMEV-900"},
    ):
        await world.scenario(**rule, times=1)
        await world.send(new_request())
        said = valid(await world.poll()).text(".//t:SenderProvidedResponseData")
        assert said is not None, rule


async def test_a_late_rejection_names_the_fault_that_was_wished_for(both: Both) -> None:
    await both.consumer.scenario(rejection="SMEV-102", times=1)
    await both.consumer.send(new_request())
    reply = await both.consumer.poll()
    assert reply.text(".//t:AsyncProcessingStatus/t:StatusCategory") == "requestIsRejectedBySmev"
    assert (reply.text(".//t:SmevFault/b:Description") or "").startswith("SMEV-102:")


async def test_every_fault_is_valid(both: Both) -> None:
    world = both.consumer
    for name, kind in FAULTS.items():
        known = kind if world.caller.version in kind.versions else FAULTS[kind.instead]
        await world.scenario(fault=name, times=1)
        reply = valid(await world.post(world.caller.send_request(new_request(), world.fresh())))
        assert reply.status == 500
        assert reply.fault() == known.name
        assert (reply.text(f".//f:{known.name}/b:Description") or "").startswith(f"{known.code}:")


async def test_a_request_to_another_system_and_its_answer_are_valid(both: Both) -> None:
    identifier, delivery = await both.taken()
    valid(delivery)
    receipt = valid(await both.provider.say(delivery.text(".//t:ReplyTo") or "", CONTENT))
    assert receipt.text(".//t:MessageMetadata/t:MessageType") == "RESPONSE"
    valid(await both.provider.ack(delivery))
    answer = valid(await both.consumer.poll())
    assert answer.text(ORIGINAL) == identifier


async def test_a_broadcast_is_valid_and_expects_no_answer(both: Both) -> None:
    await both.register(broadcast=True)
    _, delivery = await both.taken()
    assert valid(delivery).text(".//t:MessageMetadata/t:MessageType") == "BROADCAST"
    assert not delivery.text(".//t:ReplyTo")
    assert delivery.text(".//t:Recipient") is None


async def test_a_request_put_in_by_hand_with_everything_is_valid(both: Both, gost: GostEngine) -> None:
    world = both.provider
    put = await world.put(
        content=ZOO,
        recipient="ov512",
        version=world.caller.version,
        personal_signature=True,
        test=True,
        transaction_code="tx",
        node_id="n",
        reference_message_id=world.fresh(),
        eol=(world.clock.now + timedelta(hours=1)).isoformat(),
        business_process_metadata='<q:frgu xmlns:q="urn:q">123</q:frgu><w xmlns="urn:w"/>',
        attachments=[{"by": "mtom"}, {"by": "ftp", "name": "файл.txt"}],
    )
    delivery = valid(await world.take())
    assert delivery.text(OWN) == put["message_id"]
    envelope = etree.tostring(delivery.tree)
    assert [verdict.math for verdict in verify_message(envelope, gost)] == [True, True, True]
    assert delivery.text(".//b:FSAttachment/b:FileName") == "/файл.txt"
    assert (await world.say(put["reply_to"], CONTENT)).status == 200


async def test_a_status_is_told_once_and_signed_by_the_core(both: Both, gost: GostEngine) -> None:
    world = both.consumer
    assert category(valid(await world.post(world.caller.get_status()))) is None
    await world.scenario(async_status=["underProcessing"], times=1)
    identifier = await world.send(new_request())
    told = valid(await world.post(world.caller.get_status()))
    assert category(told) == "underProcessing"
    assert told.text(".//t:AsyncProcessingStatus/t:OriginalMessageId") == identifier
    (verdict,) = verify_message(told.body, gost)
    assert (verdict.math, etree.QName(verdict.element).localname) == (True, "AsyncProcessingStatusData")
    assert category(await world.post(world.caller.get_status())) is None


async def test_statistics_are_an_operation_of_1_1_alone(both: Both) -> None:
    world = both.consumer
    await world.send(new_request(), head="<t:NodeID>n1</t:NodeID>")
    await world.send(ZOO)
    if world.caller.version != "1.1":
        assert (await world.post(world.caller.get_statistics())).fault() == "soap:Client"
        return
    queues = {}
    for asking, node in ((both.consumer, "n1"), (both.consumer, ""), (both.provider, "")):
        reply = valid(await asking.post(asking.caller.get_statistics(node=node)))
        queues[asking.caller.name, node] = [
            (str(found.get("queueName")).rpartition(".")[2], found.get("pendingMessageNumber"))
            for found in body_of(reply)
        ]
    assert queues == {("ov", "n1"): [("response", "1")], ("ov", ""): [], ("ov512", ""): [("request", "1")]}


async def test_an_id_used_in_one_version_is_used_in_all(both: Both) -> None:
    identifier = await both.consumer.send(new_request())
    other = VERSIONS[VERSIONS.index(both.consumer.caller.version) - 1]
    both.consumer.caller.version = other
    reply = await both.consumer.post(both.consumer.caller.send_request(new_request(), identifier))
    assert reply.fault() == "MessageIsAlreadySent"
    assert (await both.consumer.poll()).text(ORIGINAL) is None, "an answer is signed in the names of one version"


async def test_a_message_of_another_version_is_refused(both: Both) -> None:
    world = both.consumer
    number = world.caller.version
    other = VERSIONS[VERSIONS.index(number) - 1]
    message = world.caller.send_request(new_request(), world.fresh())
    foreign = message.replace(f"{ROOT}/{number}".encode(), f"{ROOT}/{other}".encode())
    assert (await world.post(foreign)).fault() == "soap:Client"


async def test_the_wsdl_and_its_schemas_are_served(both: Both) -> None:
    world, number = both.consumer, both.consumer.caller.version
    path = f"/smev/v{number}/ws"
    async with world.client.get(path, params={"wsdl": ""}) as response:
        wsdl = etree.fromstring(await response.read())
    (address,) = wsdl.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == str(world.client.make_url(path))
    waiting, targets = [wsdl], set()
    while waiting:
        for wanted in waiting.pop().iter(f"{XS}import"):
            async with world.client.get(f"{path}{wanted.get('schemaLocation')}") as response:
                assert response.status == 200
                schema = etree.fromstring(await response.read())
            assert schema.get("targetNamespace") == wanted.get("namespace")
            if wanted.get("namespace") not in targets:
                targets.add(wanted.get("namespace"))
                waiting.append(schema)
    assert {namespaces(number)[part] for part in "tbf"} <= targets
    async with world.client.get(path, params={"xsd": "../../sign-service.openapi.yaml"}) as response:
        assert response.status == 404


async def test_an_answer_that_breaks_its_schema_is_refused_or_rejected_late(both: Both) -> None:
    await both.register(
        namespace=DEBT_REQUESTS,
        request_root="ImportDebtRequestsRequest",
        response_root="ImportDebtRequestsResponse",
    )
    world = both.provider
    await both.consumer.send(new_request())
    delivery = await world.take()
    wrong = f'<d:ImportDebtRequestsResponse xmlns:d="{DEBT_REQUESTS}"><d:zoo/></d:ImportDebtRequestsResponse>'
    word = f"<b:MessagePrimaryContent>{wrong}</b:MessagePrimaryContent>"
    said = await world.say(delivery.text(".//t:ReplyTo") or "", word)
    told = category(valid(await world.post(world.caller.get_status())))
    expected = ("InvalidContent", None) if world.caller.version == "1.1" else (None, "responseIsRejectedBySmev")
    assert (said.fault(), told) == expected
    assert (await both.consumer.poll()).text(ORIGINAL) is None


async def test_what_was_said_to_a_request_put_in_by_hand_is_told(both: Both) -> None:
    world = both.provider
    end = world.clock.now + timedelta(minutes=5)
    put = [
        await world.put(content=ZOO, recipient="ov512", version=world.caller.version, eol=end.isoformat())
        for _ in range(2)
    ]
    assert (await world.take()).text(OWN) == put[0]["message_id"]
    status = (
        f"<t:AsyncProcessingStatus><t:OriginalMessageId>{put[0]['message_id']}</t:OriginalMessageId>"
        "<t:StatusCategory>underProcessing</t:StatusCategory></t:AsyncProcessingStatus>"
    )
    for word in (status, REJECTED):
        assert (await world.say(put[0]["reply_to"], word)).status == 200
    world.clock.advance(minutes=6)
    told = await world.admin("answers")
    assert [(one["original_message_id"], one["kind"]) for one in told] == [
        (put[0]["message_id"], "async"),
        (put[0]["message_id"], "rejected"),
        (put[1]["message_id"], "expired"),
    ]
    assert told[0]["status"] == {"category": "underProcessing"}
    assert told[1]["rejections"] == [{"code": "NO_DATA", "description": "Нет данных"}]
