"""The page in a real browser, of a fleet whose services are real processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openapi.browser import Page, opened
from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace

pytestmark = pytest.mark.slow

FLEET = """
[user-service]
port = {}

[user-service.user]
username = "str(80):lookup:fixed"
email = "str(120):unique:fixed"
first_name = "str(50)?"
last_name = "str(50)?"
age = "int?"
_routes = "contract"

[order-service]
port = {}

[order-service.order]
code = "str(20):lookup:fixed"
buyer = "ref(user-service.user)"
"""
_ADDRESS = re.compile(r"(http://localhost:\d+/)  the page")


@dataclass(frozen=True)
class Up:
    """A fleet that is up, and the address of its page."""

    workspace: GeneratedWorkspace
    address: str

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(f"{self.address}api/v1/{path}", json=body, timeout=60)


@contextmanager
def up(workspace: GeneratedWorkspace, *options: str) -> Iterator[Up]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scaffold", "up", *options],
        cwd=workspace.root, env=workspace.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    log = workspace.root / "up.log"
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := _ADDRESS.search(line):
                break
        else:
            raise AssertionError(said)
        with log.open("w") as rest, subprocess.Popen(["cat"], stdin=process.stdout, stdout=rest):
            yield Up(workspace, found[1])
            process.terminate()
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    root = tmp_path_factory.mktemp("page") / "fleet"
    return GeneratedWorkspace.describe(root, FLEET.format(reserve_port(), reserve_port()))


@pytest.fixture(scope="module")
def fleet(workspace: GeneratedWorkspace) -> Iterator[Up]:
    with up(workspace) as running:
        yield running


@pytest.fixture
def page(fleet: Up, tmp_path: Path) -> Iterator[Page]:
    with opened(tmp_path) as page:
        show(page, fleet)
        yield page
        assert page.complaints == []
        assert [one for one in page.requested if not one.startswith(fleet.address)] == []


def show(page: Page, fleet: Up, place: str = "", width: int = 1280) -> None:
    page.open(f"{fleet.address}{place}", width, 800)
    page.wait_for("document.querySelector('#live')?.dataset.state === 'live'")


def row(name: str, inner: str = "") -> str:
    return f"document.querySelector('tr[data-service=\"{name}\"] {inner}')"


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_all_services_are_shown_and_nothing_is_wider_than_the_window(
    fleet: Up, tmp_path: Path, width: int
) -> None:
    places = ("#services", "#requests", "#logs", "#routes", "#database", "#service/user-service")
    with opened(tmp_path) as page:
        for place in places:
            show(page, fleet, place, width)
            page.wait_for("document.querySelectorAll('.state[data-state=ready]').length >= 2")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert page.complaints == []
        assert [one for one in page.requested if not one.startswith(fleet.address)] == []


def test_a_crash_is_shown_and_so_is_the_next_process(fleet: Up, page: Page) -> None:
    pid = int(page.wait_for(row("order-service", ".cell-pid") + "?.textContent"))
    page.evaluate(
        "window.seen = []; new MutationObserver(() => window.seen.push("
        + row("order-service")
        + ".dataset.state)).observe(document.body, {subtree: true, attributes: true})"
    )
    os.kill(pid, signal.SIGKILL)

    page.wait_for("window.seen.includes('restarting')")
    reason = page.evaluate(row("order-service", ".reason") + ".textContent")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.wait_for(row("order-service") + ".dataset.state === 'ready'")
    assert width <= 1280
    assert "SIGKILL" in reason
    assert int(page.evaluate(row("order-service", ".cell-pid") + ".textContent")) != pid


def test_a_service_is_restarted(page: Page) -> None:
    pid = page.wait_for(row("user-service", ".cell-pid") + "?.textContent")
    page.evaluate(row("user-service", ".actions button") + ".click()")

    page.wait_for(row("user-service", ".cell-pid") + f".textContent !== {json.dumps(pid)}")
    page.wait_for(row("user-service") + ".dataset.state === 'ready'")


def test_a_request_is_followed_through_two_services(fleet: Up, page: Page) -> None:
    user = fleet.post("users", {"username": "ada", "email": "ada@example.com"}).json()["data"]
    made = fleet.post("orders", {"code": "a1", "buyer_id": user["id"]})
    request = made.headers["X-Request-ID"]

    link = f"document.querySelector('[data-request=\"{request}\"]')"
    page.wait_for(f"{link} !== null")
    page.wait_for(
        "[...document.querySelectorAll('.called .who')].some(e => e.textContent === 'order → user')"
    )
    page.evaluate(f"{link}.click()")
    groups = page.wait_for(
        "(() => { const all = [...document.querySelectorAll('.span-group')]; "
        "return all.length === 2 && all.map(e => e.innerText) })()"
    )
    statements = page.evaluate(
        "[...document.querySelectorAll('.sql')].map(e => e.textContent).join('\\n')"
    )
    lines = page.wait_for("document.querySelector('.drawer .lines')?.innerText")
    assert groups[0].startswith("order-service")
    assert groups[1].startswith("user-service")
    assert "user-service GET /api/v1/users/{record_id}" in groups[0]
    assert "INSERT INTO orders" in statements
    assert "FROM users" in statements
    assert "ada@example.com" not in statements
    assert "POST /api/v1/orders" in lines
    assert "GET /api/v1/users/" in lines


def test_logs_are_filtered_by_words_service_and_level(fleet: Up, page: Page) -> None:
    fleet.post("users", {"username": "<img src=x onerror=alert(1)>"})
    httpx.get(f"{fleet.address}api/v1/users/username/<img src=x onerror=alert(1)>", timeout=60)
    rows = "[...document.querySelectorAll('#log-list .line .text')].map(e => e.textContent)"
    page.wait_for(f"{rows}.some(text => text.includes('<img src=x'))")
    every = len(page.evaluate(rows))

    page.evaluate(
        "document.querySelector('#log-search').value = 'img SRC=x';"
        "document.querySelector('#log-search').dispatchEvent(new Event('input'))"
    )
    found = page.wait_for(f"(() => {{ const all = {rows}; return all.length < {every} && all }})()")
    page.evaluate(
        "document.querySelector('#log-service').value = 'order-service';"
        "document.querySelector('#log-service').dispatchEvent(new Event('change'))"
    )
    page.wait_for("!document.querySelector('#log-empty').hidden")
    assert found
    assert all("<img src=x" in text for text in found)
    assert page.evaluate("document.querySelectorAll('img').length") == 0


def test_a_route_is_tried_from_the_page(fleet: Up, page: Page) -> None:
    page.evaluate("location.hash = 'routes'")
    link = "document.querySelector('.routes a[href*=\"user-service/post/%2Fapi%2Fv1%2Fusers\"]')"
    page.wait_for(f"{link} !== null")
    page.evaluate(f"location.hash = {link}.hash")
    page.wait_for("document.querySelector('.drawer textarea') !== null")
    body = {"username": "grace", "email": "grace@example.com"}
    page.evaluate(
        f"document.querySelector('.drawer textarea').value = {json.dumps(json.dumps(body))};"
        "document.querySelector('.drawer form').requestSubmit()"
    )

    answer = page.wait_for("document.querySelector('.answer .title')?.innerText")
    text = page.evaluate("document.querySelector('.answer pre').innerText")
    assert answer.startswith("201")
    assert "grace@example.com" in text
    page.evaluate("location.hash = document.querySelector('.answer a').hash")
    page.wait_for("document.querySelector('.span-group')?.innerText.startsWith('user-service')")


def test_sixteen_tabs_are_told_what_happens(fleet: Up, tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        for _ in range(16):
            show(page, fleet)
        page.wait_for("document.querySelectorAll('#service-rows tr').length === 2")
        assert page.complaints == []
    assert httpx.get(f"{fleet.address}api/v1/users", timeout=60).status_code == 200


def test_a_pending_migration_is_shown_with_its_sql_and_applied(
    workspace: GeneratedWorkspace, fleet: Up, tmp_path: Path
) -> None:
    """In a database of its own, which lacks all of them."""
    assert fleet
    workspace.python("-m", "db_manager", "revision", "--empty", "-m", "add nothing")
    [file] = [
        path
        for path in (workspace.root / "db_manager/migrations/versions").glob("*.py")
        if "add_nothing" in path.name
    ]
    file.write_text(
        re.sub(r"(def upgrade\(\)[^\n]*\n)(.|\n)*?(?=\ndef |\Z)",
               '\\1    op.execute("COMMENT ON TABLE users IS \'<b>read</b>\'")\n\n', file.read_text(), count=1)
    )  # fmt: skip
    if "from alembic import op" not in file.read_text():
        file.write_text(
            file.read_text().replace("\n\nrevision", "\nfrom alembic import op\n\nrevision", 1)
        )
    with opened(tmp_path) as page:
        show(page, fleet, "#database")
        page.evaluate("void fetch('/_fleet/migrations')")  # which looks again
        page.wait_for(
            "document.querySelector('.pending .sql')?.textContent.includes('COMMENT ON TABLE users')"
        )
        page.evaluate("document.querySelector('.pending .apply').click()")
        page.wait_for("!document.querySelector('.pending')")
        assert page.evaluate("document.querySelectorAll('.sql b').length") == 0
        assert page.complaints == []
