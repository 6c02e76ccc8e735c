"""Takes everything that models and revisions made out of a database, and tells what is left."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError

from db_manager.made import Creation, Made
from quart_fleet.database.explanations import driver_error, reason_of

_OBJECTS = text("""
    WITH objects (class, id, name, namespace) AS (
        SELECT 'pg_class', oid, relname, relnamespace FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL SELECT 'pg_type', oid, typname, typnamespace FROM pg_type
        UNION ALL SELECT 'pg_proc', oid, proname, pronamespace FROM pg_proc
        UNION ALL SELECT 'pg_operator', oid, oprname, oprnamespace FROM pg_operator
        UNION ALL SELECT 'pg_opclass', oid, opcname, opcnamespace FROM pg_opclass
        UNION ALL SELECT 'pg_opfamily', oid, opfname, opfnamespace FROM pg_opfamily
        UNION ALL SELECT 'pg_collation', oid, collname, collnamespace FROM pg_collation
        UNION ALL SELECT 'pg_conversion', oid, conname, connamespace FROM pg_conversion
        UNION ALL SELECT 'pg_ts_config', oid, cfgname, cfgnamespace FROM pg_ts_config
        UNION ALL SELECT 'pg_ts_dict', oid, dictname, dictnamespace FROM pg_ts_dict
        UNION ALL SELECT 'pg_ts_parser', oid, prsname, prsnamespace FROM pg_ts_parser
        UNION ALL SELECT 'pg_ts_template', oid, tmplname, tmplnamespace FROM pg_ts_template
        UNION ALL SELECT 'pg_statistic_ext', oid, stxname, stxnamespace FROM pg_statistic_ext
        UNION ALL SELECT 'pg_cast', oid, '', 0 FROM pg_cast
        UNION ALL SELECT 'pg_extension', oid, extname, 0 FROM pg_extension
        UNION ALL SELECT 'pg_namespace', oid, nspname, 0 FROM pg_namespace
        UNION ALL SELECT 'pg_foreign_data_wrapper', oid, fdwname, 0 FROM pg_foreign_data_wrapper
        UNION ALL SELECT 'pg_foreign_server', oid, srvname, 0 FROM pg_foreign_server
        UNION ALL SELECT 'pg_publication', oid, pubname, 0 FROM pg_publication
        UNION ALL SELECT 'pg_event_trigger', oid, evtname, 0 FROM pg_event_trigger
        UNION ALL SELECT 'pg_language', oid, lanname, 0 FROM pg_language
        UNION ALL SELECT 'pg_am', oid, amname, 0 FROM pg_am
    )
    SELECT described.type, described.identity, objects.name,
           CASE WHEN nspname = current_schema() THEN NULL ELSE nspname END AS schema
    FROM objects
    LEFT JOIN pg_namespace ON pg_namespace.oid = namespace,
    LATERAL pg_identify_object(CAST(class AS regclass), id, 0) AS described
    WHERE id >= 16384
      AND coalesce(nspname, CASE class WHEN 'pg_namespace' THEN objects.name END, '')
          NOT LIKE 'pg\\_%'
      AND NOT EXISTS (
          SELECT FROM pg_depend
          WHERE classid = CAST(class AS regclass) AND objid = id
            AND refobjid <> objid AND deptype IN ('e', 'i', 'a', 'P', 'S')
      )
    ORDER BY 1, 2
""")
"""What was made after the database itself, but for what belongs to another object of it."""

_USERS = text("""
    SELECT CASE umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(usename) END
    FROM pg_user_mappings WHERE srvname = :server
""")
"""Without its server, a login to it is nothing."""

_FAMILIES = {
    "table": "relation",
    "view": "relation",
    "materialized view": "relation",
    "foreign table": "relation",
    "domain": "type",
    "function": "routine",
    "procedure": "routine",
    "aggregate": "routine",
    "operator family": "operator class",
    "statistics object": "statistics",
    "foreign-data wrapper": "foreign data wrapper",
}
"""Kinds that share their names, or that the catalogue calls otherwise than `CREATE` does."""
_WORDS = {"statistics object": "STATISTICS", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}


NOT_MADE = "no applied revision made it"
_LIKE_OURS = "a revision puts such names together when it runs: drop it by hand if it is yours"


@dataclass(frozen=True, slots=True)
class RemainingObject:
    """An object that is still in the database, and why."""

    name: str
    """Its kind and identity."""
    reason: str
    is_met: bool
    """Whether a revision would make it once more."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What revisions made.

    What is only made where it is missing may be of others, and hinders no revision.
    """

    metadata: MetaData
    made: Made
    version_table: str | None
    """None where it may be of another application, which has applied nothing yet."""

    def has(self, kind: str, identity: str, name: str, schema: str | None) -> bool:
        """Say of an object of the catalogue whether it is among them; schema None is the default."""
        return self._is_mapped(kind, name, schema) or any(
            each.is_exact for each in self._creations_of(kind, identity, name, schema)
        )

    def may_have(self, kind: str, identity: str, name: str, schema: str | None) -> bool:
        """Say the same where a revision puts a name together when it runs: a guess, not a reason to
        drop what another application may have made.
        """
        return self._is_mapped(kind, name, schema) or any(
            self._creations_of(kind, identity, name, schema)
        )

    def _is_mapped(self, kind: str, name: str, schema: str | None) -> bool:
        if _FAMILIES.get(kind, kind) != "relation":
            return False
        key = f"{schema}.{name}" if schema else name
        if key in self.metadata.tables and self.made.has_unnamed_tables:
            return True
        return (schema, name) in self.made.tables or key == self.version_table

    def _creations_of(
        self, kind: str, identity: str, name: str, schema: str | None
    ) -> Iterator[Creation]:
        family = _FAMILIES.get(kind, kind)
        if kind == "cast":  # which has no name: `(public.pair AS pg_catalog.text)`
            name = re.sub(r"\w+\.", "", identity).lower()
        for each in self.made.creations:
            if (
                not each.may_be_there
                and _FAMILIES.get(each.kind, each.kind) == family
                and each.is_of(name, schema)
            ):
                yield each


def drop_ours(connection: Connection, ours: Ours, to_be: Ours) -> list[RemainingObject]:
    """Drop what the applied revisions made, and nothing with it that others made.

    Repeated while it helps: of objects that need each other only one order is taken. Of what is
    left, the one that `to_be` has would be made once more.
    """
    reasons = dict[str, str]()
    has_dropped = True
    while has_dropped:
        has_dropped = False
        for kind, identity, *name in connection.execute(_OBJECTS).all():
            if not ours.has(kind, identity, *name):
                continue
            try:
                with connection.begin_nested():
                    word = _WORDS.get(kind, kind.upper())
                    if kind == "server":
                        for user in connection.scalars(_USERS, {"server": name[0]}).all():
                            mapping = f"{user} SERVER {identity}"
                            connection.exec_driver_sql(f"DROP USER MAPPING FOR {mapping}")
                    connection.exec_driver_sql(f"DROP {word} {identity}")
                has_dropped = True
            except DBAPIError as error:
                reasons[f"{kind} {identity}"] = reason_of(driver_error(error))
    left = []
    for kind, identity, *name in connection.execute(_OBJECTS).all():
        is_met = name[0] != to_be.version_table and to_be.may_have(kind, identity, *name)
        reason = "no model and no revision names it"
        if is_met:
            reason = NOT_MADE if to_be.has(kind, identity, *name) else _LIKE_OURS
        reason = reasons.get(f"{kind} {identity}", reason)
        left.append(RemainingObject(f"{kind} {identity}", reason, is_met))
    return left
