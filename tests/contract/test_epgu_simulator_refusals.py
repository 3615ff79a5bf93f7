"""What the ЕПГУ simulator refuses at the door, with which status and which body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.epgu_caller import (
    ATTORNEY,
    EMPLOYEE,
    HEAD,
    IP,
    NEIGHBOUR,
    NO_CONSENT_OID,
    NO_SERVICES,
    OTHER_SYSTEM,
    PLAIN,
    form,
    service,
    zipped,
)

if TYPE_CHECKING:
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

ARCHIVE = zipped({"req.xml": "<a/>"})


async def test_without_a_token_there_is_401_and_no_body(world: World) -> None:
    for path in ("order", "push", "push/chunked", "order/1", "order/1/cancel"):
        reply = await world.ask("POST", f"/api/gusmev/{path}", json=PLAIN)
        assert (reply.status, reply.body) == (401, b""), path
    assert (await world.ask("GET", "/api/gusmev/order/getOrdersStatus/")).status == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_token_that_nobody_issued_is_401(world: World, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert (await world.ask("POST", "/api/gusmev/order", json=PLAIN, headers=headers)).status == 401


async def test_another_scheme_than_bearer_is_401(world: World) -> None:
    headers = {"Authorization": f"Basic {await world.token()}"}
    assert (await world.ask("POST", "/api/gusmev/order", json=PLAIN, headers=headers)).status == 401


@pytest.mark.parametrize(
    ("key", "meta", "refusal"),
    [
        (HEAD, service("777"), (409, "service_not_found")),
        (HEAD, PLAIN | {"targetCode": "-1"}, (400, "bad_request")),
        (OTHER_SYSTEM, service("60010153"), (403, "access_denied_service")),
        (NO_SERVICES, PLAIN, (403, "access_denied_system")),
        (HEAD, service("60013502"), (403, "access_denied_user")),
        (EMPLOYEE, service("10000000588"), (403, "bad_delegation")),
    ],
)
async def test_an_order_is_refused_by_service_and_user(
    world: World, key: str, meta: dict[str, str], refusal: tuple[int, str]
) -> None:
    assert (await world.order(meta, key=key)).refusal == refusal


async def test_an_employee_with_the_power_creates_and_one_with_an_attorney_sends(world: World) -> None:
    await world.reserved(service("10000000588"), key=ATTORNEY)
    assert (await world.push(ARCHIVE, key=ATTORNEY)).status == 200


async def test_an_employee_without_an_attorney_may_not_send(world: World) -> None:
    number = await world.reserved(key=EMPLOYEE)
    assert (await world.push(ARCHIVE, key=EMPLOYEE)).refusal == (403, "push_denied")
    assert (await world.chunk(number, ARCHIVE, key=EMPLOYEE)).refusal == (403, "push_denied")
    assert (await world.chunk(number, ARCHIVE, key=HEAD)).status == 200


async def test_a_power_that_does_not_exist_is_nobodys(world: World) -> None:
    new = {"service_code": "5", "target_code": "-5", "power": "NONE", "power_exists": False}
    await world.admin("POST", "services", new, 201)
    assert (await world.order(service("5"))).refusal == (409, "config_delegation")


async def test_a_system_of_its_owner_serves_the_owner_alone(world: World) -> None:
    own = {"client_id": "MNEMONIKA", "owner": "1000000001", "owner_only": [PLAIN["serviceCode"]]}
    await world.admin("POST", "accounts", {"systems": [own]}, 201)
    assert (await world.order(key=HEAD)).status == 200
    assert (await world.order(key=NEIGHBOUR)).refusal == (403, "access_denied_user_legal")


async def test_a_person_without_consent_is_told_so(world: World) -> None:
    token = await world.person(NO_CONSENT_OID)
    assert (await world.order(token=token)).refusal == (403, "access_denied_person_permissions")
    assert (await world.order(token=await world.person())).status == 200


@pytest.mark.parametrize("scopes", [[], ["http://lk.gosuslugi.ru/api-order"], ["http://esia.gosuslugi.ru/org_ogrn"]])
async def test_a_token_without_the_scopes_is_refused(world: World, scopes: list[str]) -> None:
    entry = {"key": IP, "client_id": "MNEMONIKA", "oid": "1000000105", "scopes": scopes}
    await world.admin("POST", "accounts", {"api_keys": [entry]}, 201)
    assert (await world.order(key=IP)).refusal == (403, "access_denied_system")


@pytest.mark.parametrize("call", ["details", "cancel", "chunk"])
@pytest.mark.parametrize("key", [NEIGHBOUR, OTHER_SYSTEM])
async def test_an_order_belongs_to_its_applicant_and_its_system(world: World, call: str, key: str) -> None:
    number = await world.reserved()
    reply = await (world.chunk(number, ARCHIVE, key=key) if call == "chunk" else getattr(world, call)(number, key=key))
    assert reply.refusal == (403, "order_access")
    assert reply.json["message"] == "У пользователя нет прав для работы с текущим заявлением"


async def test_employees_of_one_organisation_see_the_same_orders(world: World) -> None:
    number = await world.reserved(key=HEAD)
    assert (await world.details(number, key=ATTORNEY)).status == 200


@pytest.mark.parametrize("call", ["details", "chunk"])
async def test_an_order_that_is_not_there_is_204_without_a_body(world: World, call: str) -> None:
    reply = await (world.details(1) if call == "details" else world.chunk(1, ARCHIVE))
    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("number", ["abc", "1e5", "-1", "１２", "1.0", "9" * 30])
async def test_a_number_that_is_none_is_bad_request(world: World, number: str) -> None:
    assert (await world.details(number)).refusal == (400, "bad_request")
    assert (await world.cancel(number)).refusal == (400, "bad_request")
    assert (await world.chunk(number, ARCHIVE)).refusal == (400, "bad_request")
    assert (await world.statuses(number)).refusal == (400, "bad_request")


@pytest.mark.parametrize("name", ["region", "serviceCode", "targetCode"])
@pytest.mark.parametrize("value", [None, "", 5, [], True])
async def test_every_parameter_of_an_order_is_a_string(world: World, name: str, value: Any) -> None:
    meta: dict[str, Any] = {**PLAIN, name: value}
    if value is None:
        del meta[name]
    assert (await world.order(meta)).refusal == (400, "bad_request")
    assert (await world.push(ARCHIVE, meta)).refusal == (400, "bad_request")


async def test_names_as_the_documents_table_prints_them_are_not_understood(world: World) -> None:
    meta = {name[:1].upper() + name[1:]: value for name, value in PLAIN.items()}
    assert (await world.order(meta)).refusal == (400, "bad_request")


@pytest.mark.parametrize("region", ["3", "RU", "123456789012", "３６"])
async def test_a_region_is_a_code_of_okato(world: World, region: str) -> None:
    assert (await world.order(PLAIN | {"region": region})).refusal == (400, "bad_request")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "1", "\ud800", "[" * 3000])
async def test_an_order_whose_body_is_no_object_is_bad_request(world: World, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    data = body.encode("utf-8", "surrogatepass")
    reply = await world.call("POST", "/api/gusmev/order", data=data, headers=headers)
    assert reply.refusal == (400, "bad_request")


async def test_other_content_types_are_415_in_plain_text(world: World) -> None:
    for path, kind in (("order", "text/plain"), ("push", "application/json"), ("push/chunked", "application/zip")):
        reply = await world.call("POST", f"/api/gusmev/{path}", data=b"{}", headers={"Content-Type": kind})
        assert reply.status == 415
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert reply.body


@pytest.mark.parametrize(
    "body",
    [
        form(ARCHIVE, meta=None),
        form(ARCHIVE, meta="{"),
        form(ARCHIVE, meta="[]"),
        form(ARCHIVE, meta_type="text/plain"),
        form(ARCHIVE, name=None),
        form(ARCHIVE, {"more": "1"}),
        form(ARCHIVE, {"orderId": "1"}),
        form(b""),
    ],
    ids=["no-meta", "no-json", "a-list", "type-of-meta", "no-file", "unknown-part", "a-part-of-chunks", "empty"],
)
async def test_a_push_that_is_not_as_the_table_says_is_bad_request(world: World, body: Any) -> None:
    assert (await world.call("POST", "/api/gusmev/push", data=body)).refusal == (400, "bad_request")
    assert (await world.admin("GET", "health"))["orders"] == 0


async def test_a_part_that_comes_twice_is_bad_request(world: World) -> None:
    for name in ("meta", "file"):
        body = form(ARCHIVE)
        body.add_field(name, "{}", filename="x" if name == "file" else None, content_type="application/json")
        assert (await world.call("POST", "/api/gusmev/push", data=body)).refusal == (400, "bad_request")


async def test_a_file_without_a_name_is_bad_request(world: World) -> None:
    body = form(ARCHIVE, name=None)
    body.add_field("file", ARCHIVE.decode("latin-1"))
    assert (await world.call("POST", "/api/gusmev/push", data=body)).refusal == (400, "bad_request")


@pytest.mark.parametrize("body", [b"", b"--", b"--x\r\n\r\nnonsense", b"\r\n" * 100])
async def test_a_body_that_is_no_multipart_is_bad_request(world: World, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await world.call("POST", "/api/gusmev/push", data=body, headers=headers)).refusal == (400, "bad_request")
    headers = {"Content-Type": "multipart/form-data"}
    assert (await world.call("POST", "/api/gusmev/push", data=body, headers=headers)).refusal == (400, "bad_request")


async def test_an_archive_above_the_limit_is_not_pushed_and_one_of_its_size_is(world: World) -> None:
    await world.set(push_max=len(ARCHIVE))
    assert (await world.push(ARCHIVE + b"!")).refusal == (400, "bad_request")
    assert (await world.push(ARCHIVE)).status == 200


async def test_a_path_that_nobody_has_is_404(world: World) -> None:
    assert (await world.call("POST", "/api/gusmev/orders")).status == 404
    assert (await world.call("GET", "/api/gusmev/push")).status == 405


async def test_a_call_beside_the_protected_channel_is_access_denied_system(world: World) -> None:
    await world.set(hosts=["svcdev-gostapi.test.gosuslugi.ru"])
    reply = await world.order()
    assert reply.refusal == (403, "access_denied_system")
    assert reply.json["message"] == "ValidationCommonError.notAllowed"
    assert (await world.order(headers={"Host": "svcdev-gostapi.test.gosuslugi.ru"})).status == 200


async def test_a_number_taken_by_hand_twice_is_an_internal_error(world: World) -> None:
    number = await world.reserved()
    await world.set(next_order_id=number)
    assert (await world.order()).refusal == (500, "internal_error")
    assert (await world.order()).status == 200
