"""Text of strangers and secrets in log lines, and warnings that an outage must not multiply."""

import asyncio
import logging
import re
from collections.abc import Hashable, Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

MOST = 4_000
"""Characters of a message; what is longer is cut."""
MOST_OF_A_PATH = 200
"""Characters of a path that a client has asked for."""
INTERVAL = 60.0
"""Seconds in which warnings of one kind are counted."""
HIDDEN = "***"
"""Stands in a line for a secret."""

# C0, DEL and C1 with the escape sequences of terminals; Unicode's format characters, such as marks
# of direction, which show a line otherwise than it is (Unicode's report 36), and others that have
# no shape: variation selectors, fillers, the blank of Braille; lone surrogates.
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_CONTAINED = [
    *("passw", "passphrase", "pwd", "secret", "token", "authoriz", "cookie", "credential", "jwt"),
    *("csrf", "xsrf", "bearer", "signature", "session[_-]?id"),
    *(
        rf"{kind}[_-]?key(?!space|word)"
        for kind in ("api", "private", "access", "signing", "encryption", "ssh", "master")
    ),
    *(rf"{kind}[_-]?key(?!space|word)" for kind in ("service", "account", "shared", "auth")),
    *(f"{kind}[_-]?code" for kind in ("recovery", "backup", "security", "verification")),
]
"""What the name of a secret contains."""
_LAST = [
    rf"{word}(?:[_-]?(?:code|header|hash))?(?![\w.-])"
    for word in ("auth", "creds?", "otp", "pass", "passcode", "pin", "sid", "cvv", "cvc")
]
"""What it ends with, where a word begins: `db_pass` and `dbPass`, but not `compass` and `passed`."""
_NAME = "|".join([*_CONTAINED, *(f"(?:(?<![a-z])|(?-i:(?=[A-Z][a-z]))){word}" for word in _LAST)])
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_MAY_HAVE_SECRET = re.compile("|".join([*_CONTAINED, *_LAST, r"basic\s"]))
"""Is in each text, in small letters, that has a secret by its name."""
# Strangers choose these texts, so each takes time in proportion to its length: a match begins only
# where a word does, what is repeated is not tried again shorter, and what does not end is a secret
# to the end of the text.
_STRING = (
    r"""[bfru]{0,2}+(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z)"""
    r"""|\\++["'](?:[^\\]|\\++(?!["'\\]))*+(?:\\++["']|\Z))"""
)
_BRACKETS = r"(?!)"
for _ in range(4):  # what is nested deeper hides the rest of the text
    _BRACKETS = (
        rf"""[(\[{{](?:{_STRING}|{_BRACKETS}|[^()\[\]{{}}"'\\]|\\++(?!["'\\]))*+"""
        r"""(?:[)\]}]|[\s\S]*+)"""
    )
_SECRET_TEXT = re.compile(
    # `--password …`, `password=…`, `"password": "…"`, `('password', '…')`, `(name, password)=(…)`,
    # `PASSWORD '…'`, `Bearer …`, and `Basic …` before what looks like base64
    rf"""((?<![\w-])(?:(?=[\w-]*?(?:{_NAME}))(?:--[\w-]++\s++(?=[^\s-])|[\w-]++"""
    r"""(?:\\*+["']?\s*+(?:=>?|:(?!//))\s*+|\\*+["']\s*+,\s*+(?=b?\\*+["'])"""
    r"""|(?:, [\w", ]{0,200}+)?\)=(?=\()|(?<=password)\s++(?=e?')))"""
    r"""|bearer\s++(?=\S{6})|basic\s++(?=(?:[a-z\d+/]{4}){2})(?=(?-i:\S*?(?:[a-z][A-Z]|\d|=)))"""
    r"""(?=(?:[a-z\d+/]{4})++(?:[a-z\d+/]{2,3}=|(?![\w+/=])))))"""
    rf"""(?!\*{{3}})(?:e?{_STRING}|[\w.]*+{_BRACKETS}"""
    r"""|(?:Basic|Bearer|Digest|Negotiate|Token)\s++[^\s,;'"]++|[^\s,;&)\]}'"]++)""",
    re.IGNORECASE,
)
_CREDENTIALS = r"""(?:[\w-]++="[^"]*+"|[^\s,\\]++)"""
_HEADERS = re.compile(
    rf"(authorization\s*+[:=]\s*+)[\w-]++\s++{_CREDENTIALS}(?:\s*+,\s*+[\w-]++={_CREDENTIALS})*+"
    r"|(cookie\s*+:\s*+)(?:(?!\\[rn]).)+"
    r"|(cookie\s*+=\s*+)[^\s;]++(?:;\s*+[^\s;=]++=[^\s;]++)*+",
    re.IGNORECASE,
)
"""Whose values have more than one word."""
_VALUES = {
    begin: re.compile(pattern, re.DOTALL)
    for begin, pattern in (
        # What PostgreSQL says of a row that it refuses, SQLAlchemy and pydantic of an error, and PEM.
        ("Failing row", r"(Failing row contains \()(?:.*?(?=\)\.(?:[\s'\"]|\\n|\Z))|.*)"),
        (
            "[parameters: ",
            r"(\[parameters: )(?:.*?(?=\](?:\\n|[\s|])*+\(Background on)|.*?(?=\]\s*+\Z)|.*)",
        ),
        ("input_value=", r"(input_value=)(?:.*?(?=, input_type=\w++\])|.*)"),
        (
            "-----BEGIN ",
            r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,40}-----).*?(?=-----END|\Z)",
        ),
    )
}
"""Values that have no name of their own, by what is in each text that has one."""
_ADDRESS = re.compile(r"(?<!\S)\S+@")
_URL_PASSWORD = re.compile(
    r"""((?<!\\)(?:\\*+/){2}[^\s/?#@:\["'<>\\]*+:)(?!\d{1,5}[/?#"'<>])"""
    r"""(?:[^@"]|"(?![,:}\]]))*+@(?:[^"'<>]*@)?"""
)
"""Of such an address, to the last `@` before a quote; what looks like a port is none."""
_URL_TOKEN = re.compile(
    r"""((?<!\\)(?:\\*+/){2})(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|sk_"""
    r"""|(?=[^\s/?#@:\["'<>\\\d]*+\d)(?=[^\s/?#@:\["'<>\\]{20}))"""
    r"""[^\s/?#@:\["'<>\\]++(?=(?::\*{3})?@)"""
)
"""In the place of a user: with a prefix of known tokens, or of 20 characters with a digit."""


@dataclass(eq=False, slots=True)
class HostedService:
    """A service that shares its process and its event loop with others."""

    name: str
    """Its package's, and SERVICE_NAME from when that was read."""
    all: "list[HostedService]"
    """Those of the process."""
    levels: dict[str, int] = field(default_factory=dict)
    """Below which its lines are left out, by logger; "" is that of all others."""
    metrics: Any = None
    """Its registry, while what it measures is told at a port of all."""
    spans: Any = None
    """What its spans are made by."""

    def find_level(self, logger: str) -> int:
        """Return that of a logger, or of the nearest one above it."""
        while logger and logger not in self.levels:
            logger = logger.rpartition(".")[0]
        return self.levels.get(logger, logging.INFO)


HOSTED: ContextVar[HostedService | None] = ContextVar("hosted", default=None)
"""The service whose code runs; None where a process has one alone, and in what concerns all."""


def outside_requests() -> Context:
    """Return a context of no request, in which lines are still of the service that asks for it."""
    context, hosted = Context(), HOSTED.get()
    if hosted is not None:
        context.run(HOSTED.set, hosted)
    return context


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LOGGER = re.compile(r"[\w-]+(\.[\w-]+)*")


def escape(text: str, most: int = MOST) -> str:
    r"""Return the text in one line of at most about `most` characters, as `a\nb`."""
    if len(text) > most:
        text = f"{text[:most]}... ({len(text)} characters)"
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a field of this name has a value that no line shows."""
    return _SECRET_NAME.search(name.replace(" ", "_")) is not None


def names_secret(statement: str) -> bool:
    """Whether a statement has a word whose values no line shows."""
    return _SECRET_NAME.search(statement) is not None


def clean(text: str, most: int = MOST) -> str:
    """Escape a text as `escape` does, with passwords in URLs and what is named a secret hidden."""
    length = len(text)
    if length > most:
        text = f"{text[:most]}@"  # which may be in the midst of a URL's password
    if not (text.isascii() and text.isprintable()):
        text = _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
    text = hide(text)
    if length > most:
        text = f"{text.removesuffix('@')[:most]}... ({length} characters)"
    return text


def hide(text: str) -> str:
    """Return a text, of any number of lines, with what `clean` hides hidden."""
    if "@" in text and "/" in text:
        text = _ADDRESS.sub(
            lambda found: _URL_TOKEN.sub(
                rf"\g<1>{HIDDEN}", _URL_PASSWORD.sub(rf"\g<1>{HIDDEN}@", found[0])
            ),
            text,
        )
    for begin, values in _VALUES.items():
        if begin in text:
            text = values.sub(rf"\g<1>{HIDDEN}", text)
    if _MAY_HAVE_SECRET.search(text.lower()):
        text = _SECRET_TEXT.sub(rf"\g<1>{HIDDEN}", _HEADERS.sub(_without_value, text))
    return text


def _without_value(found: re.Match[str]) -> str:
    return f"{found[1] or found[2] or found[3]}{HIDDEN}"


def read_levels(text: str) -> dict[str, int]:
    """Read `INFO,sqlalchemy.engine=DEBUG`, by logger; "" is that of all others.

    Raises ValueError.
    """
    levels: dict[str, int] = {}
    for part in text.split(","):
        logger, _, level = part.strip().rpartition("=")
        logger, level = logger.strip(), level.strip().upper()
        is_named = "=" in part
        if level not in _LEVELS or logger in levels or (is_named and not _LOGGER.fullmatch(logger)):
            raise ValueError(part)
        levels[logger] = getattr(logging, level)
    return levels


class CountedWarnings:
    """Logs the first warning of a kind at once, and then one for each minute with their number.

    Args:
        level: as `logging` has it.
    """

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log = log
        self._level = level
        self._kinds: dict[Hashable, _Kind] = {}

    def warn(self, kind: Hashable, line: str, fields: Mapping[str, Any] | None = None) -> None:
        """Log the line, or count it where another of its kind was logged within a minute.

        `fields` are written besides, of the last one of those that are counted.
        """
        if known := self._kinds.get(kind):
            known.count += 1
            known.fields = fields
            return
        self._log.log(self._level, "%s", line, extra=fields)
        # Its number is said of no request: it is none's alone.
        loop = asyncio.get_running_loop()
        timer = loop.call_later(INTERVAL, self._tell, kind, context=outside_requests())
        self._kinds[kind] = _Kind(line, timer)

    def tell(self) -> None:
        """Log now what was only counted, as at the end of the process."""
        for kind in [*self._kinds]:
            self._tell(kind)
        while self._kinds:
            self._kinds.popitem()[1].timer.cancel()

    def _tell(self, kind: Hashable) -> None:
        told = self._kinds.pop(kind)
        told.timer.cancel()
        if told.count:
            self.warn(kind, f"{told.line} ({told.count} more like this)", told.fields)
            self._kinds[kind].line = told.line


@dataclass(slots=True)
class _Kind:
    """The warnings of one kind since the last line."""

    line: str
    timer: asyncio.TimerHandle
    count: int = 0
    fields: Mapping[str, Any] | None = field(default=None)
