"""What the generator refuses, and how the process ends when it does.

ScaffoldError       exit 1: the workspace or the disk says no
└── MisuseError     exit 2: what was typed can never work
"""


class ScaffoldError(Exception):
    """What was wrong, where, and what to do next, in one or two lines."""

    exit_code = 1


class MisuseError(ScaffoldError):
    """What was typed can never work."""

    exit_code = 2
