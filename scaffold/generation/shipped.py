"""What comes with every workspace: the model of users, and the revision that makes their table."""

from dataclasses import replace
from pathlib import PurePosixPath

from scaffold.generation.fields import Resource
from scaffold.generation.fleet import Fleet
from scaffold.generation.presets import preset_of
from scaffold.generation.render import render
from scaffold.names import ServiceName
from scaffold.workspace import MODELS

NAME = "user"
SERVICE = "user-service"
MODEL = PurePosixPath(MODELS, f"{NAME}.py")


def shipped_resource() -> Resource:
    """Return users as the workspace's first revision makes their table."""
    description = replace(preset_of(NAME), name=NAME)
    return Resource.described(ServiceName.parse(SERVICE), description)


def shipped_model() -> str:
    """Return the text of the model that comes with a workspace."""
    return render(f"workspace/{MODEL}.jinja", {})


def find_users(fleet: Fleet) -> Resource | None:
    """Return the users of a fleet, of any of its services, or None."""
    return next((one for _, one in fleet.resources() if one.singular == NAME), None)
