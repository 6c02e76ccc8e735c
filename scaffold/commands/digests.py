"""`python -m scaffold digests`: the images of others, each pinned to what its tag stands for now.

`python:3.13-slim-trixie@sha256:…` in a Dockerfile, a compose file, a manifest or a pipeline is the
same image for every build until this command renews it, in all files at once. A tag without a
digest stays as it is.
"""

import re
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import click

from scaffold.commands import preview
from scaffold.commands.registry import Image
from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace

_FILES = (
    *("*.yaml", ".gitlab-ci.yml", ".github/workflows/*.yml"),
    *("*/Dockerfile", "*/*.yaml", "services/*/Dockerfile", "services/*/*.yaml"),
    "deploy/**/*.yaml",
    "scaffold/templates/**/*.jinja",  # of the framework's own repository
)
_PINNED = re.compile(rb"([a-z0-9][\w./:-]*:[\w.-]+)@(sha256:[0-9a-f]{64})")


@click.command("digests")
@click.option("--check", is_flag=True, help="Write nothing; fail where a digest is not the newest.")
def command(check: bool) -> None:
    """Renew the digests that the images of others are pinned by.

    Each registry is asked once for what a tag stands for now, and every Dockerfile, compose file,
    manifest and pipeline that names the tag with a digest is changed.
    """
    workspace = Workspace.find(Path.cwd())
    with nullcontext() if check else workspace.locked():
        files = read_files(workspace.root)
        references = sorted(
            {found[1] for text in files.values() for found in _PINNED.finditer(text)}
        )
        newest = {
            reference: Image.parse(reference.decode()).get_digest().encode()
            for reference in references
        }
        renewed = {
            path: _PINNED.sub(lambda found: b"%b@%b" % (found[1], newest[found[1]]), text)
            for path, text in files.items()
        }
        plan = Plan.decide(workspace.root, renewed)
        if not check:
            transaction.apply(plan)
    for reference, digest in newest.items():
        click.echo(f"{reference.decode()}  {digest.decode()}")
    preview.print_list(plan)
    if check and plan.changed:
        raise ScaffoldError("Not every digest is the newest: python -m scaffold digests")


def read_files(root: Path) -> dict[PurePosixPath, bytes]:
    """Return the files that pin an image by its digest."""
    texts = {
        PurePosixPath(path.relative_to(root)): path.read_bytes()
        for pattern in _FILES
        for path in root.glob(pattern)
        if path.is_file()
    }
    return {path: text for path, text in texts.items() if _PINNED.search(text)}
