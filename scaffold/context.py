"""What templates may name: a service, its resource, the resource's fields, its revision."""

from dataclasses import dataclass
from typing import TypedDict

from scaffold.fields import Field, FieldSet
from scaffold.names import ResourceName, ServiceName


@dataclass(frozen=True, slots=True)
class ServiceWords:
    """`service` in a template."""

    name: str
    package: str
    title: str
    image: str
    """In kebab case, for images and containers."""
    port: int
    project: str
    """The workspace, as compose.yaml names it."""


@dataclass(frozen=True, slots=True)
class ResourceWords:
    """`resource` in a template."""

    name: str
    class_name: str
    label: str
    label_lower: str
    article: str
    plural: str
    plural_label_lower: str
    path: str
    table: str


@dataclass(frozen=True, slots=True)
class RevisionWords:
    """`revision` in a template."""

    id: str
    down_revision: str | None


class ServiceContext(TypedDict):
    """What every template of a service gets."""

    service: ServiceWords


class ResourceContext(ServiceContext):
    """What templates of a resource get besides."""

    resource: ResourceWords
    fields: list[Field]
    required_fields: list[Field]
    optional_fields: list[Field]
    unique_fields: list[Field]
    updatable_fields: list[Field]
    lookup_fields: list[Field]
    limited_fields: list[Field]
    column_types: list[str]
    dto_types: list[str]


class RevisionContext(ResourceContext):
    """What the template of the revision gets besides."""

    revision: RevisionWords


def describe_service(name: ServiceName, port: int, project: str) -> ServiceContext:
    """Return the words of a service that keeps nothing."""
    words = ServiceWords(name.typed, name.package, name.title, name.image, port, project)
    return {"service": words}


def describe_resource(
    service: ServiceContext, name: ResourceName, fields: FieldSet
) -> ResourceContext:
    """Return the words of a service and of what it keeps."""
    return {
        **service,
        "resource": _resource_words(name, fields),
        "fields": list(fields.fields),
        "required_fields": fields.required,
        "optional_fields": fields.optional,
        "unique_fields": fields.unique,
        "updatable_fields": fields.updatable,
        "lookup_fields": fields.lookup,
        "limited_fields": fields.limited,
        "column_types": fields.column_types,
        "dto_types": fields.dto_types,
    }


def describe_revision(resource: ResourceContext, revision: RevisionWords) -> RevisionContext:
    """Return the words of the revision that creates the resource's table."""
    return {**resource, "revision": revision}


def _resource_words(name: ResourceName, fields: FieldSet) -> ResourceWords:
    return ResourceWords(
        name=name.name,
        class_name=name.class_name,
        label=name.label,
        label_lower=name.label_lower,
        article=name.article,
        plural=name.plural,
        plural_label_lower=name.plural_label_lower,
        path=name.path,
        table=name.table([field.name for field in fields.unique]),
    )
