"""A service as files: what its draft, and the workspace that it joins, make of the templates."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from quart_fleet.files import read_text
from quart_fleet.workspace import PROJECT_FILE
from scaffold import compose, environment
from scaffold.draft import Draft
from scaffold.errors import ScaffoldError
from scaffold.fields import Field, Resource
from scaffold.names import ServiceName
from scaffold.plan import Plan
from scaffold.render import TEMPLATES, format_python, render, render_tree
from scaffold.revisions import write_revision
from scaffold.tables import Table
from scaffold.workspace import MODELS, Inventory

_BASE = re.compile(r"^FROM +(?:--\S+ +)*([^\s$]+)(?=\s)", re.MULTILINE)

_DTO_NAMES = (
    *(
        "BigInteger",
        "Date",
        "DateTime",
        "DateTimeText",
        "Digits",
        "Duration",
        "DurationText",
        "Email",
        "Float",
        "Integer",
    ),
    *("Fixed", "LEFT_OUT", "PatchDTO"),
    *("RequestDTO", "ResponseDTO", "Text", "Time", "Url", "utc_now"),
)
"""What the DTOs of some fields use of quart_fleet.dto; ruff removes the rest."""

_ACTIVE = "is_active: Mapped[bool] = mapped_column(Boolean, server_default=true())"

Words = dict[str, object]
"""What templates may name: `service`, and of a resource its `fields` and their kinds too."""


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
    base: str
    """The image that its own is built on."""

    @property
    def published_port(self) -> str:
        """The port of this machine that leads to the container, as Compose reads it."""
        return f"${{{self.package.upper()}_PORT:-{self.port}}}"


@dataclass(frozen=True, slots=True)
class ExtensionWords:
    """`extension` in a template: the list with parameters and the patches, which the contract has not."""

    list_name: str
    """The constant that says what the list can be asked for."""
    filters: list[Field]
    unique_sets: list[list[str]]
    index_sets: list[list[str]]
    sorts: list[str]
    """Of one field each."""
    telling_filters: list[Field]
    """Those in which the samples of the tests differ."""
    required: list[str]
    """Of what a patch may set."""
    optional_sets: list[list[str]]
    fixed_sets: list[list[str]]

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the words of a resource."""
        fields = resource.fields
        unique = [field.name for field in fields.unique if not field.of.optional]
        indexes = [", ".join(map(str, columns)) for columns in fields.indexes]
        optional = [field.name for field in fields.updatable if field.of.optional]
        fixed = [field.name for field in fields.fields if field.of.fixed]
        return cls(
            list_name=f"{resource.name.upper()}_LIST",
            filters=fields.filtered,
            unique_sets=[unique] if unique else [],
            index_sets=[indexes] if indexes else [],
            sorts=["id", "created_at", *unique, *(each for each in indexes if "," not in each)],
            telling_filters=[each for each in fields.filtered if each.sample != each.other_sample],
            required=[
                *(field.name for field in fields.updatable if not field.of.optional),
                "is_active",
            ],
            optional_sets=[optional] if optional else [],
            fixed_sets=[fixed] if fixed else [],
        )


def describe_service(name: ServiceName, port: int, inventory: Inventory) -> Words:
    """Return the words of every template of a service."""
    project, base = inventory.composition.project, find_base(inventory.root)
    words = ServiceWords(name.typed, name.package, name.title, name.image, port, project, base)
    return {"service": words}


def find_base(root: Path) -> str:
    """Return the image that the workspace builds its database manager on, else the framework's."""
    dockerfile = "db_manager/Dockerfile"
    texts = [
        read_text(path)
        for path in (root / dockerfile, TEMPLATES / f"workspace/{dockerfile}.jinja")
        if path.is_file()
    ]
    base: str = _BASE.findall("\n".join(texts))[0]
    return base


def describe_resource(resource: Resource, service: str) -> Words:
    """Return the words that templates of a resource get besides."""
    fields = resource.fields
    refusals = ["AlreadyExistsError"] if fields.unique else []
    refusals += ["ValidationFailedError"] if fields.rules else []
    entity = f"{resource.class_name}Entity"
    return {
        "resource": resource,
        "fields": list(fields.fields),
        "required_fields": fields.required,
        "unique_fields": fields.unique,
        "unique_sets": [fields.unique] if fields.unique else [],
        "updatable_fields": fields.updatable,
        # Without its only field, a body would be empty.
        "unknown_key": ' | {"unknown": True}' if len(fields.fields) == 1 else "",
        "lookup_fields": fields.lookup,
        "limited_fields": fields.limited,
        "bordered_fields": fields.bordered,
        "enum_fields": fields.enums,
        "extensions": [] if resource.description.is_contract else [ExtensionWords.of(resource)],
        "contracts": [resource] if resource.description.is_contract else [],
        "rule_sets": [fields.rules] if fields.rules else [],
        "tested_rules": [rule for rule in fields.rules if rule.refused is not None],
        "tested_update_rules": [
            rule for rule in fields.rules if rule.refused is not None and not rule.field.of.fixed
        ],
        "entity_names": [entity, *(field.enum for field in fields.enums)],
        "column_types": fields.column_types,
        "dto_names": _DTO_NAMES,
        "datetime_import": fields.datetime_import,
        "moment": f"{fields.prefix}datetime",
        "update_ignores": fields.update_ignores,
        "patch_ignores": fields.patch_ignores,
        "create_raises": f"; raises {_listed(refusals)}" if refusals else "",
        "update_raises": _listed(["NotFoundError", *refusals]),
        "table_args": Table.of(resource).arguments(service),
        "column_lines": [field.column_line for field in fields.fields]
        + [_ACTIVE] * resource.description.has_active,
    }


def _listed(words: list[str]) -> str:
    """Return `A`, `A or B`, or `A, B or C`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def find_head(inventory: Inventory) -> str | None:
    """Return the newest revision, None where there is none; raises ScaffoldError at two."""
    history = inventory.history
    if history.faults:
        raise ScaffoldError(history.faults[0])
    if len(history.heads) > 1:
        raise ScaffoldError(
            f"{inventory.versions} has {len(history.heads)} heads ({', '.join(history.heads)}), so "
            "which of them a new revision follows is open.\nMerge them: python -m db_manager merge"
        )
    return next(iter(history.heads), None)


def plan_service(draft: Draft) -> Plan:
    """Decide every write; raises ScaffoldError."""
    inventory, resource = draft.inventory, draft.resource
    words = describe_service(draft.name, draft.port, inventory)
    tree = render_tree("service", words)
    example = tree[PurePosixPath(environment.EXAMPLE)]
    tree[PurePosixPath(environment.NAME)] = environment.give_secret(example)
    if resource is not None:
        words |= describe_resource(resource, draft.name.typed)
        tree |= render_tree("resource", words, resource.name)
    files = {draft.folder / path: text for path, text in tree.items()}
    if resource is not None and not resource.is_shipped:
        model = PurePosixPath(MODELS, f"{resource.name}.py")
        files[model] = render("models/_resource_.py.jinja", words)
        is_made = resource.table in inventory.history.tables
        revision = None if is_made else write_revision(None, resource, parent=find_head(inventory))
        if revision is not None:
            files[inventory.versions / revision.file_name] = revision.text
    formatted = format_python(files, inventory.root / PROJECT_FILE)
    contents = {path: text.encode() for path, text in formatted.items()}
    keep = [
        path
        for path in files
        if path.name == environment.NAME or path.is_relative_to(inventory.versions)
    ]
    secrets = environment.make_secrets([draft.name.package])
    contents |= {path: new for path, new in secrets.items() if not (inventory.root / path).exists()}
    plan = Plan.decide(inventory.root, contents, keep)
    if inventory.composition.uses(draft.name.package):
        return plan
    listed = inventory.composition.list_with(draft.name.package)
    return plan if listed is None else plan.amend(compose.LIST, listed)
