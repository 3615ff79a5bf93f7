"""The console in a real browser: what its users come for, with every complaint of the browser a failure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from adapter.services.zhkh_debt_requests import EXAMPLES
from tests.e2e.console_house import PREFIX, TOKENS, House, Visitor, a_visitor, the_browser, the_house  # noqa: F401  — fixtures
from tests.e2e.console_rows import leave_dead, leave_parked, leave_uncertain
from tests.integration.rows import until

if TYPE_CHECKING:
    from playwright.async_api import Page

ACTION = "zhkh-debt-requests"
WHY = "проверка примером"


async def focused(page: Page) -> str:
    """Return what has the focus, as its markup begins."""
    return str(await page.evaluate("document.activeElement.outerHTML.slice(0, 300)"))


async def tab_to(page: Page, part: str) -> None:
    """Press Tab until what has the focus holds ``part``."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if part in await focused(page):
            return
    pytest.fail(f"{part!r} is not reached by Tab")


async def ended(page: Page) -> None:
    """Wait for the end of an exchange."""
    await expect(page.locator("#part-head .chip")).to_have_text(re.compile("исполнена|отклонена"))


async def replied(page: Page) -> object:
    """Wait for the end of an exchange and return the reply that its page shows."""
    await ended(page)
    return json.loads(await page.locator("[data-reply]").inner_text())


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_an_example_is_sent_and_answered_as_its_description_says(visitor: Visitor, number: int) -> None:
    page = visitor.page
    await visitor.enter("olga")
    await page.click(f".examples a:has-text('{number}. ')")
    await expect(page.locator("#verdict")).to_have_class(re.compile("good"))
    await page.click("button:has-text('Отправить в очередь')")
    assert await replied(page) == EXAMPLES[number - 1].reply
    await expect(page.locator(".timeline")).to_contain_text("Сообщение отправлено")
    await expect(page.locator("#part-deeds")).to_contain_text(WHY)
    await expect(page.locator("#part-deeds")).to_contain_text("отправлено в очередь")
    await expect(page.locator("#part-signatures .chip.good").first).to_have_text("верна")


async def test_a_wrong_command_is_refused_as_one_types_with_the_field_named_and_its_line_marked(
    visitor: Visitor,
) -> None:
    page, visitor.refusals = visitor.page, frozenset({422})
    await visitor.enter("olga")
    text = await page.input_value("#body")
    wrong = text.replace('"snils": "11111111145"', '"snils": "11111111146"').replace('"SEND"', '"SENT"')
    await page.fill("#body", wrong)
    verdict = page.locator("#verdict")
    await expect(verdict).to_have_class(re.compile("bad"))
    await expect(verdict).to_contain_text("actions[0].request_data.applicant_info.snils")
    await expect(verdict).to_contain_text("actions[0].action_type")
    line = wrong.split("\n").index('          "snils": "11111111146",')
    await expect(page.locator(".lines i").nth(line)).to_have_class("bad")
    await page.click("button:has-text('Отправить в очередь')")
    await expect(page.locator("#verdict")).to_contain_text("applicant_info.snils")
    assert page.url.endswith("/send")
    # Sent all the same, the adapter says no in the very same words.
    rules = await page.locator("#verdict li > span").all_inner_texts()
    await page.check("input[name=anyway]")
    await page.click("button:has-text('Отправить в очередь')")
    await ended(page)
    reply = json.dumps(json.loads(await page.locator("[data-reply]").inner_text()), ensure_ascii=False)
    assert "ADAPTER-INVALID-COMMAND" in reply
    assert all(rule in reply for rule in rules)


async def test_broken_json_is_marked_where_it_breaks(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.enter("roman")
    await page.fill("#body", '{\n  "actions": [\n    {,}\n  ]\n}')
    await expect(page.locator("#verdict")).to_contain_text("строка 3")
    await expect(page.locator(".lines i").nth(2)).to_have_class("bad")


async def test_a_dry_run_shows_the_request_and_sends_nothing(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.enter("olga")
    await page.check("input[name=dry_run]")
    await page.click("button:has-text('Отправить в очередь')")
    await ended(page)
    await expect(page.locator(".timeline")).not_to_contain_text("Запрос записан и отправлен")


async def test_a_whole_send_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("/")
    await page.keyboard.type(TOKENS["olga"])
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/send")
    await tab_to(page, "example=2")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**example=2")
    await tab_to(page, 'id="body"')
    await tab_to(page, 'name="dry_run"')
    await tab_to(page, 'name="reveal_reason"')
    await page.keyboard.type("настройка стенда")
    await tab_to(page, "Отправить в очередь")
    await page.keyboard.press("Enter")
    assert await replied(page) == EXAMPLES[1].reply
    await tab_to(page, "<summary>")
    await page.keyboard.press("Enter")
    await expect(page.locator("details.document").first).to_have_attribute("open", "")


async def test_the_reason_that_stands_beside_an_example_leaves_with_it(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.enter("olga")
    await expect(page.locator("#why")).to_have_value("проверка примером")
    text = await page.input_value("#body")
    await page.fill("#body", text.replace("Иванович", "Петрович"))
    await expect(page.locator("#why")).to_have_value("")
    await page.fill("#why", "проверка примером")  # typed all the same, it opens nothing but examples
    await page.click("button:has-text('Отправить в очередь')")
    await ended(page)
    await expect(page.locator("#part-reveal")).to_contain_text("скрыты")
    assert "Петрович" not in await page.content()


async def test_values_are_masked_until_a_reason_is_journaled(visitor: Visitor, house: House) -> None:
    page = visitor.page
    await visitor.enter("olga")
    await page.fill("#why", "")
    await page.click("button:has-text('Отправить в очередь')")
    await ended(page)
    shown = await page.content()
    assert "Иванович" not in shown
    assert "11111111145" not in shown
    assert await page.locator("#part-documents a[download]").count() == 0
    await page.fill("#reveal-reason", "жалоба 17")
    await page.click("#part-reveal button")
    await expect(page.locator("#part-command")).to_contain_text("11111111145")
    await expect(page.locator("#part-deeds")).to_contain_text("жалоба 17")
    await page.click("details.document >> nth=0")
    await expect(page.locator("pre.xml").first).to_contain_text("Иванович")
    subject = f"exchange:{page.url.rpartition('/')[2]}"
    (row,) = await house.database.fetch(
        "select * from console_journal where subject = $1 and what = 'revealed'", subject
    )
    assert (row["name"], row["reason"]) == ("olga", "жалоба 17")
    async with page.expect_download() as download:
        await page.click("#part-documents a[download] >> nth=0")
    path = await (await download.value).path()
    exact = await house.database.fetchval(
        "select data from proof where kind = 'request' and exchange_id::text = $1", subject.partition(":")[2]
    )
    assert path.read_bytes() == exact
    await page.click("#part-reveal button")
    await expect(page.locator("#part-command")).not_to_contain_text("11111111145")


async def test_the_journal_of_deeds_takes_rows_and_gives_none_back(house: House) -> None:
    for statement in (
        "update console_journal set reason = 'x'",
        "delete from console_journal",
        "truncate console_journal",
    ):
        with pytest.raises(Exception, match="append-only"):
            await house.database.execute(statement)


async def test_a_dead_command_is_replayed_and_answered(visitor: Visitor, house: House) -> None:
    page = visitor.page
    dead = await leave_dead(house.database, ACTION, EXAMPLES[1].request, prefix=PREFIX)
    await visitor.enter("roman")
    await visitor.go("/parked")
    await page.click(f"a[href='/exchanges/{dead}']")
    await expect(page.locator("#part-actions")).to_contain_text("команда исполнится заново")
    await page.fill("#why-replay", "выпуск 0.1.1 это читает")
    await page.click("button:has-text('Повторить')")
    await ended(page)
    await expect(page.locator(".timeline")).to_contain_text("Повторено человеком")
    await visitor.go("/parked")
    assert await page.locator(f"a[href='/exchanges/{dead}']").count() == 0


async def test_dead_commands_are_replayed_by_ticking_them(visitor: Visitor, house: House) -> None:
    page = visitor.page
    chosen = await leave_dead(house.database, ACTION, EXAMPLES[1].request, prefix=PREFIX)
    left = await leave_dead(house.database, ACTION, EXAMPLES[1].request, prefix=PREFIX)
    await visitor.enter("olga")
    await visitor.go("/parked")
    await page.check(f"input[value='{chosen}']")
    await page.fill("#why-all", "ещё раз")
    await page.click("button:has-text('Повторить выбранные')")
    await expect(page.locator(".flash.good")).to_contain_text("1")
    await until(house.database, "select state = 'replied' from exchanges where id = $1", chosen, seconds=20)
    assert await house.database.fetchval("select state from exchanges where id = $1", left) == "dead"


async def test_an_uncertain_exchange_is_resolved_with_a_reason(visitor: Visitor, house: House) -> None:
    page = visitor.page
    lost = await leave_uncertain(house.database, "postamat.case.get", {"casenum": "1.22-51"}, prefix=PREFIX)
    await visitor.enter("olga")
    await visitor.go("/parked")
    await page.click(f"a[href='/exchanges/{lost}']")
    await page.fill("#why-resolve", "нет в журнале шлюза")
    await page.click("button:has-text('не дошёл')")
    await expect(page.locator("#part-head .chip")).to_have_text("отказ")
    await expect(page.locator(".timeline")).to_contain_text("Решено человеком")


async def test_a_parked_reply_is_delivered_once_its_queue_is_there(visitor: Visitor, house: House) -> None:
    page = visitor.page
    dead = await leave_dead(house.database, ACTION, EXAMPLES[1].request, prefix=PREFIX)
    await leave_parked(house.database, dead, f"{PREFIX}nowhere")
    parked = await leave_parked(house.database, dead, f"{PREFIX}{ACTION}.reply")
    await visitor.enter("olga")
    await visitor.go("/parked")
    await page.click("tr:has-text('nowhere') button")
    await expect(page.locator(".flash.bad")).to_contain_text("nowhere")
    await page.click(f"form[action='/parked/{parked}/deliver'] button")
    await expect(page.locator(".flash.good")).to_contain_text(f"{ACTION}.reply")
    assert await house.database.fetchval("select state from outbox where id = $1", parked) == "sent"


async def test_exchanges_are_found_by_state_code_and_any_id(visitor: Visitor, house: House) -> None:
    page = visitor.page
    dead = await leave_dead(house.database, ACTION, EXAMPLES[1].request, prefix=PREFIX)
    await visitor.enter("viktor")
    await visitor.go("/exchanges")
    await page.select_option("#q-state", "dead")
    await page.fill("#q-code", "ADAPTER-DEAD")
    await page.fill("#q-since", "1h")
    await page.click("button:has-text('Показать')")
    await expect(page.locator(f"a[href='/exchanges/{dead}']")).to_be_visible()
    message_id = await house.database.fetchval("select message_id from incoming where id = $1", dead)
    await page.fill("#q-id", message_id)
    await page.press("#q-id", "Enter")
    await page.wait_for_url(f"**/exchanges/{dead}")


async def test_the_state_names_what_works(visitor: Visitor) -> None:
    await visitor.enter("viktor")
    await visitor.go("/state")
    await expect(visitor.page.locator("#part-tiles")).to_contain_text("RabbitMQ")
    await expect(visitor.page.locator("#part-workers .chip.good").first).to_have_text("готов")


async def test_who_may_only_look_finds_no_button_and_no_way_around(visitor: Visitor) -> None:
    page = visitor.page
    visitor.refusals = frozenset({403})
    await visitor.enter("viktor")
    await expect(page.locator("aside")).to_contain_text("нужна роль replay")
    assert await page.locator("button:has-text('Отправить в очередь')").count() == 0
    statuses = await page.evaluate(
        """async () => {
            const one = "/exchanges/019a9f3e-2b7c-7c41-9d0e-5a2f6b1c8d34";
            const paths = ["/send", "/parked/replay", "/lockers", `${one}/replay`, `${one}/reveal`];
            const body = new URLSearchParams({csrf: document.body.dataset.csrf, action: "zhkh-debt-requests"});
            return Promise.all(paths.map((path) => fetch(path, {method: "POST", body}).then(({status}) => status)));
        }"""
    )
    assert statuses == [403] * len(statuses)


async def test_the_lockers_of_the_description_from_the_form_to_the_mark(visitor: Visitor, house: House) -> None:
    page, visitor.refusals = visitor.page, frozenset({409, 422})
    await visitor.enter("olga")
    await visitor.go("/lockers")
    await page.fill("#f-number", "12-33")
    await page.click("button:has-text('Сохранить')")
    await expect(page.locator("#e-number")).to_contain_text("цифр")
    await page.fill("#f-number", "1233")
    await page.fill("#f-address", "Калуга, ул. Хрустальная, 34а")
    await page.fill("#f-departments", "ТОСП-1\nТОСП-2")
    await page.click("button:has-text('Сохранить')")
    await expect(page.locator(".flash.good")).to_contain_text("1233")
    await page.fill("#f-number", "1233")
    await page.fill("#f-address", "другой")
    await page.fill("#f-departments", "ТОСП-1")
    await page.click("button:has-text('Сохранить')")
    await expect(page.locator("#e-number")).to_contain_text("уже есть")
    await house.database.execute(
        "insert into locker_cases (casenum, service, department, phone, chosen, state, place, cell, put_at) values"
        " ('1.22-51', 'passport', 'ТОСП-1', '+7 (918) 555 55 54', '1233', 'В постамате', '1233', '10',"
        " now() - interval '20 days')"
    )
    await visitor.go("/lockers/inside")
    await expect(page.locator("tr.overdue")).to_contain_text("1.22-51")
    await visitor.go("/cases")
    tip = page.locator(".tip")
    await expect(tip).to_be_hidden()
    await page.focus(".mark")
    await expect(tip).to_be_visible()
    await expect(tip).to_contain_text("Хрустальная, 34а")
    await page.locator("h1").click()
    await page.hover(".mark")
    await expect(tip).to_be_visible()
    await page.click("a:has-text('1.22-51')")
    await expect(page.locator("main")).to_contain_text("Постамат, выбранный заявителем")
    assert "555 55 54" not in await page.content()
    await page.fill("#phone-reason", "перезвонить заявителю")
    await page.click("button:has-text('Показать телефон')")
    await expect(page.locator("main")).to_contain_text("+7 (918) 555 55 54")


async def test_every_page_fits_a_narrow_window_and_speaks_english_in_the_dark(visitor: Visitor, house: House) -> None:
    page = visitor.page
    dead = await leave_dead(house.database, ACTION, EXAMPLES[0].request, prefix=PREFIX)
    await visitor.enter("olga")
    await page.set_viewport_size({"width": 360, "height": 740})
    await visitor.go("/look?language=en&theme=dark&back=/send")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 24)"
    paths = ("/send", "/exchanges", f"/exchanges/{dead}", "/parked", "/state", "/lockers", "/lockers/inside", "/cases")
    for path in paths:
        await visitor.go(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
        headings = " ".join(await page.locator("h2, th, label, .top nav a, .tabs a, main button").all_inner_texts())
        assert re.findall("[а-я]{4,}", headings) == [], path


async def test_a_session_that_was_left_is_over(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.enter("viktor")
    await page.click("button:has-text('Выйти')")
    await page.wait_for_url("**/login")
    await visitor.go("/exchanges")
    await page.wait_for_url("**/login?next=**")
