"""The files of settings and secrets that git ignores, one service and one role at a time.

    services/<package>/.env        for `python app.py`, made of the .env.example beside it
    .secrets/postgres_password     of PostgreSQL's superuser, as which its container alone works
    .secrets/owner_password        of the role that owns the database and migrates it
    .secrets/roles/<package>       of the role that a service logs in as
    .secrets/keys/<package>        a service's SECRET_KEY

Those in .secrets/ are for the containers of compose.yaml, each of which is given its own alone.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from secrets import token_urlsafe

NAME = ".env"
EXAMPLE = ".env.example"
SECRETS = PurePosixPath(".secrets")

_SECRET_KEY = re.compile(r"^SECRET_KEY=.*$", re.MULTILINE)


def make_secrets(packages: Iterable[str]) -> dict[PurePosixPath, bytes]:
    """Return the secrets of the database and of these services' containers, all of them new."""
    names = ["postgres_password", "owner_password"]
    for package in packages:
        names += [f"roles/{package}", f"keys/{package}"]
    # Without a service too the folder of the roles is there, which a container is given whole.
    placeholder = {SECRETS / "roles/.keep": b""}
    return placeholder | {SECRETS / name: token_urlsafe(32).encode() for name in names}


def give_secret(example: str) -> str:
    """Return an example of settings with a new SECRET_KEY in place of its own."""
    return _SECRET_KEY.sub(f"SECRET_KEY={token_urlsafe(32)}", example)
