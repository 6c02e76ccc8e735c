"""Revisions written from two descriptions: which text, which id, what is refused, what is said."""

import re

import pytest

from scaffold.errors import MisuseError
from scaffold.generation.fields import Part, Resource
from scaffold.generation.fleet import Fleet
from scaffold.language.description import IndexColumn
from scaffold.language.fleet import parse_fleet
from scaffold.revisions.writing import Revision, write_revision
from tests.described import products, statements

NAMED = products("name:str(120)")


def revise(old: Resource | None, new: Resource | None, **options: object) -> Revision:
    """Write a revision, which there has to be."""
    revision = write_revision(old, new, parent="3ef43f3fe70a", **options)  # type: ignore[arg-type]
    assert revision is not None
    return revision


def sql(old: Resource | None, new: Resource | None, **options: object) -> list[str]:
    """Return the statements of a change."""
    found = re.sub(
        r"^(SET LOCAL lock_timeout = '500ms';|)\n",
        "",
        statements(revise(old, new, **options)),
        flags=re.MULTILINE,
    )
    return [line for line in found.split("\n") if line]


def test_equal_changes_on_equal_heads_are_equal_bytes() -> None:
    new = products("name:str(120)", "price:decimal(10,2)?")

    first, second = revise(NAMED, new), revise(NAMED, new)
    behind_another = write_revision(NAMED, new, parent="aaaaaaaaaaa1")
    another = revise(NAMED, products("name:str(120)", "price:decimal(10,3)?"))

    assert first == second
    assert behind_another is not None
    assert len({first.id, behind_another.id, another.id}) == 3
    assert re.fullmatch("[0-9a-f]{12}", first.id)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (None, NAMED, "create_products"),
        (NAMED, None, "drop_products"),
        (NAMED, products("name:str(120)", "price:int?"), "add_price_to_products"),
        (products("name:str(120)", "price:int?:unique"), NAMED, "drop_price_from_products"),
        (NAMED, products("name:text"), "change_name_of_products"),
        (NAMED, products("name:str(120)", indexed=["name"]), "change_name_of_products"),
        (NAMED, products("name:text", "price:int?"), "change_products"),
    ],
)
def test_a_file_says_what_it_does(old: Resource | None, new: Resource | None, name: str) -> None:
    revision = revise(old, new)

    assert revision.file_name == f"{revision.id}_{name}.py"
    assert revision.text.startswith(f'"""{name.replace("_", " ")}"""\n')


def test_a_rename_is_one() -> None:
    old = products("name:str(120):unique", "kind:enum(a, b)", indexed=["kind"])
    new = products("title:str(120):unique", "model:enum(a, b)", indexed=["model"])

    revision = revise(old, new, renames={"name": "title", "kind": "model"})

    assert [line for line in statements(revision).splitlines() if "ALTER" in line] == [
        "ALTER TABLE products RENAME COLUMN name TO title;",
        "ALTER TABLE products RENAME COLUMN kind TO model;",
        "ALTER TABLE products RENAME CONSTRAINT ck_products_kind TO ck_products_model;",
        "ALTER TABLE products RENAME CONSTRAINT uq_products_name TO uq_products_title;",
        "ALTER INDEX ix_products_kind_id RENAME TO ix_products_model_id;",
    ]
    assert revise(NAMED, products("title:str(120)"), renames={"name": "title"}).file_name.endswith(
        "_rename_name_to_title_in_products.py"
    )


def test_a_table_that_stays_gets_no_revision() -> None:
    same = products("name:str(120):fixed:length(3)")

    assert write_revision(NAMED, same, parent=None) is None
    assert write_revision(None, None, parent=None) is None


def test_what_new_required_fields_are_filled_with_is_asked_for() -> None:
    with pytest.raises(MisuseError) as refusal:
        revise(NAMED, products("name:str(120)", "a:int", "b:date", "c:int=0", "d:int?"))

    assert str(refusal.value).endswith("Say it: --fill a=VALUE --fill b=VALUE")


def test_who_may_have_renamed_a_field_is_told_how_to_say_so() -> None:
    with pytest.raises(MisuseError, match=r"label:…:was\(name\)"):
        revise(NAMED, products("label:str(120)"))

    optional = revise(products("extra:json?"), products("details:json?"))

    assert [each for each in optional.warnings if "was" in each] == [
        "If extra is called details from now on, take this back (undo), and say so: "
        "details:…:was(extra)."
    ]


def test_ids_that_mean_other_rows_from_now_on_are_told() -> None:
    [warning] = revise(products("a:ref(category)?"), products("a:ref(tag)?")).warnings

    assert warning.startswith("The ids in a_id of products are kept, and are of tags from now on")


def test_a_field_that_becomes_required_is_filled_too() -> None:
    optional = products("name:str(120)?")

    with pytest.raises(MisuseError, match="--fill name=VALUE"):
        revise(optional, NAMED)

    assert "UPDATE products SET name = 'none' WHERE" in "".join(
        sql(optional, NAMED, fill={"name": "none"})
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("token:uuid", "token:int", "no value of uuid is one"),
        ("at:time", "at:datetime", "no value of time is one"),
        ("price:decimal(10,2)", "price:bool", "no value of decimal(10,2) is one"),
    ],
)
def test_values_that_would_have_to_be_made_up_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(MisuseError) as refusal:
        revise(products(old), products(new))

    assert message in str(refusal.value)


def test_what_is_not_there_is_not_renamed() -> None:
    with pytest.raises(
        MisuseError, match="nick of products cannot be renamed to title: it has name"
    ):
        revise(NAMED, products("title:str(120)"), renames={"nick": "title"})


def test_names_that_change_places_take_two_steps() -> None:
    old, new = products("a:int", "b:int"), products("b:int", "c:int?")

    with pytest.raises(MisuseError, match="do it in two steps"):
        revise(old, new, renames={"a": "b"})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (NAMED, None, "products is dropped, with its rows."),
        (
            products("name:str(120)", "price:int"),
            NAMED,
            "price is dropped from products, with its values.",
        ),
        (NAMED, products("name:str(20)"), "name is narrowed to str(20): a longer value keeps the"),
        (
            products("n:int"),
            products("n:bigint"),
            "n is widened to bigint: PostgreSQL writes the table anew",
        ),
        (products("n:decimal(9,3)"), products("n:int"), "values are rounded"),
        (products("n:text"), products("n:int"), "a text that is none keeps the revision"),
        (products("n:enum(a, b)"), products("n:enum(b)"), "a of n may be in rows"),
        (NAMED, products("name:str(120):unique"), "rows with equal values keep the revision"),
    ],
)
def test_what_cannot_be_safe_is_said(old: Resource, new: Resource | None, said: str) -> None:
    [warning] = revise(old, new).warnings

    assert said in warning


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAMED, products("name:str(121)")),
        (NAMED, products("name:text?")),
        (NAMED, products("name:str(120)=none")),
        (NAMED, products("name:str(120)", "price:int?", "stock:int=0", "token:uuid=random")),
        (NAMED, products("name:str(120)", "code:str?:unique", "token:uuid:unique=random")),
        (NAMED, products("name:str(120)", indexed=["name"])),
        (products("n:decimal(10,2)"), products("n:decimal(12,2)")),
        (products("n:enum(a, b)"), products("n:enum(a, b, c)")),
    ],
)
def test_of_what_is_safe_nothing_is_said(old: Resource, new: Resource) -> None:
    assert revise(old, new).warnings == ()


def test_words_of_an_enum_change_the_check_alone() -> None:
    assert sql(products("n:enum(a)=a"), products("n:enum(a, b)=a")) == [
        "BEGIN;",
        "ALTER TABLE products DROP CONSTRAINT IF EXISTS ck_products_n;",
        "ALTER TABLE products ADD CONSTRAINT ck_products_n CHECK (n IN ('a', 'b')) NOT VALID;",
        "COMMIT;",
        "ALTER TABLE products VALIDATE CONSTRAINT ck_products_n;",
        "BEGIN;",
        "COMMIT;",
    ]


def test_an_index_is_made_apart_and_a_unique_constraint_of_it() -> None:
    index = ((IndexColumn("name", descending=True),),)
    new = products("name:str(120):unique", index=index)

    assert sql(NAMED, new) == [
        "BEGIN;",
        "COMMIT;",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_products_name ON products (name);",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_products_name_desc_id"
        " ON products (name DESC NULLS LAST, id);",
        "BEGIN;",
        "ALTER TABLE products ADD CONSTRAINT uq_products_name UNIQUE USING INDEX uq_products_name;",
        "COMMIT;",
    ]


def test_a_constant_for_rows_that_are_there_writes_none_of_them() -> None:
    new = products("name:str(120)", "price:decimal(10,2)", "at:datetime=now")

    assert sql(NAMED, new, fill={"price": 1}) == [
        "BEGIN;",
        "ALTER TABLE products ADD COLUMN price NUMERIC(10, 2) DEFAULT '1' NOT NULL;",
        "ALTER TABLE products ALTER COLUMN price DROP DEFAULT;",
        "ALTER TABLE products ADD COLUMN at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;",
        "COMMIT;",
    ]


def test_a_reference_is_added_without_a_look_at_the_rows_and_validated_apart() -> None:
    new = products("name:str(120)", "category:ref(category)")

    with pytest.raises(MisuseError, match="Say it: --fill category_id=VALUE"):
        revise(NAMED, new)

    assert sql(NAMED, new, fill={"category_id": 3}) == [
        "BEGIN;",
        "ALTER TABLE products ADD COLUMN IF NOT EXISTS category_id BIGINT DEFAULT '3' NOT NULL;",
        "ALTER TABLE products ALTER COLUMN category_id DROP DEFAULT;",
        "ALTER TABLE products DROP CONSTRAINT IF EXISTS fk_products_category_id_categories;",
        "ALTER TABLE products ADD CONSTRAINT fk_products_category_id_categories"
        " FOREIGN KEY(category_id) REFERENCES categories (id) NOT VALID;",
        "COMMIT;",
        "ALTER TABLE products VALIDATE CONSTRAINT fk_products_category_id_categories;",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_products_category_id_id"
        " ON products (category_id, id);",
        "BEGIN;",
        "COMMIT;",
    ]


def test_a_table_of_pairs_is_made_with_its_field_and_told_when_it_goes() -> None:
    new = products("name:str(120)", "kinds:many(category)")

    added, dropped = revise(NAMED, new), revise(new, NAMED)

    assert [line.partition(" (")[0] for line in sql(NAMED, new) if line.startswith("CREATE")] == [
        "CREATE TABLE product_kinds",
        "CREATE INDEX ix_product_kinds_kind_id_product_id ON product_kinds",
    ]
    assert added.file_name.endswith("_add_kind_ids_to_products.py")
    assert dropped.file_name.endswith("_drop_kind_ids_from_products.py")
    assert (added.warnings, dropped.warnings) == ((), ("product_kinds is dropped, with its rows.",))


def test_another_rule_of_deletion_replaces_the_foreign_key() -> None:
    old, new = products("category:ref(category)?"), products("category:ref(category, set_null)?")

    assert sql(old, new) == [
        "BEGIN;",
        "ALTER TABLE products DROP CONSTRAINT IF EXISTS fk_products_category_id_categories;",
        "ALTER TABLE products ADD CONSTRAINT fk_products_category_id_categories FOREIGN KEY"
        "(category_id) REFERENCES categories (id) ON DELETE SET NULL NOT VALID;",
        "COMMIT;",
        "ALTER TABLE products VALIDATE CONSTRAINT fk_products_category_id_categories;",
        "BEGIN;",
        "COMMIT;",
    ]
    assert revise(old, new).file_name.endswith("_change_category_id_of_products.py")


def test_a_long_value_of_another_type_is_refused_by_postgresql_and_never_cut() -> None:
    assert sql(products("n:text"), products("n:str(5)")) == [
        "BEGIN;",
        "ALTER TABLE products ALTER COLUMN n TYPE VARCHAR(5);",
        "COMMIT;",
    ]


ORDERS = """
[order-service]
port = 8083

[order-service.order]
code = "str(20)"
lines = "items(line)"

[order-service.order.line]
sku = "str(20){unique}"
quantity = "int"
"""


def lines_of(text: str) -> Part:
    """Return the parts of the order that is described."""
    [order] = Fleet.of(parse_fleet(text)).services[0].resources
    [part] = order.parts
    return part


def test_a_part_has_a_table_whose_values_may_swap_within_its_owner() -> None:
    part = lines_of(ORDERS.format(unique=":unique"))

    [creation] = [line for line in sql(None, part) if line.startswith("CREATE TABLE")]
    whole = " ".join("".join(sql(None, part)).split())

    assert creation == "CREATE TABLE order_lines ("
    for words in (
        "CONSTRAINT fk_order_lines_order_id_orders FOREIGN KEY(order_id) REFERENCES orders (id) "
        "ON DELETE CASCADE",
        "CONSTRAINT uq_order_lines_order_id_position UNIQUE (order_id, position) DEFERRABLE",
        "CONSTRAINT uq_order_lines_order_id_sku UNIQUE (order_id, sku) DEFERRABLE",
    ):
        assert words in whole
    assert "is_active" not in whole


def test_what_becomes_unique_in_parts_is_made_so_while_others_write() -> None:
    change = sql(lines_of(ORDERS.format(unique="")), lines_of(ORDERS.format(unique=":unique")))

    assert [line for line in change if line not in ("BEGIN;", "COMMIT;")] == [
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_order_lines_order_id_sku "
        "ON order_lines (order_id, sku);",
        "ALTER TABLE order_lines ADD CONSTRAINT uq_order_lines_order_id_sku "
        "UNIQUE USING INDEX uq_order_lines_order_id_sku DEFERRABLE;",
    ]
