"""Brings the one server of a folder up, whoever else is trying to."""

import os
from pathlib import Path

from quart_fleet.postgres._cluster import Cluster
from quart_fleet.postgres._errors import EmbeddedPostgresError
from quart_fleet.postgres._layout import Layout
from quart_fleet.postgres._locks import (
    is_held,
    moments,
    open_lock,
    opened,
    take_exclusive,
    take_shared,
)
from quart_fleet.postgres._postmaster import Postmaster, find_ready_postmaster
from quart_fleet.postgres._reaper import ensure_reaper

_PATIENCE = 60


def take_lease(layout: Layout) -> int:
    """Waits outside while the reaper is ending the server."""
    _prepare(layout.folder)
    lease = open_lock(layout.lease)
    try:
        for _ in moments(_PATIENCE):
            if take_shared(lease):
                ensure_reaper(layout)
                return lease
        raise EmbeddedPostgresError(
            f"PostgreSQL has been stopping for {_PATIENCE} s.\nSee {layout.log}, then try again."
        )
    except BaseException:
        os.close(lease)
        raise


def give_back(layout: Layout, lease: int) -> None:
    """Looks once more that a reaper watches: the kernel, short of memory, kills what it likes."""
    try:
        if layout.reaper.exists():
            ensure_reaper(layout)
    finally:
        os.close(lease)


def get_running(layout: Layout, *, durable: bool) -> Postmaster:
    """The server, started if need be; to be called with the lease in hand."""
    for _ in moments(_PATIENCE):
        if postmaster := find_ready_postmaster(layout):
            return postmaster
        with opened(layout.server) as lock:
            if not take_exclusive(lock):
                continue
            # It may have come and gone between the two looks; that is as good as never.
            cluster = Cluster.of(layout)
            before = layout.log.stat().st_size if layout.log.exists() else 0
            cluster.start(lock, durable=durable)
        _await_readiness(cluster, before)
    raise _slow(layout)


def _await_readiness(cluster: Cluster, log_size: int) -> None:
    for _ in moments(_PATIENCE):
        if find_ready_postmaster(cluster.layout):
            return
        if not is_held(cluster.layout.server):
            raise EmbeddedPostgresError(
                f"{cluster.programs} did not start: {_last_words(cluster.layout.log, log_size)}\n"
                f"See {cluster.layout.log}."
            )
    raise _slow(cluster.layout)


def _slow(layout: Layout) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"PostgreSQL in {layout.folder} was not ready after {_PATIENCE} s.\nSee {layout.log}."
    )


def _last_words(log: Path, since: int) -> str:
    text = log.read_bytes()
    lines = text[since if since <= len(text) else 0 :].decode(errors="replace").splitlines()
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()] or lines
    return telling[-1].strip() if telling else "it said nothing"


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{folder} is needed for PostgreSQL and cannot be made: {error.strerror}.\n"
            "Make it writable, or set DATABASE_URL."
        ) from None
    if os.geteuid() not in (0, folder.stat().st_uid):
        raise EmbeddedPostgresError(
            f"{folder} belongs to another user (uid {folder.stat().st_uid}).\n"
            "Work as that user, or set DATABASE_URL."
        )
