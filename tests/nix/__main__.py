"""`python -m tests.nix PYTHON`: `nix flake check` of this very repository, against the stand-in.

PYTHON is the folder of an interpreter with nixpkgs' versions of all packages. As in nixpkgs, the
framework need not be installed there: it is found on PYTHONPATH. It runs nearly every test once
more: too long for a test among them.
"""

import sys
from pathlib import Path

from tests.nix.offline import find_obstacle, prepared
from tests.workspace import FRAMEWORK


def main(python: str) -> int:
    """Run the check to its end, print its log, and return its exit code."""
    if obstacle := find_obstacle():
        print(obstacle, file=sys.stderr)
        return 1
    print(f"nix flake check {FRAMEWORK}: this takes minutes ...", file=sys.stderr, flush=True)
    with prepared(Path(python)) as nix:
        completed = nix.run_overridden("flake check", "--print-build-logs", FRAMEWORK)
    print(completed.stdout + completed.stderr)
    return completed.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
