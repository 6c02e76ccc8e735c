"""What a process holds at most of what clients send."""

from dataclasses import dataclass


@dataclass(slots=True)
class BodyMemory:
    """The request bodies that are held, in bytes."""

    most: int = 32 * 1024 * 1024
    held: int = 0
