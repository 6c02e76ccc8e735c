"""How far a revision has come that commits in parts, so that an interrupted run is taken up again.

An autocommit block commits what is before it, and each of its statements. How many of a revision's
statements are committed is kept in the database, as the comment on the table of revisions, in one
transaction with the statement. Another run leaves out what is done. A statement that can be in no
transaction, as CREATE INDEX CONCURRENTLY, is counted behind it. Whether such a one was done that was
under way is not known: where PostgreSQL says then that what it makes is there, or what it takes away
is not, it was done.
"""

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from db_manager.errors import ManagerError
from quart_fleet.database.explanations import driver_error
from quart_fleet.files import parse_python

_COMMENT = re.compile(
    r"db_manager: (?P<way>upgrade|downgrade) of (?P<revision>\S+) is (?P<state>half done|taken back): "
    r"(?P<done>\d+) statements \((?P<digest>\w+)\)"
)
_REPEATED = {
    "CREATE": frozenset({"42710", "42P04", "42P07"}),
    "DROP": frozenset({"3D000", "42704"}),
    "ALTER": frozenset({"42P01"}),
}
"""What PostgreSQL says of a statement in no transaction that is done already, by its first word."""
_IN_NO_TRANSACTION = frozenset({"25001", "2D000"})
"""What it says of one that can be in none, or that commits by itself."""
_BEFORE = r"(?:\s|--[^\n]*+(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*+\*/)*+"
_FIRST_WORD = re.compile(rf"{_BEFORE}(\w*)", re.DOTALL)
_CONCURRENTLY = (
    r"(?:(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY|REINDEX\b.*\bCONCURRENTLY"
    r"|ALTER\s+TABLE\b[^,]*\bDETACH\s+PARTITION\b[^,]*\bCONCURRENTLY)\b.*"
)
_IS_APART = re.compile(
    rf"{_BEFORE}(?:{_CONCURRENTLY}|VACUUM\b|DO\b.*\bCOMMIT\s*;)", re.IGNORECASE | re.DOTALL
)
"""Of those among them that are not even tried in a transaction."""
_NAME = r'(?:"[^"]+"|[\w.])+'
_VALIDATION = rf"VALIDATE\s+CONSTRAINT\s+{_NAME}"
_LETS_OTHERS_PASS = re.compile(
    rf"{_BEFORE}(?:{_CONCURRENTLY}|REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY\b.*"
    rf"|ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}\s+{_VALIDATION}"
    rf"(?:\s*,\s*{_VALIDATION})*\s*;?\s*)",
    re.IGNORECASE | re.DOTALL,
)
"""Of statements behind which no reader and no writer waits while they wait themselves."""
_READ = text("SELECT obj_description(to_regclass(quote_ident(:table)), 'pg_class')")


@dataclass(frozen=True, slots=True)
class HalfDone:
    """A revision of which a part is committed."""

    revision: str
    way: str
    """`upgrade` or `downgrade`."""
    done: int
    """Statements that are committed."""
    digest: str
    """Of their text."""
    is_taken_back: bool = False
    """Whether it is being undone by its other way."""

    @classmethod
    def find(cls, connection: Connection, version_table: str) -> "HalfDone | None":
        """Return what an interrupted run left."""
        comment = connection.scalar(_READ, {"table": version_table})
        found = _COMMENT.fullmatch(comment or "")
        if found is None:
            return None
        is_taken_back = found["state"] == "taken back"
        return cls(
            found["revision"], found["way"], int(found["done"]), found["digest"], is_taken_back
        )

    def note(self, connection: Connection, version_table: str) -> None:
        """Keep it in the database."""
        state = "taken back" if self.is_taken_back else "half done"
        words = f"{self.way} of {self.revision} is {state}: {self.done} statements ({self.digest})"
        comment_on(connection, version_table, f"'db_manager: {words}'")

    @property
    def remedy(self) -> str:
        """What finishes it."""
        command = "migrate" if self.way == "upgrade" else "downgrade, to the revision before it,"
        return (
            f"The {self.way} of {self.revision} is half done: an interrupted run has committed "
            f"{self.done} of its statements. python -m db_manager {command} does the rest."
        )


def comment_on(connection: Connection, version_table: str, comment: str) -> None:
    """Set the comment on the table of revisions; where that is another's, nothing is kept."""
    table = connection.dialect.identifier_preparer.quote(version_table)
    statement = f"COMMENT ON TABLE {table} IS {comment}".replace("'", "''")
    connection.exec_driver_sql(
        f"DO 'BEGIN {statement}; EXCEPTION WHEN insufficient_privilege THEN NULL; END'"
    )


class Progress:
    """Follows the revisions of one run, statement by statement.

    Args:
        version_table: of the database.
        found: what an interrupted run left.
        lock_wait: seconds that a statement waits for a lock which lets all others pass.
        lock_timeout: seconds that every other one waits.
    """

    def __init__(
        self, version_table: str, found: HalfDone | None, lock_wait: float, lock_timeout: float
    ) -> None:
        self._version_table = version_table
        self._found = found
        self._wait = max(lock_wait, lock_timeout)
        self._timeout = lock_timeout
        self._step: HalfDone | None = None
        self._file = Path()
        self._text = sha256()
        self._left_out = 0
        self._is_resumed = False
        self._is_apart = False
        self._is_noted = found is not None

    def follow(self, context: MigrationContext) -> None:
        """Be told by Alembic of each revision, and of its autocommit blocks."""
        steps, block = context._migrations_fn, context.autocommit_block

        def told(*arguments: Any) -> Iterator[Any]:
            for step in steps(*arguments) if steps else ():
                self._step, self._is_resumed, self._left_out = None, False, 0
                self._text = sha256()
                if isinstance(step, RevisionStep):
                    way = "upgrade" if step.is_upgrade else "downgrade"
                    self._step = HalfDone(step.revision.revision, way, 0, self._digest())
                    self._file = Path(step.revision.path)
                    if self._found is not None:
                        self._resume(self._found, self._step)
                    if context.connection is not None:  # another revision may have set it
                        _limit_waiting(context.connection, self._timeout)
                yield step

        @contextmanager
        def autocommit_block() -> Iterator[None]:
            connection = context.connection
            if connection is None or self._step is None:
                with block():
                    yield
                return
            self._note(connection)
            with block():
                self._is_apart = True
                try:
                    yield
                finally:
                    self._is_apart = False
                _limit_waiting(connection, self._timeout)

        context._migrations_fn = told
        context.autocommit_block = autocommit_block  # type: ignore[method-assign]

    def _resume(self, found: HalfDone, step: HalfDone) -> None:
        """Leave out what is done; raises ManagerError where another revision has to be done first."""
        if (found.revision, found.way) != (step.revision, step.way):
            raise ManagerError(found.remedy)
        self._is_resumed = True
        # What a revision asks or does by itself, no count of ours knows: it is done from its start.
        asks = {"get_bind", "connection", "run_async"}
        nodes = ast.walk(parse_python(self._file))
        is_opaque = any(isinstance(each, ast.Attribute) and each.attr in asks for each in nodes)
        self._left_out = 0 if is_opaque else found.done

    def execute(self, statement: str, connection: Connection, run: Callable[[], Any]) -> Any:
        """Run a statement of a revision, unless it is done already, and keep that it was."""
        if self._step is None:
            return run()
        self._text.update(statement.encode())
        self._step = replace(self._step, done=self._step.done + 1, digest=self._digest())
        if self._step.done <= self._left_out:
            found, is_last = self._found, self._step.done == self._left_out
            if found is not None and is_last and self._step.digest != found.digest:
                raise ManagerError(
                    f"{self._file.name} has changed since {found.done} of its statements were "
                    "committed by an interrupted run.\nBring it back as it was and migrate; write what "
                    "is to be otherwise as another revision."
                )
            return None
        if not self._is_apart:
            return run()
        return self._execute_apart(self._step, statement, connection, run)

    def _execute_apart(
        self, step: HalfDone, statement: str, connection: Connection, run: Callable[[], Any]
    ) -> Any:
        """Run a statement and count it; one that lets others pass may wait for locks for longer."""
        if _LETS_OTHERS_PASS.fullmatch(statement):
            before = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
            _limit_waiting(connection, self._wait)
            try:
                return self._execute_once(step, statement, connection, run)
            finally:
                with suppress(DBAPIError, InvalidRequestError):  # of a connection that is lost
                    connection.exec_driver_sql(f"SET lock_timeout = '{before}'")
        return self._execute_once(step, statement, connection, run)

    def _execute_once(
        self, step: HalfDone, statement: str, connection: Connection, run: Callable[[], Any]
    ) -> Any:
        """Run a statement in one transaction with its count, or before it where it can be in none."""
        if not _IS_APART.match(statement):
            connection.exec_driver_sql("BEGIN")
            try:
                result = run()
                self._note(connection)
                connection.exec_driver_sql("COMMIT")
                return result
            except BaseException as error:
                with suppress(DBAPIError, InvalidRequestError):  # of a connection that is lost
                    connection.exec_driver_sql("ROLLBACK")
                if _state_of(error) not in _IN_NO_TRANSACTION:
                    raise
        try:
            result = run()
        except DBAPIError as error:
            was_under_way = self._is_resumed and step.done == self._left_out + 1
            found = _FIRST_WORD.match(statement)
            repeated = _REPEATED.get(found[1].upper(), frozenset()) if found else frozenset()
            if not was_under_way or _state_of(error) not in repeated:
                raise
            result = None
        self._note(connection)
        return result

    def finish(self, connection: Connection) -> None:
        """Keep nothing any more of a revision that is done, in the transaction that says so."""
        if self._is_noted:
            comment_on(connection, self._version_table, "NULL")
        self._found, self._is_noted = None, False

    @property
    def half_done(self) -> tuple[Path, str] | None:
        """The file of which a part may be committed, and its way."""
        return (self._file, self._step.way) if self._is_noted and self._step is not None else None

    def _digest(self) -> str:
        return self._text.hexdigest()[:12]

    def _note(self, connection: Connection) -> None:
        if self._step is not None and self._step.done >= self._left_out:
            self._step.note(connection, self._version_table)
            self._is_noted = True


def _limit_waiting(connection: Connection, seconds: float) -> None:
    """Have the session's statements wait for a lock for so long at most."""
    connection.exec_driver_sql(f"SET lock_timeout = '{seconds:g}s'")


def _state_of(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error."""
    return getattr(driver_error(error), "sqlstate", None) if isinstance(error, DBAPIError) else None
