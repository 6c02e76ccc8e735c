"""The workspace as a cluster runs it: images, addresses and the paths that lead to them."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from scaffold.compose import Composition
from scaffold.deploy.routes import Route, lead, read_rules
from scaffold.errors import ScaffoldError
from scaffold.workspace import Workspace

MIGRATE = "migrate"
"""The image that brings the database to its newest revision."""

_DEFAULT_PORT = 8080
_LONGEST_NAMESPACE = 59
"""Characters; Kubernetes takes 63, and development's ends in -dev."""
_LONGEST_RELEASE = 40
"""Characters of a tag in the name of a Job, whose pods' names are longer."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the fleet goes, as the command line tells it."""

    registry: str
    namespace: str
    tag: str
    host: str
    ingress_namespace: str
    ingress_class: str
    gateway: str
    """`namespace/name` of a Gateway; empty where an Ingress leads to the fleet."""
    pull_secret: str = ""
    """What the registry is asked with; empty where every node may."""


NOWHERE = Target("", "", "", "", "", "", "")
"""Where no manifest is wanted."""


@dataclass(frozen=True, slots=True)
class Member:
    """`service` in a template."""

    package: str
    port: int

    @property
    def image(self) -> str:
        """Its image, and whatever else Kubernetes names."""
        return self.package.replace("_", "-")

    @property
    def role(self) -> str:
        """As what it logs in to the database."""
        return self.package


@dataclass(frozen=True, slots=True)
class Fleet:
    """`fleet` in a template."""

    project: str
    target: Target
    members: tuple[Member, ...]
    routes: tuple[Route, ...]
    unreachable: tuple[str, ...]
    """Rules without a fixed first segment, so that no path can lead to their service."""

    @classmethod
    def read(cls, workspace: Workspace, target: Target | None) -> Self:
        """Read every whole service of a workspace; raises ScaffoldError.

        Without a target, no application is asked for its routes.
        """
        services = [each for each in workspace.services() if not each.missing]
        if not services:
            raise ScaffoldError(
                "There is no service to deploy. Make one: python -m scaffold user-service 8081"
            )
        members = tuple(Member(each.package, each.port or _DEFAULT_PORT) for each in services)
        project = Composition.read(workspace.root).project
        if target is None:
            return cls(project, NOWHERE, members, (), ())
        with ThreadPoolExecutor() as processes:
            images = (member.image for member in members)
            rules = dict(zip(images, processes.map(read_rules, services), strict=True))
        routes, unreachable = lead(rules)
        return cls(project, target, members, tuple(routes), tuple(unreachable))

    @property
    def namespace(self) -> str:
        """Of production; development's ends in -dev."""
        return self.target.namespace or self.label

    @property
    def label(self) -> str:
        """The project's name as Kubernetes takes it, with room for `-dev`."""
        return _label(self.project)[:_LONGEST_NAMESPACE].strip("-") or "fleet"

    @property
    def host(self) -> str:
        """The name by which the world knows the fleet."""
        return self.target.host

    @property
    def tag(self) -> str:
        """The release."""
        return self.target.tag

    @property
    def ingress_namespace(self) -> str:
        """Where the ingress controller runs."""
        return self.target.ingress_namespace

    @property
    def ingress_class(self) -> str:
        """Of the Ingress; without one, the cluster's default serves it."""
        return self.target.ingress_class

    @property
    def pull_secret(self) -> str:
        """The name of the secret with which images are pulled, or nothing."""
        return self.target.pull_secret

    @property
    def gateway(self) -> PurePosixPath:
        """The Gateway, below its namespace."""
        return PurePosixPath(self.target.gateway)

    @property
    def entrance(self) -> str | None:
        """The file of the way in; one without a path would be refused."""
        if not self.routes:
            return None
        return "httproute.yaml" if self.target.gateway else "ingress.yaml"

    @property
    def paths(self) -> dict[str, list[str]]:
        """The paths that lead to each service that has any."""
        found: dict[str, list[str]] = {}
        for route in self.routes:
            found.setdefault(route.service, []).append(route.path)
        return found

    @property
    def migration(self) -> str:
        """The name of the release's migration, as `migrate-0-2-0` of 0.2.0."""
        plain = _label(self.tag)[:_LONGEST_RELEASE].strip("-")
        if plain in (self.tag, self.tag.replace(".", "-")):
            return f"{MIGRATE}-{plain}"
        mark = hashlib.sha1(self.tag.encode(), usedforsecurity=False).hexdigest()[:6]
        return f"{MIGRATE}-{plain}-{mark}" if plain else f"{MIGRATE}-{mark}"

    @property
    def images(self) -> list[str]:
        """What the manifests call their images."""
        return [MIGRATE, *(member.image for member in self.members)]

    @property
    def resources(self) -> list[str]:
        """The files of the base."""
        entrance = [self.entrance] if self.entrance else []
        services = [f"services/{member.image}.yaml" for member in self.members]
        return ["namespace.yaml", "network.yaml", "migrate.yaml", *services, *entrance]

    def repository(self, image: str) -> str:
        """Return where an image is; without a registry, as docker compose names what it builds."""
        registry = self.target.registry.rstrip("/")
        return f"{registry}/{image}" if registry else f"{self.project}-{image}"


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
