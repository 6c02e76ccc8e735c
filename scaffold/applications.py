"""What the applications of services tell of themselves, asked without a server or a database."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from scaffold.errors import ScaffoldError
from scaffold.workspace import SERVICES, Service

_UNSERVED = {"TESTING": "True", "DOCS": "False", "PYTHONDONTWRITEBYTECODE": "1"}
"""Settings with which an application is made and never started."""
_LONGEST = 200
"""Characters told of what an application says."""
_LOGIN = re.compile(r"(?<=://)\S*(?=@)")
"""Names and passwords in URLs (RFC 3986, section 3.2.1)."""
_DOCUMENT = re.compile(r"^[\[{]", re.MULTILINE)
"""Where JSON begins."""
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+)', re.MULTILINE)
"""A place in a traceback."""
DEADLINE = 60
"""Seconds that an app.py has to tell what it is asked for."""
_ASKING = """
import atexit, gc, json, os, runpy, select, signal, socket, sys, tempfile, time, traceback

gc.disable()  # nothing lives long here, and a process that ends takes nothing apart
_, source, option = sys.argv
sys.path.append(source)
import quart_fleet.database, quart_fleet.server, quart_fleet.web
if option == "--openapi":
    import quart_fleet.openapi

root, scripts, seconds = json.loads(sys.stdin.readline())
os.chdir(root)
texts, running = {}, {}
ended, wake = socket.socketpair()
ended.setblocking(False)
wake.setblocking(False)

def tell(script, printed, said):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(printed.fileno(), 1)
    os.dup2(said.fileno(), 2)
    sys.argv = [script, option]
    folders = [os.path.join(root, part) for part in (os.path.dirname(script), "", "services")]
    sys.path[:0] = folders[1:] if os.environ.get("PYTHONSAFEPATH") else folders
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code is not None:
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()  # as temporary folders are removed
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)

def finish():
    while not (child := os.waitpid(-1, os.WNOHANG)[0]):
        first = next(iter(running))
        left = running[first][2] - time.monotonic()
        if left <= 0:
            os.kill(first, signal.SIGKILL)
            child = os.waitpid(first, 0)[0]
            texts[running.pop(child)[0]] = None
            return
        readable = select.select([0, ended], [], [], left)[0]
        if 0 in readable:  # who asks has ended
            os.killpg(0, signal.SIGKILL)
        if ended in readable:
            ended.recv(4096)
    script, files, _ = running.pop(child)
    texts[script] = []
    for file in files:
        file.seek(0)
        texts[script].append(file.read().decode("utf-8", "replace"))

signal.signal(signal.SIGCHLD, lambda *_: None)
signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
for script in scripts:
    if len(running) == (os.cpu_count() or 1):
        finish()
    files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    child = os.fork()
    if not child:
        tell(script, *files)
    running[child] = script, files, time.monotonic() + seconds
while running:
    finish()
print(json.dumps([texts[script] for script in scripts]), flush=True)
os.killpg(0, signal.SIGKILL)  # with what an app.py started and left
"""
"""Runs scripts in forks, as many at once as there are processors; all begin with what is imported here.

It leads a session of its own, and ends with all of it when its standard input ends.
"""
_LATE = "it did not end in {} s; only quart_fleet.server.serve(app, ...) may start its server"
"""What is said of an app.py that was ended."""
_WHAT = {"--routes": "routes", "--openapi": "OpenAPI document"}
"""What an app.py is asked for, by its option."""


class Asker:
    """A process that has services' own app.py tell what an option names.

    It imports the chassis from its start on, before the first question, which may take a second.
    """

    def __init__(self, option: str) -> None:
        self._option = option
        there, here = os.pipe()  # it ends with all that it started once `here` is closed
        self._life = os.fdopen(here, "w", encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603 - the workspace's own command
            [sys.executable, "-P", "-c", _ASKING, str(Path(__file__).parents[1]), option],
            env=os.environ | _UNSERVED,
            stdin=there,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(there)

    def ask(self, services: Sequence[Service]) -> list[str | ScaffoldError]:
        """Return the JSON that each tells, or why it does not; once only.

        None opens a database or a port.
        """
        root = services[0].folder.parents[1] if services else Path()
        scripts = [f"{SERVICES}/{one.package}/app.py" for one in services]
        with suppress(BrokenPipeError):  # it has ended, and says why
            print(json.dumps([str(root), scripts, DEADLINE]), file=self._life, flush=True)
        printed, said = self._process.communicate()
        try:
            answers = json.loads(printed)
        except ValueError:  # it was killed, or the chassis itself cannot be imported
            answers = [["", said]] * len(services)
        return [
            _checked(one, self._option, *(each or ("", _LATE.format(DEADLINE))))
            for one, each in zip(services, answers, strict=True)
        ]

    def close(self) -> None:
        """End the process, which may have been asked nothing, and all that it started."""
        with suppress(ProcessLookupError, PermissionError):  # macOS names a group of zombies so
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        with suppress(BrokenPipeError):
            self._life.close()


def ask(services: Sequence[Service], option: str) -> list[str | ScaffoldError]:
    """Return the JSON that each service's own app.py prints with an option, or why it does not."""
    with closing(Asker(option)) as asker:
        return asker.ask(services)


def _checked(service: Service, option: str, printed: str, said: str) -> str | ScaffoldError:
    """Return the JSON that an app.py printed, or what it said in its place."""
    root = service.folder.parents[1]
    script = f"{SERVICES}/{service.package}/app.py"
    try:
        is_told = isinstance(json.loads(printed), list | dict)
    except ValueError:
        is_told = False
    if not is_told:
        first = printed.strip().partition("\n")[0]
        if first and (not said.strip() or _DOCUMENT.search(printed)):
            reason = f"it printed {first}, and not JSON alone"
        else:
            lines = said.strip().splitlines()[-1 if "Traceback (most recent" in said else -10 :]
            reason = " ".join(lines) or "it printed nothing"
        reason = _LOGIN.sub("***", reason)
        if len(reason) > _LONGEST:
            reason = f"{reason[:_LONGEST]}…"
        places = [
            f" ({(root / file).relative_to(root)}:{line})"
            for file, line in _FRAME.findall(said)
            if (root / file).is_relative_to(root / SERVICES)
            or (root / file).is_relative_to(root / "shared")
        ]
        what = _WHAT[option]
        return ScaffoldError(
            f"{script} does not tell its {what}: {reason.rstrip('.')}{''.join(places[-1:])}.\n"
            f"Mend it until this works: DEBUG=True python {script} {option}"
        )
    return printed
