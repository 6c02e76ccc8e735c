"""Where macOS differs from Linux, by imitation: nothing here was ever run on a Mac."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from quart_fleet.errors import ConfigurationError
from quart_fleet.postgres import _postmaster
from quart_fleet.postgres._layout import Layout
from quart_fleet.server._listener import listen
from scaffold.supervisor import reaper
from scaffold.supervisor.ports import reserved_ports
from scaffold.supervisor.processes import Place, Processes, SignalGuard
from scaffold.supervisor.reaper import Reaper
from tests.macos import imitation
from tests.requirement import get_program
from tests.scaffold.commands import REPOSITORY

_SESSION = "sleep 600 & echo $!; wait"


def start_session() -> "subprocess.Popen[str]":
    """Start a session of two processes, the second of which outlives the first by a moment."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", _SESSION], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    assert process.stdout.readline()
    return process


def leave_zombies(process: "subprocess.Popen[str]") -> None:
    """Kill a session and wait until all of it has ended; none of it is reaped."""
    os.killpg(process.pid, signal.SIGKILL)
    while set(imitation.states_of(process.pid).values()) != {"Z"}:
        time.sleep(0.01)


def reap(group: int) -> None:
    """Reap what is left of a session."""
    for pid in imitation.states_of(group):
        os.waitpid(pid, 0)


def test_a_session_that_has_ended_and_is_not_reaped_has_ended_for_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "killpg", imitation.killpg)
    place, log = Place(tmp_path, dict(os.environ)), tmp_path / "session.log"
    with imitation.adopting_orphans(), Reaper() as watching:
        processes = Processes(SignalGuard(), watching)
        process = processes.start(["/bin/sh", "-c", _SESSION], place, log)
        while not log.read_text().endswith("\n"):
            time.sleep(0.01)

        processes.end([process])  # the first process is reaped, the second is adopted

        assert set(imitation.states_of(process.pid).values()) == {"Z"}
        reap(process.pid)


def test_a_session_that_has_ended_and_is_not_reaped_has_ended_for_the_reaper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with imitation.adopting_orphans():
        process = start_session()
        leave_zombies(process)
        monkeypatch.setattr(os, "killpg", imitation.killpg)
        began = time.monotonic()

        reaper.reap([f"+{process.pid}\n"])

        assert time.monotonic() - began < 5
        process.communicate()
        reap(process.pid)


def test_a_session_of_initdb_that_is_not_reaped_stops_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.of(tmp_path / ".postgres")
    layout.make_folder()
    with imitation.adopting_orphans():
        process = start_session()
        leave_zombies(process)
        monkeypatch.setattr(os, "killpg", imitation.killpg)
        lock = os.open(layout.server, os.O_RDWR | os.O_CREAT)
        os.pwrite(lock, f"{process.pid}\n".encode(), 0)
        answers = iter([False, True])
        monkeypatch.setattr(_postmaster, "take_exclusive", lambda _lock: next(answers))

        _postmaster.shut_down(layout, lock)

        os.close(lock)
        process.communicate()
        reap(process.pid)


def test_a_service_refuses_a_port_that_another_program_has_at_every_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with imitation.listening_everywhere(monkeypatch) as port:
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            with pytest.raises(ConfigurationError, match=f"Port {port} is in use"):
                listen(host, port)


def test_the_demo_takes_another_port_than_one_that_is_taken_at_every_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with imitation.listening_everywhere(monkeypatch) as port, reserved_ports([port]) as reserved:
        assert reserved.ports != [port]


@pytest.mark.parametrize("shared_is_usable", [True, False])
def test_the_path_of_the_socket_is_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_is_usable: bool
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: shared_is_usable)
    monkeypatch.setattr(tempfile, "tempdir", imitation.TEMPORARY_FOLDER)
    monkeypatch.setattr(os, "geteuid", lambda: 4_294_967_294)  # the longest there is

    layout = Layout.of(tmp_path / ("long" * 40))

    expected = "/tmp" if shared_is_usable else imitation.TEMPORARY_FOLDER
    assert str(layout.socket).startswith(f"{expected}/pg-")
    assert len(os.fsencode(layout.socket)) <= imitation.PATH_OF_A_SOCKET


def test_two_spellings_of_a_folder_have_one_socket_where_case_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "fleet/.postgres").mkdir(parents=True)
    (tmp_path / "FLEET").mkdir()
    code = (
        "from pathlib import Path; from quart_fleet.postgres._layout import Layout;"
        "print(*(Layout.of(Path(each, '.postgres')).sockets for each in ('fleet', 'FLEET')))"
    )
    # A mount is a second spelling that no link gives away; `.postgres` has a second one as well.
    script = 'mount --bind fleet FLEET && ln -s .postgres fleet/.POSTGRES && exec "$@"'
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    command = [
        get_program("unshare"),
        *user,
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr.startswith(("mount", "unshare")):
        pytest.skip("no folder can be mounted here")

    assert done.returncode == 0, done.stderr
    one, other = done.stdout.split()
    assert one == other


def test_two_folders_have_two_sockets_where_case_counts(tmp_path: Path) -> None:
    for name in ("fleet", "FLEET"):
        (tmp_path / name).mkdir()

    assert Layout.of(tmp_path / "fleet").sockets != Layout.of(tmp_path / "FLEET").sockets


def test_a_process_is_found_by_ps_where_there_is_no_proc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_postmaster, "_PROC", tmp_path)
    assert get_program("ps")
    process = subprocess.Popen(
        [sys.executable, "-c", imitation.BE_POSTGRES], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline()
    try:
        assert _postmaster._is_postgres(process.pid)
        assert not _postmaster._is_postgres(os.getpid())
        process.kill()
        while imitation.states_of(os.getpgid(process.pid))[process.pid] != "Z":
            time.sleep(0.01)
        assert not _postmaster._is_postgres(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert not _postmaster._is_postgres(process.pid)


def test_no_two_files_differ_by_case_alone() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.splitlines()

    lowered = [name.lower() for name in listed]
    assert len(set(lowered)) == len(lowered)


_ABSENT = {
    "GNU Make 3.82 and later": r"!=|::=|\$\((?:file|let|intcmp) |^\.ONESHELL|^\.SHELLFLAGS|^undefine |^define \S+ [:?+]?=",
    "options of GNU's programs": r"sed -(?:i|E?r)\b|readlink -f|grep -P|xargs -r|date -d|stat -c|cp -a|mktemp --|-printf",
    "programs": r"(?:^|[ \t@|(])(?:timeout|nproc|tac|realpath|setsid|sha256sum|flock) ",
    "bash": r"\[\[|<\(|\bfunction |\$\{\w+,,\}|mapfile|&>>",
}
"""What macOS has not, in its make, its /bin/sh (bash 3.2 as sh) and its tools."""


@pytest.mark.parametrize("lacking", _ABSENT)
@pytest.mark.parametrize(
    "name", ["Makefile", "scaffold/templates/workspace/Makefile.jinja", "nix/workspace.sh"]
)
def test_makefiles_use_nothing_that_a_mac_lacks(name: str, lacking: str) -> None:
    lines = (REPOSITORY / name).read_text().splitlines()

    assert [line for line in lines if re.search(_ABSENT[lacking], line)] == []
