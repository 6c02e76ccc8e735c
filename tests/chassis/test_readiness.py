"""Readiness: what it asked and how long that took, once a second at most, and not while draining."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from quart import Quart

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.bounds import BOUND
from quart_fleet.database import Database
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import build_app
from tests.chassis.services import SECRET
from tests.chassis.serving import TIMEOUT

PATH = "/api/v1/health/ready"
ASKERS = 50
AWAY = "postgresql://postgres@127.0.0.1:1/nowhere"


class CountingDatabase(Database):
    """One that counts what it is asked, and says for which request."""

    questions = 0

    async def ping(self) -> None:
        self.questions += 1
        assert BOUND.get() is None
        await super().ping()


async def serving(url: str) -> AsyncIterator[tuple[Quart, CountingDatabase]]:
    config = ServiceSettings.model_validate({"SECRET_KEY": SECRET, "DATABASE_URL": url})
    database = CountingDatabase(config)
    app = build_app(config, database)
    async with app.test_app():
        yield app, database


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is kept; those who ask at the same time share one."""
    monkeypatch.setattr("quart_fleet.web._health.INTERVAL", 0.0)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is kept for longer than a test takes."""
    monkeypatch.setattr("quart_fleet.web._health.INTERVAL", 600.0)


async def ask(app: Quart) -> tuple[int, Any, str | None]:
    response = await app.test_client().get(PATH)
    return response.status_code, await response.get_json(), response.headers.get("Retry-After")


async def test_it_says_what_it_asked_and_how_long_it_took(database_url: str) -> None:
    async for app, _ in serving(database_url):
        status, body, _ = await ask(app)

        assert status == 200
        [check] = body["data"]["checks"]
        assert body["data"] == {"status": "ready", "checks": [check]}
        assert check == {"name": "database", "seconds": check["seconds"]}
        assert 0 < check["seconds"] < TIMEOUT


@pytest.mark.usefixtures("anew")
async def test_those_who_ask_at_the_same_time_share_one_question(database_url: str) -> None:
    async for app, database in serving(database_url):
        answers = await asyncio.gather(*(ask(app) for _ in range(ASKERS)))

        assert {status for status, _, _ in answers} == {200}
        assert len({str(body) for _, body, _ in answers}) == 1
        assert database.questions == 1
        await ask(app)
        assert database.questions == 2


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("away", [False, True])
async def test_an_answer_is_kept_be_it_a_failure(*, away: bool, database_url: str) -> None:
    async for app, database in serving(AWAY if away else database_url):
        answers = [await ask(app) for _ in range(3)]

        assert answers == [answers[0]] * 3
        assert answers[0][0] == (503 if away else 200)
        assert database.questions == 1


async def test_without_its_database_it_says_so_and_when_to_come_back() -> None:
    async for app, _ in serving(AWAY):
        body = {"message": "Database unavailable", "success": False}

        assert await ask(app) == (503, body, "1")


@pytest.mark.usefixtures("anew")
async def test_who_leaves_takes_the_answer_from_nobody(database_url: str) -> None:
    async for app, database in serving(database_url):
        first, second = asyncio.ensure_future(ask(app)), asyncio.ensure_future(ask(app))
        async with asyncio.timeout(TIMEOUT):
            while not database.questions:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        first.cancel()

        assert (await second)[0] == 200
        assert database.questions == 1


async def test_a_process_that_drains_is_not_ready_and_asks_nothing(database_url: str) -> None:
    async for app, database in serving(database_url):
        cast("ServiceApplication", app).drain()
        body = {"message": "The process is ending", "success": False}

        assert await ask(app) == (503, body, "1")
        assert database.questions == 0
