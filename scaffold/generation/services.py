"""A service as files: what its description, and the workspace, make of the templates."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from quart_fleet.files import read_text
from scaffold import english
from scaffold.generation.actions import Action
from scaffold.generation.clients import ClientWords, describe_clients, render_clients
from scaffold.generation.fields import (
    Field,
    ItemsField,
    Part,
    Resource,
    Rule,
    Secret,
    spell_in_sql,
)
from scaffold.generation.fleet import PlannedService
from scaffold.generation.relations import Target, further_rows
from scaffold.generation.render import TEMPLATES, Files, render, render_tree
from scaffold.generation.samples import samples_of
from scaffold.generation.seeds import SeedWords
from scaffold.generation.shipped import MODEL, SERVICE, shipped_resource
from scaffold.generation.tables import Table, quoted
from scaffold.language.description import Value
from scaffold.names import ServiceName

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
    *("RequestDTO", "ResponseDTO", "Ruled", "Text", "Time", "Url", "utc_now"),
)
"""What the DTOs of some fields use of quart_fleet.dto; ruff removes the rest."""

_NO_COLUMNS = "  # noqa: ARG002 - the table has no column of its own"

_ACTIVE = "is_active: Mapped[bool] = mapped_column(Boolean, server_default=true())"

_IN_EVERY_TEXT = (
    "data message success Created successfully id created_at updated_at is_active True False None"
    " true false null datetime.datetime(tzinfo=datetime.timezone.utc) Mon Tue Wed Thu Fri Sat Sun GMT"
)
_LIKE_A_TIME = r"[\d:., ]{1,6}"
"""What a text of any row may hold: its envelope, its times and its id."""

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

    variable: str
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
    columns: list[Field]
    row_ignores: str
    answered_fields: list[Field]
    pair_sets: list[list[str]]
    """What is kept of each part in tables of pairs."""
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
    secrets: list[Secret]

    @property
    def other_body(self) -> str:
        """What is answered of the other sample, without ids."""
        sent = f'OTHER_BODY["{self.field}"]'
        return self.without_secrets(sent) if self.secrets else sent

    def without_secrets(self, sent: str) -> str:
        """Return what is answered of parts that are sent, without ids."""
        names = ", ".join(f'"{one.field.name}"' for one in self.secrets)
        return f"without({sent}, {names})"

    @classmethod
    def of(cls, resource: Resource, field: ItemsField, service: str) -> Self:
        """Return the words of the parts that a field keeps."""
        part, fields = field.part, field.part.fields
        return cls(
            variable=part.variable,
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
            columns=fields.columns,
            row_ignores="" if fields.columns else _NO_COLUMNS,
            answered_fields=[each for each in fields.fields if not each.of.secret],
            pair_sets=[[_pairs(each) for each in fields.pairs]] if fields.pairs else [],
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
            secrets=[one for one in resource.secrets if one.items == field],
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
        if isinstance(field, ItemsField):
            return cls._of_items(field)
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

    @classmethod
    def _of_items(cls, field: ItemsField) -> Self:
        """Return the change of parts alone: those that are there, in the other order."""
        name, attribute = field.name, field.attribute
        patch = f"Patch{field.part.class_name}DTO(id=each.id)"
        return cls(
            name=name,
            json=f'[{{"id": each["id"]}} for each in reversed(before["{name}"])]',
            answer=f'"{name}": before["{name}"][::-1],',
            arguments=f"{name}=[{patch} for each in reversed(created.{attribute})]",
            other_arguments=f"{name}=[]",
            expected=f'"{attribute}": created.{attribute}[::-1],',
            statement=f"entity.{name} = entity.{name}[::-1]",
            proof=f"updated.{name} == entity.{name}",
            enums=[],
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
            *called, last_called = (field.of.name.replace("_", " ") for field in fields)
            said = f"{', '.join(called)} and {last_called}"
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


def _pairs(field: Field) -> str:
    """Return what reads and writes a table of pairs."""
    return f'Pairs("{field.name}", {field.pair_table})'


def _keep_of_new(resource: Resource) -> list[str]:
    """Return the lines that put what is kept of secrets in their places, in an entity."""
    lines = [line for one in resource.secrets if one.items is None for line in one.keep("entity")]
    for items in resource.fields.items:
        secrets = [one for one in resource.secrets if one.items == items]
        if secrets:
            lines.append(f"for {items.part.variable} in entity.{items.name}:")
            lines += [f"    {line}" for one in secrets for line in one.keep(items.part.variable)]
    return lines


def _keep_of_changes(resource: Resource) -> list[str]:
    """Return the lines that do so in the DTO of an update."""
    changes = [
        (one.field.attribute, f"self._secrets.keep_{one.name}(dto.{one.field.attribute})")
        for one in resource.secrets
        if one.items is None and not one.field.is_fixed
    ]
    changes += [
        (items.attribute, f"self._keep_{items.name}(dto.{items.attribute})")
        for items in resource.fields.items
        if items.part.fields.secrets and not items.is_fixed
    ]
    return [
        line
        for name, kept in changes
        for line in (
            f"if dto.{name} is not None:",
            f"    dto = dto.model_copy(update={{{name!r}: await {kept}}})",
        )
    ]


def _told(resource: Resource) -> list[Secret]:
    """Return the secrets whose samples are part of nothing else that a text of the row holds."""
    words, of_parts = list[str](), dict[tuple[str, str], list[str]]()
    for each in (resource, *resource.parts):
        words += [each.class_name, *(one.name for one in each.fields.fields)]
        shown = [
            one for one in each.fields.fields if not (one.of.secret or isinstance(one, ItemsField))
        ]
        words += [f"{one.sample} {one.json_sample}" for one in shown]
        rows = each.rows(0, each.entries) if isinstance(each, Part) else []
        for one, value in (pair for row in rows for pair in row):
            if one.of.secret:
                of_parts.setdefault((each.name, one.name), []).append(str(value))
            else:
                words.append(f"{one.literal(value)} {one.json(value)}")
    text = " ".join([*words, _IN_EVERY_TEXT])
    told = list[Secret]()
    for secret in resource.secrets:
        part = secret.items.part.name if secret.items else ""
        samples = of_parts.get((part, secret.field.name), [str(secret.field.samples[0])])
        if all(each not in text and not re.fullmatch(_LIKE_A_TIME, each) for each in samples):
            told.append(secret)
    return told


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
    unique = {name for names in resource.description.unique_sets for name in names}
    unique_names = {
        each.name: each.of.name
        for each in fields.fields
        if each.of.name in unique and each.of.name != each.name
    }
    actions = Action.all_of(resource)
    is_updated = bool(fields.updatable) or fields.has_active
    extensions = [] if resource.description.is_contract else [ExtensionWords.of(resource)]
    change = ChangeWords.of(resource)
    reachable = [each for each in actions if each.names_to is not None]
    tested_enums = {*(change.enums if is_updated else []), *(each.field.enum for each in reachable)}
    secrets = resource.secrets
    secret_names = [field.name for field in fields.secrets]
    told = _told(resource)
    told_names = tuple(one.field.name for one in told if one.items is None)
    told_parts = [
        (one.items.name, one.field.attribute, one.items.part.singular)
        for one in told
        if one.items and one.items.count
    ]
    refusals = ["AlreadyExistsError"] if fields.unique or together else []
    stored = [
        StoredWords(one, one.service == service, resource.relations.counts)
        for one in resource.relations.stored_first
    ]
    directories = DirectoryWords.all_of(resource)
    parts = [PartWords.of(resource, field, service) for field in fields.items]
    entities = [resource, *resource.parts]
    checks = [each for field in fields.items for each in field.checks]
    is_refused = bool(checks or any(each.fields.references for each in entities))
    refusals += ["ValidationFailedError"] if is_refused or fields.rules or directories else []
    update_refusals = [*refusals]
    if any(part.is_changeable for part in parts) and "ValidationFailedError" not in refusals:
        update_refusals.append("ValidationFailedError")
    part_enums = [field for part in parts for field in part.enum_fields]
    kept_apart = [f"{part.class_name}Parts()" for part in parts]
    kept_apart += [_pairs(field) for field in fields.pairs]
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
        "unique_names": [unique_names] if unique_names else [],
        "unique_name_of_field": "UNIQUE_NAMES.get(name, name)" if unique_names else "name",
        "unique_names_of_fields": "(UNIQUE_NAMES.get(name, name) for name in names)"
        if unique_names
        else "names",
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
        "changing": "patch" if extensions else "put",
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
        "create_errors": ", raises=[AlreadyExistsError]" * ("AlreadyExistsError" in refusals),
        "update_errors": "NotFoundError"
        + ", AlreadyExistsError"
        * (bool(together) or any(one in fields.updatable for one in fields.unique)),
        "delete_errors": f"NotFoundError{', ConflictError' * resource.relations.is_kept}",
        "create_raises": f"; raises {_listed(refusals)}" if refusals else "",
        "update_raises": _listed(["NotFoundError", *update_refusals]),
        "delete_raises": f"NotFoundError{' or ConflictError' * resource.relations.is_kept}",
        "columns": fields.columns,
        # Parts are merged by themselves.
        "whole_sets": [fields.updatable]
        if fields.has_active or any(not isinstance(one, ItemsField) for one in fields.updatable)
        else [],
        "row_ignores": "" if fields.columns or fields.has_active else _NO_COLUMNS,
        "pairs": fields.pairs,
        "directories": directories,
        "create_checks": [
            *_ask(directories),
            *_keep_of_new(resource),
        ],
        # Whether a row is there and the rules are kept is known before other services are asked.
        "update_asks": _ask(directories, updates=True),
        "update_checks": [
            *_ask(directories, updates=True),
            *_keep_of_changes(resource),
        ],
        "secrets": secrets,
        "own_secrets": fields.secrets,
        "secret_sets": resource.secret_sets,
        "told_sets": [told] if told_names or told_parts else [],
        "told_name_sets": [told_names] if told_names else [],
        "told_parts": told_parts,
        "secret_name_sets": [tuple(secret_names)] if secret_names else [],
        "passwords": [one for one in secrets if one.field.name == "password"],
        "plain_secrets": [one for one in secrets if one.field.name != "password"],
        "parts_with_secrets": [part for part in parts if part.secrets],
        "changeable_parts_with_secrets": [
            part for part in parts if part.secrets and part.is_changeable
        ],
        "sent_body": _sent_body(parts),
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
            if items.count and field.samples[0] is not None
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
        "every_pair": [field for each in entities for field in each.fields.pairs],
        "every_secret": secrets,
        "pair_tables": [
            Table.of_pairs(each, field).pairs(service)
            for each in entities
            for field in each.fields.pairs
        ],
        "references": fields.references,
        "updatable_references": [one for one in fields.references if not one.of.fixed],
        "stored": stored,
        "stored_own": [each for each in stored if each.is_own],
        "reference_sets": [stored] if stored else [],
        "stored_rows": "two of each, which get the ids 1 and 2"
        if {*resource.relations.counts.values()} <= {2}
        else "as many as are referred to, which get the ids from 1 on",
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


def _sent_body(parts: list[PartWords]) -> str:
    """Return what the tests compare with an answer: a body, its parts without their secrets."""
    hidden = list[str]()
    for each in parts:
        sent = f'BODY["{each.field}"]'
        hidden += [f'"{each.field}": {each.without_secrets(sent)}'] if each.secrets else []
    return f"(BODY | {{{', '.join(hidden)}}})" if hidden else "BODY"


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
    counts: Mapping[str, int]
    """How many rows there are of each resource."""

    @property
    def lines(self) -> list[str]:
        """What stores them."""
        target = self.target
        further = further_rows(target.description, self.counts, target.singular)
        if self.is_own:
            add = f"    await work.{target.plural}.add"
            return [
                f"async with SQLAlchemy{target.class_name}UnitOfWork(database) as work:",
                f"{add}({target.article}_{target.name}())",
                f"{add}(another_{target.name}())",
                *self._further(further, f"await work.{target.plural}.add"),
                "    await work.commit()",
            ]
        fields = target.required
        samples = [list(each) for each in zip(*map(samples_of, fields), strict=True)] or [[], []]
        for row in further:
            samples.append(
                [row.get(one.name, last) for one, last in zip(fields, samples[1], strict=True)]
            )
        columns = ", ".join(quoted(one.key) for one in fields)
        execute = "    await connection.execute"
        return [
            "async with database.connect() as connection:",
            *(
                f"{execute}({json.dumps(f'INSERT INTO {quoted(target.table)} {row}')})"
                for each in samples
                for row in [
                    f"({columns}) VALUES ({', '.join(map(_in_sql, each))})"
                    if each
                    else "DEFAULT VALUES"
                ]
            ),
        ]

    def _further(self, rows: list[dict[str, Any]], add: str) -> list[str]:
        """Return the loop that stores own rows after the second, from which they differ."""
        if not rows:
            return []
        other = f"another_{self.target.name}()"
        fields = {one.of.name: one for one in self._resource.fields.fields}
        changes = [
            ", ".join(
                f"{fields[name].name}={fields[name].literal(value)}" for name, value in row.items()
            )
            for row in rows
        ]
        if not changes[0]:
            return [f"    for _ in range({len(rows)}):", f"        {add}({other})"]
        others = [f"replace({other}, {each})" for each in changes]
        if len(others) == 1:
            return [f"    {add}({others[0]})"]
        variable = f"other_{self.target.name}"
        return [f"    for {variable} in ({', '.join(others)}):", f"        {add}({variable})"]

    @property
    def _resource(self) -> Resource:
        return Resource.described(ServiceName.parse(self.target.service), self.target.description)

    @property
    def enums(self) -> list[str]:
        """The classes of the words by which further rows differ."""
        if not self.is_own:
            return []
        further = further_rows(self.target.description, self.counts, self.target.singular)
        fields = self._resource.fields.fields
        return [
            one.enum
            for one in fields
            if one.of.type.words and further and further[0].get(one.of.name)
        ]


def _in_sql(value: Value | dict[str, object] | list[object] | None) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            text = value
        case dict() | list():
            text = json.dumps(value)
        case _:
            text = spell_in_sql(value)
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


def render_service(service: PlannedService, project: str, base: str, root: Path = Path()) -> Files:
    """Return every file of a service and of the models of its resources, not formatted yet.

    Raises ScaffoldError where the document of a service that it calls is missing, or lacks that.

    Args:
        service: as it is described.
        project: the workspace, as compose.yaml names it.
        base: the image that its own is built on.
        root: the workspace, which has the documents of the services that it calls.
    """
    name = service.name
    words: Words = {
        "service": ServiceWords(
            name.typed, name.package, name.title, name.image, service.port, project, base
        )
    }
    every = dict.fromkeys(one for resource in service.resources for one in resource.directories)
    clients = describe_clients(service, root)
    providers: dict[str, Target | ClientWords] = {one.url_setting: one for one in every}
    providers |= {one.url_setting: one for one in clients if one.url_setting not in providers}
    words |= {
        "directories": [*every],
        "clients": clients,
        "providers": [*providers.values()],
    }
    tree = render_tree("service", words)
    if service.resources or clients:
        blueprints = [f"{one.prefix}controllers.bp" for one in service.resources]
        composition = words | {
            "resources": service.resources,
            "blueprint_sets": [blueprints] if blueprints else [],
            # The linter takes five without a word.
            "many_parameters": "  # noqa: PLR0913 - one for each service that is called"
            if len(every) + len(clients) > 4
            else "",
        }
        tree |= render_tree("composition", composition)
    if service.resources:
        seeds = [SeedWords.of(one) for one in service.resources]
        tree |= render_tree("seeds", words | {"seeds": seeds})
    tree |= render_clients(clients, words, tree)
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
        model = _render_model(service.name.typed, resource, words)
        if resource.model != MODEL or model != _render_model(SERVICE, shipped_resource(), words):
            files[resource.model] = model
    return files


def _render_model(service: str, resource: Resource, words: Words) -> str:
    return render("models/_resource_.py.jinja", words | describe_resource(resource, service))
