"""A Dockerfile taken apart into its stages and instructions."""

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The exec form's arguments; raises ValueError where it is the shell form."""
        found = re.search(r"\[.*\]$", self.text)
        if found is None:
            raise ValueError(f"{self.name} is not in exec form: {self.text}")
        words: list[str] = json.loads(found[0])
        return words

    @property
    def command(self) -> str:
        """What RUN gives to the shell, without the mounts of the build."""
        return re.sub(r"^(--mount=\S+ )+", "", self.text)

    @property
    def settings(self) -> dict[str, str]:
        """The names and values of ENV and LABEL."""
        pairs = re.findall(r'([\w.]+)=("[^"]*"|\S+)', self.text)
        return {name: value.strip('"') for name, value in pairs}


@dataclass(frozen=True, slots=True)
class Stage:
    """What follows one FROM."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        """Return every instruction of a kind."""
        return [each for each in self.instructions if each.name == name]

    def get(self, name: str) -> Instruction:
        """Return the one instruction of a kind; raises ValueError where there is not one."""
        [found] = self.all(name)
        return found


def read_stages(path: Path) -> list[Stage]:
    """Read a Dockerfile; arguments before the first FROM are not known here."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    lines = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    stages: list[Stage] = []
    for name, _, text in lines:
        if name == "FROM":
            base, _, alias = text.partition(" AS ")
            stages.append(Stage(base, alias, ()))
            continue
        last = stages.pop()
        stages.append(Stage(last.base, last.name, (*last.instructions, Instruction(name, text))))
    return stages
