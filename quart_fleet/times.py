"""Times and durations as text: of RFC 3339 and of ISO 8601, in days, hours, minutes and seconds."""

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"P(?=\d|T)(?:(?P<days>\d{1,9})D)?(?:T(?=\d)(?:(?P<hours>\d{1,12})H)?(?:(?P<minutes>\d{1,12})M)?"
    r"(?:(?P<seconds>\d{1,12})(?:\.(?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)


def read_duration(text: str) -> timedelta:
    """Return the duration, to the microsecond; raises ValueError or OverflowError."""
    found = _FORM.fullmatch(text.removeprefix("-"))
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    parts = found.groupdict(default="0")
    microseconds = int(parts.pop("fraction").ljust(6, "0"))
    numbers = {name: int(digits) for name, digits in parts.items()}
    duration = timedelta(**numbers, microseconds=microseconds)
    return -duration if text.startswith("-") else duration


def write_duration(duration: timedelta) -> str:
    """Return its one normal form: 90 minutes are PT1H30M, and nothing is PT0S."""
    size = abs(duration)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{size.microseconds:06}".rstrip("0").rstrip(".")
    parts = {"H": f"{hours}", "M": f"{minutes}", "S": f"{seconds}{fraction}"}
    of_day = "".join(f"{number}{unit}" for unit, number in parts.items() if number != "0")
    days = f"{size.days}D" if size.days else ""
    whole = f"{days}T{of_day}" if of_day else days or "T0S"
    return f"{'-' if duration < timedelta() else ''}P{whole}"


def write_datetime(moment: datetime) -> str:
    """Return it in UTC; one without an offset is in UTC, as the ends of asyncpg's range are."""
    in_utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{in_utc.replace(tzinfo=None).isoformat()}Z"
