"""In which order tables are created, changed and dropped that refer to each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from scaffold.errors import MisuseError
from scaffold.generation.fields import Resource
from scaffold.generation.relations import without_references


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of the tables of one resource, by one revision."""

    owner: str
    """What the resource is called in the baseline."""
    was: Resource | None
    """None where it is created."""
    now: Resource | None
    """None where it is dropped."""
    _refers_before: frozenset[str] = field(init=False)
    _refers_after: frozenset[str] = field(init=False)
    _table_before: str | None = field(init=False)
    _table_after: str | None = field(init=False)

    def __post_init__(self) -> None:
        for name, resource in (("before", self.was), ("after", self.now)):
            targets = resource.needs if resource else frozenset()
            object.__setattr__(self, f"_refers_{name}", targets)
            object.__setattr__(self, f"_table_{name}", resource.table if resource else None)

    def waits_for(self, other: "Step") -> bool:
        """Whether another step has to be done before this one."""
        if other is self:
            return False
        is_made = other.now is not None and other._table_before != other._table_after
        is_lost = self.was is not None and self._table_before != self._table_after
        return bool(
            (is_made and other.now and other.now.qualified_name in self._refers_after)
            or (
                is_lost
                and self.was
                and self.was.qualified_name in other._refers_before
                and None in (self.now, other.now)
            )
            or (self.was is None and other.now is None and self._table_after == other._table_before)
        )


def order_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps in an order in which they can be done, else as they were given.

    Tables that refer to each other are created without one of the foreign keys, which a step of
    its own adds; so are they dropped. Raises MisuseError for what takes two commands.
    """
    waiting = list(steps)
    while waiting:
        free = (number for number, one in enumerate(waiting) if not _ahead_of(one, waiting))
        if (number := next(free, None)) is not None:
            yield waiting.pop(number)
            continue
        number, ahead = _open_circle(waiting)
        yield ahead
        waiting[number] = replace(waiting[number], was=ahead.now)


def _ahead_of(step: Step, waiting: list[Step]) -> list[Step]:
    return [other for other in waiting if step.waits_for(other)]


def _open_circle(waiting: list[Step]) -> tuple[int, Step]:
    """Return the number of a step, and what is done of it ahead of the others."""
    for number, step in enumerate(waiting):
        if step.was is None and step.now is not None:
            targets = {other.now.qualified_name for other in _ahead_of(step, waiting) if other.now}
            draft = _without(step.now, targets)
            if draft != step.now:
                return number, replace(step, now=draft)
    for step in waiting:
        if step.now is None and step.was is not None:
            for number, other in enumerate(waiting):
                if other is not step and other.was is not None and other.now is None:
                    draft = _without(other.was, {step.was.qualified_name})
                    if draft != other.was:
                        return number, replace(other, now=draft)
    names = ", ".join(step.owner for step in waiting)
    raise MisuseError(
        f"The tables of {names} refer to each other before and after this change: do it in two "
        "steps, each applied on its own."
    )


def _without(resource: Resource, targets: set[str]) -> Resource:
    description = without_references(resource.description, targets)
    return replace(resource, description=description)
