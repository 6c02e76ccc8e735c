"""In which order tables are created, changed and dropped that refer to each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from scaffold.errors import MisuseError
from scaffold.fields import Resource
from scaffold.relations import edges_of, without_references


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of the tables of one resource, by one revision."""

    owner: str
    """What the resource is called in the baseline."""
    was: Resource | None
    """None where it is created."""
    now: Resource | None
    """None where it is dropped."""
    _before: frozenset[str] = field(init=False)
    _after: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        for name, resource in (("_before", self.was), ("_after", self.now)):
            targets = edges_of(resource.description) if resource else ()
            object.__setattr__(self, name, frozenset(targets))

    def waits_for(self, other: "Step") -> bool:
        """Whether another step has to be done before this one."""
        made = other.now if other.now and other.table_was != other.now.table else None
        lost = self.was if self.was and self.table_was != (self.now and self.now.table) else None
        return bool(
            (made and made.singular in self._after)
            or (lost and lost.singular in other._before and None in (self.now, other.now))
            or (self.now and not self.was and not other.now and other.table_was == self.now.table)
        )

    @property
    def table_was(self) -> str | None:
        """The table's name before, if there was one."""
        return self.was.table if self.was else None


def order_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps in an order in which they can be done, else as they were given.

    Tables that refer to each other are created without one of the foreign keys, which a step of
    its own adds; so are they dropped. Raises MisuseError for what takes two commands.
    """
    waiting = list(steps)
    while waiting:
        free = next((one for one in waiting if not _ahead_of(one, waiting)), None)
        if free is not None:
            waiting.remove(free)
            yield free
            continue
        number, ahead = _open_circle(waiting)
        yield ahead
        waiting[number] = replace(waiting[number], was=ahead.now)


def _ahead_of(step: Step, waiting: list[Step]) -> list[Step]:
    return [other for other in waiting if other is not step and step.waits_for(other)]


def _open_circle(waiting: list[Step]) -> tuple[int, Step]:
    """Return the number of a step, and what is done of it ahead of the others."""
    for number, step in enumerate(waiting):
        if step.was is None and step.now is not None:
            targets = {other.now.singular for other in _ahead_of(step, waiting) if other.now}
            draft = _without(step.now, targets)
            if draft != step.now:
                return number, replace(step, now=draft)
    for step in waiting:
        if step.now is None and step.was is not None:
            for number, other in enumerate(waiting):
                if other is not step and other.was is not None and other.now is None:
                    draft = _without(other.was, {step.was.singular})
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
