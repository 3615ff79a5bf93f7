"""Pictures of the console for docs/console: ``python -m tests.e2e.console_pictures``, on a stack of its own.

Everything in them is made up here or stands in a description: values of commands are masked all the same.
"""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from PIL import Image
from playwright.async_api import expect

from adapter.services.zhkh_debt_requests import EXAMPLES
from deploy.local.debian import LOCAL, PROJECT
from deploy.local.stack import DATABASE, Stack
from tests.e2e.console_house import browsing
from tests.e2e.console_rows import leave_dead, leave_parked, leave_uncertain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from playwright.async_api import Browser, Page

FOLDER = PROJECT / "docs/console"
ACTION = "zhkh-debt-requests"
MOST_BYTES = 150_000
_LOCKERS = (
    ("1233", "Калуга, ул. Хрустальная, 34а", ["ТОСП-1", "ТОСП-2"], 14, True),
    ("1240", "Калуга, ул. Кирова, 1", ["ТОСП-3"], 7, True),
    ("77", "Обнинск, пр. Ленина, 12", ["ТОСП-9"], 14, False),
)
#: Number, service, chosen locker, place, cell, days in it.
_CASES = (
    ("1.22-51", "Выписка из ЕГРН", "1233", "1233", "10", 20),
    ("1.22-52", "Справка о составе семьи", "1240", "1240", "3", 2),
    ("1.22-57", "Охотничий билет", "1233", "1233", "11", 1),
    ("1.22-60", "Выписка из ЕГРН", None, None, None, None),
)


def main() -> int:
    """Make every picture; 1 when one is too large."""
    stack = Stack(LOCAL / "pictures")
    try:
        stack.up()
        asyncio.run(_make(stack))
    finally:
        stack.down()
        stack.postgres.remove()
    large = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size > MOST_BYTES]
    sys.stdout.write(f"{FOLDER}: {len([*FOLDER.glob('*.png')])} pictures; too large: {', '.join(large) or 'none'}\n")
    return 1 if large else 0


async def _make(stack: Stack) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    address = {"host": stack.postgres.host, "port": stack.postgres.port, "user": stack.postgres.user}
    database = await asyncpg.connect(**address, password=stack.postgres.password, database=DATABASE)
    token, url = stack.console_token.read_text(encoding="ascii").strip(), stack.console_url
    async with browsing() as browser:
        async with _page(browser, url, token) as page:
            sent = await _send_everything(page)
        dead = await _bad_days(database)
        async with _page(browser, url, token) as page:
            await _light(page, url, sent)
            await page.goto(f"{url}/exchanges/{dead}")
            await _take(page, "dead.png", height=760)
            await page.goto(f"{url}/look?language=en&back=/send?action=epgu.order.statuses")
            await _take(page, "send-english.png", height=760)
        async with _page(browser, url, token, dark=True) as page:
            await _dark(page, url, sent)
        async with _page(browser, url, token, width=360) as page:
            await _narrow(page, url, sent)
    await database.close()


@asynccontextmanager
async def _page(
    browser: Browser, url: str, token: str, *, width: int = 1280, dark: bool = False
) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": width, "height": 800 if width > 400 else 740},
        locale="ru-RU",
        timezone_id="Europe/Moscow",
        color_scheme="dark" if dark else "light",
    )
    page = await context.new_page()
    await page.goto(f"{url}/login")
    await page.fill("#token", token)
    await page.press("#token", "Enter")
    await page.wait_for_url("**/send")
    yield page
    await context.close()


async def _send_everything(page: Page) -> str:
    """Send the four examples; return the address of the first exchange's page."""
    first = ""
    for number in range(1, len(EXAMPLES) + 1):
        await page.goto(page.url.partition("/send")[0].partition("/exchanges")[0] + f"/send?example={number}")
        await page.fill("#why", "")
        await page.click("button:has-text('Отправить в очередь')")
        await expect(page.locator("#part-head .chip")).to_have_text("исполнена", timeout=60_000)
        first = first or page.url
    return first


async def _bad_days(database: asyncpg.Connection) -> UUID:
    """Leave what a person has to look at; return the id of a dead command."""
    dead = await leave_dead(database, ACTION, EXAMPLES[0].request)
    await leave_dead(database, "zhkh-debt-responses", {})
    await leave_uncertain(database, "postamat.issue", {})
    await leave_parked(database, dead, "upstream.replies")
    lockers = "insert into lockers (number, address, departments, storage_days, active) values ($1, $2, $3, $4, $5)"
    await database.executemany(lockers, _LOCKERS)
    for number, service, chosen, place, cell, days in _CASES:
        await database.execute(
            "insert into locker_cases (casenum, service, department, phone, chosen, state, place, cell, put_at) values"
            " ($1, $2, 'ТОСП-1', '+7 (900) 000 00 00', $3, $4, $5, $6, now() - make_interval(days => $7))",
            number,
            service,
            chosen,
            "В постамате" if place else "на выдаче",
            place,
            cell,
            days,
        )
        if place:
            await database.execute(
                "insert into locker_movements (casenum, operation, postamatid, cellid, userid, reported, at, state)"
                " values ($1, 'put-case', $2, $3, '1139', 1, now() - make_interval(days => $4), 'В постамате')",
                number,
                place,
                cell,
                days,
            )

    return dead


async def _light(page: Page, url: str, sent: str) -> None:
    await page.goto(f"{url}/send")
    await _take(page, "send.png")
    text = await page.input_value("#body")
    await page.fill("#body", text.replace("11111111145", "11111111146").replace('"SEND"', '"SENT"'))
    await expect(page.locator("#verdict")).to_contain_text("snils")
    await page.evaluate("scrollTo(0, 0)")
    await _take(page, "wrong.png", height=980)
    await page.goto(sent)
    await _take(page, "exchange.png", height=900)
    await page.click("details.document >> nth=0")
    await page.locator("#part-documents").scroll_into_view_if_needed()
    await _take(page, "xml.png", element="#part-documents")
    await page.goto(f"{url}/exchanges")
    await _take(page, "exchanges.png", height=640)
    await page.goto(f"{url}/parked")
    await _take(page, "parked.png", height=860)
    await page.goto(f"{url}/lockers")
    await _take(page, "lockers.png", height=760)
    await page.goto(f"{url}/lockers/inside")
    await _take(page, "inside.png", height=460)
    await page.goto(f"{url}/cases")
    await page.focus(".mark >> nth=-1")
    await _take(page, "cases.png", height=500)
    await page.goto(f"{url}/case?number=1.22-51")
    await _take(page, "case.png", height=520)


async def _dark(page: Page, url: str, sent: str) -> None:
    await page.goto(sent)
    await _take(page, "exchange-dark.png", height=900)
    await page.goto(f"{url}/state")
    await _take(page, "state-dark.png", height=760)
    await page.goto(f"{url}/send")
    await _take(page, "send-dark.png")


async def _narrow(page: Page, url: str, sent: str) -> None:
    await page.goto(f"{url}/send")
    await _take(page, "send-narrow.png")
    await page.goto(sent)
    await _take(page, "exchange-narrow.png", height=1100)
    await page.goto(f"{url}/lockers/inside")
    await _take(page, "inside-narrow.png")


async def _take(page: Page, name: str, *, height: int | None = None, element: str = "") -> None:
    """Write a picture in at most 128 colours: a page has few, and the file is a third of the size."""
    size = page.viewport_size
    if height and size:
        await page.set_viewport_size({"width": size["width"], "height": height})
    taken = await (page.locator(element).screenshot() if element else page.screenshot())
    await asyncio.to_thread(_write, taken, FOLDER / name)


def _write(taken: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
