"""Kubernetes manifests as files: a base that is written anew, and overlays that are kept."""

from pathlib import PurePosixPath

from scaffold.deploy.fleet import Fleet
from scaffold.engine.plan import Plan
from scaffold.generation.render import render, render_tree, using_templates_of
from scaffold.workspace import Workspace

FOLDER = PurePosixPath("deploy/k8s")
BASE = FOLDER / "base"
OVERLAYS = FOLDER / "overlays"
ENTRANCES = frozenset({"ingress.yaml", "httproute.yaml"})
"""Files of the base of which a fleet has one, or none."""


def plan_manifests(workspace: Workspace, fleet: Fleet, *, overlays_anew: bool) -> Plan:
    """Decide every write; overlays that are there stay, unless they are wanted anew."""
    with using_templates_of(workspace.root):
        tree = render_tree("deploy/k8s", {"fleet": fleet})
        files = {FOLDER / path: text for path, text in tree.items()}
        for member in fleet.members:
            path = BASE / "services" / f"{member.image}.yaml"
            files[path] = render("deploy/service.yaml.jinja", {"fleet": fleet, "service": member})
    for name in ENTRANCES - {fleet.entrance}:
        del files[BASE / name]
    contents = {path: text.encode() for path, text in files.items()}
    kept = [path for path in files if path.is_relative_to(OVERLAYS) and not overlays_anew]
    return Plan.decide(workspace.root, contents, kept)
