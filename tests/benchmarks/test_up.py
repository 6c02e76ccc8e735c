"""What is up is measured by its own processes: those that serve, and no other."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.up import serving

_PARENT = """
import subprocess, sys
children = [subprocess.Popen([sys.executable, *each]) for each in (["app.py"], ["-c", "input()"])]
for each in children:
    each.wait()
"""


def test_of_what_a_supervisor_has_started_only_services_are_weighed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("input()")
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=tmp_path, stdin=subprocess.PIPE
    ) as parent:
        deadline = time.monotonic() + 30
        while not (found := serving(parent.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        words = [Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1] for pid in found]

    assert words == ["app.py"]
