"""Times are written by hand, in the bytes of werkzeug's function."""

import random
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from werkzeug import http

from quart_fleet.web._envelope import http_date

FIRST = datetime(1, 1, 3, tzinfo=UTC)
"""From here on no offset leads out of the calendar."""
ZONES = [
    None,
    UTC,
    timezone(timedelta(0)),
    timezone(timedelta(hours=5, minutes=45)),
    timezone(timedelta(hours=-11, minutes=-30, seconds=-7)),
    ZoneInfo("UTC"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/New_York"),
]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_time_is_written_as_werkzeug_writes_it(zone: tzinfo | None) -> None:
    draw = random.Random(7)
    span = int(timedelta(days=9990 * 365).total_seconds())
    for _ in range(2000):
        passed = timedelta(seconds=draw.randrange(span), microseconds=draw.randrange(10**6))
        moment = (FIRST + passed).replace(tzinfo=zone, fold=draw.randrange(2))
        assert http_date(moment) == http.http_date(moment)


@pytest.mark.parametrize("day", [date.min, date.max, date(2024, 2, 29)])
def test_the_ends_of_the_calendar_are_written_too(day: date) -> None:
    moment = datetime.combine(day, time.max)
    assert http_date(moment) == http.http_date(moment)
