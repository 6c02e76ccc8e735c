"""What measures: its processors and how they are divided, its system, its load."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Cores:
    """Which processors serve, and which ones ask and store; the same where there is only one."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def divide(cls) -> Self:
        """Give the server one core and everything else another, where the system can pin."""
        available = sorted(_available())
        if len(available) < 2:
            return cls(frozenset(available), frozenset(available))
        return cls(frozenset(available[:1]), frozenset(available[1:]))

    @property
    def divided(self) -> bool:
        """Whether server and load are kept apart."""
        return bool(self.server) and self.server != self.load


def pin(pid: int, cores: frozenset[int]) -> None:
    """Keep a process, and what it starts from now on, on these cores, where that can be done."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cores)


def _available() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def load_average() -> float:
    """Return how many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def describe() -> dict[str, object]:
    """Name the machine as far as it matters: no host, no paths."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", _read("/proc/cpuinfo"))
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory() -> int | None:
    found = re.search(r"MemTotal:\s*(\d+) kB", _read("/proc/meminfo"))
    return round(int(found[1]) / 2**20) if found else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
