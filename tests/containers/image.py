"""An image without Docker: a Dockerfile's own commands, run below a folder that stands for /."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.containers.dockerfile import Instruction, Stage, read_stages
from tests.containers.ignored import build_context
from tests.workspace import run

_ABSOLUTE = re.compile(r"(?<![\w./-])/(?=(?:app|build|venv)\b)")
"""The folders that our Dockerfiles make at the root."""


@dataclass(slots=True)
class Image:
    """A stage, built as far as its instructions went."""

    root: Path
    system: dict[str, str]
    """What the base image sets; here, where Python is found and how packages are had."""
    folder: PurePosixPath = field(default_factory=lambda: PurePosixPath("/"))
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a process inside sees."""
        return self.system | self.settings

    @property
    def working_folder(self) -> Path:
        """Where processes start."""
        return self.root / self.folder.relative_to("/")

    def outside(self, text: str) -> str:
        """Return the text with the image's absolute paths as they are out here."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def start(self, words: list[str], **settings: str) -> "subprocess.Popen[str]":
        """Start a program as the container would, with settings that `docker run` gives."""
        environment = self.environment | settings
        program = shutil.which(words[0], path=environment["PATH"]) or words[0]
        return subprocess.Popen(
            [program, *words[1:]],
            cwd=self.working_folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def files(self) -> set[PurePosixPath]:
        """Return every file inside."""
        return {PurePosixPath("/", path.relative_to(self.root)) for path in self.root.rglob("*")}


def build(workspace: Path, dockerfile: str, folder: Path, system: dict[str, str]) -> Image:
    """Build every stage of a Dockerfile of a workspace; returns the last one."""
    images: dict[str, Image] = {}
    for number, stage in enumerate(read_stages(workspace / dockerfile)):
        root = folder / (stage.name or f"stage-{number}")
        root.mkdir(parents=True)
        images[stage.name] = _build_stage(stage, Image(root, system), workspace, images)
    return images[""]


def _build_stage(stage: Stage, image: Image, workspace: Path, others: dict[str, Image]) -> Image:
    for instruction in stage.instructions:
        match instruction.name:
            case "WORKDIR":
                image.folder = PurePosixPath(instruction.text)
                image.working_folder.mkdir(parents=True, exist_ok=True)
            case "ENV":
                _set(image, instruction)
            case "COPY":
                _copy(image, instruction.text.split(), workspace, others)
            case "RUN":
                command = image.outside(instruction.command)
                run(["sh", "-ec", command], image.working_folder, image.environment)
    return image


def _set(image: Image, instruction: Instruction) -> None:
    for name, value in instruction.settings.items():
        known = re.sub(r"\$(\w+)", lambda found: image.environment[found[1]], value)
        parts = known.split(os.pathsep)
        image.settings[name] = os.pathsep.join(image.outside(part) for part in parts)


def _copy(image: Image, words: list[str], workspace: Path, others: dict[str, Image]) -> None:
    source, target = words[-2:]
    destination = image.root / (image.folder / target).relative_to("/")
    if words[0].startswith("--from="):
        other = others[words[0].removeprefix("--from=")]
        shutil.copytree(other.root / source.lstrip("/"), destination, symlinks=True)
        return
    copied = [path for path in build_context(workspace) if path.is_relative_to(source)]
    assert copied, f"COPY {source}: the build's context has no such file"
    for path in copied:
        place = destination / path.relative_to(source)
        place = destination / path.name if place == destination and target == "." else place
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(workspace / path, place)
