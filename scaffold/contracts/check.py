"""Judge a workspace's imports, by the linter in a process that imports from that workspace.

So its own files are read, whichever workspace is installed in the interpreter.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from scaffold.contracts.verdict import Verdict
from scaffold.errors import ScaffoldError
from scaffold.workspace import SERVICES, Workspace


def check(workspace: Workspace) -> Verdict:
    """Judge every import of the workspace; raises ScaffoldError when some cannot be read."""
    if find_spec("grimp") is None:
        raise ScaffoldError(
            "The import contracts need grimp, one of the developer's tools: make install"
        )
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    folders = [str(workspace.root), str(workspace.root / SERVICES), *inherited]
    process = subprocess.run(
        [sys.executable, "-m", "scaffold.contracts.linter"],
        cwd=workspace.root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if process.returncode:
        *_, reason = process.stderr.splitlines() or ["it gave no reason"]
        raise ScaffoldError(f"The linter stopped before it was done: {reason}")
    document: dict[str, Any] = json.loads(process.stdout)
    if "refusal" in document:
        raise ScaffoldError(document["refusal"])
    return Verdict.from_json(document)
