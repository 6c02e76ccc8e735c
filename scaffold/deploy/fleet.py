"""The workspace as a cluster runs it: images, addresses and the paths that lead to them."""

from dataclasses import dataclass
from typing import Self

from scaffold.compose import Composition
from scaffold.deploy.routes import read_paths
from scaffold.errors import ScaffoldError
from scaffold.workspace import Service, Workspace

MIGRATE = "migrate"
"""The image that brings the database to its newest revision."""

_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True)
class Target:
    """Where the fleet goes, as the command line tells it."""

    registry: str
    namespace: str
    tag: str
    host: str
    ingress_namespace: str


@dataclass(frozen=True, slots=True)
class Member:
    """`service` in a template."""

    image: str
    port: int


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the whole fleet, and the service behind it."""

    path: str
    service: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """`fleet` in a template."""

    project: str
    target: Target
    members: tuple[Member, ...]
    routes: tuple[Route, ...]

    @classmethod
    def read(cls, workspace: Workspace, target: Target) -> Self:
        """Read every whole service of a workspace; raises ScaffoldError."""
        services = [each for each in workspace.services() if not each.missing]
        if not services:
            raise ScaffoldError(
                "There is no service to deploy. Make one: python -m scaffold user-service 8081"
            )
        members = tuple(Member(_image(each), each.port or _DEFAULT_PORT) for each in services)
        routes: dict[str, Route] = {}
        for service in services:
            for path in read_paths(service.folder):
                other = routes.setdefault(path, Route(path, _image(service)))
                if other.service != _image(service):
                    raise ScaffoldError(
                        f"{path} belongs to {other.service} and to {_image(service)}: one address "
                        "cannot lead to both. Rename the routes of one of them."
                    )
        project = Composition.read(workspace.root).project
        return cls(project, target, members, tuple(routes[path] for path in sorted(routes)))

    @property
    def namespace(self) -> str:
        """Of production; development's ends in -dev."""
        return self.target.namespace or self.project

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
    def images(self) -> list[str]:
        """What the manifests call their images."""
        return [MIGRATE, *(member.image for member in self.members)]

    @property
    def resources(self) -> list[str]:
        """The files of the base; an Ingress without a path would be refused."""
        ingress = ["ingress.yaml"] if self.routes else []
        services = [f"services/{member.image}.yaml" for member in self.members]
        return ["namespace.yaml", "network.yaml", "migrate.yaml", *services, *ingress]

    def repository(self, image: str) -> str:
        """Return where an image is; without a registry, as docker compose names what it builds."""
        registry = self.target.registry.rstrip("/")
        return f"{registry}/{image}" if registry else f"{self.project}-{image}"


def _image(service: Service) -> str:
    return service.package.replace("_", "-")
