"""The gateway ЕПГУ: each operation against the simulator, what refusals are, and where tokens are not."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapter.exchange import Accepted, Refused, Repeat, TryLater, Unanswered
from adapter.gateways.epgu.client import EpguGateway
from adapter.gateways.epgu.limits import Bounds
from adapter.gateways.epgu.profiles import PROFILES
from adapter.gateways.epgu.tokens import Who
from tests.contract.epgu_caller import HEAD, HEAD_OID, NO_CONSENT_OID, PERSON_OID, SYSTEM
from tests.contract.epgu_stand import META, SERVICES, command
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World
    from tests.contract.epgu_stand import Parts, Stand

pytest_plugins = ("tests.contract.epgu_fixtures", "tests.contract.epgu_gateway_fixtures")

REQ = base64.b64encode(b"<request/>").decode()
FILES = [{"name": "req.xml", "content_base64": REQ}]


def refusal(sent: object) -> tuple[str, str | None]:
    assert isinstance(sent, Refused), sent
    return sent.error.code, sent.error.recommendation


async def test_every_operation_has_a_repeat_rule_and_only_push_is_never_repeated() -> None:
    rules = EpguGateway.repeat_rules
    assert [name for name, rule in rules.items() if rule is Repeat.NEVER] == ["push"]
    assert [name for name, rule in rules.items() if rule is Repeat.ASK] == ["push-chunked", "cancel"]
    assert sum(service.gateway == "epgu" for service in SERVICES.values()) == 10


async def test_a_number_is_reserved_with_lower_camel_case(stand: Stand) -> None:
    number = await stand.reserved()
    (line,) = await stand.ledger()
    assert (line["operation"], line["order_id"], line["service_code"]) == ("order", number, META["service_code"])


async def test_a_small_archive_goes_by_push_with_a_signature_beside_its_file(stand: Stand) -> None:
    files = [{**FILES[0], "sign": True}]
    number = (await stand.result("epgu.order.push", **META, files=files))["order_id"]
    (told,) = await stand.world.admin("GET", f"orders?order_id={number}")
    assert sorted(member["name"] for member in told["archive"]["members"]) == ["req.xml", "req.xml.sig"]
    assert stand.made[0].signed_by
    assert await stand.world.process_codes(number) == ["VALIDATION", "DONE", "OK"]


async def test_details_are_read_with_every_field_in_snake_case_and_the_raw_text_kept(stand: Stand) -> None:
    number = (await stand.result("epgu.order.push", **META, files=FILES))["order_id"]
    await stand.world.advance(60)
    details = await stand.result("epgu.order.get", order_id=number)
    assert (details["code"], details["final"], details["success"]) == ("OK", True, True)
    raw = json.loads(details["raw"])
    assert details["order"]["order_status_id"] == raw["orderStatusId"] == 3
    assert details["order"]["current_status_history"]["final_status"] is True
    assert details["order"]["has_empowerment2021"] == raw["hasEmpowerment2021"]
    assert details["status_history_id"] == raw["currentStatusHistoryId"]


@pytest.mark.parametrize("quirk", ["order-object", "order-null", "message_id", "more-fields"])
async def test_details_are_read_in_every_form_that_was_seen(stand: Stand, quirk: str) -> None:
    (number,) = await stand.world.put({"status_id": 2})
    await stand.world.scenario(operation="details", quirks=[quirk])
    details = await stand.result("epgu.order.get", order_id=number)
    assert (details["order"] is None) == (quirk == "order-null")


async def test_statuses_are_read_by_list_in_one_page(stand: Stand) -> None:
    numbers = await stand.world.put({"status_id": 2}, count=3)
    rows = (await stand.result("epgu.order.statuses", order_ids=[*numbers, 999]))["orders"]
    assert [(row["order_id"], row["found"]) for row in rows] == [*((n, True) for n in numbers), (999, False)]
    assert rows[0]["status"]["updated"].endswith("+00:00")


@pytest.mark.parametrize("quirk", ["capital-keys", "spaced-order-id", "order-id-string"])
async def test_pages_are_read_in_every_form_that_was_seen(stand: Stand, quirk: str) -> None:
    numbers = await stand.world.put({"status_id": 2}, count=2)
    await stand.world.scenario(operation="statuses", quirks=[quirk])
    rows = (await stand.result("epgu.order.statuses", order_ids=numbers))["orders"]
    assert [row["order_id"] for row in rows] == numbers


async def test_every_page_of_what_changed_is_read(stand: Stand) -> None:
    numbers = await stand.world.put({"status_id": 2}, count=23)
    told = await stand.result("epgu.order.updated-after", updated_after="2020-01-01T00:00:00Z", page_size=5)
    assert {row["order_id"] for row in told["orders"]} == set(numbers)
    assert told["total"] == 23
    assert len(await stand.ledger("updated-after")) == 5


@pytest.mark.parametrize("version", ["1.12", "1.12.1", "1.13"])
async def test_paths_slashes_and_zones_are_those_of_the_profile(parts: Parts, version: str) -> None:
    await parts.world.set(profile=version)
    stand = parts.stand(PROFILES[version])
    (number,) = await parts.world.put({"status_id": 3, "after": 5, "files": [{"name": "r.pdf", "size": 10}]})
    told = await stand.result("epgu.order.updated-after", updated_after="2020-01-01T00:00:00+03:00")
    at = told["orders"][0]["status"]["updated"]
    assert at.endswith("+03:00" if version == "1.13" else "+00:00")
    assert (await stand.result("epgu.order.updated-after", updated_after=at.replace("+", "+"))) is not None
    found = await stand.result("epgu.file.download", link=f"terrabyte://00/{number}/r.pdf/3")
    assert found["file"]["size"] == 10


async def test_the_prefix_of_an_agent_stands_before_every_path(parts: Parts) -> None:
    await parts.world.set(prefix="gu-smev-api")
    stand = parts.stand(PROFILES["1.12"].changed(prefix="gu-smev-api"))
    number = await stand.reserved()
    assert (await stand.result("epgu.order.get", order_id=number))["code"] == "NEW"
    assert (await stand.result("epgu.dictionary.get", code="BIC", page_num=1, page_size=2))["total"] == 899


async def test_dictionaries_need_no_token(stand: Stand) -> None:
    told = await stand.result("epgu.dictionary.get", code="TEST_TREE", tree_filtering="SUBTREE")
    first = next(item for item in told["items"] if item["value"] == "1")
    assert first["children"][0]["attribute_values"] == {"OKATO": "45286000000"}
    below = await stand.result("epgu.dictionary.get", code="TEST_TREE", parent_ref_item_value="2")
    assert [item["title"] for item in below["items"]] == ["Третий район"]
    assert await stand.ledger("token") == []


async def test_an_error_of_a_dictionary_comes_inside_200(stand: Stand) -> None:
    sent = await stand.run("epgu.dictionary.get", code="NOBODY")
    assert isinstance(sent, Refused)
    assert sent.error.code == "dictionary-7"
    assert sent.error.details["http_status"] == 200


async def test_a_small_result_comes_inline_and_a_large_one_by_its_path(stand: Stand) -> None:
    files = [{"name": "small.pdf", "size": 256_000}, {"name": "Большой отчёт.pdf", "size": 256_001}]
    (number,) = await stand.world.put({"status_id": 3, "files": files})
    small = (await stand.result("epgu.file.download", order_id=number, mnemonic="small.pdf"))["file"]
    assert len(base64.b64decode(small["content_base64"])) == 256_000
    large = (await stand.result("epgu.file.download", link=f"terrabyte://00/{number}/Большой отчёт.pdf/3"))["file"]
    assert "content_base64" not in large
    assert sum([len(piece) async for piece in stand.store.open(large["path"])]) == 256_001


async def test_a_file_of_the_user_goes_by_the_number_of_the_order(stand: Stand) -> None:
    number = (await stand.result("epgu.order.push", **META, files=FILES))["order_id"]
    found = await stand.result("epgu.file.download", link=f"terrabyte://00/{number}/req.xml/2")
    assert base64.b64decode(found["file"]["content_base64"]) == b"<request/>"
    assert await stand.ledger("details") == []


@pytest.mark.parametrize("drop", ["before", "after", "midway"])
async def test_a_file_that_breaks_off_is_fetched_again(stand: Stand, drop: str) -> None:
    (number,) = await stand.world.put({"status_id": 3, "files": [{"name": "r.pdf", "size": 900_000}]})
    await stand.world.scenario(operation="file", drop=drop, times=1)
    assert isinstance(await stand.run("epgu.file.download", order_id=number, mnemonic="r.pdf"), Unanswered)
    assert isinstance(await stand.run("epgu.file.download", order_id=number, mnemonic="r.pdf"), dict)


async def test_what_is_not_there_is_not_found_everywhere(stand: Stand) -> None:
    for action, body in (
        ("epgu.order.get", {"order_id": 5}),
        ("epgu.order.cancel", {"order_id": 5}),
        ("epgu.order.cancel", {"order_id": 5, "force": True}),
        ("epgu.file.download", {"object_id": 5, "mnemonic": "x"}),
    ):
        code, advice = refusal(await stand.run(action, **body))
        assert (code, bool(advice)) == ("not_found", True), action


async def test_a_cancellation_is_not_asked_for_where_details_forbid_it(stand: Stand) -> None:
    (number,) = await stand.world.put({"status_id": 6})
    outcome = await stand.run("epgu.order.cancel", order_id=number)
    assert isinstance(outcome, dict)
    assert outcome["error"]["error_code"] == "cancel_not_allowed"
    assert await stand.ledger("cancel") == []


@pytest.mark.parametrize("status", [405, 409])
async def test_a_refused_cancellation_is_told_alike_by_405_and_409(stand: Stand, status: int) -> None:
    await stand.world.set(cancel_refusal=status)
    (number,) = await stand.world.put({"status_id": 6})
    assert refusal(await stand.run("epgu.order.cancel", order_id=number, force=True))[0] == "cancel_not_allowed"


async def test_a_cancellation_with_a_reason_is_asked_for_once(stand: Stand) -> None:
    await stand.world.set(cancel_needs_reason=True)
    (number,) = await stand.world.put({"status_id": 6, "cancel_allowed": True})
    assert refusal(await stand.run("epgu.order.cancel", order_id=number))[0] == "bad_request"
    told = await stand.result("epgu.order.cancel", order_id=number, reason="Передумал & ушёл")
    assert told == {"order_id": number, "cancel_requested": True}


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_details_tell_whether_a_lost_cancellation_was_asked_for(stand: Stand, drop: str) -> None:
    (number,) = await stand.world.put({"status_id": 6, "cancel_allowed": True})
    await stand.world.scenario(operation="cancel", drop=drop, times=1)
    assert isinstance(await stand.run("epgu.order.cancel", order_id=number), Unanswered)
    asked = await stand.gateway.ask(stand.made[-1])
    assert isinstance(asked, Accepted if drop == "after" else TryLater), asked


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"refuse": "access_denied_service"}, "access_denied_service"),
        ({"refuse": "internal_error"}, None),
        ({"refuse": "push_denied"}, "push_denied"),
        ({"status": 415, "text": "Content type not supported"}, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"status": 400}, "bad_request"),
        ({"redirect": "https://elsewhere.example/"}, "ADAPTER-GATEWAY-PROTOCOL"),
        ({"status": 502}, None),
        ({"status": 500, "text": "Internal Server Error"}, None),
        ({"body": "garbage"}, None),
        ({"body": "empty"}, None),
    ],
)
async def test_what_push_is_answered_is_final_or_uncertain(
    stand: Stand, rule: dict[str, Any], code: str | None
) -> None:
    await stand.world.scenario(operation="push", **rule)
    sent = await stand.run("epgu.order.push", **META, files=FILES)
    if code is None:
        assert isinstance(sent, Unanswered), sent
    else:
        assert refusal(sent)[0] == code
        assert refusal(sent)[1]


async def test_a_code_that_nobody_knows_says_how_to_file_an_incident(stand: Stand) -> None:
    told = {"status": 403, "json": {"code": "brand_new_code", "message": "Новая ошибка"}}
    await stand.world.scenario(operation="order", answer=told)
    code, advice = refusal(await stand.run("epgu.order.create", **META))
    assert code == "brand_new_code"
    assert advice is not None
    assert "Приложению 2" in advice
    assert "#API-ЕПГУ" in advice


async def test_reads_and_reservations_are_tried_again(stand: Stand) -> None:
    for rule in ({"status": 503}, {"refuse": "internal_error"}, {"status": 504, "text": "Gateway Timeout"}):
        await stand.world.scenario(operation="order", times=1, **rule)
        assert isinstance(await stand.run("epgu.order.create", **META), TryLater)
    await stand.world.scenario(operation="order", refuse="internal_error")
    last = await stand.run("epgu.order.create", earlier_attempts=3, **META)
    assert refusal(last)[0] == "internal_error"


async def test_limits_of_the_portal_pause_inside_the_deadline(stand: Stand) -> None:
    await stand.world.scenario(operation="order", status=429, text="Too Many Requests", times=1)
    sent = await stand.run("epgu.order.create", **META)
    assert isinstance(sent, TryLater)
    assert sent.error.code == "limitation_exception"
    assert sent.after is not None
    assert 0 < sent.after <= 60.5
    await stand.world.scenario(operation="order", refuse="limitation_exception", times=1)
    later = await stand.run("epgu.order.create", **META)
    assert isinstance(later, TryLater)
    assert later.raw


async def test_our_own_limits_hold_before_the_portal_refuses(parts: Parts) -> None:
    stand = parts.stand(bounds=Bounds(orders=2, by_service={"10000092161": 1}))
    await stand.reserved()
    await stand.reserved()
    sent = await stand.run("epgu.order.create", **META)
    assert isinstance(sent, TryLater)
    assert sent.error.details == {"limit": "orders"}
    assert json.loads(sent.raw)["limit"] == "orders"
    assert 0 < (sent.after or 0) <= 600
    assert len(await stand.ledger("order")) == 2
    other = {**META, "service_code": "10000092161", "target_code": "-1959599598"}
    assert isinstance(await stand.run("epgu.order.create", **other), dict)
    assert isinstance(await stand.run("epgu.order.create", **other), TryLater)
    assert isinstance(await stand.run("epgu.order.create", **META, person=PERSON_OID), dict), "another account"


async def test_requests_are_counted_before_they_leave(parts: Parts) -> None:
    stand = parts.stand(bounds=Bounds(hour=3))
    for _ in range(3):
        await stand.reserved()
    sent = await stand.run("epgu.order.get", order_id=1)
    assert isinstance(sent, TryLater)
    assert sent.error.details == {"limit": "requests"}
    assert len(await stand.ledger()) == 3


async def test_one_token_serves_many_calls_and_many_callers_at_once(stand: Stand) -> None:
    await asyncio.gather(*(stand.reserved() for _ in range(10)))
    assert len(await stand.ledger("token")) == 1
    await stand.result("epgu.order.create", **META, key="attorney")
    assert len(await stand.ledger("token")) == 2


async def test_a_refused_token_is_fetched_once_more(stand: Stand) -> None:
    await stand.reserved()
    await stand.world.scenario(operation="order", status=401, times=1)
    await stand.reserved()
    assert len(await stand.ledger("token")) == 2
    await stand.world.scenario(operation="order", status=401)
    code, _ = refusal(await stand.run("epgu.order.create", **META))
    assert code == "ADAPTER-TOKEN-REFUSED"
    assert len(await stand.ledger("order")) == 5


async def test_a_token_is_renewed_before_it_ends(stand: Stand) -> None:
    await stand.world.scenario(operation="token", token_life=2, times=1)
    await stand.world.scenario(operation="token", token_life=3600, skip=1)
    bearer = await stand.tokens.get(Who())
    assert (bearer.ends - bearer.fresh_until).total_seconds() == pytest.approx(0.2, abs=0.15)


async def test_a_key_that_esia_refuses_is_told_by_its_code(stand: Stand) -> None:
    code, advice = refusal(await stand.run("epgu.order.create", **META, key="blocked"))
    assert code == "ESIA-007005"
    assert advice
    assert await stand.ledger() == []
    assert refusal(await stand.run("epgu.order.create", **META, key="nobody"))[0] == "ADAPTER-TOKEN-REFUSED"


async def test_an_esia_that_is_away_is_asked_again_later(parts: Parts) -> None:
    async with serving(web.Application()) as gone:
        pass
    sent = await parts.stand(esia=gone).run("epgu.order.create", **META)
    assert isinstance(sent, TryLater)
    assert sent.error.details["source"] == "esia"
    await parts.world.scenario(operation="token", status=503)
    assert isinstance(await parts.stand().run("epgu.order.create", **META), TryLater)


async def test_a_person_s_token_is_renewed_without_the_person(stand: Stand) -> None:
    number = (await stand.result("epgu.order.create", **META, person=PERSON_OID))["order_id"]
    assert (await stand.ledger("order"))[0]["user"] == PERSON_OID
    assert refusal(await stand.run("epgu.order.get", order_id=number))[0] == "order_access"
    assert refusal(await stand.run("epgu.order.create", **META, person=NO_CONSENT_OID))[0] == "ESIA-007019"


@pytest.mark.parametrize("redirect_uri", ["", "https://system.example/esia"])
async def test_a_person_s_token_is_renewed_by_a_bare_signature_too(parts: Parts, redirect_uri: str) -> None:
    stand = parts.stand(renewal="v3", redirect_uri=redirect_uri)
    assert (await stand.result("epgu.order.create", **META, person=PERSON_OID))["order_id"]
    assert (await stand.ledger("order"))[0]["user"] == PERSON_OID
    assert refusal(await stand.run("epgu.order.create", **META, person=NO_CONSENT_OID))[0] == "ESIA-007019"


async def test_a_token_of_the_command_is_used_and_never_journaled(stand: Stand, world: World) -> None:
    token = await world.person()
    number = (await stand.result("epgu.order.create", **META, token=token))["order_id"]
    assert token.encode() not in stand.made[0].body
    again = await stand.gateway.send(stand.made[0], earlier_attempts=1)
    assert isinstance(again, Accepted), "the shelf has it when the call is made again"
    assert token.encode() not in again.raw
    assert number


async def test_a_token_of_the_command_that_ended_is_not_renewed(stand: Stand, world: World) -> None:
    token = await world.person()
    await world.scenario(operation="order", status=401)
    assert refusal(await stand.run("epgu.order.create", **META, token=token))[0] == "ADAPTER-TOKEN-REFUSED"
    assert len(await stand.ledger("order")) == 1


async def test_tokens_and_keys_are_in_no_log_no_record_and_no_error(stand: Stand, world: World) -> None:
    token = await world.person()
    bearer = (await stand.tokens.get(Who())).text
    secrets = [token, bearer, HEAD]
    said: list[str] = []
    with capture_logs() as logs:
        for rule in ({"status": 502}, {"refuse": "order_access", "message": f"token {bearer}"}, {"drop": "after"}):
            await world.scenario(operation="order", times=1, **rule)
            sent = await stand.run("epgu.order.create", **META)
            assert not isinstance(sent, dict)
            said += [repr(sent), sent.raw.decode(), json.dumps(sent.error.to_wire()), stand.made[0].body.decode()]
        await world.scenario(operation="token", refuse="ESIA-007014")
        said.append(repr(await stand.run("epgu.order.create", **META, key="attorney")))
    said.append(repr(logs))
    assert [secret for secret in secrets if any(secret in text for text in said)] == []


async def test_a_call_is_recorded_with_all_that_an_incident_asks_for(stand: Stand) -> None:
    call = SERVICES["epgu.order.create"]
    prepared = await stand.gateway.prepare(call.start(command("epgu.order.create", dict(META))))
    sent = await stand.gateway.send(prepared, earlier_attempts=0)
    assert isinstance(sent, Accepted)
    record = json.loads(sent.raw)
    request = record["request"]
    assert request["method"] == "POST"
    assert request["url"].endswith("/api/gusmev/order")
    assert request["headers"]["Authorization"] == "Bearer [token]"
    assert (request["client_id"], request["subject"], request["org_oid"]) == (SYSTEM, HEAD_OID, "1000000001")
    assert {"sent_at", "token_at", "body"} <= set(request)
    assert record["answer"]["status"] == 200


async def test_host_is_set_apart_from_the_base_address(parts: Parts) -> None:
    await parts.world.set(hosts=["www.gosuslugi.ru"])
    assert refusal(await parts.stand().run("epgu.order.create", **META))[0] == "access_denied_system"
    assert isinstance(await parts.stand(host="www.gosuslugi.ru").run("epgu.order.create", **META), dict)


async def test_a_get_whose_connection_breaks_is_counted_and_made_once(parts: Parts) -> None:
    asked: list[str] = []

    async def portal(request: web.Request) -> web.Response:
        asked.append(request.path)
        assert request.transport is not None
        if len(asked) > 1:
            request.transport.abort()
        return web.json_response({"count": 0, "totalCount": 0, "content": []})

    app = web.Application()
    app.router.add_get("/api/gusmev/order/getOrdersStatus/", portal)
    async with serving(app) as url:
        stand = parts.stand(url=url, esia=parts.url)
        assert isinstance(await stand.run("epgu.order.statuses", order_ids=[1]), dict)
        assert isinstance(await stand.run("epgu.order.statuses", order_ids=[1]), Unanswered)
    assert len(asked) == 2


async def test_a_portal_that_nobody_reaches_was_certainly_not_called(parts: Parts) -> None:
    async with serving(web.Application()) as url:
        pass
    sent = await parts.stand(url=url, esia=parts.url).run("epgu.order.push", **META, files=FILES)
    assert isinstance(sent, TryLater)
