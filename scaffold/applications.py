"""What the applications of services tell of themselves, asked without a server or a database."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from scaffold.errors import ScaffoldError
from scaffold.workspace import SERVICES, Service

_UNSERVED = {"TESTING": "True", "DOCS": "False", "PYTHONDONTWRITEBYTECODE": "1"}
"""Settings with which an application is made and never started."""
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+)', re.MULTILINE)
"""A place in a traceback."""
_ASKING = """
import gc, json, os, runpy, sys, tempfile, traceback

gc.disable()  # nothing lives long here, and a process that ends takes nothing apart
import quart_fleet.database, quart_fleet.server, quart_fleet.web

_, option, *scripts = sys.argv
if option == "--openapi":
    import quart_fleet.openapi
for script in scripts:
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(printed.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = [script, option]
            if not sys.flags.safe_path:  # then its folder would not be there
                sys.path[0] = os.path.dirname(script)
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                if end.code is not None:
                    print(end.code, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        os.waitpid(child, 0)
        texts = []
        for file in (printed, said):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    print(json.dumps(texts), flush=True)
os._exit(0)
"""
"""Runs one script after the other, each in a fork: the chassis is imported once for all of them."""
_WHAT = {"--routes": "routes", "--openapi": "OpenAPI document"}
"""What an app.py is asked for, by its option."""


def ask(services: Sequence[Service], option: str) -> list[str | ScaffoldError]:
    """Return the JSON that each service's own app.py prints with an option, or why it does not.

    None opens a database or a port.
    """
    count = min(len(services), os.cpu_count() or 1)
    with ThreadPoolExecutor(count or 1) as threads:
        parts = threads.map(
            lambda part: _ask(part, option), (services[at::count] for at in range(count))
        )
    answers = {one.package: answer for part in parts for one, answer in part}
    return [answers[one.package] for one in services]


def _ask(services: Sequence[Service], option: str) -> list[tuple[Service, str | ScaffoldError]]:
    """Have one interpreter ask some services, each in a process of its own that begins with the chassis."""
    root = services[0].folder.parents[1]
    path = [str(root), str(root / SERVICES), os.environ.get("PYTHONPATH", "")]
    scripts = [f"{SERVICES}/{one.package}/app.py" for one in services]
    done = subprocess.run(  # noqa: S603 - the workspace's own command
        [sys.executable, "-c", _ASKING, option, *scripts],
        cwd=root,
        env=os.environ | _UNSERVED | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    said += [["", done.stderr]] * (len(services) - len(said))
    return [(one, _checked(one, option, *texts)) for one, texts in zip(services, said, strict=True)]


def _checked(service: Service, option: str, printed: str, said: str) -> str | ScaffoldError:
    """Return the JSON that an app.py printed, or what it said in its place."""
    root = service.folder.parents[1]
    script = f"{SERVICES}/{service.package}/app.py"
    try:
        is_told = isinstance(json.loads(printed), list | dict)
    except ValueError:
        is_told = False
    if not is_told:
        said = said.strip() or f"it printed {printed.strip()[:80] or 'nothing'}"
        reason = said.splitlines()[-1] if "Traceback (most recent" in said else said
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
