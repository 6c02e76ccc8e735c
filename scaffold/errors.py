"""What the generator refuses, and how the process ends when it does.

ScaffoldError       exit 1: the workspace or the disk says no
└── MisuseError     exit 2: what was typed can never work
"""

import errno
import resource


class ScaffoldError(Exception):
    """What was wrong, where, and what to do next, in one or two lines."""

    exit_code = 1


class MisuseError(ScaffoldError):
    """What was typed can never work."""

    exit_code = 2


def describe(error: OSError) -> str:
    """Say why the system refuses something; of too many open files, with the remedy."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"{error.strerror}, of which {most} are allowed: ulimit -n {max(1024, 2 * most)}"
    return error.strerror or str(error)
