"""The page in a real browser, of what comes in numbers and with names that a fleet seldom has."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.openapi.browser import Page, opened
from tests.page.served import LiveProcess, Served, served, service_at

pytestmark = pytest.mark.slow


@asynccontextmanager
async def shown(folder: Path) -> AsyncIterator[tuple[Served, Page]]:
    """Show a page in a browser, which does not complain."""
    async with served(folder) as page:
        with opened(folder / "browser") as browser:
            await asyncio.to_thread(browser.open, str(page.client.base_url), 1280, 800)
            live = "document.querySelector('#live')?.dataset.state === 'live'"
            await asyncio.to_thread(browser.wait_for, live)
            yield page, browser


async def test_the_search_finds_lines_that_were_left_out(tmp_path: Path) -> None:
    rows = "[...document.querySelectorAll('#log-list li')].map(e => e.innerText).join('\\n')"
    search = (
        "document.querySelector('#log-search').value = '{}';"
        "document.querySelector('#log-search').dispatchEvent(new Event('input'))"
    )
    async with shown(tmp_path) as (page, browser):
        await asyncio.to_thread(browser.evaluate, "location.hash = 'logs'")
        page.fleet.journal.add_line("user-service", "the first")
        await asyncio.to_thread(browser.wait_for, f"{rows}.includes('the first')")
        for number in range(5000):
            page.fleet.journal.add_line("user-service", f"line {number} of many")
        omitted = f"{rows}.includes('4940 more lines; the search finds them')"
        await asyncio.to_thread(browser.wait_for, omitted)
        await asyncio.to_thread(browser.evaluate, search.format("2500 many"))
        await asyncio.to_thread(browser.wait_for, f"{rows}.includes('line 2500 of many')")
        # What is left out while something is searched is found, too.
        for number in range(5000, 8000):
            page.fleet.journal.add_line("user-service", f"line {number} of many 2500 times")
        await asyncio.to_thread(browser.wait_for, f"{rows}.includes('line 7500 of many')")
        shown_rows = await asyncio.to_thread(browser.evaluate, rows)
        await asyncio.to_thread(browser.evaluate, search.format(""))
        await asyncio.to_thread(browser.wait_for, omitted)

    numbers = [int(row.split("line ")[1].split()[0]) for row in shown_rows.splitlines()
               if "line " in row]  # fmt: skip
    assert numbers == sorted(set(numbers))
    assert "more line" not in shown_rows
    assert browser.complaints == []


async def test_code_that_does_not_start_is_shown_whole_though_an_older_process_serves(
    tmp_path: Path, deaf_socket: socket.socket
) -> None:
    why = f"{'ended with exit code 1: ' * 9}services/user_service/app.py:7: SyntaxError: x"
    async with shown(tmp_path) as (page, browser):
        service = page.fleet.services["user-service"] = service_at(
            page.fleet, "user-service", deaf_socket
        )
        service.state, service.reason = "ready", why
        page.fleet.changes.tell()
        row = "document.querySelector('tr[data-service=\"user-service\"] {}')"
        state, reason = row.format(".state"), row.format(".reason")
        wanted = f"{state}?.innerText === 'ready (older code)' && {state}.dataset.state"
        assert await asyncio.to_thread(browser.wait_for, wanted) == "behind"
        assert await asyncio.to_thread(browser.evaluate, f"{reason}.innerText") == why
        shown_whole = f"{reason}.scrollWidth <= {reason}.clientWidth"
        assert await asyncio.to_thread(browser.evaluate, shown_whole)
        summary = "document.querySelector('#summary')"
        told = await asyncio.to_thread(browser.evaluate, f"{summary}.innerText")

    assert told.startswith("1 of 1 ready (1 with older code)")
    assert browser.complaints == []


async def test_requests_that_were_left_out_are_counted(tmp_path: Path) -> None:
    rows = "[...document.querySelectorAll('#request-list li')]"
    left_out = f"{rows}.filter(e => e.className === 'omitted').map(e => parseInt(e.innerText))"
    told = f"{rows}.filter(e => e.className !== 'omitted').length"
    async with shown(tmp_path) as (page, browser):
        process = LiveProcess(page.fleet.live / "7.sock", "user-service", 7)
        async with process.listening():
            await asyncio.to_thread(browser.evaluate, "location.hash = 'requests'")
            process.request("first")
            await asyncio.to_thread(browser.wait_for, f"{told} === 1")
            for number in range(199):
                process.request(f"r{number}")
            count = f"{left_out}.reduce((one, other) => one + other, {told}) === 200"
            await asyncio.to_thread(browser.wait_for, count)
            omitted = await asyncio.to_thread(browser.evaluate, left_out)

    assert omitted
    assert browser.complaints == []


async def test_a_request_of_any_id_and_an_address_of_any_kind_are_shown(
    tmp_path: Path, deaf_socket: socket.socket
) -> None:
    drawer = "document.querySelector('.drawer')"
    async with shown(tmp_path) as (page, browser):
        for name in ("user-service", "order-service"):
            page.fleet.services[name] = service_at(page.fleet, name, deaf_socket)
        page.fleet.changes.tell()
        process = LiveProcess(page.fleet.live / "7.sock", "user-service", 7)
        other = LiveProcess(page.fleet.live / "7.order.sock", "order-service", 7)
        for each in (process, other):
            each.second(7000)
        for name in ("a/b", ".."):
            process.request(name)
        async with process.listening(), other.listening():
            for address in ("request/a%2Fb", "request/a/b", "request/.."):
                await asyncio.to_thread(browser.evaluate, "location.hash = 'services'")
                await asyncio.to_thread(browser.wait_for, f"{drawer}.hidden")
                await asyncio.to_thread(browser.evaluate, f"location.hash = '{address}'")
                shows = f"{drawer}.querySelector('.span-group')?.innerText.includes('user-service')"
                await asyncio.to_thread(browser.wait_for, f"!{drawer}.hidden && {shows}")
            memory = (
                "document.querySelector('.services .cell-memory')?.innerText === '7.0 kB shared'"
            )
            await asyncio.to_thread(browser.evaluate, "location.hash = '%'")
            await asyncio.to_thread(browser.evaluate, "location.hash = 'services'")
            await asyncio.to_thread(browser.wait_for, f"{drawer}.hidden && {memory}")
            assert browser.complaints == []
            await asyncio.to_thread(
                browser.send, "Network.emulateNetworkConditions",
                offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1,
            )  # fmt: skip
            await asyncio.to_thread(browser.evaluate, "location.hash = 'request/x'")
            await asyncio.to_thread(
                browser.wait_for, f"{drawer}.querySelector('.trouble') !== null"
            )
    assert not [each for each in browser.complaints if "exception" in each.lower()]
