"""What changes in the workspace of a fleet that is up: its files are looked at again and again.

Looking costs less than a millisecond for each service, works on every file system, and needs no
limit of the system raised.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from quart_fleet.errors import ConfigurationError
from quart_fleet.unfinished import JOURNAL, STAGING
from scaffold.commands.environment import make_missing
from scaffold.errors import ScaffoldError, describe
from scaffold.supervisor.fleet import Fleet, refuse_shared_ports
from scaffold.supervisor.journal import FLEET
from scaffold.supervisor.service import SupervisedService, first_of
from scaffold.workspace import SERVICES, Service

INTERVAL = 0.25
"""Seconds."""
REMOTE_INTERVAL = 1.0
"""Seconds, where each look asks another machine."""
_PENDING_INTERVAL = 15.0
"""Seconds until the database is asked again whether it still lacks revisions."""
_SUFFIXES = (".py", ".env", ".toml")
"""Of files that a process reads once. A template is read anew where DEBUG is on."""
_UNREAD = frozenset({"tests", "__pycache__", "migrations", "build", "dist", "node_modules"})
"""Folders that no running service reads."""
_ABSENT = (FileNotFoundError, NotADirectoryError, PermissionError)
"""Of what has just been removed, or is not for this user."""
_MODULES = ("__init__.py", "app.py", "bootstrap.py")
"""Of a service that can run."""
_REMOTE = re.compile(r"nfs|cifs|smb|9p|afs|ceph|virtiofs|fuse\.sshfs|vboxsf|fuse\.glusterfs")
"""What the names of file systems begin with whose files another machine changes."""

State = dict[str, tuple[int, int]]
"""By path, when a file was changed, in nanoseconds, and its bytes."""


async def watch(fleet: Fleet) -> None:
    """Look until the fleet ends, and have it take up what has changed."""
    root, interval = fleet.workspace.root, INTERVAL
    if kind := find_remote(root):
        interval = REMOTE_INTERVAL
        fleet.say(
            f"The workspace is on a network folder ({kind}): it is looked at once a second, and "
            "what another machine changes may be seen some seconds late."
        )
    else:
        with suppress(OSError):
            if os.statvfs(root).f_flag & os.ST_RDONLY:
                fleet.say(
                    "The workspace is on a read-only file system: it is looked at all the same."
                )
    looks, pause = _Looks(fleet), 0.0
    while not fleet.is_ending:
        await first_of(fleet.look_wanted, seconds=pause)
        fleet.look_wanted.clear()
        fleet.looks_begun += 1
        pause = interval
        try:
            was_moving = looks.is_moving
            now = await asyncio.to_thread(looks.take)
            if was_moving or looks.is_moving:
                continue
        except OSError:  # as where too many files are open: the next look tells
            continue
        try:
            is_all = await looks.compare(now)
        except Exception as error:  # whatever it is, the services go on
            is_all = True
            why = (
                describe(error)
                if isinstance(error, OSError)
                else f"{type(error).__name__}: {error}"
            )
            fleet.tell(FLEET, f"A change is not taken up: {why}", "error")
        if is_all:
            fleet.looks_done.reach(fleet.looks_begun)


class _Looks:
    """The folders of a workspace that matter to a fleet, and what was found in them so far."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._services = fleet.workspace.root / SERVICES
        self._shared = fleet.workspace.root / "shared"
        self._gone: set[Path] = set()
        """Folders of services that were not whole at the last look."""
        self._refused: dict[Path, State] = {}
        """Folders whose service cannot be up, as they were then."""
        self._up = frozenset[str]()
        """The services at the look before."""
        self._before: dict[Path, State] = {}
        """What is taken up, empty before the first look."""
        self._held: dict[Path, State] = {}
        """What is not, until revisions are applied."""
        self._asked = time.monotonic()
        """When the database was asked for its revisions."""

    @property
    def is_moving(self) -> bool:
        """Whether a command moves files: what it changes is taken up together."""
        return any(self._fleet.workspace.root.glob(f"{STAGING}*/{JOURNAL}"))

    def take(self) -> dict[Path, State]:
        """Return the state of each folder that matters; raises OSError where that is not known."""
        with os.scandir(self._services) as entries:
            folders = [Path(each.path) for each in entries if each.is_dir()]
        return {
            each: look(each) for each in (*folders, self._shared, self._fleet.workspace.versions)
        }

    async def compare(self, now: dict[Path, State]) -> bool:
        """Take up what differs from the look before, code after its revisions; return if all is."""
        fleet, before, self._before = self._fleet, self._before, now
        if not before:
            return True
        versions, database = fleet.workspace.versions, fleet.database
        changed = {folder for folder, state in now.items() if state != before.get(folder)}
        for folder in changed:
            remove_compiled(before.get(folder, {}), now[folder])
        # What is pending, or out of reach, may be mended by another program.
        is_open = database.pending or database.state == "failed"
        are_new = versions in changed
        if are_new or (is_open and time.monotonic() > self._asked + _PENDING_INTERVAL):
            self._asked = time.monotonic()
            looking = fleet.spawn(fleet.look_at_revisions(are_new=are_new))
            if fleet.options.migrates == "always":
                await asyncio.shield(looking)
        waiting = {folder: now[folder] for folder in changed - {versions}}
        if waiting and fleet.holds_back:
            self._before = {**before, versions: now[versions]}
            if waiting != self._held:
                self._held = waiting
                self.hold(changed)
            return True
        self._held = {}
        fleet.held = frozenset()
        return await self.take_up(changed, now)

    def hold(self, changed: set[Path]) -> None:
        """Tell that services keep the code that they have, since its revisions are not applied."""
        fleet = self._fleet
        fleet.held = frozenset(
            each.name
            for each in fleet.services.values()
            if not changed.isdisjoint((each.folder, self._shared))
        )
        fleet.changes.tell()
        fleet.tell(FLEET, "What has changed is taken up once the revisions are applied.")

    async def take_up(self, changed: set[Path], now: Mapping[Path, State]) -> bool:
        """Start, end and replace services, and their processes.

        Return whether that is all: a folder that is not whole may be so at the next look.
        """
        fleet, packages, is_all = self._fleet, self._fleet.options.packages, True
        whole = {
            folder
            for folder, state in now.items()
            if folder.parent == self._services
            and all(str(folder / module) in state for module in _MODULES)
        }
        for service in list(fleet.services.values()):
            if service.folder not in whole:
                if service.folder in self._gone and not service.ending.is_set():
                    fleet.tell(service.name, "is removed: its folder is gone, or not whole")
                    service.end()
                is_all = is_all and service.folder in self._gone
                self._gone.add(service.folder)
                continue
            self._gone.discard(service.folder)
            if service.folder in changed and self._is_elsewhere(service):
                await self._add(service.folder, now[service.folder])
            elif not changed.isdisjoint((service.folder, self._shared)):
                service.want_another()
        if not self._up <= fleet.services.keys():  # what has gone may have been in the way
            self._refused.clear()
        self._up = frozenset(fleet.services)
        for folder in sorted(whole):
            is_wanted = not packages or folder.name in packages
            if (
                is_wanted
                and fleet.find_service(folder.name) is None
                and self._refused.get(folder) != now[folder]
                and not fleet.is_ending
            ):
                await self._add(folder, now[folder])
        return is_all

    def _is_elsewhere(self, service: SupervisedService) -> bool:
        """Whether its files give a service another name, port or host than it has."""
        with suppress(ConfigurationError, OSError):
            found = self._read(service.folder)
            is_there = (found.host, found.port) == (service.host, service.port)
            return found.called != service.name or not (is_there or self._fleet.options.isolated)
        return False

    def _read(self, folder: Path) -> Service:
        """Read a service as it runs in this fleet; raises ConfigurationError and OSError."""
        return Service.read(folder).as_run()

    async def _add(self, folder: Path, state: State) -> None:
        """Have the service of a folder up; where that cannot be, say why, once."""
        fleet, before = self._fleet, self._fleet.find_service(folder.name)
        try:
            await asyncio.to_thread(make_missing, fleet.workspace)
            added, others = self._read(folder), fleet.services.values()
            if not fleet.options.isolated:  # each has a free one there
                refuse_shared_ports(
                    [
                        *(self._read(each.folder) for each in others if each.folder != folder),
                        added,
                    ]
                )
            service = fleet.add(added)
        except (ScaffoldError, ConfigurationError, OSError) as error:
            self._refused[folder] = state
            fleet.tell(FLEET, str(error), "error")
            return
        self._refused.pop(folder, None)
        fleet.start(service)
        fleet.tell(service.name, f"is {'moved' if before else 'added'}: {service.url}", "info")


def look(folder: Path | str) -> State:
    """Return the files of a folder that a service runs on; raises OSError where that is not known."""
    found = State()
    with suppress(*_ABSENT), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _UNREAD and not entry.name.startswith("."):
                    found |= look(entry.path)
            elif entry.name.endswith(_SUFFIXES):
                with suppress(*_ABSENT):
                    about = entry.stat()
                    found[entry.path] = about.st_mtime_ns, about.st_size
    return found


def remove_compiled(before: State, now: State) -> None:
    """Remove what Python has compiled of the files that differ.

    It tells it from what a file says now by the size and by the second of its last change alone.
    """
    for path, _ in now.items() - before.items():
        if path.endswith(".py"):
            with suppress(OSError):
                Path(cache_from_source(path)).unlink()


def find_remote(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the kind of file system that a folder is on, "" unless it is another machine's."""
    kind, longest = "", -1
    with suppress(OSError):
        for line in mounts.read_text("utf-8", errors="replace").splitlines():
            _, mounted, name, *_ = line.split(" ")
            # Spaces and the like are written in octal there.
            at = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), mounted)
            if folder.is_relative_to(at) and len(at) >= longest:
                kind, longest = name, len(at)
    return kind if _REMOTE.match(kind) else ""
