"""The actions of a resource in the words of the templates: from state to state, by a name."""

from dataclasses import dataclass
from typing import Self

from scaffold import english
from scaffold.generation.fields import Field, Resource
from scaffold.names import variable_of


@dataclass(frozen=True, slots=True)
class Action:
    """`action` in a template."""

    name: str
    """Of the methods and the functions."""
    field: Field
    """The state."""
    title: str
    """Of its tests: `pay_makes_an_order_paid`."""
    message: str
    """What a client is told where it was done."""
    refusal: str
    """What one is told where it was done before."""
    state: str
    """The present state in a message, as an f-string has it."""
    source_labels: str
    """The states that it begins in, in English."""
    target_label: str
    target_word: str
    """The state that it ends in, as JSON has it."""
    sources: list[str]
    target: str
    """The same states as members of the enumeration."""
    is_refused: str
    """The condition for a conflict."""
    refusals: list[tuple[str, str]]
    """Every other state as a member, and the message."""
    names_to: list[str] | None
    """Actions that lead from a new resource to this one; None where no others do."""

    @classmethod
    def all_of(cls, resource: Resource) -> list[Self]:
        """Return the actions of a resource, in their order."""
        fields = {field.name: field for field in resource.fields.fields}
        article = f"{resource.article}_{resource.name}"
        found = []
        for one in resource.description.actions:
            field = fields[one.field]
            members = {word: field.literal(word) for word in field.of.type.words}
            sources = [members[word] for word in one.sources]
            others = [word for word in members if word not in one.sources]
            value = f"self.{field.name}"
            is_spaced = any("_" in word for word in others)
            is_alone = len(sources) == 1
            outside = f"is not {sources[0]}" if is_alone else f"not in ({', '.join(sources)})"
            found.append(
                cls(
                    name=one.name,
                    field=field,
                    title=f"{one.name}_makes_{article}_{members[one.target].split('.')[1].lower()}",
                    message=f"{resource.label} {_label(one.target)} successfully"
                    if english.is_participle(_label(one.target).lower())
                    else f"{resource.label} is now {_label(one.target)}",
                    refusal=f"{resource.label} is {_label(one.target)}",
                    state=f"{{{value}.replace('_', ' ')}}" if is_spaced else f"{{{value}}}",
                    source_labels=" or ".join(map(_label, one.sources)),
                    target_label=_label(one.target),
                    target_word=one.target,
                    sources=sources,
                    target=members[one.target],
                    is_refused=f"{value} {outside}",
                    refusals=[
                        (members[word], f"{resource.label} is {_label(word)}") for word in others
                    ],
                    names_to=_names_to(resource, one.field, field.initial, one.sources),
                )
            )
        return found

    @property
    def function(self) -> str:
        """The name of the controller: `open` is Python's, so `open_`."""
        return variable_of(self.name)

    @property
    def path(self) -> str:
        """The end of its address."""
        return path_of(self.name)

    @property
    def paths_to(self) -> list[str]:
        """The ends of the addresses of `names_to`."""
        return [path_of(name) for name in self.names_to or ()]


def path_of(name: str) -> str:
    """Return the end of an action's address, in kebab case as those of resources."""
    return name.replace("_", "-")


def _label(word: str) -> str:
    """Return a state in English: `in_transit` is `in transit`."""
    return word.replace("_", " ")


def _names_to(
    resource: Resource, state: str, initial: str, sources: tuple[str, ...]
) -> list[str] | None:
    """Return the shortest way from the initial state to one of the sources."""
    ways: dict[str, list[str]] = {initial: []}
    waiting = [initial]
    for word in waiting:
        if word in sources:
            return ways[word]
        for one in resource.description.actions:
            if one.field == state and word in one.sources and one.target not in ways:
                ways[one.target] = [*ways[word], one.name]
                waiting.append(one.target)
    return None
