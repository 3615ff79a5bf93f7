"""Bad days of the ШЭП as upstream hears of them: one named error per command, and nothing unbelieved is passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulators.shep.keys import OWN_BIN
from tests.integration.shep_house import DATA

if TYPE_CHECKING:
    from tests.integration.shep_house import Shep

pytest_plugins = ("tests.contract.shep_fixtures", "tests.integration.shep_fixtures")

ASKED = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}
SENT = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": DATA}}
#: What the gateway does once, and what a send and a question about it end with.
DAYS: list[tuple[dict[str, Any], str, str]] = [
    ({"fault": "BUS-7", "sub_error": True}, "BUS-7", "BUS-7"),
    ({"bare_fault": "Client"}, "ADAPTER-GATEWAY-PROTOCOL", "ADAPTER-GATEWAY-PROTOCOL"),
    ({"bare_fault": "Server"}, "ADAPTER-UNCERTAIN", ""),
    ({"body": "html"}, "ADAPTER-UNCERTAIN", ""),
    ({"body": "dtd"}, "ADAPTER-UNCERTAIN", ""),
    ({"body": "huge"}, "ADAPTER-UNCERTAIN", ""),
    ({"body": "truncated"}, "ADAPTER-UNCERTAIN", ""),
    ({"wrapped": True}, "ADAPTER-UNCERTAIN", ""),
    ({"spoilt": True}, "ADAPTER-UNCERTAIN", ""),
    ({"unsigned": True}, "ADAPTER-UNCERTAIN", ""),
    ({"signed_by": "foreign"}, "ADAPTER-UNCERTAIN", ""),
    ({"signed_by": "revoked"}, "ADAPTER-UNCERTAIN", ""),
    ({"signed_by": "expired"}, "ADAPTER-UNCERTAIN", ""),
    ({"signed_by": "strange-bin"}, "ADAPTER-UNCERTAIN", ""),
    ({"fault": "BUS-8", "unsigned": True}, "ADAPTER-UNCERTAIN", ""),
    ({"drop": "after"}, "ADAPTER-UNCERTAIN", ""),
]


async def test_every_bad_day_of_a_send_ends_in_a_named_error(shep: Shep) -> None:
    for effects, expected, _ in DAYS:
        await shep.stand.scenario(operation="SendMessage", **effects)
        reply = await shep.upstream.ask("shep.sync.send", ASKED)
        assert reply["error"]["error_code"] == expected, (effects, reply)
        assert reply["error"]["description"]
        assert "result" in await shep.upstream.ask("shep.sync.send", ASKED)  # and no breaker has to open
    ledger = [entry for entry in await shep.stand.get("/_sim/ledger") if entry["operation"] == "SendMessage"]
    assert len(ledger) == 2 * len(DAYS)  # nothing was sent twice


async def test_every_bad_day_of_a_question_is_outlived_or_named(shep: Shep) -> None:
    receipt = (await shep.upstream.ask("shep.async.send", SENT))["result"]
    for effects, _, expected in DAYS[:4] + DAYS[7:8]:
        await shep.stand.scenario(operation="getMessageStatus", **effects)
        reply = await shep.upstream.ask("shep.async.status", {"message_id": receipt["message_id"]})
        assert reply.get("error", {}).get("error_code", "") == expected, (effects, reply)


async def test_what_the_gateway_refuses_is_told_in_its_words(shep: Shep) -> None:
    own = {"message_info": {"service_id": "OwnOpen", "message_type": "REQUEST"}, "message_data": {"data": DATA}}
    assert (await shep.upstream.ask("shep.async.send", own))["error"]["error_code"] == "SIM-SERVICE"
    chain = {"service_id": "AsyncEcho", "message_type": "RESPONSE", "correlation_id": "no such chain"}
    lost = {"message_info": chain, "message_data": {"data": DATA}}
    assert (await shep.upstream.ask("shep.async.send", lost))["error"]["error_code"] == "SIM-CORRELATION"
    foreign = await shep.upstream.ask("shep.async.status", {"message_id": "1"})
    assert foreign["error"]["error_code"] == "SIM-MESSAGE"
    renewed = {"sender_id": "adapter", "password": "another one", "bin": OWN_BIN, "point": 7}
    await shep.stand.post("/_sim/world", {"parties": [renewed]}, 204)
    error = (await shep.upstream.ask("shep.sync.send", ASKED))["error"]
    assert (error["error_code"], error["description"]) == ("SIM-PASSWORD", "Неверный пароль отправителя")


async def test_commands_that_cannot_be_sent_reach_nobody(shep: Shep) -> None:
    def sent(**info: Any) -> dict[str, Any]:
        return {**SENT, "message_info": {**SENT["message_info"], **info}}

    huge = {"form": "child", "content": f"<a>{'x' * 1_100_000}</a>"}
    for action, command in (
        ("shep.async.send", sent(message_type="REPLY")),
        ("shep.async.send", sent(message_type="UPDATE")),
        ("shep.async.send", sent(correlation_id="1")),
        ("shep.async.send", sent(service_id="Nobody")),
        ("shep.async.send", sent(service_id="SyncEcho")),
        (
            "shep.async.send",
            {**SENT, "message_data": {"data": {"content": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}}},
        ),
        ("shep.async.send", {**SENT, "message_data": {"data": {"content": "<a></data><data>"}}}),
        ("shep.sync.send", {**ASKED, "request_data": {"data": huge}}),
    ):
        reply = await shep.upstream.ask(action, command)
        assert reply["error"]["error_code"].startswith("ADAPTER-"), reply
        assert reply["error"]["error_code"] not in {"ADAPTER-INTERNAL", "ADAPTER-UNCERTAIN"}, reply
    reached = [entry["operation"] for entry in await shep.stand.get("/_sim/ledger")]
    assert set(reached) <= {"getMessages"}  # what waits is fetched meanwhile
