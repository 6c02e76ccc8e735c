"""A service as files: what its description, and the workspace, make of the templates."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.files import read_text
from scaffold import english
from scaffold.generation.actions import Action
from scaffold.generation.fields import Field, ItemsField, Resource, Rule
from scaffold.generation.fleet import PlannedService
from scaffold.generation.relations import Target
from scaffold.generation.render import TEMPLATES, Files, render, render_tree
from scaffold.generation.samples import samples_of
from scaffold.generation.tables import Table, quoted
from scaffold.language.description import Value, spell

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
        "Id",
        "Ids",
        "Integer",
        "Json",
    ),
    *("Fixed", "Hidden", "Initially", "LEFT_OUT", "Matching"),
    *("Part", "PartDTO", "PartPatchDTO", "PatchDTO"),
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
    name_sets: list[dict[str, str]]
    """The keys of fields that are sorted by another name."""
    search_sets: list[list[str]]
    sought_sets: list[str]
    """A part of a text of the first sample, which the second has not: at most one."""
    telling_filters: list[Field]
    """Those in which the samples of the tests differ."""
    unknown: str
    """A parameter that the list has not."""
    required_sets: list[list[str]]
    """Of what a patch may set."""
    optional_sets: list[list[str]]
    fixed_sets: list[list[str]]

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the words of a resource."""
        fields = resource.fields
        unique = [field.name for field in fields.unique if not field.of.optional]
        indexes = [", ".join(map(str, columns)) for columns in fields.indexes]
        optional = [
            field.name for field in fields.updatable if field.of.optional and not field.of.secret
        ]
        fixed = [field.name for field in fields.fields if field.is_fixed]
        required = [field.name for field in fields.updatable if not field.of.optional]
        required += ["is_active"] * fields.has_active
        names = {each.of.name: each.name for each in fields.filtered if each.of.name != each.name}
        searched = [each.name for each in fields.searched]
        sorted_by = {key: name for name, key in names.items()}
        singles = [each.removeprefix("-") for each in indexes if "," not in each]
        return cls(
            list_name=f"{resource.name.upper()}_LIST",
            filters=fields.filtered,
            unique_sets=[unique] if unique else [],
            index_sets=[indexes] if indexes else [],
            sorts=[
                sorted_by.get(each, each)
                for each in dict.fromkeys(["id", "created_at", *unique, *singles])
            ],
            name_sets=[names] if names else [],
            search_sets=[searched] if searched else [],
            sought_sets=_sought(fields.searched)[:1],
            telling_filters=[each for each in fields.filtered if each.sample != each.other_sample],
            # With a dash, it is the name of no field.
            unknown="no-colour"
            if any(each.name == "colour" for each in fields.filtered)
            else "colour",
            required_sets=[required] if required else [],
            optional_sets=[optional] if optional else [],
            fixed_sets=[fixed] if fixed else [],
        )


@dataclass(frozen=True, slots=True)
class PartWords:
    """`part` in a template: what belongs to a resource, in the words of the field that keeps it."""

    name: str
    class_name: str
    article: str
    label: str
    label_lower: str
    plural_label_lower: str
    field: str
    """What the owner calls them: `lines`."""
    owner_column: str
    table: str
    table_args: str
    fields: list[Field]
    enum_fields: list[Field]
    rule_sets: list[list[Rule]]
    tested_rules: list[Rule]
    required_fields: list[Field]
    references: list[Field]
    """Those that an update may change."""
    swapped_fields: list[Field]
    """Unique ones, whose values two parts may exchange."""
    duplicates: list[dict[str, str]]
    """What is refused where the second part has the values of the first."""
    is_changeable: bool
    """Whether an update may change them."""
    tested_changes: list[str]
    """The field, where the samples have parts that can be changed."""

    @classmethod
    def of(cls, field: ItemsField, service: str) -> Self:
        """Return the words of the parts that a field keeps."""
        part, fields = field.part, field.part.fields
        return cls(
            name=part.name,
            class_name=part.class_name,
            article=part.article,
            label=part.label,
            label_lower=part.label_lower,
            plural_label_lower=part.plural_label_lower,
            field=field.name,
            owner_column=part.owner_column,
            table=part.table,
            table_args=Table.of(part).arguments(service),
            fields=list(fields.fields),
            enum_fields=fields.enums,
            rule_sets=[fields.rules] if fields.rules else [],
            tested_rules=[
                rule for rule in fields.rules if rule.refused is not None and field.count
            ],
            required_fields=fields.required[:1],
            references=[each for each in fields.references if not each.of.fixed],
            swapped_fields=field.swapped,
            duplicates=[field.duplicates] if field.duplicates and field.count > 1 else [],
            is_changeable=not field.is_fixed,
            tested_changes=[] if field.is_fixed or not field.count else [field.name],
        )


@dataclass(frozen=True, slots=True)
class ChangeWords:
    """`change` in a template: what the tests of updates change, to see that the rest stays."""

    name: str
    json: str
    """The value that a client sends, in Python."""
    answer: str
    """The item of the dict that is answered."""
    arguments: str
    """Of the DTO that updates."""
    other_arguments: str
    """Of another one."""
    expected: str
    """The item of the dict by which an answered DTO differs."""
    statement: str
    """What changes an entity."""
    proof: str
    """What is true of the entity then."""
    enums: list[str]
    """The class of its words, if it has some."""

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return is_active, or else a field, best one whose samples differ."""
        fields = resource.fields
        if fields.has_active:
            return cls(
                name="is_active",
                json="False",
                answer='"is_active": False,',
                arguments="is_active=False",
                other_arguments="is_active=True",
                expected='"is_active": False,',
                statement="entity.deactivate()",
                proof="not updated.is_active",
                enums=[],
            )
        possible = sorted(
            [*fields.updatable, *fields.fields],
            key=lambda each: (
                each.of.secret,
                each.is_fixed,
                each.of.type.name in ("many", "items"),
                each.sample == each.other_sample,
            ),
        )
        field = possible[0]
        name, sample = field.name, field.other_sample
        return cls(
            name=name,
            json=field.other_json_sample,
            answer="" if field.of.secret else f'"{name}": {field.other_json_sample},',
            arguments=f"{name}={sample}",
            other_arguments=f"{name}={sample}",
            expected=""
            if field.of.secret
            else f'"{field.attribute}": {field.other_answered_sample},',
            statement=f"entity.{name} = {sample}",
            proof=f"updated.{name} {'is' if sample in ('True', 'False', 'None') else '=='} {sample}",
            enums=[field.enum] * bool(field.of.type.words),
        )


@dataclass(frozen=True, slots=True)
class TogetherWords:
    """`each` of `tested_sets` in a template: fields whose values together are in one row only."""

    columns: tuple[str, ...]
    attributes: str
    """Of the DTO, as a set."""
    title: str
    """`course_and_term`."""
    message: str
    is_tested: bool
    """Whether no other rule refuses the row that has the samples of both."""
    is_optional: bool

    @classmethod
    def all_of(cls, resource: Resource) -> list[Self]:
        """Return those of a resource."""
        by_name = {field.of.name: field for field in resource.fields.fields}
        found = []
        for names in resource.description.unique:
            fields = [by_name[name] for name in names]
            *first, last = (field.name.replace("_", " ") for field in fields)
            said = f"{', '.join(first)} and {last}"
            found.append(
                cls(
                    columns=tuple(field.name for field in fields),
                    attributes=f"{{{', '.join(repr(field.attribute) for field in fields)}}}",
                    title=f"{'_'.join(first)}_and_{last}".replace(" ", "_"),
                    message=f"{said.capitalize()} already exist",
                    is_tested=not any(
                        field.of.unique or field.sample == "None" for field in fields
                    ),
                    is_optional=any(field.of.optional for field in fields),
                )
            )
        return found


def _keep(field: Field, holder: str) -> list[str]:
    """Return the lines that put what is kept of a secret in its place, in an entity or a DTO."""
    name = field.name if holder == "entity" else field.attribute
    kept = f"await self._secrets.keep_{field.name}({holder}.{name})"
    line = f"entity.{name} = {kept}"
    if holder == "dto":
        line = f"dto = dto.model_copy(update={{{name!r}: {kept}}})"
    elif not field.of.optional:
        return [line]
    return [f"if {holder}.{name} is not None:", f"    {line}"]


def _told(resource: Resource) -> tuple[str, ...]:
    """Return the secrets whose first sample is part of nothing else that a text of the row holds."""
    fields = resource.fields
    shown = [
        f"{each.name} {each.sample} {each.json_sample}"
        for each in fields.fields
        if not each.of.secret
    ]
    text = " ".join([*shown, *(each.name for each in fields.secrets), resource.class_name])
    samples = {each.name: str(each.samples[0]) for each in fields.secrets}
    return tuple(name for name, sample in samples.items() if sample not in text)


def _sought(fields: list[Field]) -> list[str]:
    """Return texts of the first sample in the other case, for which a search finds it alone."""
    others = [str(field.samples[1]).lower() for field in fields]
    texts = [str(field.samples[0])[:100] for field in fields if str(field.samples[0]).isascii()]
    return [
        text.swapcase()
        for text in texts
        if len(text) >= 3 and not any(text.lower() in other for other in others)
    ]


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
    together = TogetherWords.all_of(resource)
    actions = Action.all_of(resource)
    is_updated = bool(fields.updatable) or fields.has_active
    extensions = [] if resource.description.is_contract else [ExtensionWords.of(resource)]
    change = ChangeWords.of(resource)
    reachable = [each for each in actions if each.names_to is not None]
    tested_enums = {*(change.enums if is_updated else []), *(each.field.enum for each in reachable)}
    secrets = fields.secrets
    secret_names = [field.name for field in secrets]
    told = _told(resource)
    refusals = ["AlreadyExistsError"] if fields.unique or together else []
    stored = [StoredWords(one, one.service == service) for one in resource.relations.stored_first]
    directories = DirectoryWords.all_of(resource)
    parts = [PartWords.of(field, service) for field in fields.items]
    entities = [resource, *resource.parts]
    checks = [each for field in fields.items for each in field.checks]
    is_refused = bool(checks or any(each.fields.references for each in entities))
    refusals += ["ValidationFailedError"] if is_refused or fields.rules or directories else []
    update_refusals = [*refusals]
    if any(part.is_changeable for part in parts) and "ValidationFailedError" not in refusals:
        update_refusals.append("ValidationFailedError")
    part_enums = [field for part in parts for field in part.enum_fields]
    kept_apart = [f"{part.class_name}Parts()" for part in parts]
    kept_apart += [f'Pairs("{field.name}", {field.pair_table})' for field in fields.pairs]
    return {
        "resource": resource,
        "fields": list(fields.fields),
        "parts": parts,
        "changeable_parts": [part for part in parts if part.is_changeable],
        "fixed_parts": [part for part in parts if not part.is_changeable],
        # Of which the first one begins what is broken.
        "validations": [
            [
                f"{'|' if fields.rules or number else ''}= {check}"
                for number, check in enumerate(checks)
            ]
        ]
        if fields.rules or checks
        else [],
        "part_tests": [parts] if parts else [],
        "sent_data": _sent_data(parts),
        "required_fields": fields.required,
        # Of null, as circular references are in tests, there is any number.
        "unique_fields": [field for field in fields.unique if field.sample != "None"],
        "unique_unless_null": "getattr(entity, name) is not None and "
        * any(field.of.optional for field in fields.unique),
        "unique_sets": [fields.unique] if fields.unique else [],
        "updatable_fields": fields.updatable,
        # Without its only field, a body would be empty.
        "unknown_key": ' | {"unknown": True}' if len(fields.fields) == 1 else "",
        "lookup_fields": fields.lookup,
        "limited_fields": [field for each in entities for field in each.fields.limited],
        "bordered_fields": fields.bordered,
        "enum_fields": fields.enums,
        "all_enum_fields": [*fields.enums, *part_enums],
        "pattern_fields": [
            field
            for each in entities
            for field in each.fields.fields
            if field.of.pattern is not None and not field.of.secret
        ],
        "extensions": extensions,
        "patches": extensions if is_updated else [],
        "filterings": [each for each in extensions if each.telling_filters or fields.has_active],
        "actives": [resource] if fields.has_active else [],
        "updates": [change] if is_updated else [],
        "stored_change": change,
        "together_sets": [together] if together else [],
        "tested_sets": [each for each in together if each.is_tested],
        "together_unless_null": "None not in values and "
        * any(each.is_optional for each in together),
        "actions": actions,
        "reachable_actions": reachable,
        "tested_enum_sets": [sorted(tested_enums)] if tested_enums else [],
        "state_fields": [field for field in fields.fields if field.initial],
        "contracts": [resource] if resource.description.is_contract else [],
        "rule_sets": [fields.rules] if fields.rules else [],
        "tested_rules": [rule for rule in fields.rules if rule.refused is not None],
        "tested_update_rules": [
            rule for rule in fields.rules if rule.refused is not None and not rule.field.is_fixed
        ],
        "entity_names": [
            *(f"{each.class_name}Entity" for each in entities),
            *(field.enum for field in (*fields.enums, *part_enums)),
        ],
        "column_types": sorted({kind for each in entities for kind in each.column_types}),
        "dto_names": _DTO_NAMES,
        "datetime_import": fields.datetime_import,
        "moment": f"{fields.prefix}datetime",
        "update_ignores": fields.update_ignores,
        "patch_ignores": fields.patch_ignores,
        "create_raises": f"; raises {_listed(refusals)}" if refusals else "",
        "update_raises": _listed(["NotFoundError", *update_refusals]),
        "delete_raises": f"NotFoundError{' or ConflictError' * resource.relations.is_kept}",
        "columns": fields.columns,
        "pairs": fields.pairs,
        "directories": directories,
        "create_checks": [
            *_ask(directories),
            *(line for field in secrets for line in _keep(field, "entity")),
        ],
        # Whether a row is there and the rules are kept is known before other services are asked.
        "update_asks": _ask(directories, updates=True),
        "update_checks": [
            *_ask(directories, updates=True),
            *(line for field in secrets if not field.is_fixed for line in _keep(field, "dto")),
        ],
        "secret_fields": secrets,
        "secret_sets": resource.secret_sets,
        "told_secret_sets": [told] if told else [],
        "secret_name_sets": [tuple(secret_names)] if secret_names else [],
        "password_fields": [field for field in secrets if field.name == "password"],
        "plain_secret_fields": [field for field in secrets if field.name != "password"],
        "answered_fields": [field for field in fields.fields if not field.of.secret],
        "foreign_fields": [field for one in directories for field in one.fields],
        "changed_foreign_fields": [
            field for one in directories for field in one.fields if not field.is_fixed
        ],
        "nested_fields": [
            {
                "name": f"{items.name}.0.{field.name}",
                "title": f"{field.of.name}_of_{items.name}",
                "missing": field.missing,
                "fakes": [
                    f"Fake{each.target.class_name}Directory({'1, 2' * (each is one)})"
                    for each in directories
                ],
            }
            for one in directories
            for items, field in one.nested
            if items.count
        ],
        "listed_pairs": [
            field
            for field in fields.pairs
            if field.samples[0] == (1, 2) and field.samples[1] == (2,) and not field.of.fixed
        ],
        "part_sets": [kept_apart] if kept_apart else [],
        # What is kept in several tables takes a transaction of several statements.
        "autocommit": "" if kept_apart else ".autocommit()",
        "commits": ["await work.commit()"] * bool(kept_apart),
        "keep": "entity =" if kept_apart else "return",
        "pair_tables": [Table.of_pairs(resource, field).pairs(service) for field in fields.pairs],
        "references": fields.references,
        "updatable_references": [one for one in fields.references if not one.of.fixed],
        "stored": stored,
        "stored_own": [each.target for each in stored if each.is_own],
        "reference_sets": [stored] if stored else [],
        # Of other services' tables their own role has no rights.
        "reference_database": "database"
        if all(each.is_own for each in stored)
        else "owner_database",
        "deletions": _deletions(resource),
        "table_args": Table.of(resource).arguments(service),
        "column_lines": [field.column_line for field in fields.columns]
        + [_ACTIVE] * resource.description.has_active,
    }


def _sent_data(parts: list[PartWords]) -> str:
    """Return what the tests compare with a body: an answer's `data`, its parts without ids."""
    if not parts:
        return "data"
    fields = ", ".join(f'"{each.field}": without_ids(data["{each.field}"])' for each in parts)
    return f"(data | {{{fields}}})"


@dataclass(frozen=True, slots=True)
class DeletionWords:
    """What becomes of a row when the one that it refers to is deleted, as a test."""

    field: Field
    target: Target
    is_own: bool
    """Whether the resource refers to itself."""

    @property
    def title(self) -> str:
        """What the test says."""
        name = self.field.target_name
        fates = {
            "restrict": f"{english.article(name)}_{name}_in_use_is_kept",
            "cascade": f"what_refers_to_a_deleted_{name}_goes_with_it",
            "set_null": f"what_refers_to_a_deleted_{name}_loses_it",
        }
        return fates[self.rule]

    @property
    def rule(self) -> str:
        """The language's word."""
        return self.field.of.type.on_delete or "restrict"

    @property
    def arrangement(self) -> list[str]:
        """Lines that make `referring` and `target_id`."""
        key, create = json.dumps(self.field.name), 'await created(client, {}))["data"]'
        if self.is_own:
            refers = f"await created(client, OTHER_BODY | {{{key}: target_id}})"
            return [
                f'target_id = ({create.format("BODY")}["id"]',
                refers if self.rule == "restrict" else f'referring = ({refers})["data"]',
            ]
        place = "[0]" if self.field.is_many else ""
        return [f"referring = ({create.format('BODY')}", f"target_id = referring[{key}]{place}"]

    @property
    def assertions(self) -> list[str]:
        """Lines that look at the `response`, and at what is left of `referring`."""
        answer, read = (
            "await response.get_json()",
            "await client.get(f\"{PATH}/{referring['id']}\")",
        )
        in_use, key = json.dumps(f"{self.target.label} is in use"), json.dumps(self.field.name)
        fates = {
            "restrict": [
                "assert response.status_code == 409",
                f'assert ({answer})["message"] == {in_use}',
            ],
            "cascade": [
                "assert response.status_code == 200",
                f"assert ({read}).status_code == 404",
            ],
            "set_null": [
                "assert response.status_code == 200",
                f"left = {read}",
                f'assert (await left.get_json())["data"] == referring | {{{key}: None}}',
            ],
        }
        return fates[self.rule]


@dataclass(frozen=True, slots=True)
class StoredWords:
    """A resource of which tests store two rows."""

    target: Target
    is_own: bool
    """Whether the service keeps it, so that its repository stores them."""

    @property
    def lines(self) -> list[str]:
        """What stores them."""
        target = self.target
        if self.is_own:
            add = f"    await work.{target.plural}.add"
            return [
                f"async with SQLAlchemy{target.class_name}UnitOfWork(database) as work:",
                f"{add}({target.article}_{target.name}())",
                f"{add}(another_{target.name}())",
                "    await work.commit()",
            ]
        columns = ", ".join(quoted(one.key) for one in target.required)
        samples = zip(*map(samples_of, target.required), strict=True)
        rows = [f"({columns}) VALUES ({', '.join(map(_in_sql, row))})" for row in samples]
        execute = "    await connection.execute"
        return [
            "async with database.connect() as connection:",
            *(
                f"{execute}({json.dumps(f'INSERT INTO {quoted(target.table)} {row}')})"
                for row in rows or ["DEFAULT VALUES"] * 2
            ),
        ]


def _in_sql(value: Value | dict[str, object] | list[object]) -> str:
    match value:
        case str():
            text = value
        case dict() | list():
            text = json.dumps(value)
        case _:
            text = spell(value)
    return "'{}'".format(text.replace("'", "''"))


def _deletions(resource: Resource) -> list[DeletionWords]:
    """Return those of which the outcome depends on one field alone."""
    references = resource.fields.references
    targets = [each.target for each in references]
    return [
        DeletionWords(field, target, is_own)
        for field, target in zip(references, targets, strict=True)
        for is_own in [target.singular == resource.singular]
        if targets.count(target) == 1
        and not field.of.type.service
        and target.singular not in resource.relations.shared
        and (field.samples[0] or (is_own and not field.is_many))
    ]


@dataclass(frozen=True, slots=True)
class DirectoryWords:
    """A resource of another service, and what refers to it."""

    target: Target
    fields: list[Field]
    nested: list[tuple[ItemsField, Field]]
    """Fields of parts, each behind that which keeps the parts."""

    @classmethod
    def all_of(cls, resource: Resource) -> list[Self]:
        """Return those of a resource."""
        return [
            cls(
                target,
                resource.fields.foreign.get(target, []),
                [
                    (items, field)
                    for items in resource.fields.items
                    for field in items.part.fields.foreign.get(target, [])
                ],
            )
            for target in resource.directories
        ]

    def asked(self, *, updates: bool = False) -> list[str]:
        """Return the argument that asks for all ids of a DTO; an update has those that are not fixed."""
        own = [
            f'"{one.name}": dto.{one.attribute}'
            for one in self.fields
            if not (updates and one.is_fixed)
        ]
        ids = [f"{{{', '.join(own)}}}"] if own else []
        ids += [
            f'{{f"{items.name}.{{number}}.{one.name}": each.{one.attribute} '
            f"for number, each in enumerate(dto.{items.attribute}{' or ()' * updates})}}"
            for items, one in self.nested
            if not (updates and items.is_fixed)
        ]
        directory = f"self._{self.target.plural}"
        return [f"({directory}, {' | '.join(ids)})"] if ids else []


def _ask(directories: list[DirectoryWords], *, updates: bool = False) -> list[str]:
    """Return the line that asks for all ids of a DTO, where it has some."""
    asked = [each for one in directories for each in one.asked(updates=updates)]
    return [f"await ensure_known({', '.join(asked)})"] if asked else []


def _listed(words: list[str]) -> str:
    """Return `A`, `A or B`, or `A, B or C`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def render_service(service: PlannedService, project: str, base: str) -> Files:
    """Return every file of a service and of the models of its resources, not formatted yet.

    Args:
        service: as it is described.
        project: the workspace, as compose.yaml names it.
        base: the image that its own is built on.
    """
    name = service.name
    words: Words = {
        "service": ServiceWords(
            name.typed, name.package, name.title, name.image, service.port, project, base
        )
    }
    tree = render_tree("service", words)
    if service.resources:
        blueprints = [f"{one.prefix}controllers.bp" for one in service.resources]
        composition = words | {"resources": service.resources, "blueprints": blueprints}
        tree |= render_tree("composition", composition)
    for resource in service.resources:
        resource_words = words | describe_resource(resource, service.name.typed)
        for target in resource.directories:
            tree |= render_tree("directory", words | {"target": target}, target.name)
        tree |= render_tree("resource", resource_words, resource.name, resource.prefix)
        if resource.secret_sets:
            tree |= render_tree("secrets", resource_words, resource.name, resource.prefix)
        if resource.description.actions:
            tree |= render_tree("actions", resource_words, resource.name, resource.prefix)
        if resource.relations.stored_first:
            tree |= render_tree("references", resource_words, resource.name, resource.prefix)
    files = {service.folder / path: text for path, text in tree.items()}
    for resource in service.resources:
        if not resource.is_shipped:
            model_words = words | describe_resource(resource, service.name.typed)
            files[resource.model] = render("models/_resource_.py.jinja", model_words)
    return files
