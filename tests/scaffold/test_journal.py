"""The lines of a fleet: read, bounded in number and in memory, and followed."""

import asyncio
import json

import pytest

from scaffold.supervisor import journal
from scaffold.supervisor.journal import Journal

LINE = {
    "timestamp": "2026-11-30T10:00:00.250000Z",
    "level": "WARNING",
    "logger": "user_service",
    "event": "GET /api/v1/users",
    "service": "user-service",
    "pid": 7,
    "request_id": "a1",
    "status": 500,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setattr(journal, "MOST_LINES", 3)
    monkeypatch.setattr(journal, "MOST_CHARACTERS", 100)
    return Journal()


def test_a_line_of_a_log_is_read_and_any_other_one_kept() -> None:
    lines = Journal()

    read = lines.add_line("user-service", json.dumps(LINE))
    others = [lines.add_line("user-service", each) for each in ("plain", "{", '{"a": 1}')]
    own = lines.add_news("user-service", "reloaded")

    assert (read.number, read.time, read.level) == (1, 1796032800.25, "warning")
    assert (read.message, read.fields) == ("GET /api/v1/users", {"request_id": "a1", "status": 500})
    assert [each.message for each in others] == ["plain", "{", '{"a": 1}']
    assert {each.level for each in others} == {None}
    assert (read.source, own.source, own.number) == ("service", "supervisor", 5)


@pytest.mark.parametrize(
    ("path", "level", "status", "is_kept"),
    [
        ("/api/v1/openapi.json", "info", 200, False),
        ("/api/v1/openapi.json", "info", 500, True),
        ("/api/v1/health/ready", "debug", 200, False),
        ("/api/v1/health/ready", "info", 503, True),
        ("/api/v1/users", "info", 200, True),
    ],
)
def test_what_the_page_asks_itself_is_no_line(
    path: str, level: str, status: int, is_kept: bool
) -> None:
    lines = Journal()
    told = LINE | {"event": f"GET {path}", "path": path, "level": level, "status": status}

    lines.add_line("user-service", json.dumps(told))

    assert bool(lines.after(0)) is is_kept


def test_the_last_lines_are_kept(small: Journal) -> None:
    for number in range(5):
        small.add_line("user-service", str(number))
    assert [each.message for each in small.after(0)] == ["2", "3", "4"]

    small.add_line("user-service", "x" * 99)
    assert [each.number for each in small.after(0)] == [5, 6]
    assert [each.number for each in small.after(5)] == [6]


async def test_followers_get_what_is_kept_and_then_what_comes_of_the_services_they_name() -> None:
    lines = Journal()
    lines.add_line("user-service", "one")
    following = lines.follow(0, ("user-service",))
    assert [each.message for each in await anext(following)] == ["one"]

    waiting = asyncio.ensure_future(anext(following))
    lines.add_line("other-service", "two")
    await asyncio.sleep(0)
    assert not waiting.done()
    lines.add_line("user-service", "three")
    lines.add_line("user-service", "four")

    assert [each.message for each in await waiting] == ["three", "four"]


async def test_a_follower_gets_the_last_line_and_ends_with_the_journal() -> None:
    lines = Journal()
    following = asyncio.create_task(_gather(lines))
    await asyncio.sleep(0)
    lines.add_news("fleet", "the last")
    lines.close()

    assert await following == ["the last"]


async def _gather(lines: Journal) -> list[str]:
    return [each.message async for found in lines.follow(0) for each in found]
