"""What the database manager found, as values for programs and as lines for people."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from json import dumps
from typing import Self

from db_manager.revisions import Revision, describe_heads

MIGRATE = "python -m db_manager migrate"


@dataclass(frozen=True, slots=True)
class Status:
    """A database as it is, beside what the revisions and the models want it to be."""

    database: str
    """Where it is, without its password."""
    server_version: str | None = None
    current: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    pending: tuple[Revision, ...] = ()
    tables_defined: tuple[str, ...] = ()
    tables_found: tuple[str, ...] = ()
    """Those of `tables_defined` that are there."""
    drift: tuple[str, ...] | None = None
    """Differences between models and database; None when it is not at the newest revision."""
    not_compared: tuple[str, ...] = ()
    """What belongs to the models' tables and is not held against the models."""
    others: tuple[str, ...] = ()
    """Tables beside those of the models, which neither a model nor an operation of a revision made."""
    problem: str | None = None
    """Why it cannot be used as it is, in one line."""

    def to_json(self) -> str:
        """Write every field, and `ok`."""
        return dumps(asdict(self) | {"ok": self.problem is None}, indent=2)

    def to_lines(self) -> Iterable[tuple[str, str]]:
        """Return titles and texts."""
        yield "Database", self.database
        if self.server_version is None:
            return
        yield "Server", f"PostgreSQL {self.server_version}"
        yield "Revision", ", ".join(self.current) or "none"
        yield "Newest", ", ".join(self.heads) or "none"
        yield "Pending", "\n".join(f"{each.id} {each.message}" for each in self.pending) or "none"
        missing = sorted(set(self.tables_defined) - set(self.tables_found))
        found = f"{len(self.tables_found)} of {len(self.tables_defined)} found"
        yield "Tables", f"{found}, missing: {', '.join(missing)}" if missing else found
        yield "Drift", _drift(self.drift)
        if self.not_compared:
            yield "Aside", "\n".join(self.not_compared)
        if self.others:
            yield "Others", ", ".join(self.others)


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration did, and to which database."""

    database: str
    """Where it is, without its password."""
    applied: list[str]
    """The ids, in their order."""
    current: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        revision = ", ".join(self.current) or "no revision"
        if not self.applied:
            return f"Nothing to do: {self.database} is at {revision}."
        return f"Migrated {self.database} to {revision}."


@dataclass(frozen=True, slots=True)
class Check:
    """Whether the revisions, and the database that they made, say what the models say."""

    database: str
    current: tuple[str, ...]
    heads: tuple[str, ...]
    problems: tuple[str, ...]
    """One line for each: what keeps them from being compared, or every difference."""
    not_compared: tuple[str, ...] = ()

    @classmethod
    def of(cls, status: Status, unsafe: tuple[str, ...]) -> Self:
        """Judge a status; rights that services lack keep nothing from being compared.

        `unsafe` is what new revisions do to services that run, and no comment accepts.
        """
        problems = status.drift
        if problems is None:
            problems = (status.problem,) if status.problem else ()
        problems += tuple(f"Unsafe: {each}." for each in unsafe)
        return cls(status.database, status.current, status.heads, problems, status.not_compared)

    def to_json(self) -> str:
        """Write every field, and `ok`."""
        return dumps(asdict(self) | {"ok": not self.problems}, indent=2)


def history_json(revisions: Iterable[Revision]) -> str:
    """Write the revisions in the order given."""
    return dumps([asdict(each) for each in revisions], indent=2)


def find_problem(heads: tuple[str, ...], unknown: Iterable[str], pending: int) -> str | None:
    """Say in one line why a database is not at the newest revision.

    `unknown` are the revisions that it is at and that no file holds; `pending` counts those
    that it lacks.
    """
    if names := ", ".join(sorted(unknown)):
        return (
            f"The database is at {names}, which no file in db_manager/migrations/versions holds. "
            "Of newer code: bring its revisions here. Of another application: give this one a table "
            'of its own, [tool.scaffold] version_table = "alembic_version_NAME" in pyproject.toml.'
        )
    if len(heads) > 1:
        return describe_heads(heads)
    if pending:
        count = "1 revision" if pending == 1 else f"{pending} revisions"
        return f"The database is behind by {count}. Run: {MIGRATE}"
    return None


def describe_lacking(lacking: Sequence[str]) -> str:
    """Say in one line which rights services lack, and how they get them."""
    more = f", and {len(lacking) - 1} more" if lacking[1:] else ""
    return f"Rights of services are missing ({lacking[0]}{more}). Run: {MIGRATE}"


def _drift(drift: tuple[str, ...] | None) -> str:
    if drift is None:
        return "compared when the database is at the newest revision"
    return "\n".join(drift) or "none"
