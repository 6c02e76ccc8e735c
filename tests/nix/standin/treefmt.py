"""A stand-in for treefmt: runs the configured formatters that this host has.

    treefmt.py SETTINGS [--ci] [--tree-root=DIR]

With --ci it fails where a file changes, as treefmt does.
"""

import json
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path


def main(settings_file: str, *options: str) -> int:
    """Format the files below the root; return the exit code."""
    settings = json.loads(Path(settings_file).read_text())
    roots = [option.partition("=")[2] for option in options if option.startswith("--tree-root=")]
    root = Path(roots[0] if roots else ".").resolve()
    files = [
        path for path in sorted(root.rglob("*")) if path.is_file() and ".git" not in path.parts
    ]
    changed = []
    for name, formatter in settings["formatter"].items():
        matching = [
            path
            for path in files
            if any(
                fnmatch(str(path.relative_to(root)) if "/" in each else path.name, each)
                for each in formatter["includes"]
            )
        ]
        if shutil.which(formatter["command"]) is None:
            print(f"{name}: {len(matching)} files, not on this host", file=sys.stderr)
            continue
        before = [path.read_bytes() for path in matching]
        command = [formatter["command"], *formatter.get("options", []), *map(str, matching)]
        subprocess.run(command, cwd=root, check=True)
        changed += [
            path for path, old in zip(matching, before, strict=True) if path.read_bytes() != old
        ]
    for path in changed:
        print(f"formatted: {path.relative_to(root)}", file=sys.stderr)
    return int("--ci" in options and bool(changed))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
