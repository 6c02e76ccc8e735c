"""What the generator asks of the workspace's database, by running the database manager."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quart_fleet.conventions import SECRETS
from scaffold.errors import ScaffoldError


@dataclass(frozen=True, slots=True)
class AppliedRevisions:
    """Which of some revisions a database has."""

    database: str
    """Where it is, without its password."""
    ids: frozenset[str]


NONE_APPLIED = AppliedRevisions("no database", frozenset())


def get_applied(root: Path, ids: Collection[str]) -> AppliedRevisions:
    """Return which of the revisions are applied; raises ScaffoldError without an answer.

    Asked is the database that `python -m db_manager` would use here; others cannot be known.
    """
    found = find_status(root)
    if found is None:
        return NONE_APPLIED
    if found["server_version"] is None:
        raise ScaffoldError(
            "The database does not answer, so that it is open whether it has "
            f"{', '.join(sorted(ids))}; nothing was written.\n"
            "Start it; of remove, --assume-applied drops tables by a new revision instead."
        )
    if not found["current"]:
        return AppliedRevisions(found["database"], frozenset())
    pending = {each["id"] for each in found["pending"]}
    return AppliedRevisions(found["database"], frozenset(ids) - pending)


def find_status(root: Path) -> dict[str, Any] | None:
    """Return what the database manager says of the database, None where there was never one.

    `server_version` is null in it where the database does not answer; `problem` says why.
    """
    secrets = Path(os.environ.get("SECRETS_DIR") or SECRETS)
    is_named = os.environ.get("DATABASE_URL") or (secrets / "DATABASE_URL").is_file()
    if not is_named and not (root / ".postgres").exists():
        return None  # its server was never started
    status = run_manager(root, "status", "--json")
    try:
        found: dict[str, Any] = json.loads(status.stdout)
    except json.JSONDecodeError:
        found = {"server_version": None, "problem": status.stderr.strip()}
    return found


def downgrade(root: Path, revision: str | None, name: str | None) -> None:
    """Take the database back to a revision, None for before the first; raises ScaffoldError.

    A `name` that the user gave agrees to what is lost on a server that is given.
    """
    consent = ["--yes"] if name is None else ["--confirm", name]
    completed = run_manager(root, "downgrade", revision or "base", *consent)
    if completed.returncode:
        raise ScaffoldError(f"Nothing was written.\n{completed.stderr.strip()}")


def grant(root: Path, revision: str) -> None:
    """Grant services what a downgrade to `revision` has made anew; raises ScaffoldError.

    Whose a table is, the database manager knows by the models that are on the disk again.
    """
    if revision == "base":
        return  # there is no table
    completed = run_manager(root, "migrate", revision)
    if completed.returncode:
        raise ScaffoldError(
            "The files are as they were, but services may lack rights on their tables.\n"
            f"{completed.stderr.strip()}\nThen run: python -m db_manager migrate"
        )


def run_manager(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m db_manager` in the workspace."""
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "db_manager", *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
