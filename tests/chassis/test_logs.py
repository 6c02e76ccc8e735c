"""Every line of a log: one object, with its request, without secrets, and forged by no client."""

import io
import json
import logging
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from time import thread_time
from typing import Any
from unicodedata import category
from uuid import UUID

import pytest
import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError, StatementError

from quart_fleet.errors import ConfigurationError
from quart_fleet.logs import HIDDEN, clean, escape, is_secret, read_levels
from quart_fleet.observation import REQUEST
from quart_fleet.settings import ServiceSettings
from quart_fleet.telemetry._logs import (
    ACCESS,
    AccessLog,
    LineFormatter,
    LineHandler,
    make_plain,
    write_exception,
)
from quart_fleet.telemetry._statements import summarise, without_literals
from tests.audit import audit, audit_lines
from tests.observing import observed_request

FORGED_JSON = '{"timestamp":"2026-01-01T00:00:00.000000Z","level":"info","event":"forged"}'
FORGED_LINE = "2026-01-01 00:00:00.000 INFO     forged [quart_fleet.access]"
BREAKS = [
    *(
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1d",
        "\x1e",
        "\x85",
        "\u2028",
        "\u2029",
    )
]
TERMINAL = [
    *("\x1b[2K\x1b[1G", "\x1b[1A\r", "\x1b]0;title\x07", "\x9b2J", "\x1b[8m", "\x1bc", "\x08" * 80),
    *(
        "\x7f" * 9,
        "\x00",
        "\x1b]8;;http://evil\x1b\\",
        "\x90q\x9c",
        "\x1b[?1049h",
        "\x0e",
        "\x1b(0",
    ),
]
INVISIBLE = [
    *("\u202e", "\u202a", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c", "\u200b", "\ufeff"),
    *("\u2060", "\xad", "\ud800", "\udfff", "\U000e0041", "\u115f", "\u3164", "\ufff9"),
    *("\u180b", "\ufe0f", "\u2800", "\u034f", "\U0001d173"),
]
FORGERIES = [
    *(f"/x{each}{FORGED_JSON}" for each in BREAKS),
    *(f"/x{each}{FORGED_LINE}" for each in (*TERMINAL, *INVISIBLE)),
    f'/x"}}\n{FORGED_JSON}',
    '/x","level":"critical","pid":1,"x":"',
    "/x\\n" + FORGED_LINE,
    "/x status=200 request_id=forged [quart_fleet.access]",
    "/%0a%1b[2J%c2%85" + FORGED_LINE,
    "/x\ud83d\n" + FORGED_LINE,
    "/x'; level=critical\t\n",
]
UNSAFE = [each[0] for each in (*BREAKS, *TERMINAL, *INVISIBLE)]
OBSERVED = observed_request(b"of-the-test", path="/x", status=200)


@pytest.mark.parametrize("character", UNSAFE, ids=ascii)
def test_what_a_terminal_would_obey_is_written_out(character: str) -> None:
    for write in (escape, clean):
        shown = write(f"a{character}b")

        assert shown.startswith("a\\")
        assert shown.isprintable()


def test_nothing_without_a_shape_is_written_as_it_is() -> None:
    # Unicode's Default_Ignorable_Code_Point, of which `unicodedata` does not tell, and Braille's blank.
    ignorable = [0x34F, 0x2800, 0x3164, 0xFFA0, *range(0x115F, 0x1161), *range(0x17B4, 0x17B6)]
    ignorable += [*range(0x180B, 0x1810), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10)]
    ignorable += [*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)]
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    shapeless = {each for each in map(chr, range(0x110000)) if category(each) in kinds}

    for each in shapeless | set(map(chr, ignorable)):
        assert escape(each).isascii(), ascii(each)


def test_what_can_be_printed_is_as_it_was() -> None:
    text = "GET /api/v1/users/username/Éva 山田 שלום مرحبا 🙂 \\n"

    assert escape(text) == clean(text) == text


def test_of_an_emoji_its_invisible_parts_are_written_out() -> None:
    assert clean("\u2764\ufe0f \U0001f44d\u200d") == "\u2764\\ufe0f \U0001f44d\\u200d"


def test_a_long_text_is_cut() -> None:
    for write in (escape, clean):
        assert write("x" * 20_000, 200) == "x" * 200 + "... (20000 characters)"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of which pytest knows nothing, which writes what it hears, for structlog too."""
    made = logging.Logger("tests.logs")
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=lambda *_: made,
        cache_logger_on_first_use=False,
    )
    yield made
    structlog.configure(**before)


class Kept(logging.Handler):
    def __init__(self, *, is_json: bool = True) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.formatter = LineFormatter("tests", is_json=is_json)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def talk(logger: logging.Logger, text: str) -> None:
    """Log a stranger's text in every place that a line has."""
    structured = structlog.get_logger("tests.logs")
    logger.info(text)
    logger.info("said %s", text)
    logger.info("with fields", extra={text: text, "nested": {text: [text, {text}]}})
    structured.info(text, **{text: text, "level": text, "pid": text}, nested=[{text: (text,)}])
    try:
        raise ValueError(text)
    except ValueError as error:
        error.add_note(text)
        logger.exception("failed")
        structured.exception("failed", stack=text)
    logger.info("with a stack", stack_info=True)
    logger.info("of an object", extra={"it": OSError(text), "bytes": text.encode(errors="replace")})


@pytest.mark.parametrize("text", FORGERIES, ids=ascii)
def test_no_text_looks_like_a_line_in_json(text: str, logger: logging.Logger) -> None:
    kept = Kept()
    logger.addHandler(kept)
    token = REQUEST.set(OBSERVED)

    talk(logger, text)

    REQUEST.reset(token)
    assert len(kept.lines) == 8
    for each in kept.lines:
        line = audit(each)
        assert "\n" not in each
        assert (line["level"], line["service"]) in {("info", "tests"), ("error", "tests")}
        assert line["pid"] == os.getpid()
        assert line["request_id"] == "of-the-test"


@pytest.mark.parametrize("text", FORGERIES, ids=ascii)
def test_no_text_looks_like_a_line_on_a_terminal(text: str, logger: logging.Logger) -> None:
    kept = Kept(is_json=False)
    logger.addHandler(kept)

    talk(logger, text)

    assert len(kept.lines) == 8
    for each in kept.lines:
        first, *others = each.split("\n")
        assert first[:20].startswith(f"{datetime.now(UTC):%Y-%m-%d} ")
        assert first.isprintable()
        for line in others:
            assert line.startswith("  ")
            assert line.isprintable()
        assert "forged" not in first or FORGED_LINE[:20] not in first[:30]


SECRET = "s3cr3t/of@all"
NAMES = [
    *("password", "PASSWORD", "user_password", "DB-Password", "passwd", "secret", "SECRET_KEY"),
    *("clientSecret", "token", "access_token", "Authorization", "proxy-authorization", "Cookie"),
    *("Set-Cookie", "api_key", "apiKey", "X-Api-Key", "credentials", "private_key", "session_id"),
    *(
        "db_pass",
        "smtpPass",
        "DBPass",
        "pass",
        "auth",
        "basic_auth",
        "X-Auth",
        "pin",
        "otp",
        "otp_code",
    ),
    *("otpCode", "cvv", "ssh_key", "masterKey", "service_key", "account_key", "shared_key"),
    *("encryption_key", "recovery_code", "signature", "sid", "creds", "auth_header"),
]
NO_SECRETS = [
    *(
        "compass",
        "COMPASS",
        "author",
        "authority",
        "oauth",
        "pinned",
        "opinion",
        "passed",
        "bypass",
    ),
    *("pass_count", "auth_url", "key", "primary_key", "foreign_key", "cache_key", "public_key"),
    *("side", "inside", "country_code", "code", "credit", "service_keywords", "account_keyspace"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_named_a_secret_is_hidden(name: str, logger: logging.Logger) -> None:
    kept = Kept()
    logger.addHandler(kept)
    structured = structlog.get_logger("tests.logs")

    logger.info("x", extra={name: SECRET, "nested": {"a": [{name: {"deep": SECRET}}]}})
    structured.info("x", **{name: SECRET}, headers=[(name, SECRET), (name.encode(), b"s3cr3t")])
    logger.info("%s", {name: SECRET})
    logger.info("%(here)s", {"here": {name: SECRET}})
    logger.info("%s=%s", name, SECRET)
    logger.info('{"%s": "%s"}', name, SECRET)
    logger.info("%s", [(name.encode(), b"s3cr3t")])
    logger.info("%s: Bearer %s", name, SECRET)

    assert is_secret(name)
    assert len(kept.lines) == 8
    for line in kept.lines:
        assert HIDDEN in line
        assert "s3cr3t" not in line


@pytest.mark.parametrize("name", NO_SECRETS)
def test_a_field_named_like_a_secret_is_shown(name: str) -> None:
    assert not is_secret(name)
    for text in (f"{name}=seen", f'{{"{name}": "seen"}}', f"--{name} seen", f"{name} is seen"):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:p@db/shop", "postgresql://app:***@db/shop"),
        ("to postgresql+asyncpg://u:a@b:c/d@h1:5432,h2/x?a=b now", "to postgresql+asyncpg://u:***@h1:5432,h2/x?a=b now"),
        ("(http://u:p@h)", "(http://u:***@h)"),
        ("redis://:p@h/0", "redis://:***@h/0"),
        ("http://user-service:8081/api/v1/users/a@b.example", None),
        ("http://127.0.0.1:8081", None),
        ("postgresql://app@db/shop", None),
        ("postgresql://db/shop?user=a&password=p4ss&sslmode=require", "postgresql://db/shop?user=a&password=***&sslmode=require"),
        ("host=db password='a b' user=x", "host=db password=*** user=x"),
        ("postgresql://u:it's-hunter2@h/d", "postgresql://u:***@h/d"),
        ('a "postgresql://u:hun<\"ter2@h/d"', 'a "postgresql://u:***@h/d"'),
        ("//u:hunter2@h/d", "//u:***@h/d"),
        (r"http:\/\/u:hunter2@h", r"http:\/\/u:***@h"),
        ('["http://u:hunter2@h","x@y"]', '["http://u:***@h","x@y"]'),
        ('["http://h:8081","x@y"]', None),
        ("https://ghp_hunter2@github.com/a", "https://***@github.com/a"),
        ("https://glpat-hunter2:x-oauth@gitlab.com", "https://***:***@gitlab.com"),
        ("https://0123456789abcdef01234567@sentry.example/1", "https://***@sentry.example/1"),
        ("ssh://git@github.com/a", None),
        ("postgresql://order_service_of_the_shop@db/shop", None),
        ("https://ip-10-0-0-1.west.compute.internal:8081/a@b", None),
        ('{"url":"http://[::1]:8081/x","email":"a@b.c"}', None),
        ('{"id":"urn://isbn:abc","name":"joe","email":"j@x.com"}', None),
    ],
)  # fmt: skip
def test_a_password_inside_of_an_address_is_hidden(text: str, shown: str | None) -> None:
    assert clean(text) == (text if shown is None else shown)
    assert make_plain({"url": [text]}, [100]) == {"url": [text if shown is None else shown]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'password': ['hunter2'], 'id': 1}", "{'password': ***, 'id': 1}"),
        ('{"tokens": {"a": "hun}ter2"}, "id": 1}', '{"tokens": ***, "id": 1}'),
        ('{\\"tokens\\": [\\"hun]ter2\\"], \\"id\\": 1}', '{\\"tokens\\": ***, \\"id\\": 1}'),
        ('{"credentials": ("u", [{"a": ["hunter2"]}]), "id": 1}', '{"credentials": ***, "id": 1}'),
        ('{"secrets": [[[[["hunter2"]]]]], "id": 1}', '{"secrets": ***'),
        ("User(passwords=('a', 'hunter2'), id=1)", "User(passwords=***, id=1)"),
        ("password=SecretStr('hunter2') id=1", "password=*** id=1"),
        ("{'api_key': u'hunter2'}", "{'api_key': ***}"),
        ("sent Bearer hunter2 to it", "sent Bearer *** to it"),
        ("Authorization: ApiKey hunter2", "Authorization: ***"),
        ("Authorization: AWS4 Credential=a, Signature=hunter2", "Authorization: ***"),
        ('Authorization: Digest username="a b", response="hunter2", x', "Authorization: ***, x"),
        ("authorization: user 7 lacks orders:read", "authorization: *** lacks orders:read"),
        ("Cookie: a=1; b=hunter2\\r\\nHost: x", "Cookie: ***\\r\\nHost: x"),
        ("cookie=abc path=/x", "cookie=*** path=/x"),
        ("Cookie=a; b=hunter2", "Cookie=***"),
        ("Key (api_token)=(hunter2) already exists.", "Key (api_token)=*** already exists."),
        ("Key (token, id)=(hunter2, 1) already", "Key (token, id)=*** already"),
        ("Failing row contains (1, it's (hunter2)). more", "Failing row contains (***). more"),
        ("password\\n bad [type=a, input_value='it\\\\'s] hunter2', input_type=str]\\n See x",
         "password\\n bad [type=a, input_value=***, input_type=str]\\n See x"),
        ('bad [input_value={"password": "hun', "bad [input_value=***"),
        ("[SQL: x]\\n[parameters: ('a]', 'hunter2')]\\n(Background on this error at: x)",
         "[SQL: x]\\n[parameters: ***]\\n(Background on this error at: x)"),
        ("[SQL: x]\\n[parameters: ('a]', 'hunter2')]", "[SQL: x]\\n[parameters: ***]"),
        ("[SQL: x]\\n[parameters: ('a]', 'hun", "[SQL: x]\\n[parameters: ***"),
        ("a user's token is (not) good: x@y", None),
        ("GET /x?signature=hunter2&a=1", "GET /x?signature=***&a=1"),
        ("ALTER ROLE x PASSWORD 'hunter2' LOGIN", "ALTER ROLE x PASSWORD *** LOGIN"),
        ("ALTER ROLE x ENCRYPTED PASSWORD E'hun\\'ter2'", "ALTER ROLE x ENCRYPTED PASSWORD ***"),
        ("run --db-password hunter2 --now", "run --db-password *** --now"),
        ("run --password --now", None),
        ("sent Basic dXNlcjpwYXNz to it", "sent Basic *** to it"),
        ("sent Basic dXNlcjpwYQ==", "sent Basic ***"),
        ("Basic authentication, Basic understanding, Basic OpenAPI", None),
        ("-----BEGIN EC PRIVATE KEY-----\\nMHc\\n-----END EC", "-----BEGIN EC PRIVATE KEY-----***-----END EC"),
        ("-----BEGIN PRIVATE KEY-----\\nMHc", "-----BEGIN PRIVATE KEY-----***"),
        ("-----BEGIN CERTIFICATE-----\\nMHc", None),
    ],
)  # fmt: skip
def test_a_secret_of_any_form_is_hidden_as_a_whole(text: str, shown: str | None) -> None:
    assert clean(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("sql", "summary"),
    [
        ("SELECT id FROM users WHERE id = $1", "SELECT users"),
        ("/* by hand */ select * from only public.users", "SELECT public.users"),
        ("SELECT extract(epoch FROM created_at) FROM users", "SELECT users"),
        ("SELECT a IS NOT DISTINCT FROM b FROM \"my users\"", 'SELECT "my users"'),
        ("SELECT 'sent from hunter2' AS note", "SELECT"),
        ("SELECT $$a from hunter2$$", "SELECT"),
        ("SELECT n FROM (SELECT 1) AS x", "SELECT"),
        ("WITH new AS (INSERT INTO logs VALUES (1) RETURNING id) DELETE FROM users", "DELETE users"),
        ("INSERT INTO users (a) SELECT a FROM others", "INSERT users"),
        ("UPDATE ONLY users SET a = 1 FROM others", "UPDATE users"),
        ("DELETE FROM users", "DELETE users"),
        ("REVOKE ALL ON users FROM somebody", "REVOKE"),
        ("BEGIN;", "BEGIN"),
        ("-- nothing", ""),
        ("(SELECT 1 FROM a) UNION SELECT 2 FROM b", "SELECT b"),
    ],
)  # fmt: skip
def test_a_statement_is_called_by_its_command_and_its_table(sql: str, summary: str) -> None:
    assert summarise(sql) == summary


def test_a_password_at_the_end_of_what_is_shown_is_hidden_before_the_cut() -> None:
    text = "x" * 190 + " postgresql://app:hunter2@db/shop" + "x" * 9000

    assert "hun" not in clean(text, 205)

    for most in range(190, 230):
        assert "hun" not in clean(text, most)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password='hunter2 and", "password=***"),
        ('{"token": "hunter\\" 2', '{"token": ***'),
        ('{\\"pwd\\": \\"hunter2, 3', '{\\"pwd\\": ***'),
        ('{\\"pwd\\": \\"a\\", \\"id\\": 1}', '{\\"pwd\\": ***, \\"id\\": 1}'),
        (f"{'x' * 300}_token_{'x' * 300}=hunter2 x", f"{'x' * 300}_token_{'x' * 300}=*** x"),
    ],
)
def test_a_secret_that_does_not_end_is_hidden_to_the_end(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize("write", [clean, escape, without_literals.__wrapped__])
@pytest.mark.parametrize(
    "start", ["", "/token=\\'", '"token"="', "://a:", "/pwd", "cookie:", "E'", "$a$", "/*", "1"]
)
def test_a_text_takes_time_in_proportion_to_its_length(
    start: str, write: Callable[[str, int], str] | Callable[[str], str]
) -> None:
    units = ["token", "pwd-", "token=", "token='", 'token="\\"', "token\\'", "a','", "\\", "\\\\'"]
    units += [
        "\\'x",
        " ",
        "x ",
        "cookie ",
        "://",
        "://:",
        "://a:b",
        "a@",
        "Basic ",
        ":",
        "Ab1_",
        "\n",
    ]
    units += ["//ghp_", "//1a", "--pass ", "basic ", "basic ABCD", "-----BEGIN PRIVATE KEY-----"]
    units += ["Failing row contains (", "input_value=", ", input_type=a", "[parameters: ", "] "]
    units += ["--", "/*", "$a", "$$", "''", '"', "E'\\", "1", "1.", "1e", "0x"]

    def seconds(unit: str, length: int) -> float:
        text = start + unit * (length // len(unit)) + "="
        options = () if write is without_literals.__wrapped__ else (len(text),)
        taken = []
        for _ in range(3):
            before = thread_time()
            write(text, *options)
            taken.append(thread_time() - before)
        return min(taken)

    for unit in units:
        # Of what grows with the square of the length the ratio is 256.
        assert seconds(unit, 16_000) < 64 * seconds(unit, 1_000), unit


def test_a_traceback_has_no_values_of_variables_and_no_passwords() -> None:
    def fail() -> None:
        private = "of this function alone"
        raise ValueError("postgresql://app:hunter2@db" + private[:0])

    with pytest.raises(ValueError, match="hunter2") as raised:
        fail()

    written = write_exception((raised.type, raised.value, raised.tb))
    assert "postgresql://app:***@db" in written
    assert "hunter2" not in written
    assert written.startswith("Traceback (most recent call last):\n  File ")


class Registration(BaseModel):
    password: int


def test_a_traceback_has_no_values_that_pydantic_or_sqlalchemy_was_given() -> None:
    errors: list[Exception] = [
        IntegrityError("INSERT INTO users VALUES ($1)", ("a]", "hunter2"), ValueError("refused")),
        IntegrityError("INSERT", [("hunter2",)] * 30, ValueError("refused"), ismulti=True),
        StatementError("refused", "INSERT", ({"a": "hunter2"},), ValueError("refused")),
    ]
    with pytest.raises(ValidationError) as raised:
        Registration.model_validate({"password": "hunter2"})
    errors += [raised.value, ExceptionGroup("several", [*errors, raised.value])]

    for error in errors:
        written = write_exception((type(error), error, error.__traceback__))
        assert "hunter2" not in written
        assert "hunter2" not in clean(str(error))
        assert "refused" in written or "valid integer" in written


def test_an_exception_that_is_raised_again_has_its_trace_once_in_a_request() -> None:
    error, kept = ValueError("x"), Kept()

    def written(request_id: bytes) -> str:
        token = REQUEST.set(observed_request(request_id))
        info = (ValueError, error, error.__traceback__)
        line = kept.format(logging.LogRecord("tests", logging.ERROR, "", 0, "x", (), info))
        REQUEST.reset(token)
        return str(audit(line)["exception"])

    try:
        raise error
    except ValueError:
        first, again, of_other = (written(each) for each in (b"a", b"a", b"b"))
    assert again == "ValueError: x"
    assert first == of_other
    assert first.startswith("Traceback")


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2**80, str(2**80)),
        (10**5000, None),
        (float("nan"), "nan"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ({1: {2: 3}}, {"1": {"2": 3}}),
        (b"\x00a", "b'\\x00a'"),
        (Broken(), "<Broken without a text>"),
        (range(3), "range(0, 3)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_not_is_written_as_text(value: object, written: object) -> None:
    shown = make_plain(value, [100])

    assert json.loads(json.dumps(shown)) == shown
    assert written is None or shown == written


def test_what_is_endless_ends() -> None:
    circle: list[object] = []
    circle.append(circle)
    wide = [[["x"] * 99] * 99] * 99

    assert len(json.dumps(make_plain(circle, [200]))) < 1000
    assert len(json.dumps(make_plain(wide, [200]))) < 5000


@pytest.mark.parametrize("arguments", [("x",), (1, 2, 3), (Broken(),)])
def test_a_message_that_does_not_fit_its_arguments_raises_nothing(
    arguments: tuple[object, ...],
) -> None:
    record = logging.LogRecord("tests", logging.INFO, "", 0, "%d %s", arguments, None)

    assert audit(Kept().format(record))["level"] == "info"


class HostileError(ValueError):
    """Has no text, no notes and no attribute, and says so by an error of its own kind."""

    def __init__(self, error: Exception) -> None:
        super().__init__("x")
        vars(self)["error"] = error

    def __repr__(self) -> str:
        raise self.error

    __str__ = __repr__

    def __setattr__(self, name: str, value: object) -> None:
        raise self.error

    def __getattribute__(self, name: str) -> Any:
        if name in ("__notes__", "__suppress_context__"):
            raise self.error
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), AttributeError("no"), LookupError("no"), RecursionError("no")]
)
def test_a_value_without_a_text_takes_no_traceback_away(
    error: Exception, logger: logging.Logger
) -> None:
    kept, hostile = Kept(), HostileError(error)
    logger.addHandler(kept)
    structured = structlog.get_logger("tests.logs")

    for raised in (ValueError("x"), hostile):
        try:
            raise raised
        except ValueError:
            logger.exception("failed for %s", hostile, extra={"it": hostile, "pid": [hostile]})
            logger.exception(*("failed for %s and %s", hostile))
            logger.exception(hostile)
            structured.exception(hostile, it=hostile, pid={hostile.args: hostile})
            logger.exception("failed", extra={"it": {1: hostile}, "stack": hostile})

    assert len(kept.lines) == 10
    for each in kept.lines:
        line = audit(each)
        assert "takes_no_traceback_away" in line["exception"], each
        assert any(words in each for words in ("HostileError", "failed", "cannot be written"))


@pytest.mark.parametrize("is_json", [True, False])
def test_the_logger_of_requests_writes_what_others_say_too(is_json: bool) -> None:
    kept = Kept(is_json=is_json)
    logger = logging.Logger(ACCESS)
    logger.addHandler(kept)

    logger.warning("of an owner")
    logger.warning("of an owner", extra={"access": "admin", "method": "GET", "path": "/x"})
    logger.warning(Broken())

    bare, full, broken = kept.lines
    assert "of an owner" in bare
    for value in ("admin", "GET", "/x"):
        assert value in full
    assert "cannot be written" in broken


def test_a_line_that_a_formatter_fails_on_stops_nothing(
    unread: tuple[io.TextIOWrapper, int],
) -> None:
    class Failing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise LookupError(record.name)

    handler = LineHandler(unread[0])
    handler.setFormatter(Failing())

    handler.handle(logging.LogRecord("x", 20, "", 0, "said", (), None))


@pytest.mark.parametrize(
    ("status", "request_id", "event"),
    [
        (200, "of-another", "said"),
        (404, "of-the-test", "said"),
        (200, "of-the-test", "GET /other failed"),
        (200, "of-the-test", "GET /x failed"),
    ],
)
def test_the_audit_joins_lines_with_what_clients_were_answered(
    status: int, request_id: str, event: str
) -> None:
    handler, access = Kept(), logging.getLogger(ACCESS)
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    is_right = (status, request_id, event[:6]) == (200, "of-the-test", "GET /x")
    token = REQUEST.set(OBSERVED)

    AccessLog().end_requests([OBSERVED])
    handler.handle(logging.LogRecord("x", 20, "", 0, event, (), None))

    REQUEST.reset(token)
    access.removeHandler(handler)
    access.setLevel(logging.NOTSET)
    with nullcontext() if is_right else pytest.raises(AssertionError):
        audit_lines("\n".join(handler.lines), [(status, request_id)])


def test_a_record_is_left_as_it_is_for_other_handlers(logger: logging.Logger) -> None:
    kept, other = Kept(), logging.StreamHandler(io.StringIO())
    other.setFormatter(logging.Formatter("%(message)s %(number)d"))
    logger.addHandler(kept)
    logger.addHandler(other)

    logger.error("a\n%s", "b", extra={"number": 7}, exc_info=ValueError("x"))

    assert other.stream.getvalue() == "a\nb 7\nValueError: x\n"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("info", {"": logging.INFO}),
        ("WARNING, sqlalchemy.engine=DEBUG", {"": 30, "sqlalchemy.engine": 10}),
        ("quart_fleet.access=warning", {"quart_fleet.access": 30}),
    ],
)
def test_levels_are_read_by_logger(text: str, levels: dict[str, int]) -> None:
    assert read_levels(text) == levels


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("LOG_LEVEL", each) for each in ("verbose", "INFO,", "10", "a=", "=INFO", "INFO,DEBUG")),
        *(("LOG_LEVEL", each) for each in ("a b=INFO", "a=INFO,a=DEBUG", "INFO=a", "INFO;a=DEBUG")),
        *(("LOG_FORMAT", each) for each in ("JSON", "text", "jsonl")),
    ],
)
def test_a_level_or_a_form_that_is_none_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("TESTING", "True")

    with pytest.raises(ConfigurationError) as raised:
        ServiceSettings.load()

    said = raised.value.message.splitlines()[0]
    assert said.startswith(f"{variable}: ")
    assert ("WARNING" if variable == "LOG_LEVEL" else "'json'") in said


@pytest.fixture
def unread() -> Iterator[tuple[io.TextIOWrapper, int]]:
    """A pipe that nothing reads yet, and where it can be read."""
    reading, writing = os.pipe()
    stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(writing, "w")), line_buffering=True)
    yield stream, reading
    os.close(reading)
    stream.close()


def test_lines_that_nothing_reads_are_lost_and_their_number_is_told(
    unread: tuple[io.TextIOWrapper, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quart_fleet.telemetry._logs.PATIENCE", 1)
    stream, reading = unread
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter("tests", is_json=True))

    def log(number: int, size: int) -> None:
        record = logging.LogRecord("x", 20, "", 0, "%s %s", (number, "x" * size), None)
        handler.handle(record)

    for number in range(300):
        log(number, 100 if number % 7 else 3_900)
    os.set_blocking(reading, False)
    read = b""
    for again in range(1000):
        try:
            read += os.read(reading, 1 << 20)
        except BlockingIOError:
            log(1000 + again, 10)
            if b'"1001 ' in read:
                break

    lines = [audit(line) for line in read.decode().replace("\r\n", "\n").split("\n")[:-1]]
    told = next(line for line in lines if "were lost" in line["event"])
    assert len([line for line in lines if line["logger"] == "x" and line["event"] < "1000"]) > 0
    assert 0 < int(told["event"].split()[0]) < 300


@pytest.mark.slow
def test_a_slow_reader_is_waited_for_a_hundredth_of_the_time(
    unread: tuple[io.TextIOWrapper, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, reading = unread
    now, waited, read = 0.0, 0.0, b""

    def work(seconds: float) -> None:
        """Let time pass, in which 4 KB are read each 80 ms."""
        nonlocal now, read
        for _ in range(int((now + seconds) / 0.08) - int(now / 0.08)):
            read += os.read(reading, 4096)
        now += seconds

    class Poll:
        def poll(self, milliseconds: float) -> Any:
            nonlocal waited
            before, end = now, now + milliseconds / 1000
            ready: list[tuple[int, int]] = []
            while not (ready := real.poll(0)) and now < end:
                work(min(0.001, end - now))
            waited += now - before
            return ready

    monkeypatch.setattr("quart_fleet.telemetry._logs.monotonic", lambda: now)
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter("tests", is_json=True))
    real: Any = handler._poll
    monkeypatch.setattr(handler, "_poll", Poll())

    os.write(stream.fileno(), b"\n" * 60_000)
    number = 0
    while now < 25:
        handler.handle(logging.LogRecord("x", 20, "", 0, "%d", (number,), None))
        number += 1
        work(0.001)

    assert 0.2 < waited <= 0.303
    lines = [audit(line) for line in read.decode().split("\n")[:-1] if line]
    written = [int(line["event"]) for line in lines if line["logger"] == "x"]
    lost = [int(line["event"].split()[0]) for line in lines if line["logger"] != "x"]
    assert written == sorted(written)
    assert sum(lost) == written[-1] + 1 - len(written) > 1000


@pytest.mark.parametrize("room", [0, 1, 60, 108, 109, 110, 150, 230, 326])
@pytest.mark.parametrize("between", [None, b"of another\n", b""])
def test_where_a_file_can_grow_no_more_each_line_is_whole_or_counted(
    tmp_path: Path, room: int, between: bytes | None
) -> None:
    path, limits = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("a") as stream:
        handler = LineHandler(stream)
        handler.setFormatter(LineFormatter("tests", is_json=True))

        def log(*numbers: int) -> None:
            for number in numbers:
                handler.handle(logging.LogRecord("x", 20, "", 0, "%d", (number,), None))

        log(0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, limits[1]))
        try:
            log(1, 2, 3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if between is not None:
            path.write_bytes(path.read_bytes() + between if between else b"")
        log(4)
        handler.flush()

    *lines, last = path.read_text().split("\n")
    assert last == ""
    if between is not None:
        lines = [line for line in lines if line and not line.endswith("of another")]
    told = [audit(line) for line in lines]
    lost = sum(int(line["event"].split()[0]) for line in told if line["logger"] != "x")
    written = [line["event"] for line in told if line["logger"] == "x"]
    assert written[-1] == "4"
    if between is None:
        assert lost + len(written) == 5
        assert written[0] == "0"
    else:
        assert lost > 0 or room > 300


def test_a_stderr_that_is_closed_or_none_raises_nothing(tmp_path: Path) -> None:
    closed = (tmp_path / "log").open("w")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        for stream in (None, closed, broken, io.StringIO()):
            handler = LineHandler(stream)
            handler.setFormatter(LineFormatter("tests", is_json=True))
            closed.close()
            handler.handle(logging.LogRecord("x", 20, "", 0, "said", (), None))
