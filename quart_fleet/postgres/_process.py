"""Runs PostgreSQL's programs as the user they want, with nothing of ours in their way."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from quart_fleet.postgres._account import Account


def spawn(
    account: Account,
    command: Sequence[str],
    folder: Path,
    keep: Iterable[int] = (),
    output: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Starts a program in a session of its own, with the descriptors it is to keep."""
    return subprocess.Popen(  # noqa: S603 - the programs are the ones we looked up
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=tuple(keep),
        user=account.uid if account.borrowed else None,
        group=account.gid if account.borrowed else None,
        extra_groups=[] if account.borrowed else None,
    )


def run(account: Account, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The finished program, its messages in stdout; raises CalledProcessError."""
    with spawn(account, command, folder) as process:
        output, _ = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, output)
    done.check_returncode()
    return done


def _environment() -> dict[str, str]:
    """Ours without the settings of other servers (PGDATA and so on), in plain English and UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
