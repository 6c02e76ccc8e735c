"""The roles of services: each may use the tables of its own models, and nothing else.

A model says its service in the `info` of its `__table_args__`; the role has the name of the
service's package. Roles belong to the server: revisions never name them, and run where they are
missing. They are made where that is allowed, and those that are there are granted their tables.
"""

import hmac
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path

from sqlalchemy import Connection, Sequence, Table, TextClause, text
from sqlalchemy.exc import DBAPIError

from db_manager.errors import ManagerError
from quart_fleet.database.explanations import driver_error, reason_of
from quart_fleet.models import owning_roles

_ITERATIONS = 4096
"""Of PostgreSQL's own passwords (its manual, `scram_iterations`)."""

_VERBS = {"GRANT": ("TO", "", "Granting"), "REVOKE": ("FROM", " CASCADE", "Revoking")}

_MARK = "The login of a service, made by python -m db_manager"
"""The comment on each role made here: by it those of services that are gone are known."""

_DIFFERENCES = text("""
    WITH roles AS (
        SELECT oid AS role, rolname, rolname = ANY(CAST(:roles AS text[])) AS is_current FROM pg_roles
        WHERE NOT rolsuper AND (rolname = ANY(CAST(:roles AS text[]))
                                OR shobj_description(oid, 'pg_authid') = :mark)
    ), named AS (
        SELECT pg_class.oid AS relation, relkind, role
        FROM unnest(CAST(:names AS text[]), CAST(:owners AS text[])) AS given (name, owner)
        JOIN pg_class ON pg_class.oid = to_regclass(name)
        LEFT JOIN roles ON rolname = owner
    ), owned AS (
        SELECT * FROM named
        UNION SELECT refobjid, pg_class.relkind, role
        FROM named JOIN pg_attrdef ON adrelid = relation
        JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
        JOIN pg_class ON refclassid = 'pg_class'::regclass AND pg_class.oid = refobjid
        WHERE pg_class.relkind = 'S'
    ), wanted AS (
        SELECT relation, role, unnest(CASE
            WHEN relkind = 'S' THEN ARRAY['USAGE']
            WHEN relkind IN ('v', 'm') THEN ARRAY['SELECT']
            ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END) AS privilege
        FROM owned WHERE role IS NOT NULL
        UNION SELECT to_regclass(:version_table), role, 'SELECT' FROM roles WHERE is_current
    ), lists AS (
        SELECT oid AS relation, relacl AS list, false AS is_part FROM pg_class
        UNION ALL SELECT attrelid, attacl, true FROM pg_attribute
    ), found AS (
        SELECT relation, role, privilege_type AS privilege, is_part
        FROM lists, aclexplode(list) JOIN roles ON grantee = role
        WHERE relation IN (SELECT relation FROM owned)
           OR is_current AND relation = to_regclass(:version_table)
    ), differences AS (
        SELECT 'GRANT' AS verb, * FROM (
            SELECT * FROM wanted EXCEPT SELECT relation, role, privilege FROM found WHERE NOT is_part
        ) AS lacking
        UNION ALL
        SELECT 'REVOKE', * FROM (
            SELECT relation, role, privilege FROM found EXCEPT SELECT * FROM wanted
        ) AS surplus
        WHERE (relation, role) NOT IN (SELECT relation, role FROM owned WHERE role IS NOT NULL)
          AND cardinality(array_remove(CAST(:owners AS text[]), NULL)) > 0
    )
    SELECT verb, string_agg(privilege, ', ' ORDER BY privilege),
           CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
           || CAST(CAST(relation AS regclass) AS text) AS target, rolname
    FROM differences JOIN roles USING (role) JOIN pg_class ON pg_class.oid = relation
    WHERE relowner <> role
    GROUP BY verb, target, rolname ORDER BY rolname, verb, target
""")
"""What each role lacks of the tables that its service owns, and has of others that models name.

A role that owns the tables, or is a superuser, is left as it is. A service without a table is not
known where `services` is not, as in an image: its role may read the revision as before. Where no
model says its service, nothing is taken: all work as before, with whatever was granted by hand.
"""

_CLOSED = text("""
    SELECT DISTINCT 'GRANT', 'USAGE', format('SCHEMA %I', nspname), rolname
    FROM (SELECT * FROM unnest(CAST(:names AS text[]), CAST(:owners AS text[]))
          UNION SELECT :version_table, unnest(CAST(:roles AS text[]))) AS given (name, owner)
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_roles ON rolname = owner
    WHERE NOT has_schema_privilege(rolname, nspname, 'USAGE')
    UNION
    SELECT 'GRANT', 'CONNECT', format('DATABASE %I', current_database()), rolname
    FROM pg_roles WHERE rolname = ANY(CAST(:roles AS text[]))
      AND NOT has_database_privilege(rolname, current_database(), 'CONNECT')
""")
"""Where the ways to the tables are closed, which a fresh database leaves open."""


def read_passwords(folder: Path) -> dict[str, str]:
    """Return the password of each role: a file with the role's name; raises ManagerError."""
    if not folder.is_dir():
        raise ManagerError(
            f"{folder} is no folder, which --roles wants, with a file for each role."
        )
    passwords = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        try:
            password = file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            password = ""
        if not password.isprintable() or not password:
            raise ManagerError(f"{file} holds no password that can be used: one line of ASCII.")
        passwords[file.name] = password
    return passwords


def make_roles(connection: Connection, passwords: Mapping[str, str | None]) -> None:
    """Make the login roles that are missing, and set their passwords; raises ManagerError.

    Without a password, only a server that asks for none takes the login, as the embedded one.
    """
    there = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    quote = connection.dialect.identifier_preparer.quote_identifier
    for role, password in passwords.items():
        if role in there and password is None:
            continue
        verb, secret = "ALTER" if role in there else "CREATE", ""
        if password is not None:
            server = connection.scalar(text("SELECT system_identifier FROM pg_control_system()"))
            secret = f" PASSWORD '{_scram_secret(password, f'{server} {role}')}'"
        try:
            connection.exec_driver_sql(f"{verb} ROLE {quote(role)} LOGIN{secret}")
            if role not in there:
                connection.exec_driver_sql(f"COMMENT ON ROLE {quote(role)} IS '{_MARK}'")
        except DBAPIError as error:
            what = "its password cannot be set" if role in there else "it cannot be made"
            raise ManagerError(
                f"The role {role}: {what} ({reason_of(driver_error(error))}).\n"
                "Migrate as an owner that may (ALTER ROLE … CREATEROLE), or without --roles."
            ) from error


def grant_tables(
    connection: Connection, tables: Collection[Table], version_table: str, roles: Iterable[str]
) -> list[str]:
    """Bring the rights of the roles that are there up to the models; return a line for each change.

    Args:
        connection: to the migrated database, by the owner of its tables.
        tables: of the models.
        version_table: which every service may read.
        roles: those of services without a table, too.
    """
    quote, lines = connection.dialect.identifier_preparer.quote_identifier, []
    for statement in (_CLOSED, _DIFFERENCES):
        for each in _differences(connection, statement, tables, version_table, roles):
            verb, privileges, target, role = each
            direction, rest, word = _VERBS[verb]
            connection.exec_driver_sql(
                f"{verb} {privileges} ON {target} {direction} {quote(role)}{rest}"
            )
            kind, _, name = target.partition(" ")
            lines.append(f"{word} {privileges} on {kind.lower()} {name} {direction.lower()} {role}")
    return lines


def find_lacking(
    connection: Connection, tables: Collection[Table], version_table: str, roles: Iterable[str]
) -> list[str]:
    """Return the tables that a role lacks rights on, which `grant_tables` would grant.

    A role that may not even read the revision was never granted anything here: it is of another
    database of this server.
    """
    found = _differences(connection, _DIFFERENCES, tables, version_table, roles)
    lacking = [
        (role, privileges, target.partition(" ")[2])
        for verb, privileges, target, role in found
        if verb == "GRANT"
    ]
    others = {role for role, _, name in lacking if name.strip('"') == version_table}
    return [
        f"{role} lacks {privileges} on {name}"
        for role, privileges, name in lacking
        if role not in others
    ]


def _differences(
    connection: Connection,
    statement: TextClause,
    tables: Collection[Table],
    version_table: str,
    roles: Iterable[str],
) -> list[tuple[str, str, str, str]]:
    """Return what `statement` finds: GRANT or REVOKE, the privileges, the target and the role."""
    prepare, owners = connection.dialect.identifier_preparer, owning_roles(tables)
    owned = [(prepare.format_table(each), owners.get(each)) for each in tables]
    owned += [
        (prepare.format_sequence(column.default), owners.get(each))
        for each in tables
        for column in each.columns
        if isinstance(column.default, Sequence)
    ]
    given = {
        "names": [name for name, _ in owned],
        "owners": [owner for _, owner in owned],
        "roles": sorted({*owners.values(), *roles}),
        "version_table": prepare.quote_identifier(version_table),
        "mark": _MARK,
    }
    found = connection.execute(statement, given)
    return [(verb, privileges, target, role) for verb, privileges, target, role in found]


def _scram_secret(password: str, salted_by: str) -> str:
    """Hash a password as PostgreSQL stores it (RFC 5803), so that no log of the server holds it.

    The salt is the same at each migration: a PgBouncer logs in with what it derived from the salt of
    its client's login, and after another one no new connection of a running service succeeds.
    """
    salt = sha256(salted_by.encode()).digest()[:16]
    salted = pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(each).decode() for each in (salt, stored, server)]
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *parts)
