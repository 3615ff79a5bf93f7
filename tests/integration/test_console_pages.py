"""The console's door without a browser: sessions, forms, roles, headers, and hostile words in every place."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html
from yarl import URL

from adapter.broker.connection import BrokerAddress
from adapter.broker.topology import Names
from adapter.journal.journal import DatabaseAddress
from adapter.journal.migrate import migrate
from adapter.services.registry import make_services
from adapter.web.console.app import make_app, serve
from adapter.web.console.desk import Desk
from adapter.web.console.entry import Doorkeeper
from tests.e2e.console_rows import leave, leave_dead, leave_parked, leave_uncertain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from deploy.local.postgres import LocalPostgres

TOKENS = {
    "olga": ("olga-may-do-everything", frozenset({"view", "reveal", "replay"})),
    "viktor": ("viktor-may-only-look", frozenset({"view"})),
    "rita": ("rita-may-reveal-things", frozenset({"view", "reveal"})),
    "roman": ("roman-may-replay-only", frozenset({"view", "replay"})),
}
SECRET = "Секретова-Персональная"
PAGES = ("/send", "/exchanges", "/parked", "/state", "/lockers", "/lockers/inside", "/cases")


class Client:
    """Somebody without a browser: cookies by hand, no script, redirects seen."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> tuple[int, str, Any]:
        return await self._ask("POST", path, {"csrf": self.csrf, **(fields or {})}, headers)

    async def _ask(self, method: str, path: str, data: Any, headers: dict[str, str]) -> tuple[int, str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.url + path, data=data, headers=named, cookies=self.cookies, allow_redirects=False
        ) as answer:
            self.cookies |= {name: morsel.value for name, morsel in answer.cookies.items()}
            return answer.status, await answer.text(errors="replace"), answer.headers

    async def enter(self, name: str) -> Client:
        await self.post("/login", {"token": TOKENS[name][0]})
        _, page, _ = await self.get("/state")
        self.csrf = unescape(re.findall(r'data-csrf="([^"]*)"', page)[0])
        return self


class House:
    """A console on an empty journal, and no broker."""

    def __init__(self, url: str, database: asyncpg.Connection, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.database = database
        self.session = session

    def visitor(self) -> Client:
        return Client(self.url, self.session)


@asynccontextmanager
async def made(address: DatabaseAddress, services: dict[str, Any]) -> AsyncIterator[str]:
    broker = BrokerAddress("localhost", 1, "/", None, None, None, 5, 2)
    desk = Desk(address, broker, Names(), services, ("http://127.0.0.1:1",))
    app = make_app(desk, Doorkeeper(TOKENS, 600), language="ru", largest=100_000)
    async with serve(app, "127.0.0.1", 0, None) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module", name="house")
async def the_house(postgres: LocalPostgres) -> AsyncIterator[House]:
    name = f"test_{uuid4().hex[:12]}"
    postgres.start()
    postgres.create_database(name)
    given_ = {"host": postgres.host, "port": postgres.port, "user": postgres.user, "password": postgres.password}
    address = DatabaseAddress(given_ | {"database": name})
    database = await address.connect()
    await migrate(database)
    async with (
        made(address, make_services({})) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield House(url, database, session)
    await database.close()
    postgres.drop_database(name)


@pytest.mark.parametrize("path", [*PAGES, "/case?number=1", "/nowhere"])
async def test_nothing_is_shown_without_a_session(house: House, path: str) -> None:
    status, page, headers = await house.visitor().get(path)
    target = URL(headers["Location"])
    assert (status, target.path, target.query["next"]) == (303, "/login", path)
    assert "<main" not in page


async def test_a_wrong_token_opens_nothing_and_many_of_them_close_the_door(postgres: LocalPostgres) -> None:
    address = DatabaseAddress({"host": "127.0.0.1", "port": 1, "user": "u", "database": "d"})
    async with made(address, {}) as url, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        client = Client(url, session)
        statuses = [(await client.post("/login", {"token": "no"}))[0] for _ in range(11)]
        assert statuses == [403] * 10 + [429]
        assert (await client.post("/login", {"token": TOKENS["olga"][0]}))[0] == 429
        assert client.cookies == {}


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(house: House) -> None:
    client = house.visitor()
    _, _, headers = await client.post("/login", {"token": TOKENS["viktor"][0], "next": "/exchanges?state=dead"})
    assert headers["Location"] == "/exchanges?state=dead"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(headers["Set-Cookie"].split("; "))


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/x\r\nY: z", ""],
    ids=["slashes", "address", "backslash", "script", "header", "empty"],
)  # fmt: skip
async def test_a_link_to_us_sends_nobody_elsewhere(house: House, target: str) -> None:
    client = house.visitor()
    _, _, headers = await client.post("/login", {"token": TOKENS["viktor"][0], "next": target})
    assert headers["Location"] == "/"
    _, _, headers = await client.get(f"/look?theme=dark&back={quote(target)}")
    assert headers["Location"] == "/"


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nowhere", "/static/console.css", "/exchanges/x"])
async def test_every_answer_keeps_the_browser_strict(house: House, path: str) -> None:
    client = await house.visitor().enter("olga")
    _, page, headers = await client.get(path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    if not path.startswith("/static/"):
        assert headers["Cache-Control"] == "no-store"
        tree = lxml_html.fromstring(page)
        assert tree.xpath("//script[not(@src)] | //style | //*[@style]") == []
        handlers = [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
        assert handlers == []
        sources = tree.xpath("//script/@src | //link/@href | //img/@src")
        assert all(source.startswith("/static/") for source in sources)


WRITES = ("/send", "/parked/replay", "/lockers", "/lockers/1", "/case/reveal", f"/parked/{uuid4()}/deliver", "/logout")


@pytest.mark.parametrize("path", [*WRITES[:5], "/parked/ID/deliver", "/exchanges/ID/replay", "/exchanges/ID/reveal"])
async def test_a_form_without_its_token_or_from_a_foreign_page_is_refused(house: House, path: str) -> None:
    path = path.replace("ID", str(uuid4()))
    client = await house.visitor().enter("olga")
    assert (await client.post(path, {"csrf": "guessed"}))[0] == 403
    assert (await client.post(path, {}, Origin="https://evil.example"))[0] == 403
    assert (await client.post(path, {}, Origin="null"))[0] == 403


async def test_a_token_of_one_session_does_not_fit_another(house: House) -> None:
    olga, other = await house.visitor().enter("olga"), await house.visitor().enter("olga")
    assert (await other.post("/parked/replay", {"csrf": olga.csrf}))[0] == 403
    assert (await olga.post("/parked/replay", {}, Origin=house.url))[0] == 303


ROLES = {
    "/send": "replay",
    "/parked/replay": "replay",
    "/parked/ID/deliver": "replay",
    "/lockers": "replay",
    "/lockers/1233": "replay",
    "/exchanges/ID/replay": "replay",
    "/exchanges/ID/drop": "replay",
    "/exchanges/ID/sent": "replay",
    "/exchanges/ID/not-sent": "replay",
    "/exchanges/ID/reveal": "reveal",
    "/case/reveal": "reveal",
}


@pytest.mark.parametrize("path", ROLES)
async def test_a_deed_needs_its_role(house: House, path: str) -> None:
    wanted = {"replay": "rita", "reveal": "roman"}[ROLES[path]]
    for name in ("viktor", wanted):
        client = await house.visitor().enter(name)
        status, page, _ = await client.post(path.replace("ID", str(uuid4())), {"action": "zhkh-debt-requests"})
        assert status == 403
        assert ROLES[path] in page


async def test_exact_bytes_need_the_role_and_a_revealing_of_this_session(house: House) -> None:
    exchange_id = await leave(house.database, "zhkh-debt-requests", {"firstname": SECRET})
    await house.database.execute(
        "insert into proof (exchange_id, kind, data, meta) values ($1, 'request', $2, '{}')",
        exchange_id,
        f"<a>{SECRET}</a>".encode(),
    )
    place = f"/exchanges/{exchange_id}"
    paths = (f"{place}/bytes/1/data", f"{place}/proof.zip")
    for name in ("viktor", "roman", "rita"):
        client = await house.visitor().enter(name)
        assert [(await client.get(path))[0] for path in paths] == [403, 403]
        assert SECRET not in (await client.get(place))[1]
    await client.post(f"{place}/reveal", {"reason": "  "})
    assert (await client.get(paths[0]))[0] == 403
    await client.post(f"{place}/reveal", {"reason": "жалоба"})
    status, said, headers = await client.get(paths[0])
    assert (status, said) == (200, f"<a>{SECRET}</a>")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")
    assert (await client.get(paths[1]))[0] == 200
    assert SECRET in (await client.get(place))[1]
    deeds = await house.database.fetch("select * from console_journal where subject = $1", f"exchange:{exchange_id}")
    assert [(row["name"], row["what"]) for row in deeds] == [
        ("rita", "revealed"),
        ("rita", "downloaded"),
        ("rita", "downloaded"),
    ]
    other = await house.visitor().enter("rita")
    assert SECRET not in (await other.get(place))[1]
    assert "жалоба" in (await other.get(place))[1]


async def test_what_a_person_says_is_uncertain_may_be_said_once(house: House) -> None:
    exchange_id = await leave_uncertain(house.database, "postamat.issue", {})
    client = await house.visitor().enter("roman")
    for _ in range(2):
        await client.post(f"/exchanges/{exchange_id}/sent", {"reason": "есть в журнале шлюза"})
    _, page, _ = await client.get(f"/exchanges/{exchange_id}")
    assert "Не сделано: обмен уже в состоянии «ждёт ответа»" in page


async def test_a_page_says_that_the_broker_is_away_and_keeps_what_was_typed(house: House) -> None:
    client = await house.visitor().enter("olga")
    typed = '{"casenum": "7.77-77"}'
    status, page, _ = await client.post("/send", {"action": "postamat.case.get", "body": typed})
    assert (status, "RabbitMQ не отвечает" in page) == (503, True)
    assert typed in unescape(page)
    _, page, _ = await client.get("/state?part=1")
    assert "RabbitMQ</b> — не отвечает" in page
    assert "http://127.0.0.1:1</b> — не отвечает" in page


async def test_a_database_that_is_away_is_a_sentence_not_a_defect() -> None:
    address = DatabaseAddress({"host": "127.0.0.1", "port": 1, "user": "u", "database": "d"})
    async with (
        made(address, make_services({})) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        client = await Client(url, session).enter("olga")
        status, page, _ = await client.get("/exchanges")
        assert (status, "PostgreSQL не отвечает" in page) == (503, True)
        status, page, _ = await client.get("/state")
        assert (status, "PostgreSQL</b> — не отвечает" in page) == (200, True)


WEIRD = ("\x00", "%", "-1", "9" * 40, "\ud7ff", "'; drop table lockers; --", "../../etc/passwd", "{{7*7}}", "é" * 40)


async def test_no_odd_value_is_a_defect(house: House) -> None:
    client = await house.visitor().enter("olga")
    names = ("id", "action", "state", "code", "since", "until", "before", "number", "page", "example", "part", "next")
    for value in WEIRD:
        for path in (*PAGES, "/case", "/login", "/look"):
            query = "&".join(f"{name}={quote(value)}" for name in names)
            assert (await client.get(f"{path}?{query}"))[0] in (200, 303, 400, 404, 422), (path, value)
        query = "&".join(f"{name}={quote(value)}" for name in names if name != "id")
        assert (await client.get(f"/exchanges?{query}"))[0] in (200, 400, 422), value
        for path in ("/send", "/send/check", "/lockers", "/lockers/1", "/case/reveal", "/parked/replay", "/login"):
            fields = dict.fromkeys(("body", "number", "address", "departments", "reason", "id", "token"), value)
            status, _, _ = await client.post(path, {"action": "zhkh-debt-requests", **fields})
            assert status in (200, 303, 400, 403, 404, 422, 429), (path, value)
    assert "49" not in (await client.get("/cases?number={{7*7}}"))[1]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=nowhere"]
)
async def test_a_form_that_cannot_be_read_is_the_senders_fault(house: House, kind: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    async with house.session.post(f"{house.url}/login", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status in (400, 403)


async def test_a_page_that_is_not_there_is_said_in_the_readers_language(house: House) -> None:
    client = await house.visitor().enter("viktor")
    assert "Такой страницы нет" in (await client.get("/nowhere"))[1]
    client.cookies["language"] = "en"
    assert "There is no such page" in (await client.get("/nowhere"))[1]


async def test_the_newest_exchanges_stand_on_the_first_page_and_all_others_behind_it(house: House) -> None:
    made_ = [await leave(house.database, "paged", {}, state="replied") for _ in range(120)]
    client = await house.visitor().enter("viktor")
    path, seen = "/exchanges?action=paged", []
    for _ in range(3):
        _, page, _ = await client.get(path)
        seen += re.findall(r'href="/exchanges/([0-9a-f-]{36})"', page)
        older = [unescape(link) for link in re.findall(r'href="(/exchanges\?[^"]*before=[^"]+)"', page)]
        path = older[-1] if older else ""
    assert seen == [str(one) for one in reversed(made_)]


HOSTILE = st.text(
    st.sampled_from("<>\"'&`/={}()%ab \u2028é{{|").filter(lambda char: char != "\x00"), min_size=1, max_size=30
).map(lambda text: f"<script>{text}</script>\"'><img src=x onerror=y>{text}")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(HOSTILE, min_size=6, max_size=6))
async def test_hostile_words_in_every_place_stay_words(house: House, words: list[str]) -> None:
    one, two, three, four, five, six = words
    body = orjson.dumps({one: {two: three}, "list": [four]})
    number = str(uuid4().int % 10**17)
    exchange_id = await leave_dead(house.database, "zhkh-debt-requests", body)
    await house.database.execute(
        "update exchanges set gateway = 'smev3', operation = $2, gateway_id = $3, outcome_code = $4 where id = $1",
        exchange_id, two, f"{three}{exchange_id}", four,
    )  # fmt: skip
    await house.database.execute(
        "update incoming set message_id = $2, correlation = $3 where id = $1", exchange_id, f"{five}{exchange_id}", six
    )
    meta = orjson.dumps({"operation": one, "code": two, "reason": three, "verdicts": [
        {"parent": four, "math": False, "trust": five, "certificate_sha256": six}]})  # fmt: skip
    data = f"<a b='1'><![CDATA[{three}]]></a>".encode()
    await house.database.execute(
        "insert into proof (exchange_id, kind, data, meta) values ($1, 'answer', $2, $3)", exchange_id, data, meta
    )
    parked = await leave_parked(house.database, exchange_id, one)
    lost = await leave_uncertain(house.database, two, {})
    await house.database.execute("update exchanges set gateway_id = $2 where id = $1", lost, f"{six}{lost}")
    await house.database.execute(
        "insert into lockers (number, address, departments, storage_days) values ($1, $2, $3, 1)", number, one, [two]
    )
    await house.database.execute(
        "insert into locker_cases (casenum, service, department, phone, chosen, state, place, cell, put_at)"
        " values ($1, $2, $3, $4, $5, 'В постамате', $5, $6, now() - interval '9 days')",
        f"{three}{number}", four, five, six, number, one,
    )  # fmt: skip
    client = await house.visitor().enter("olga")
    await client.post(f"/exchanges/{exchange_id}/reveal", {"reason": "".join(filter(str.isprintable, four))})
    await client.post("/case/reveal", {"number": f"{three}{number}", "reason": "проверка"})
    pages = [
        *PAGES, f"/exchanges/{exchange_id}", f"/lockers/{number}", f"/case?number={quote(three + number)}",
        f"/exchanges?id={quote(one)}&code={quote(two)}&since={quote(three)}&action={quote(four)}",
        f"/exchanges?code={quote(two)}&action={quote(four)}", f"/sent/{uuid4()}?action={quote(five)}",
        f"/cases?number={quote(six)}", f"/send?action={quote(one)}", f"/login?next={quote(two)}",
    ]  # fmt: skip
    for path in pages:
        status, page, _ = await client.get(path)
        assert status in (200, 303, 404, 422), path
        _is_harmless(page, path)
    _, page, _ = await client.post("/send", {"action": "zhkh-debt-requests", "body": one})
    _is_harmless(page, "/send")
    _, page, _ = await client.post("/lockers", {"number": one, "address": two, "departments": three})
    _is_harmless(page, "/lockers")
    await house.database.execute("delete from outbox where id = $1", parked)
    await house.database.execute("update exchanges set state = 'failed' where id = any($1)", [exchange_id, lost])
    await house.database.execute("delete from locker_cases")
    await house.database.execute("delete from lockers")


def _is_harmless(page: str, path: str) -> None:
    """The words are there as words: no element, attribute or handler has come of them."""
    if not page:
        return
    tree = lxml_html.fromstring(page)
    assert tree.xpath("//script[not(@src)]") == [], path
    assert tree.xpath("//img[@src='x']") == [], path
    assert [name for element in tree.iter() for name in element.attrib if name.startswith("on")] == [], path
