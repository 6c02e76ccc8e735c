"""What revisions do to services that run: found in their statements, and accepted by a comment."""

import importlib.util
import json
import re
from pathlib import Path
from textwrap import indent

import pytest
from alembic.script import Script

from db_manager.lint import lint
from scaffold.revisions.writing import write_revision
from tests.db_manager.outcome import USERS, fetch, revisions
from tests.db_manager.test_changes_under_load import CHANGES, OLD
from tests.db_manager.workspace_copy import WorkspaceCopy

NICK = 'sa.Column("nick", sa.String(20){0})'
REQUIRED = NICK.format(", nullable=False, server_default='x'")
APART = "with op.get_context().autocommit_block():\n    "
INDEX = 'op.create_index("ix", "users", ["age"]{0})'
CONCURRENTLY = ", postgresql_concurrently=True"
CHECK = 'op.create_check_constraint("ck", "users", "age IS NOT NULL"{0})'
NOT_VALID = ", postgresql_not_valid=True"
VALIDATE = 'op.execute("ALTER TABLE users VALIDATE CONSTRAINT ck")'
REQUIRE = 'op.alter_column("users", "age", nullable=False)'
RETYPE = 'op.alter_column("users", "username", existing_type=sa.{0}, type_=sa.{1})'
DROP_DEFAULT = 'op.alter_column("users", "at", server_default=None{0})'
AGE = 'op.add_column("users", sa.Column("n", sa.Integer()))'
TABLE = 'op.create_table("pets", sa.Column("id", sa.Integer()))'

FOUND = {
    "required-column": [
        f'op.add_column("users", {NICK.format(", nullable=False")})',
        'op.execute("alter table users add nick text not null")',
        'op.execute("ALTER TABLE users ADD nick text NOT NULL DEFAULT NULL")',
        'op.execute("ALTER TABLE users ADD nick int DEFAULT 1; ALTER TABLE public.users ALTER nick '
        'SET NOT NULL, ALTER nick DROP DEFAULT")',
        f'op.add_column("users", {REQUIRED})\n'
        'op.alter_column("users", "nick", server_default=None)',
    ],
    "rewrites": [
        'op.execute("ALTER INDEX i SET TABLESPACE x")',
        'op.execute("ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b")',
        'op.execute("ALTER MATERIALIZED VIEW v SET TABLESPACE x")',
        """op.add_column("users", sa.Column("u", sa.Uuid(), server_default=sa.text("gen_random_uuid()")))""",
        'op.add_column("users", sa.Column("n", sa.Integer(), sa.Computed("age + 1", persisted=True)))',
        RETYPE.format("Integer()", "BigInteger()"),
        RETYPE.format("String(80)", "String(40)"),
        RETYPE.format("Numeric(10, 2)", "Numeric(12, 3)"),
        'op.execute("ALTER TABLE users SET UNLOGGED")',
        'op.execute("ALTER TABLE users ALTER age SET DATA TYPE bigint")',
        'op.execute("ALTER TABLE users ALTER total SET EXPRESSION AS (age + 1)")',
        'op.execute("VACUUM (ANALYZE, FULL) users")',
        'op.execute("ALTER TABLE users ADD n text DEFAULT my_volatile()")',
        'op.execute("ALTER TABLE users ADD n text DEFAULT (lower(own.word(1)))")',
        'op.execute("ALTER TABLE users ADD n uuid NOT NULL DEFAULT uuid_v7()")',
        'op.execute("ALTER TABLE users ADD n serial NOT NULL")',
    ],
    "locks-table": [
        'op.execute("ALTER ROLE CURRENT_USER SET lock_timeout = 0")',
        'op.execute("SET lock_timeout = 0")',
        """op.execute("SET LOCAL lock_timeout='1h'")""",
        'op.execute("set session lock_timeout to default")',
        'op.execute("RESET lock_timeout")',
        """op.execute("SELECT pg_catalog.set_config('lock_timeout', '0', false)")""",
        'op.execute("LOCK users")',
        'op.execute("REFRESH MATERIALIZED VIEW names")',
        'op.execute("ALTER TABLE users DETACH PARTITION old")',
    ],
    "locks-index": [
        'op.execute("CREATE INDEX ON users (age)")',
        INDEX.format(""),
        'op.drop_index("ix")',
        'op.execute("REINDEX TABLE users")',
    ],
    "locks-constraint": [
        'op.execute("ALTER TABLE users ADD CONSTRAINT pk PRIMARY KEY USING INDEX ix")',
        'op.execute("ALTER TABLE users ALTER CONSTRAINT c ENFORCED")',
        'op.execute("CREATE TABLE p PARTITION OF users FOR VALUES IN (1)")',
        CHECK.format(""),
        'op.create_unique_constraint("uq", "users", ["age"])',
        'op.create_foreign_key("fk", "users", "pets", ["age"], ["id"])',
        f"{CHECK.format(NOT_VALID)}\n{VALIDATE}",
        'op.add_column("users", sa.Column("pet", sa.Integer(), sa.ForeignKey("pets.id")))',
        'op.execute("ALTER TABLE users ADD CONSTRAINT nn NOT NULL age")',
        'op.execute("ALTER TABLE users ATTACH PARTITION old FOR VALUES IN (1)")',
    ],
    "narrows": [
        DROP_DEFAULT.format(""),
        DROP_DEFAULT.format(", existing_nullable=False"),
        'op.alter_column("users", "at", server_default=sa.text("NULL"))',
        'with op.batch_alter_table("users") as batch:\n'
        '    batch.alter_column("at", server_default=None)',
        'op.alter_column("users", "id", server_default=None, existing_server_default=sa.Identity())',
        'op.alter_column("users", "id", server_default=sa.Identity(always=True), '
        "existing_server_default=sa.Identity(always=False))",
        f'{DROP_DEFAULT.format("")}\n{APART}op.alter_column("users", "at", server_default="now()")',
        'op.alter_column("users", "at", nullable=False)',
        *(
            f"op.execute({each!r})"
            for each in (
                "alter table users alter at drop default",
                'ALTER TABLE IF EXISTS ONLY public."users" ALTER COLUMN "at" DROP DEFAULT',
                "ALTER TABLE users * ALTER at DROP DEFAULT",
                "ALTER TABLE users*ALTER at DROP DEFAULT",
                "ALTER TABLE users\n  ADD COLUMN a int,\n  ALTER at /* by code */ DROP DEFAULT",
                "DO $$ BEGIN IF true THEN ALTER TABLE users ALTER at DROP DEFAULT; END IF; END $$",
                "ALTER TABLE users ALTER at SET DEFAULT NULL",
                "ALTER TABLE users ALTER at SET DEFAULT (null)",
                "ALTER TABLE users ALTER at SET DEFAULT NULL::timestamptz",
                "ALTER TABLE users ALTER at SET DEFAULT CAST(NULL AS date)",
                "ALTER TABLE users ALTER id DROP IDENTITY IF EXISTS",
                "ALTER TABLE users ALTER id SET GENERATED ALWAYS",
                "ALTER TABLE users ALTER id ADD GENERATED ALWAYS AS IDENTITY",
                "ALTER TABLE users ALTER total DROP EXPRESSION",
                "ALTER FOREIGN TABLE users ALTER at DROP DEFAULT",
                "ALTER VIEW people ALTER at DROP DEFAULT",
                "ALTER DOMAIN mood DROP DEFAULT",
                "ALTER DOMAIN mood SET DEFAULT NULL",
                "ALTER TABLE users ADD NOT NULL age NOT VALID",
                "ALTER TABLE users ALTER age SET NOT NULL",
                "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE users FORCE ROW LEVEL SECURITY",
                "CREATE RULE keep AS ON DELETE TO users DO INSTEAD NOTHING",
            )
        ),
    ],
    "not-in-transaction": [INDEX.format(CONCURRENTLY)],
    "changes-rows": [
        *(
            f"{AGE}\nop.execute({each!r})"
            for each in (
                "UPDATE users SET n = 1 WHERE id > 0",
                "UPDATE users SET n = 1 WHERE n IS NULL",
                "DELETE FROM users WHERE at IS NOT NULL",
                "INSERT INTO audit SELECT * FROM users",
                "WITH a AS (SELECT 1) UPDATE users SET n = 1 WHERE kind = 1",
                "CREATE TABLE c AS SELECT * FROM users",
                "CREATE MATERIALIZED VIEW c AS SELECT 1",
                "DO $$ BEGIN UPDATE users SET n = 1 WHERE id > 0; END $$",
            )
        ),
        'op.execute("WITH a AS (SELECT 1) UPDATE users SET age = 1 WHERE true")',
        'op.execute("MERGE INTO users USING a ON true WHEN MATCHED THEN DELETE")',
        'op.execute("UPDATE users SET age = 1 -- WHERE id = 1")',
        'op.execute("DO $$ BEGIN IF true THEN UPDATE users SET age = 1; END IF; END $$")',
        'op.execute("UPDATE users SET age = 1")',
        'op.execute("DELETE FROM users")',
        *(
            f"op.execute({each!r})"
            for each in (
                "UPDATE users SET nick = (SELECT n FROM names WHERE names.id = users.id)",
                "UPDATE users SET nick = n.n FROM names AS n WHERE n.id = users.id",
                "UPDATE users SET age = 1 WHERE (true)",
                "UPDATE users SET age = 1 WHERE ((1 = 1)) RETURNING id",
                "WITH a AS (UPDATE users SET age = 1 RETURNING id) SELECT id FROM a WHERE id = 1",
                "DELETE FROM users USING names WHERE names.id = users.id AND names.n = users.nick",
                "CREATE TABLE IF NOT EXISTS users (id int); UPDATE users SET age = 1",
                "DO 'BEGIN UPDATE users SET nick = ''x''; END'",
                "DO LANGUAGE plpgsql 'BEGIN DELETE FROM users; END'",
                "DO $$ <<outer>> BEGIN DELETE FROM users; END $$",
                "DO $$ BEGIN CASE WHEN true THEN DELETE FROM users; END CASE; END $$",
                "DO $$ BEGIN NULL; EXCEPTION WHEN others THEN DELETE FROM users; END $$",
                "DO $$ BEGIN FOREACH i IN ARRAY a LOOP DELETE FROM users; END LOOP; END $$",
            )
        ),
    ],
    "drop-column": [
        'op.drop_column("users", "age")',
        'op.execute("ALTER TABLE users ADD COLUMN a numeric(8, 2), DROP COLUMN b")',
        'op.execute("ALTER TYPE place DROP ATTRIBUTE street")',
    ],
    "drop-object": [
        *(
            f"op.execute({each!r})"
            for each in (
                "DROP COLLATION c",
                "DROP OPERATOR + (int, int)",
                "DROP CAST (int AS text)",
                "ALTER ROLE user_service NOLOGIN",
            )
        ),
        'op.execute("/* of old */ DROP TABLE users")',
        'op.execute("-- of old\\nDROP TABLE users")',
        'op.execute("SELECT 1; DROP TABLE users")',
        'op.execute("DROP EXTENSION pg_trgm")',
        'op.execute("DROP TRIGGER IF EXISTS fill_in ON users")',
        'op.execute("DROP POLICY own ON users")',
        'op.execute("ALTER TABLE users DISABLE TRIGGER fill_in")',
        'op.execute("REVOKE SELECT ON users FROM app")',
        'op.drop_table("users")',
        'op.execute("DROP VIEW names")',
    ],
    "renames": [
        'op.alter_column("users", "age", new_column_name="years")',
        'op.rename_table("users", "people")',
        'op.execute("ALTER TABLE users SET SCHEMA other")',
        'op.execute("ALTER VIEW names RENAME TO words")',
        """op.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'b'")""",
        'op.execute("ALTER TYPE place RENAME ATTRIBUTE street TO road")',
        'op.execute("ALTER TYPE place ALTER ATTRIBUTE street TYPE int")',
        'op.execute("ALTER SEQUENCE users_id_seq RENAME TO numbers")',
    ],
    "mixed": [
        *(f'op.execute("{each}")' for each in ("COMMIT", "BEGIN", "rollback", "START TRANSACTION")),
        f'op.add_column("users", {NICK.format("")})\n{APART}{INDEX.format(CONCURRENTLY)}',
    ],
    "unknown": [
        'op.execute("DO $$ BEGIN PERFORM f(); END $$")',
        'op.execute("CALL p()")',
        'op.execute("SELECT own.f(1)")',
        """op.execute("DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$")""",
        "op.get_bind().exec_driver_sql('SELECT 1')",
    ],
}
SAFE = [
    f'op.add_column("users", {NICK.format("")})',
    f'op.add_column("users", {REQUIRED})',
    'op.add_column("users", sa.Column("at", sa.DateTime(), server_default=sa.text("now()")))',
    f"{TABLE}\n{INDEX.format('').replace('users', 'pets')}",
    APART + INDEX.format(CONCURRENTLY),
    CHECK.format(NOT_VALID),
    APART + VALIDATE,
    'op.execute("ALTER TABLE users ADD CONSTRAINT uq UNIQUE USING INDEX ix")',
    RETYPE.format("String(40)", "String(80)"),
    RETYPE.format("String(40)", "Text()"),
    RETYPE.format("Numeric(10, 2)", "Numeric(12, 2)"),
    'op.execute("UPDATE users SET age = 1 WHERE id = 1")',
    'op.execute("UPDATE users SET age = 1 WHERE (id = 1)")',
    'op.execute("UPDATE users SET age = 1 FROM (SELECT id FROM users LIMIT 9) AS few WHERE few.id = users.id")',
    'op.execute("UPDATE users SET age = 1 FROM names WHERE names.id = users.id AND names.n = 1")',
    'op.execute("DO $$ BEGIN UPDATE users SET age = 1 WHERE id = 1; COMMIT; END $$")',
    """op.execute("SET LOCAL lock_timeout = '500ms'")""",
    """op.execute("SELECT set_config('search_path', 'own', true)")""",
    'op.execute("ROLLBACK TO SAVEPOINT a")',
    'op.execute("ALTER TABLE users ALTER age DROP NOT NULL")',
    f"{TABLE}\nop.execute('ALTER TABLE users ATTACH PARTITION pets DEFAULT')",
    """op.execute("ALTER TABLE users ADD n numeric(8, 2) DEFAULT round(1.5, 2) NOT NULL")""",
    """op.execute("ALTER TABLE users ADD n timestamptz DEFAULT timezone('utc', now())")""",
    """op.execute("ALTER TABLE users ADD n varchar(9) DEFAULT CASE WHEN (true) THEN 'f()' END")""",
    """op.execute("ALTER TABLE users ADD COLUMN a text DEFAULT 'x, DROP COLUMN y; DROP TABLE z'")""",
    """op.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DELETE FROM users; SELECT 1 $$")""",
    """op.execute("ALTER TABLE users ADD n timestamptz DEFAULT CURRENT_TIMESTAMP(0)")""",
    """op.execute("ALTER TABLE users ADD n text DEFAULT left('abc', 2)")""",
    """op.execute("ALTER TABLE users ADD n vector(3) DEFAULT '[0,0,0]'::vector(3)")""",
    'op.execute("UPDATE users SET valid_from = NULL WHERE archived = true")',
    'op.execute("UPDATE users SET valid_from = created WHERE age = years")',
    'op.execute("UPDATE users SET age = s.age FROM s WHERE users.id = s.id AND users.moved = false")',
    """op.execute("SET LOCAL lock_timeout = '1.5s'")""",
    """op.execute("SELECT set_config('lock_timeout', '1s', true)")""",
    'op.execute("ALTER TABLE users RENAME CONSTRAINT a TO b")',
    'op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY names")',
    'op.execute("REVOKE EXECUTE ON FUNCTION f FROM PUBLIC")',
    DROP_DEFAULT.format(", existing_nullable=True"),
    f"{DROP_DEFAULT.format('')}\n{DROP_DEFAULT.format('').replace('None', repr('now()'))}",
    f"{DROP_DEFAULT.format('')}\nop.alter_column('users', 'at', nullable=True)",
    'op.execute("ALTER TABLE users ALTER id DROP DEFAULT, ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")',
    "op.execute(\"ALTER TABLE users ALTER at SET DEFAULT 'null'\")",
    """op.add_column("users", sa.Column("nick", sa.String(20), server_default="x"))
op.alter_column("users", "nick", server_default=None)""",
    'op.execute("CREATE TABLE pets (id int DEFAULT 1); ALTER TABLE pets ALTER id DROP DEFAULT")',
    'op.execute("ALTER TABLE users ALTER CONSTRAINT c NOT ENFORCED")',
    'op.execute("ALTER ROLE a LOGIN")',
    'op.execute("ALTER ROLE a SET work_mem TO notable")',
    'op.execute("SELECT gen_random_uuid()")',
    "op.execute(\"SELECT string_agg(name, ',') FROM users\")",
    'op.execute("ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES b (id) NOT VALID; UPDATE users SET a = 1 WHERE kind = 2")',
    'op.execute("ALTER TABLE users ALTER a SET STATISTICS 100; UPDATE users SET a = 1 WHERE kind = 2")',
    'op.execute("ALTER TABLE users SET (fillfactor = 70); UPDATE users SET a = 1 WHERE kind = 2")',
    f"{AGE}\nop.execute('CREATE TABLE n (id int); INSERT INTO n SELECT 1')",
    """op.execute("ALTER ROLE a SET lock_timeout = '1s'")""",
    """op.execute("DO $$ BEGIN PERFORM setval('a', 1); END $$")""",
    'op.execute("ALTER INDEX i RENAME TO j")',
    f"{AGE}\nop.execute('INSERT INTO kinds VALUES (1)')",
    f"{AGE}\nop.execute('CREATE VIEW v AS SELECT 1')",
    f"{AGE}\nop.execute('UPDATE users SET n = 1 WHERE id = 1')",
    f"op.execute('UPDATE users SET age = 1 WHERE kind = 1')\n{AGE}",
    f"{TABLE}\nop.execute('ALTER TABLE pets ADD x int')\nop.execute('UPDATE pets SET x = 1 WHERE kind = 1')",
]


def revision(folder: Path, upgrade: str, head: str = "") -> Script:
    """Return a revision as Alembic has it."""
    file = folder / "one.py"
    file.write_text(
        f'"""one"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = "a"\n'
        f"down_revision = None\n{head}\n\ndef upgrade() -> None:\n{indent(upgrade, '    ')}\n"
    )
    return load(folder)


def load(folder: Path) -> Script:
    """Return the revision in `one.py` as Alembic has it."""
    file = folder / "one.py"
    spec = importlib.util.spec_from_file_location("one", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Script(module, "a", str(file))


@pytest.mark.parametrize(
    ("rule", "upgrade"), [(rule, each) for rule, several in FOUND.items() for each in several]
)
def test_what_stops_or_breaks_services_is_found(tmp_path: Path, rule: str, upgrade: str) -> None:
    assert rule in {each.rule for each in lint(revision(tmp_path, upgrade))}


@pytest.mark.parametrize("upgrade", SAFE)
def test_what_lets_services_go_on_is_not_found(tmp_path: Path, upgrade: str) -> None:
    assert lint(revision(tmp_path, upgrade)) == []


def test_what_a_contraction_takes_away_is_its_purpose(tmp_path: Path) -> None:
    defaults = [each for each in FOUND["narrows"] if "NULL" not in each and "nullable" not in each]
    taking = [
        *FOUND["drop-column"],
        *FOUND["drop-object"],
        *(d for d in defaults if APART not in d),
    ]
    steps = "\n".join(each for each in taking if "ADD" not in each)
    checked = f"{CHECK.format(NOT_VALID)}\n{APART}{VALIDATE}\n{REQUIRE}"
    adding = f'op.add_column("users", {NICK.format("")})'
    phase = 'phase = "contract"'

    assert lint(revision(tmp_path, steps, phase)) == []
    assert [each.rule for each in lint(revision(tmp_path, checked, phase))] == ["mixed"]
    assert [each.rule for each in lint(revision(tmp_path, REQUIRE, phase))] == ["locks-constraint"]
    assert [each.rule for each in lint(revision(tmp_path, adding, phase))] == ["expands"]


@pytest.mark.parametrize(
    ("head", "line", "is_accepted"),
    [
        ("", "# accept locks-index: the table is small", True),
        ("# accept locks-index: the table is small", "", True),
        ("# accept all: nothing runs", "", True),
        ("", "# accept locks-index:", False),
        ("", "# accept renames: the table is small", False),
    ],
)
def test_a_comment_with_a_reason_accepts(
    tmp_path: Path, head: str, line: str, is_accepted: bool
) -> None:
    found = lint(revision(tmp_path, f"{line}\n{INDEX.format('')}", head))

    assert [each.rule for each in found] == ["locks-index"] * (not is_accepted)


def test_a_generated_revision_says_its_phase_and_accepts_what_is_found_and_no_more(
    tmp_path: Path,
) -> None:
    phases = {}
    for name, (new, options) in CHANGES.items():
        written = write_revision(OLD, new, parent=USERS, **options)
        assert written is not None
        (tmp_path / "one.py").write_text(written.text)
        assert lint(load(tmp_path)) == [], name
        accepted = re.findall(r"# accept ([\w-]+): .*", written.text)
        (tmp_path / "one.py").write_text(re.sub(r"# accept.*", "", written.text))
        assert sorted({each.rule for each in lint(load(tmp_path))}) == sorted(accepted), name
        phases[name] = 'phase = "contract"' in written.text

    assert {name for name, contracts in phases.items() if contracts} == {
        "a required field", "no default", "no field",
    }  # fmt: skip


@pytest.mark.slow
def test_expansions_come_before_a_roll_out_and_contractions_after_it(copy: WorkspaceCopy) -> None:
    copy.add_column_to_users(
        "nick: Mapped[str | None] = mapped_column(String(20), index=True)",
        "from sqlalchemy import String",
    )
    copy.run("migrate")
    added = copy.run("revision", "-m", "add nick")
    [addition] = copy.versions.glob("*_add_nick.py")
    concurrently = "postgresql_concurrently=True"
    assert concurrently in addition.read_text()
    [first] = copy.heads()[:1]
    copy.add_revision("aaaaaaaaaaa1", first, 'op.drop_column("users", "age")')
    [contraction] = copy.versions.glob("aaaaaaaaaaa1*")
    contraction.write_text(
        contraction.read_text().replace("\n\n\ndef up", '\nphase = "contract"\n\n\ndef up', 1)
    )

    addition.write_text(addition.read_text().replace(concurrently, "", 1))
    before, waiting = copy.run("migrate", "--expand"), copy.run("wait", "--timeout", "0")
    at_expansion = revisions(copy.url)
    again, lint_all = copy.run("migrate", "--expand"), copy.run("lint", "--json")
    copy.add_revision("aaaaaaaaaaa2", "aaaaaaaaaaa1", "pass")
    late = copy.run("migrate", "--expand")
    after = copy.run("migrate", "--contract")
    copy.user_model.write_text(re.sub(r".* age: .*\n", "", copy.user_model.read_text()))
    unsafe, unsafe_json = copy.run("check"), copy.run("check", "--json")
    addition.write_text(f"# accept locks-index: twelve rows\n{addition.read_text()}")
    accepted = copy.run("check")

    assert (added.code, "Unsafe: " in added.err) == (0, False)
    assert before.code == 0, before.err
    assert at_expansion == [(first,)]
    assert waiting.code == 0, waiting.err
    assert again.out.startswith("Nothing to do: ")
    assert lint_all.code == 1
    assert [each["rule"] for each in json.loads(lint_all.out)] == ["locks-index"]
    assert late.code == 1
    assert "aaaaaaaaaaa2 by hand expands, and follows aaaaaaaaaaa1 by hand" in late.err
    assert after.code == 0, after.err
    assert unsafe.code == unsafe_json.code == 1
    assert re.search(r"^Error: Unsafe: .*locks-index", unsafe.err, re.M), unsafe.err
    assert "# accept RULE: REASON" in unsafe.err
    assert json.loads(unsafe_json.out)["ok"] is False
    assert "locks-index" in str(json.loads(unsafe_json.out)["problems"])
    assert accepted.code == 0, accepted.err
    assert (
        fetch(copy.url, "SELECT 1 FROM information_schema.columns WHERE column_name = 'age'") == []
    )


@pytest.mark.slow
def test_a_revision_without_a_phase_takes_nothing_away_before_a_roll_out(
    copy: WorkspaceCopy,
) -> None:
    copy.run("migrate")
    copy.add_revision("aaaaaaaaaaa1", USERS, 'op.drop_column("users", "age")')
    [by_hand] = copy.versions.glob("aaaaaaaaaaa1*")
    [first] = copy.versions.glob(f"{USERS}*")

    linted = copy.run("lint")
    first.write_text(first.read_text().replace('phase = "expand"\n', ""))
    of_an_earlier_version = copy.run("lint")
    refused, at = copy.run("migrate", "--expand"), revisions(copy.url)
    by_hand.write_text(f"# accept drop-column: no code reads it\n{by_hand.read_text()}")
    accepted = copy.run("migrate", "--expand")

    assert (linted.code, "[drop-column]" in linted.err) == (1, True), linted.err
    assert of_an_earlier_version.code == 0, of_an_earlier_version.err
    assert refused.code == 1
    assert "ALTER TABLE users DROP COLUMN age breaks code that reads it" in refused.err
    assert 'phase = "contract"' in refused.err
    assert "# accept RULE: REASON" in refused.err
    assert at == [(USERS,)]
    assert accepted.code == 0, accepted.err
