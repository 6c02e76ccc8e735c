"""Services that are up in one process: `python -m scaffold up --together`.

To all others each is a service as any other, with a state, a reason and lines of its own. What they
have in common is their process, which another one follows for each of them.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Self

from scaffold.supervisor.journal import FLEET
from scaffold.supervisor.service import Process, State, SupervisedService, Surroundings

AGAIN = "; it is started again in "
"""What follows the reason in the line of a service that cannot start."""


@dataclass(eq=False)
class SharedProcess(SupervisedService):
    """What runs the services, by `python -m quart_fleet.server`."""

    members: "list[SharingService]" = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its last process has ended."""
    _counted: int = 0
    """Of its restarts, those that are counted for each service too."""
    _refusals: dict[str, str] = field(default_factory=dict)
    """Why services could not start, as they have said last, by their packages."""
    _refused: tuple[str, frozenset[str]] = ("", frozenset())
    """Why a process was refused, and the packages of those that could not start in it."""

    @classmethod
    def of(cls, around: Surroundings) -> Self:
        """Return one that has no services yet."""
        return cls(FLEET, around.root, "", 0, socket.socket(), around)

    def admit(self, service: "SharingService") -> bool:
        """Take a service in; return whether it is the first one, for which `run` is to be begun."""
        self.members.append(service)
        if len(self.members) > 1:
            self.want_another()
        return len(self.members) == 1

    def dismiss(self, service: "SharingService") -> None:
        """Go on without a service."""
        self.members.remove(service)
        self.want_another()

    @property
    def listeners(self) -> list[int]:
        """Those of the services."""
        return [each.listener.fileno() for each in self.members]

    @property
    def command(self) -> list[str]:
        """What runs them."""
        packages = [each.folder.name for each in self.members]
        return [sys.executable, "-m", "quart_fleet.server", *packages]

    @property
    def variables(self) -> dict[str, str]:
        """Which listener is whose."""
        return {"LISTEN_FDNAMES": ":".join(each.folder.name for each in self.members)}

    def show(self, line: str) -> str:
        """Show a line by the name of the service that it says."""
        told = None
        if line.startswith("{"):
            with suppress(ValueError, RecursionError):
                told = json.loads(line)
        if isinstance(told, dict):
            for each in self.members:
                if told.get("service") in (each.name, each.folder.name):
                    if told.get("level") == "critical":
                        reason = str(told.get("event")).partition(AGAIN)[0]
                        what = reason.removeprefix("It ")
                        self._refusals[each.folder.name] = (
                            what if what != reason else f"cannot start: {reason}"
                        )
                        each.restarts += 1
                        self._tell_members()
                    return self.around.show(each.name, line)
        return self.around.show(self.name, line)

    def hear(self, process: Process, said: Mapping[str, str]) -> None:
        """Take in which services serve.

        One takes over in which all do, or all that the one before it serves; else that one serves on.
        """
        if "X_FAILED" not in said:
            return
        process.failed = frozenset(said["X_FAILED"].split())
        process.served = frozenset(said["X_SERVING"].split())
        if said.get("READY") == "1":
            process.serves.set()
        elif not said["X_STARTING"] and process.failed and not process.serves.is_set():
            lost = process.failed
            if process.served:
                lost &= self.serving.served if self.serving is not None else frozenset()
            if lost:
                names = self._names_of(lost)
                reason = "; ".join(f"{name} {self._why(each)}" for each, name in names.items())
                self._refused = reason, lost
                process.refuse(reason)
            else:
                process.serves.set()
        if self.serving is process:
            self._tell_members()

    async def run(self) -> None:
        """Keep a process serving until all services are to end."""
        await super().run()
        self.over.set()

    def _become(self, state: State, reason: str = "") -> None:
        super()._become(state, reason)
        self._tell_members()

    def _tell_members(self) -> None:
        failed = self.serving.failed if self.serving is not None else ()
        again, self._counted = self.restarts - self._counted, self.restarts
        for each in self.members:
            each.restarts += again
            if self.state == "ready" and each.folder.name in failed:
                each.become("failed", self._why(each.folder.name))
            elif self.reason and self.reason == self._refused[0]:
                names = self._names_of(self._refused[1])
                is_own = each.folder.name in names
                others = f"waits for {', '.join(names.values())}, which cannot start"
                each.become(self.state, self._why(each.folder.name) if is_own else others)
            else:
                each.become(self.state, self.reason)

    def _names_of(self, packages: frozenset[str]) -> dict[str, str]:
        return {
            each.folder.name: each.name for each in self.members if each.folder.name in packages
        }

    def _why(self, package: str) -> str:
        return self._refusals.get(package, "cannot start")


@dataclass(eq=False)
class SharingService(SupervisedService):
    """A service whose process is that of others too."""

    process: SharedProcess = field(kw_only=True)

    @classmethod
    def of(cls, service: SupervisedService, process: SharedProcess) -> Self:
        """Return the service as one that shares a process."""
        given = {each.name: getattr(service, each.name) for each in fields(service) if each.init}
        return cls(**given, process=process)

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return self.process.pid

    @property
    def is_taken_over(self) -> bool:
        """Whether a process from which another one took over may answer still."""
        return self.process.is_taken_over

    @property
    def is_tried(self) -> bool:
        """Whether it is known of the process that was last wanted if it serves."""
        return self.process.is_tried

    def become(self, state: State, reason: str) -> None:
        """Take over what has become of it in the process."""
        if (state, reason) != (self.state, self.reason):
            self._become(state, reason)

    def want_another(self) -> None:
        """Have another process take over, for all of them."""
        self.process.want_another()

    async def restart(self) -> str:
        """Have another process take over; return why it does not, "" if it does."""
        reason = await self.process.restart()
        return self.reason if reason == self.process.reason else reason

    async def run(self) -> None:
        """Be served by the process until it is to end."""
        await self.ending.wait()
        if all(each.ending.is_set() for each in self.process.members):
            self.process.end()
            await self.process.over.wait()
        else:
            self.process.dismiss(self)
        self.listener.close()
        self._become("stopped")
