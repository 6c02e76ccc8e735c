"""What a workspace installs the framework from while no package index offers it.

`vendor/` holds its wheel, and two locks hold the hashes of the wheel and of everything else.
`python -m scaffold.distribution.vendor` writes them into the current folder: `make vendor` of the framework.
"""

from pathlib import Path, PurePosixPath

from scaffold.distribution.framework import get_framework
from scaffold.distribution.wheel import build_wheel
from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from scaffold.generation.render import render

FOLDER = PurePosixPath("vendor")
LOCKS = ("requirements.lock", "requirements-dev.lock")
"""What images run on, and what developers and CI do."""


def collect() -> dict[PurePosixPath, bytes]:
    """Return the wheel and the locks, by their path below a workspace's root."""
    wheel = build_wheel(get_framework())
    locks = {
        PurePosixPath(name): render(f"lock/{name}.jinja", {"digest": wheel.digest}).encode()
        for name in LOCKS
    }
    return {FOLDER / wheel.name: wheel.content, **locks}


if __name__ == "__main__":
    transaction.apply(Plan.decide(Path.cwd(), collect()))
