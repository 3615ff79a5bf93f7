"""An adapter, a console and a real browser for the tests of the console: one of each for a module."""

from __future__ import annotations

import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest
from playwright.async_api import async_playwright

from deploy.local.console import StepError
from deploy.local.debian import provide
from deploy.local.processes import remembered_ports
from tests.e2e.conftest import Process, Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

    from deploy.local.postgres import LocalPostgres

TOKENS = {"olga": "olga-may-do-everything", "viktor": "viktor-may-only-look", "roman": "roman-may-replay-only"}
PREFIX = "console."
_PROGRAM = (sys.executable, "-m", "adapter")
#: Milliseconds that a page may take on a busy machine.
PATIENCE = 20_000


@dataclass
class House:
    """Where the console is, and a look into its journal."""

    url: str
    database: asyncpg.Connection
    environment: dict[str, str]


@dataclass
class Visitor:
    """Somebody at the console; whatever the browser complains of is kept."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    #: Statuses of answers that a test asks for on purpose: the browser names each.
    refusals: frozenset[int] = frozenset()

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.url}{path}")

    async def enter(self, name: str) -> None:
        await self.go("/login")
        await self.page.fill("#token", TOKENS[name])
        await self.page.press("#token", "Enter")
        await self.page.wait_for_url("**/send")

    def hear(self, message: ConsoleMessage) -> None:
        refused = re.search(r"responded with a status of (\d+)", message.text)
        if message.type in ("error", "warning") and not (refused and int(refused[1]) in self.refusals):
            self.complaints.append(message.text)


def chromium() -> str:
    """Return the browser's path; skip where it cannot be had."""
    try:
        return str(provide("chromium", "usr/bin/chromium", quiet=True))
    except StepError as error:
        pytest.skip(f"no Chromium can be had here: {error}")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Start one headless browser. As root its sandbox does not run; it opens our own pages alone."""
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(browser: Browser, url: str, *, width: int = 1280) -> AsyncIterator[Visitor]:
    """Open a window of its own; at its end nothing may have been complained of."""
    context: BrowserContext = await browser.new_context(viewport={"width": width, "height": 850}, locale="ru-RU")
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    visitor = Visitor(page, url)
    page.on("console", visitor.hear)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    try:
        yield visitor
    finally:
        await context.close()
    assert visitor.complaints == []


@pytest.fixture(scope="module", name="house")
async def the_house(stack: Stack, postgres: LocalPostgres, service_state: Path) -> AsyncIterator[House]:
    """Run an adapter with queues and a database of its own, and a console beside it."""
    name = f"console_{uuid4().hex[:8]}"
    postgres.create_database(name)
    ports = remembered_ports(service_state / f"{name}.json", ("console", "health"))
    environment = stack.environment | {
        "DATABASE_NAME": name,
        "MQ_PREFIX": PREFIX,
        "SERVICES": "zhkh-debt-requests,postamat.*",
        "POSTAMAT_TOKEN": "token-of-the-lockers",
        "POSTAMAT_LISTEN": "off",
        "HEALTH_PORT": str(ports["health"]),
        "MQ_PREFETCH": "20",
        "CONSOLE_LISTEN": f"127.0.0.1:{ports['console']}",
        "CONSOLE_TOKENS": (
            f"olga:reveal+replay={TOKENS['olga']},viktor={TOKENS['viktor']},roman:replay={TOKENS['roman']}"
        ),
    }
    adapter = Stack(environment, stack.simulator_url, ports["health"])
    with adapter.adapter():
        console = Process([*_PROGRAM, "console"], environment)
        console.wait_line("the console is served")
        address = {"host": postgres.host, "port": postgres.port, "user": postgres.user, "password": postgres.password}
        database = await asyncpg.connect(**address, database=name)
        try:
            yield House(f"http://127.0.0.1:{ports['console']}", database, environment)
        finally:
            await database.close()
            assert console.end() == 0, console.output[-3000:]
    assert not [token for token in TOKENS.values() if token in console.output]


@pytest.fixture(scope="module", name="browser")
async def the_browser() -> AsyncIterator[Browser]:
    async with browsing() as browser:
        yield browser


@pytest.fixture(name="visitor")
async def a_visitor(house: House, browser: Browser) -> AsyncIterator[Visitor]:
    async with visiting(browser, house.url) as visitor:
        yield visitor
