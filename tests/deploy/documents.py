"""Manifests as kubectl builds them, and the ways into them."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.requirement import get_program, require_module
from tests.workspace import run

Document = dict[str, Any]
Documents = list[Document]
Step = str | int
Place = tuple[Step, ...]


def build(overlay: Path) -> Documents:
    """Build an overlay; skips where kubectl or yaml is missing."""
    command = [get_program("kubectl"), "kustomize", str(overlay)]
    require_module("yaml")
    yaml = import_module("yaml")  # which has no types of its own
    environment = {"PATH": os.environ["PATH"], "HOME": str(overlay)}
    return [each for each in yaml.safe_load_all(run(command, overlay, environment)) if each]


def of_kind(documents: Documents, kind: str) -> Documents:
    """Return every document of a kind."""
    return [each for each in documents if each["kind"] == kind]


def name_of(document: Document) -> str:
    """Return `Deployment/user-service`."""
    return f"{document['kind']}/{document['metadata']['name']}"


def find(document: Any, place: Place) -> Any:
    """Return what is at a place, None where nothing is."""
    for step in place:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def keys(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every key, however deep."""
    pairs: list[tuple[Step, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for step, inner in pairs:
        if isinstance(step, str):
            yield (*place, step)
        yield from keys(inner, (*place, step))


def pods(documents: Documents) -> Documents:
    """Return the templates of all pods that the documents ask for."""
    kinds = ("Deployment", "StatefulSet", "Job")
    templates = [each["spec"]["template"] for each in documents if each["kind"] in kinds]
    crons = [each for each in documents if each["kind"] == "CronJob"]
    return templates + [each["spec"]["jobTemplate"]["spec"]["template"] for each in crons]


def containers(pod: Document) -> Documents:
    """Return all containers of a pod's template, those that come first too."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
