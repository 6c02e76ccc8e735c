"""The mark that keeps a server running while nobody uses it."""

from contextlib import suppress

from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._postmaster import Postmaster, find_ready_postmaster


def pin(layout: Layout, postmaster: Postmaster) -> None:
    """Names the server it means: after a crash or a reboot the mark must mean nothing."""
    layout.pin.write_text(_name(postmaster))


def unpin(layout: Layout) -> None:
    layout.pin.unlink(missing_ok=True)


def is_pinned(layout: Layout) -> bool:
    postmaster = find_ready_postmaster(layout)
    with suppress(FileNotFoundError):
        return postmaster is not None and layout.pin.read_text() == _name(postmaster)
    return False


def _name(postmaster: Postmaster) -> str:
    return f"{postmaster.pid} {postmaster.started}\n"
