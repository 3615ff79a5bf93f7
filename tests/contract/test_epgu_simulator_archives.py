"""Archives as the ЕПГУ simulator judges them: which process code an order comes to."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.epgu.accounts import User
from simulators.epgu.archive import Application, ArchiveError, judge
from simulators.epgu.catalogue import Service
from simulators.epgu.clock import utc_now
from simulators.epgu.codes import PROCESS
from simulators.epgu.profiles import PROFILES
from simulators.epgu.signatures import SignatureDesk
from simulators.epgu.store import Archive, Store
from tests.contract.epgu_caller import PLAIN, service, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.gost import GostEngine
    from tests.contract.epgu_caller import World

pytest_plugins = ("tests.contract.epgu_fixtures",)

FSSP = service("60010153")
SFR = service("10000000109")
GOSKEY = service("10000000374")
SNILS = "11111111145"


def fssp(number: object) -> dict[str, bytes | str]:
    """Files of an application to ФССП with the number of its order."""
    return {
        "req.xml": (
            '<f:EPGURequest xmlns:f="urn:example:epgu" Env="DEV"><f:DataRequest>'
            f"<f:OrderId>{number}</f:OrderId></f:DataRequest></f:EPGURequest>"
        ),
        "piev_epgu.xml": '<i:IRequest xmlns:i="http://example.test/incoming"><i:DocType>I</i:DocType></i:IRequest>',
    }


def sfr(number: object, snils: str = "111-111-111 45", link: str | None = None) -> dict[str, bytes | str]:
    """Files of an application to СФР, with the namespace that is no URI."""
    guid = uuid4()
    return {
        f"trans_{guid}.xml": (
            f'<Request xmlns="urn:example:cmv"><SNILS>{snils}</SNILS>'
            f"<ExternalRegistrationNumber>{number}</ExternalRegistrationNumber>"
            f"<ApplicationFileName>{link or f'req_{guid}.xml'}</ApplicationFileName></Request>"
        ),
        f"req_{guid}.xml": '<ЭДПФР xmlns="http://пф.рф/ВЗЛ/ЗДП/2016-04-15"><ЗДП/></ЭДПФР>',
    }


async def end_of(world: World, files: dict[str, bytes | str] | bytes, meta: dict[str, str] = PLAIN) -> str:
    """The last process code of an order with these files; ``{number}`` in them is the order's own."""
    number = await world.reserved(meta)
    archive = files if isinstance(files, bytes) else zipped(_numbered(files, number))
    assert (await world.chunk(number, archive, meta=meta)).status == 200
    codes = await world.process_codes(number)
    assert codes[0] == "VALIDATION"
    failed = PROCESS.get(codes[-1])
    assert codes[-1] == "OK" or (failed and failed.final)
    if codes[-1] != "OK":
        await world.advance(60)
        reply = (await world.details(number)).json
        assert (reply["code"], reply["order"]) == (codes[-1], None)
        assert reply["message"]
    return codes[-1]


def _numbered(files: dict[str, bytes | str], number: int) -> dict[str, bytes | str]:
    return {
        name: content.replace("{number}", str(number)) if isinstance(content, str) else content
        for name, content in files.items()
    }


@pytest.mark.parametrize("meta", [FSSP, SFR])
async def test_files_as_the_service_wants_them_are_taken(world: World, meta: dict[str, str]) -> None:
    files = fssp("{number}") if meta is FSSP else sfr("{number}")
    assert await end_of(world, files, meta) == "OK"


@pytest.mark.parametrize(
    "files",
    [
        {"folder/req.xml": "<a/>"},
        {"folder/": "", "req.xml": "<a/>"},
        {"folder\\req.xml": "<a/>"},
        {"req.xml": "<a/>", "inner.zip": "not even one"},
        {"req.xml": "<a/>", "inner.RAR": "x"},
        {"req.xml": "<a/>", "disguised.pdf": zipped({"a": "b"})},
    ],
    ids=["folder", "empty-folder", "backslash", "zip", "rar", "disguised"],
)
async def test_folders_and_archives_inside_are_an_invalid_structure(
    world: World, files: dict[str, bytes | str]
) -> None:
    assert await end_of(world, files) == "INVALID_FILES_STRUCTURE"


async def test_documents_that_are_zip_files_inside_are_no_archives(world: World) -> None:
    assert await end_of(world, {"req.xml": "<a/>", "letter.docx": zipped({"a": "b"})}) == "OK"


async def test_a_service_may_allow_archives_inside(world: World) -> None:
    new = {"service_code": "5", "target_code": "-5", "nested": True, "others": [".*"]}
    await world.admin("POST", "services", new, 201)
    assert await end_of(world, {"req.xml": "<a/>", "inner.zip": zipped({"a": "b"})}, service("5")) == "OK"


async def test_what_is_no_zip_or_a_broken_one_is_an_invalid_structure(world: World) -> None:
    whole = zipped({"req.xml": "<a/>" * 100}, method=zipfile.ZIP_STORED)
    for archive in (b"x", b"PK\x03\x04", whole[:-5], whole.replace(b"<a/><a/>", b"<b/><a/>", 1)):
        assert await end_of(world, archive) == "INVALID_FILES_STRUCTURE"


async def test_a_file_that_comes_twice_or_is_encrypted_is_an_invalid_structure(world: World) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("req.xml", "<a/>")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("req.xml", "<b/>")
    assert await end_of(world, made.getvalue()) == "INVALID_FILES_STRUCTURE"
    encrypted = bytearray(zipped({"req.xml": "<a/>"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    assert await end_of(world, bytes(encrypted)) == "INVALID_FILES_STRUCTURE"


async def test_a_missing_transport_file_is_req_not_found(world: World) -> None:
    assert await end_of(world, {"piev_epgu.xml": "<a/>"}, FSSP) == "REQ_NOT_FOUND"
    assert await end_of(world, {"Req.xml": "<a/>"}, FSSP) == "REQ_NOT_FOUND"


async def test_a_missing_business_file_is_mpc_not_found(world: World) -> None:
    files = fssp("{number}")
    del files["piev_epgu.xml"]
    assert await end_of(world, files, FSSP) == "MPC_NOT_FOUND"
    assert await end_of(world, sfr("{number}", link="req_other.xml"), SFR) == "MPC_NOT_FOUND"


@pytest.mark.parametrize(
    "more",
    [
        {"piev_epgu.xml": "<not closed"},
        {"piev_epgu.xml": "<Other/>"},
        {"piev_epgu.xml": '<!DOCTYPE a [<!ENTITY b "c">]><IRequest>&b;</IRequest>'},
        {"unexpected.txt": "x"},
        {"req.xml.sig.sig": "x"},
        {"lonely.sig": "x"},
    ],
    ids=["no-xml", "another-root", "doctype", "unexpected", "signature-of-nothing", "lonely-signature"],
)
async def test_files_that_break_the_services_rules_are_a_validation_error(world: World, more: dict[str, str]) -> None:
    assert await end_of(world, fssp("{number}") | more, FSSP) == "VALIDATION_ERROR"


async def test_too_many_files_and_too_many_bytes_are_a_validation_error(world: World) -> None:
    new = {"service_code": "5", "target_code": "-5", "most_files": 2, "most_bytes": 20, "others": [".*"]}
    await world.admin("POST", "services", new, 201)
    assert await end_of(world, {"req.xml": "<a/>", "b": "", "c": ""}, service("5")) == "VALIDATION_ERROR"
    assert await end_of(world, {"req.xml": "<a/>", "b": "x" * 17}, service("5")) == "VALIDATION_ERROR"
    assert await end_of(world, {"req.xml": "<a/>", "b": "x" * 16}, service("5")) == "OK"


async def test_another_number_or_another_applicant_is_req_verify_failed(world: World) -> None:
    assert await end_of(world, fssp("1"), FSSP) == "REQ_VERIFY_FAILED"
    assert await end_of(world, fssp("${orderId}"), FSSP) == "REQ_VERIFY_FAILED"
    assert await end_of(world, sfr("{number}", snils="22222222290"), SFR) == "REQ_VERIFY_FAILED"


async def test_push_cannot_know_the_number_that_belongs_inside(world: World) -> None:
    number = (await world.push(zipped(fssp(0)), FSSP)).json["orderId"]
    assert (await world.process_codes(number))[-1] == "REQ_VERIFY_FAILED"


async def test_signed_files_pass_through_the_check_of_signatures(world: World) -> None:
    files: dict[str, bytes | str] = {"req.xml": b"<a/>", "contract.pdf": b"%PDF"}
    files |= {f"{name}.sig": world.signed(bytes(content)) for name, content in list(files.items())}  # type: ignore[arg-type]  # all bytes
    number = await world.sent(files, GOSKEY)
    expected = ["VALIDATION", "FILES_VERIFICATION", "FILES_VERIFICATION_SUCCESS", "DONE", "OK"]
    assert await world.process_codes(number) == expected


@pytest.mark.parametrize("wrong", ["missing", "garbage", "other", "stranger", "expired", "attached-other"])
async def test_a_signature_that_is_missing_or_wrong_is_files_verification_failed(world: World, wrong: str) -> None:
    signature = {
        "missing": None,
        "garbage": b"garbage",
        "other": world.signed(b"another"),
        "stranger": world.signed(b"<a/>", "stranger"),
        "expired": world.signed(b"<a/>", "expired"),
        "attached-other": world.signed(b"<a/>")[:-1] + b"\x00",
    }[wrong]
    files: dict[str, bytes | str] = {"req.xml": "<a/>"} | ({} if signature is None else {"req.xml.sig": signature})
    assert await end_of(world, files, GOSKEY) == "FILES_VERIFICATION_FAILED"


async def test_a_signature_that_nobody_asked_for_is_checked_too(world: World) -> None:
    assert await end_of(world, {"req.xml": "<a/>", "req.xml.sig": world.signed(b"<a/>")}) == "OK"
    assert await end_of(world, {"req.xml": "<a/>", "req.xml.sig": b"x"}) == "FILES_VERIFICATION_FAILED"


CONFIG = (
    "<signedAttachments><signedDocument><documentFileName>req.xml</documentFileName>"
    "<signData><signFileName>one.sig</signFileName></signData>"
    "<signData><signFileName>two.sig</signFileName></signData></signedDocument></signedAttachments>"
)


async def test_several_signatures_are_named_by_sign_config_since_1_13(world: World) -> None:
    files: dict[str, bytes | str] = {"req.xml": "<a/>", "sign_config.xml": CONFIG}
    both = {"one.sig": world.signed(b"<a/>"), "two.sig": world.signed(b"<a/>", "ov512")}
    assert await end_of(world, files | both, GOSKEY) != "OK"
    await world.set(profile="1.13")
    number = await world.sent(files | both, GOSKEY)
    assert (await world.process_codes(number))[-1] == "OK"
    for wrong in ({"one.sig": both["one.sig"]}, both | {"two.sig": b"x"}):
        number = await world.sent(files | wrong, GOSKEY)
        assert (await world.process_codes(number))[-1] == "FILES_VERIFICATION_FAILED"
    number = await world.sent(files | both | {"sign_config.xml": CONFIG.replace("req.xml", "no.xml")}, GOSKEY)
    assert (await world.process_codes(number))[-1] == "VALIDATION_ERROR"


async def test_a_barred_user_is_create_order_forbidden_since_1_13(world: World) -> None:
    barred = {"oid": "1000000101", "kind": "LEGAL", "org_oid": "1000000001", "barred": True}
    await world.admin("POST", "accounts", {"users": [barred]}, 201)
    await world.set(profile="1.13")
    number = await world.sent({"req.xml": "<a/>"})
    assert await world.process_codes(number) == ["CREATE_ORDER_FORBIDDEN"]


@pytest.fixture(scope="module")
def desk(gost: GostEngine, keys: Path) -> SignatureDesk:
    return SignatureDesk(gost, keys, [])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=12),
    cut=st.integers(0, 400),
    pieces=st.integers(1, 4),
)
def test_whatever_bytes_come_the_verdict_is_a_code_of_the_table(
    desk: SignatureDesk, tmp_path: Path, flips: list[tuple[int, int]], cut: int, pieces: int
) -> None:
    data = bytearray(zipped({"req.xml": "<a/>", "req.xml.sig": b"0", "b.txt": "text" * 20}))
    for place, mask in flips:
        data[place % len(data)] ^= mask
    del data[len(data) - cut % len(data) :]
    store = Store(tmp_path)
    size = len(data) // pieces + 1
    parts = []
    for start in range(0, len(data), size):
        with store.receiver("z", keep=True) as receiver:
            receiver.write(bytes(data[start : start + size]))
        parts.append(receiver.piece)
    target = Service(service_code="1", target_code="1", others=(".*",))
    application = Application(1, target, User(oid="1", kind="PERSON"), PROFILES["1.12"], utc_now())
    try:
        judge(Archive(tuple(parts)), application, desk)
    except ArchiveError as error:
        assert PROCESS[error.code].final  # noqa: PT017  — an archive that survived its mutation is let pass
    finally:
        store.clear()
