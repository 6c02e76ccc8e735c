"""The fleet that fleet.toml describes, in the names of the code that is generated for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from scaffold.generation.fields import Resource
from scaffold.generation.relations import Relations, relate
from scaffold.language.description import FleetDescription, ServiceDescription
from scaffold.names import ServiceName, normalise
from scaffold.workspace import DOCUMENT, SERVICES


@dataclass(frozen=True, slots=True)
class PlannedClient:
    """What a service calls of another, as it is described."""

    provider: ServiceName
    port: int
    """The provider's."""
    operations: tuple[str, ...]

    @property
    def document(self) -> PurePosixPath:
        """Where the copy of the provider's OpenAPI document is, below the workspace's root."""
        return PurePosixPath(SERVICES, self.provider.package, DOCUMENT)


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A service as it is described."""

    name: ServiceName
    port: int
    resources: tuple[Resource, ...]
    clients: tuple[PlannedClient, ...] = ()

    @classmethod
    def of(
        cls,
        description: ServiceDescription,
        relations: Mapping[str, Relations],
        ports: Mapping[str, int],
    ) -> Self:
        """Return the names of a description, with the relations of each resource by its name.

        Args:
            description: of the service.
            relations: of each resource of the fleet, by its name.
            ports: of each service of the fleet, by its package.
        """
        name = ServiceName.parse(description.name)
        providers = [(ServiceName.parse(one.provider), one) for one in description.clients]
        return cls(
            name,
            description.port,
            tuple(
                Resource.described(name, one, relations[one.name]) for one in description.resources
            ),
            tuple(
                PlannedClient(provider, ports.get(provider.package, 0), one.operations)
                for provider, one in providers
            ),
        )

    @property
    def folder(self) -> PurePosixPath:
        """Where the service is, below the workspace's root."""
        return PurePosixPath(SERVICES, self.name.package)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every service that is described, sorted by name."""

    services: tuple[PlannedService, ...] = ()

    @classmethod
    def of(cls, description: FleetDescription) -> Self:
        """Return the names of a description."""
        relations = relate(description)
        ports = {normalise(one.name): one.port for one in description.services}
        return cls(tuple(PlannedService.of(one, relations, ports) for one in description.services))

    def find_service(self, package: str) -> PlannedService | None:
        """Return the service of this package, or None."""
        return next((one for one in self.services if one.name.package == package), None)

    def without(self, others: "Fleet") -> list[PlannedService]:
        """Return the services that others have not."""
        return [one for one in self.services if others.find_service(one.name.package) is None]

    def names_without(self, others: "Fleet") -> list[str]:
        """Return the services, and resources of other services, that others have not."""
        services = self.without(others)
        resources = [
            f"{service.name.typed}.{each.singular}"
            for service, each in self.resources()
            if service not in services
            and others.find_resource(service.name.package, each.singular) is None
        ]
        return [*(service.name.typed for service in services), *resources]

    def resources(self) -> Iterator[tuple[PlannedService, Resource]]:
        """Yield every resource beside its service."""
        for service in self.services:
            for resource in service.resources:
                yield service, resource

    def find_resource(self, package: str, name: str) -> Resource | None:
        """Return the resource of this name that a service keeps, or None."""
        service = self.find_service(package)
        resources = service.resources if service else ()
        return next((one for one in resources if one.singular == name), None)
