"""fleet.toml: what it says, how a mistake in it is shown, and how it is edited."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from scaffold.engine.baseline import describe, parse_described, read_described
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.fleet import Fleet
from scaffold.generation.presets import preset_of
from scaffold.generation.tables import Table
from scaffold.language.description import ActionDescription, FleetDescription, ResourceDescription
from scaffold.language.fleet import (
    FRESH,
    add_resource,
    add_service,
    drop_field,
    forget_former_names,
    join_sides,
    parse_fleet,
    put_fields,
    remove_resource,
    remove_service,
    rename_field,
    write_resource,
)
from scaffold.language.grammar import parse_fields
from scaffold.language.identifiers import check_identifiers, table_of
from tests.scaffold.descriptions import random_fleet
from tests.workspace import FRAMEWORK

SHOP = (FRAMEWORK / "tests/domains/shop/fleet.toml").read_text()

CRLF = "\r\n"
THING = replace(parse_fields(["name:str", "note:text?"]), name="thing")


def write(fleet: FleetDescription) -> str:
    """Write a fleet as the commands do."""
    blocks = [FRESH]
    for service in fleet.services:
        blocks.append(f"[{service.name}]\nport = {service.port}\n")
        blocks += [write_resource((service.name, one.name), one) for one in service.resources]
    return "\n".join(blocks)


def called(name: str) -> ResourceDescription:
    """Return a resource of a name."""
    return replace(THING, name=name)


def refusal(text: str) -> str:
    """Return what is said of a text, empty where it is a fleet."""
    try:
        parse_fleet(text)
    except ScaffoldError as error:
        return str(error)
    return ""


def find(text: str, name: str) -> ResourceDescription:
    """Return the resource of this name."""
    resources = [one for service in parse_fleet(text).services for one in service.resources]
    return next(one for one in resources if one.name == name)


def test_a_fleet_is_understood_whole() -> None:
    fleet = parse_fleet(SHOP)

    assert [(one.name, one.port) for one in fleet.services] == [
        ("mail-service", 8084),
        ("order-service", 8083),
        ("product-service", 8082),
        ("user-service", 8081),
    ]
    mail, orders, products, users = fleet.services
    assert mail.resources == ()
    assert users.resources == (replace(preset_of("user"), name="user"),)
    assert [one.name for one in products.resources] == ["category", "product", "tag"]
    [order] = orders.resources
    assert list(map(str, order.fields)) == [
        "code:str(20):lookup:fixed",
        "buyer:ref(user-service.user)",
        "placed_at:datetime",
        "status:enum(open, paid, shipped, cancelled):index=open",
        "lines:items(line)",
    ]
    assert order.actions[0] == ActionDescription("pay", "status", ("open",), "paid")
    [line] = order.parts
    assert (line.name, line.unique, line.has_active) == ("line", (("product",),), False)
    assert [field.key for field in line.fields] == ["product_id", "quantity", "unit_price"]


def test_a_fresh_file_has_a_comment_and_no_service() -> None:
    assert parse_fleet(FRESH) == FleetDescription()
    assert all(line.startswith("#") for line in FRESH.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"decimal(10,2):min(0)"\nstock',
            '"decimal(10,2):mni(0)"\nstock',
            "fleet.toml, line 21: 'mni' is no modifier (did you mean 'min'?):\n"
            '  price = "decimal(10,2):mni(0)"\n'
            "                         ^\n"
            "Allowed here: unique, index, fixed, positive, min, max, was",
        ),
        (
            "ref(category)",
            "ref(categry)",
            "fleet.toml, line 25: 'categry' is no resource of product-service "
            "(did you mean 'category'?):\n"
            '  category = "ref(categry)?"\n'
            "                  ^\n"
            "Allowed here: category, product, tag",
        ),
        (
            "ref(category)",
            "ref(user)",
            "fleet.toml, line 25: 'user' is kept by user-service:\n"
            '  category = "ref(user)?"\n'
            "                  ^\n"
            "Allowed here: ref(user-service.user)",
        ),
        (
            "category, price",
            "category, -pric",
            "fleet.toml, line 27: 'pric' is no field for _index (did you mean 'price'?):\n"
            '  _index = ["category, -pric"]\n'
            "                        ^\n"
            "Allowed here: name, sku, price, stock, released_on, description, category, "
            "created_at, updated_at, is_active",
        ),
        (
            "open -> paid",
            "status -> paid",
            "fleet.toml, line 42: 'status' is no word of status:\n"
            '  _actions = { pay = "status: status -> paid", ship = "status: paid -> shipped", cancel = "status: open, paid -> cancelled" }\n'
            "                              ^\n"
            "Allowed here: open, paid, shipped, cancelled",
        ),
        (
            "_active",
            "_actve",
            "fleet.toml, line 31: '_actve' is no option (did you mean '_active'?):\n"
            "  _actve = false\n"
            "  ^\n"
            "Allowed here: _index, _unique, _active, _plural, _routes, _actions",
        ),
        (
            "port = 8084",
            "port = 8083",
            "fleet.toml, line 51: Port 8083 belongs to the service 'order-service' "
            "(services/order_service):\n"
            "  port = 8083\n"
            "  ^\n"
            "Choose another, such as 8084.",
        ),
        (
            "port = 8084",
            "port = 80",
            "fleet.toml, line 51: '80' is no port for a service:\n"
            "  port = 80\n"
            "  ^\n"
            "Give a whole number from 1024 to 65535, without leading zeros, as in 8081.",
        ),
        (
            "[product-service.tag]",
            "[product-service.product_tag]",
            "fleet.toml, line 29: The table 'product_tags' of product-service.product_tag is also "
            "that of product-service.product.tags:\n"
            "  [product-service.product_tag]\n"
            "                   ^\n"
            "Choose another name.",
        ),
        (
            "lines =",
            "line =",
            "fleet.toml, line 44: Cannot overwrite a value:\n"
            "  [order-service.order.line]               # a part of the order: no routes of its own, kept and read with it\n"
            "                           ^\n"
            "TOML, where each key and each table is there once; a field and a part share no name.",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_at_its_line(old: str, new: str, message: str) -> None:
    assert old in SHOP

    with pytest.raises(MisuseError) as refused:
        parse_fleet(SHOP.replace(old, new, 1))

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[user-service]", "x = 1\n[user-service]", "line 1: 'x' is no service"),
        ("port = 8084", "", "mail-service has no port"),
        ("port = 8084", 'port = "8084"', "mail-service has no port"),
        ("port = 8084", "port = 8084\nprt = 1", r"'prt' is nothing of a service \(did you mean"),
        ("port = 8084", "port = 8084\n_x = 1", "'_x' is nothing of a service"),
        ("[mail-service]", "[mail-service", "line 50: Expected"),
        ("[mail-service]", "[Order_Service]", "would be the package order_service"),
        ("[mail-service]", '["mail service"]', "'mail service' cannot name a service"),
        ("[mail-service]", "[class-service]", "'class-service' cannot name a service"),
        ("ref(user-service.user)", "ref(usr-service.user)", "did you mean 'user-service'"),
        ("ref(user-service.user)", "ref(user-service.usr)", "did you mean 'user'"),
        ("ref(user-service.user)", "ref(OrderService.order)", "is the service itself"),
        ("many(tag)", "many(user)", "line 26: 'user' is kept by user-service"),
        ("many(tag)", "many(line)", "line 26: 'line' is no resource of product-service"),
        ("items(line)", "items(lin)", "line 41: The part 'lin' is not described"),
        ('"items(line)"', '"items(line)"\nmore = "items(line)"', "line 42: The part 'line' is not"),
        ('lines = "items(line)"\n', "", "line 43: No field of order keeps 'line'"),
        ("pay =", "deactivate =", "line 42: This cannot name an action"),
        ("pay =", "status =", "line 42: 'status' is a field"),
        ("status: open ->", "code: open ->", "line 42: 'code' is no enum"),
        ("quantity", "position", "line 46: 'position' is a column of every part"),
        ("product =", "order =", "line 45: 'order_id' is a column of every part"),
        ("int:positive", "str:lookup", "line 46: A part has no routes, so no lookup"),
        ("int:positive", "str:search", "line 46: A part has no list, so no search"),
        ("int:positive", "items(line)", "line 46: A part has no items of its own"),
        ('_unique = ["product"]', "_active = false", "line 48: A part has no routes, so no _act"),
        ('_unique = ["product"]', '_unique = ["products"]', "line 48: 'products' is no field"),
        ("[order-service.order.line]", "[order-service.order.class]", "keyword of Python"),
        ("[product-service.tag]", "[product-service.port]", "line 29: Cannot overwrite a value"),
        ("[product-service.tag]", "[product-service.Tag]", "line 29: 'Tag' cannot name a resource"),
        ("[product-service.tag]", "[product-service.base]", "the base of every model"),
        ("[product-service.tag]", '[product-service.user]\nx="int"\n[product-service.tag]', "'product-service' would keep users, which the service 'user-service' already does"),
        ("[product-service.tag]", '[product-service.a_1]\nx="int"\n[product-service.a1]\nx="int"\n[product-service.tag]', "The class 'A1'"),
        ("[product-service.tag]", '[product-service.order_line]\nx="int"\n[product-service.tag]', "The table 'order_lines' of"),
        ('"str(80):unique"', '"str(80):unique"\n_plural = "products"', "The table 'products'"),
        ('"str(80):unique"', '"str(80):unique"\n_plural = "health"', "also that of the health check of every service"),
        ('"str(80):unique"', '"str(80):unique"\nparent = "ref(category)"', "line 17: No category could be the first"),
        ('"str(80):unique"', '"str(80):unique"\nbest = "ref(product, cascade)"\n[product-service.x]\ny = "ref(category)"', None),
        ('"str(80):unique"', '"str(80):unique"\nparent = "ref(category)?"', None),
        ("[product-service.tag]", '[product-service.news]\nx="int"\n[product-service.news_record]\nx="int"\n[product-service.tag]', "The plural 'news_records'"),
        ('"items(line)"', '"items(line)"\n_plural = "orders"\nlinees = "many(order)"\n', None),
        ('lines = "items(line)"', 'rows = "items(line)"\nlines = "many(order)"', "The table 'order_lines' of order-service.order.lines is also that of order-service.order.line"),
        ('quantity', 'kind = "enum(a, b)"\nquantity', None),
        ('lines = "items(line)"', 'lines = "items(line)"\nline_entity = "enum(a, b)"', "The class 'OrderLineEntity' of order-service.order.line is also that of order-service.order.line_entity"),
        ('lines = "items(line)"', 'lines = "items(line)"\nline_parts = "enum(a, b)"', "The class 'OrderLineParts'"),
        ("[mail-service]", '[order-service.order_line]\n_plural = "order_rows"\nname = "str"\n[mail-service]', "The class 'OrderLineEntity' of order-service.order_line is also that of order-service.order.line"),
        ("[mail-service]", '[mail-service.order_line]\n_plural = "order_rows"\nname = "str"\n[mail-service]', None),
        ("[mail-service]", '[order-service.order_status]\nname = "str"\n[mail-service]', None),
        ('"str(80):unique"', '"str(80):unique"\nkind = "enum(null, a)?:index"', "Lists call no value null"),
        ('"str(80):unique"', '"str(80):unique"\nkind = "enum(null, a)?"', None),
        ('"str(80):unique"', '"str(80):unique"\n_plural = "commit"', "'commit' is a method of every unit of work"),
        ('name = "str(80):unique"\n', "", "line 15: category has no field"),
        ("product =", "[order-service.order.x]\nproduct =", "line 44: line has no field"),
        ('"str(80):unique"', "3", "line 16: 'name' is not described by a text"),
        ("[product-service.tag]", f"[product-service.{'a' * 40}]\n{'b' * 30} = 'ref(category)'\n[product-service.tag]", "would have 71 characters in the database"),
        ("line]", f"{'line' * 16}]", "This cannot name a resource"),
    ],
)  # fmt: skip
def test_what_holds_across_a_fleet_is_checked(old: str, new: str, message: str | None) -> None:
    assert old in SHOP
    text = SHOP.replace(old, new, 1)

    if message is None:
        parse_fleet(text)
    else:
        with pytest.raises(ScaffoldError, match=message) as refused:
            parse_fleet(text)
        assert re.fullmatch(r"(?s).+:\n  [^\n]*\n +\^\n.+", str(refused.value))


THINGS = """[thing-service]
port = 8081

[thing-service.thing]
{}
"""


@pytest.mark.parametrize(
    ("fields", "line", "name", "first"),
    [
        ('a = "int"\nb = "int"\na_b = "int:index"\n_index = ["a,b"]', 8, "ix_things_a_b_id", "'a_b:int:index' of thing"),
        ('a = "int"\na_desc = "int:index"\n_index = ["-a"]', 7, "ix_things_a_desc_id", "'a_desc:int:index' of thing"),
        ('created = "int"\nat = "int"\n_index = ["created, at"]', 7, "ix_things_created_at_id", "thing"),
        ('a = "int"\nb = "int"\na_b = "int:unique"\n_unique = ["a, b"]', 8, "uq_things_a_b", "'a_b:int:unique' of thing"),
        ('a = "items(one)"\n[thing-service.thing.one]\nb = "int"\nc = "int"\nb_c = "int:unique"\n_unique = ["b, c"]', 10, "uq_thing_ones_thing_id_b_c", "'b_c:int:unique' of thing.one"),
        ('a = "int"\n[thing-service.news]\nitems_kind = "int:index"\n[thing-service.news_item]\nkind = "int:index"', 9, "ix_news_items_kind_id", "'items_kind:int:index' of news"),
        ('a = "int"\n[thing-service.other]\n_plural = "pk_things"\na = "int"', 6, "pk_things", "thing"),
        ('a = "ref(other)"\na_id_other = "ref(a)"\n[thing-service.other]\n_plural = "other_id_as"\nb = "int"\n[thing-service.a]\nb = "int"', 6, "fk_things_a_id_other_id_as", "'a:ref(other)' of thing"),
    ],
)  # fmt: skip
def test_two_things_of_one_name_in_the_database_are_refused(
    fields: str, line: int, name: str, first: str
) -> None:
    message = refusal(THINGS.format(fields))

    assert message.startswith(
        f"fleet.toml, line {line}: {name!r} in the database would be both this and {first}:\n"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('_index = [""]', "_index is no list of texts:\n  _index = [\"\"]\n  ^"),
        ('_index = ["a", 1]', "_index is no list of texts:\n  _index = [\"a\", 1]\n  ^"),
        ('_unique = [" "]', "_unique is no list of texts:\n  _unique = [\" \"]\n  ^"),
        ('_plural = ""', '_plural takes another value:\n  _plural = ""\n  ^'),
        ("_actions = { go=1 }", "'go' has no text as its rule:\n  _actions = { go=1 }\n               ^"),
        ('_actions.go = ""', "'go' has no text as its rule:\n  _actions.go = \"\"\n           ^"),
        ('b = "enum(x-y, z, X_Y)"', "'x-y' and 'X_Y' would both be X_Y in the code:\n  b = \"enum(x-y, z, X_Y)\"\n                    ^"),
        ('b = "enum(x, x)"', "'x' is there twice:\n  b = \"enum(x, x)\"\n               ^"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_shown_where_it_is(fields: str, message: str) -> None:
    text = THINGS.format(f'a = "int"\n{fields}')

    assert refusal(text).startswith(f"fleet.toml, line 6: {message}\n")


@pytest.mark.parametrize(
    "fields",
    [
        'a = "int:index"\n_index = ["a", "a", "created_at", "-created_at"]',
        'a = "ref(thing)?"\n_index = ["a"]',
        'a = "int:index"\n_unique = ["a"]\n_index = ["a"]',
        'a = "enum(b, c)"\n[thing-service.other]\na = "enum(b, c)"',
        'xmin = "ref(thing)?"\nctid = "many(thing)"',
    ],
)
def test_one_thing_may_be_described_twice(fields: str) -> None:
    assert not refusal(THINGS.format(fields))


@pytest.mark.parametrize("name", ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"])
def test_a_column_of_postgresql_itself_is_refused(name: str) -> None:
    for fields in (f'{name} = "int"', f'a = "items(b)"\n[thing-service.thing.b]\n{name} = "int"'):
        message = refusal(THINGS.format(fields))

        assert f"PostgreSQL has a column {name!r} of its own in every table" in message
        assert f'\n  {name} = "int"\n  ^\n' in message


@pytest.mark.parametrize("seed", range(20))
def test_names_that_are_checked_are_those_of_the_database(seed: int) -> None:
    fleet = random_fleet(Random(seed)) if seed else parse_fleet(SHOP)
    described = [one for service in fleet.services for one in service.resources]
    names = {one.name: table_of(one) for one in described}
    checked = dict[tuple[str, str], str]()
    for one in described:
        for part in (one, *one.parts):
            check_identifiers(part, names, checked, "" if part is one else one.name)

    made = set[tuple[str, str]]()
    for _, resource in Fleet.of(fleet).resources():
        for of in (resource, *resource.parts):
            for table in Table.of_each(of).values():
                relations = [
                    table.name,
                    f"pk_{table.name}",
                    *[table.search_name] * bool(table.searched),
                ]
                relations += [
                    *map(table.unique_name, table.uniques),
                    *map(table.index_name, table.indexes),
                ]
                made |= {("relation", each) for each in relations}
                made |= {(table.name, table.check_name(each.name)) for each in table.enums}
                made |= {(table.name, table.reference_name(each)) for each in table.references}
    assert checked.keys() == made


def test_two_enums_of_one_class_are_refused() -> None:
    text = SHOP.replace("quantity", 'kind = "enum(x, y)"\nquantity')

    with pytest.raises(ScaffoldError) as refused:
        parse_fleet(text.replace("\nbuyer", '\nline_kind = "enum(a, b)"\nbuyer'))

    assert (
        "The class 'OrderLineKind' of order-service.order.line.kind is also that of "
        "order-service.order.line_kind"
    ) in str(refused.value)


ROOM = """\
[a-service]
port = 2000
[a-service.shelf]
{shelf}
[a-service.room]
lines = "items(line){length}"
[a-service.room.line]
{line}
"""


@pytest.mark.parametrize(
    ("length", "line", "shelf", "message"),
    [
        (":length(9)", 'x = "bool"\ny = "int"\n_unique = ["x, y"]', 'z = "bool"', None),
        (":length(3)", 'x = "bool?:unique"', 'z = "bool"', None),
        (":length(3)", 'x = "bool:unique"', 'z = "bool"', "line 6: Only 2 of line can differ in x:"),
        (":length(5)", 'x = "bool"\ny = "enum(a, b)"\n_unique = ["x, y"]', 'z = "bool"', "line 6: Only 4 of line can differ in x and y"),
        (":length(5)", 'x = "int:min(-1):max(2):unique"', 'z = "bool"', "Only 4 of line"),
        (":length(5)", 'x = "decimal(3,1):min(0):max(0.3):unique"', 'z = "bool"', "Only 4 of line"),
        (":length(5)", 'x = "date:min(2027-01-01):max(2027-01-04):unique"', 'z = "bool"', "Only 4 of line"),
        (":length(3)", 'x = "ref(shelf):unique"', 'z = "int:unique"', None),
        (":length(3)", 'x = "ref(shelf):unique"', 'z = "bool:unique"', "line 6: Only 2 of line can differ in x"),
        ("", 'x = "many(shelf):length(3)"', 'z = "str:unique"', None),
        ("", 'x = "many(shelf):length(3)"', 'z = "bool:unique"', "line 8: Only 2 of shelf can differ in z"),
        (":length(1)", 'x = "ref(shelf)"', 'z = "ref(room)"', "line 4: No shelf could be the first"),
        (":length(1)", 'x = "many(shelf):length(1)"', 'z = "ref(room)"', "line 4: No shelf could be the first"),
        (":length(1)", 'x = "ref(shelf)"', 'z = "ref(room)?"', None),
        ("", 'x = "ref(shelf)"', 'z = "ref(room)"', None),
    ],
)  # fmt: skip
def test_a_length_that_no_row_could_have_is_refused(
    length: str, line: str, shelf: str, message: str | None
) -> None:
    text = ROOM.format(length=length, line=line, shelf=shelf)

    if message is None:
        parse_fleet(text)
    else:
        with pytest.raises(MisuseError, match=message) as refused:
            parse_fleet(text)
        assert re.fullmatch(r"(?s).+:\n  [^\n]*\n +\^\n.+", str(refused.value))


@pytest.mark.parametrize(
    "text",
    [
        'a-service = { port = 2000, thing = { name = "strr" } }\n',
        'a-service.port = 2000\na-service.thing.name = "strr"\n',
        '[a-service]\nport = 2000\nthing.name = """\\\n  strr"""\n',
        "[ \"a-service\" ]\n\tport = 2000\n\t[ a-service . thing ]\n\tname\t=\t'strr'\n",
        "[a-service]\r\nport = 2000\r\n[a-service.thing]\r\nname = 'strr'\r\n",
    ],
)
def test_a_mistake_is_found_however_toml_is_written(text: str) -> None:
    with pytest.raises(MisuseError, match=r"'strr' is no type \(did you mean 'str'") as refused:
        parse_fleet(text)
    assert re.fullmatch(r"fleet.toml, line \d: (?s:.+):\n  [^\n]+\n +\^\n.+", str(refused.value))


@pytest.mark.parametrize("seed", range(10))
def test_every_mistake_is_shown_with_the_line_of_the_file(seed: int) -> None:
    random = Random(seed)
    text = SHOP if seed % 2 else write(random_fleet(random))
    for _ in range(20):
        at = random.randrange(len(text))
        wrong = text[:at] + random.choice(["", *"\"'[]{}=.,:-_ \n#a1é\\(?)/\t"]) + text[at + 1 :]

        if message := refusal(wrong):
            found = re.fullmatch(r"(?s)fleet.toml, line (\d+): .+:\n  ([^\n]*)\n +\^\n.+", message)

            assert found, f"seed {seed}: {message}"
            assert found[2] == wrong.split("\n")[int(found[1]) - 1].replace("\t", " ")


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_what_is_written_is_what_is_read(seed: int) -> None:
    for number in range(seed, seed + 20):
        fleet = random_fleet(Random(number))

        assert parse_fleet(write(fleet)) == fleet, f"seed {number}"


@pytest.mark.parametrize("end", ["\n", "", "\n\n\n", "\n# the end\n", CRLF])
@pytest.mark.slow
def test_a_removal_after_an_addition_leaves_the_text_byte_for_byte(end: str) -> None:
    for number in range(2):
        random = Random(number)
        fleet = random_fleet(random)
        text = write(fleet).rstrip()
        text = f"{text.replace(chr(10), end) if end == CRLF else text}{end}"
        homes = [service.name for service in fleet.services]

        steps = list[tuple[str, str]]()
        before = {0: text}
        for name in random.sample(["aa", "carrot", "zulu"], 3):
            text = add_service(text, name, 2000 + len(steps), called(f"{name}_thing"))
            steps.append((name, ""))
            before[len(steps)] = text
        for name in random.sample(homes, 2):
            extra = f"extra_{len(steps)}"
            text = add_resource(text, name, extra, called(extra))
            steps.append((name, extra))
            before[len(steps)] = text
        for service, resource in reversed(steps):
            steps.pop()
            text = (
                remove_resource(text, service, resource)
                if resource
                else remove_service(text, service)
            )
            assert text == before[len(steps)], f"seed {number}"


@pytest.mark.slow
def test_additions_and_removals_in_any_order_leave_one_text() -> None:
    for number in range(5):
        random = Random(number)
        start = text = write(random_fleet(random))
        ports = {"aa": 2000, "carrot": 2001, "zulu": 2002}
        texts = set[str]()
        for _ in range(2):
            for name in random.sample(list(ports), 3):
                text = add_service(text, name, ports[name], called(f"{name}_thing"))
            texts.add(text)
            for name in random.sample(list(ports), 3):
                text = remove_service(text, name)
            assert text == start, f"seed {number}"
        assert len(texts) == 1, f"seed {number}"


def test_services_are_kept_sorted_and_comments_stay_with_theirs() -> None:
    text = "# The fleet.\n\n# Mail goes out by it.\n[mail]\nport = 8084 # bare\n\n# The end.\n"

    text = add_service(text, "user", 8081, THING)
    text = add_service(text, "album", 8085, None)
    text = add_resource(text, "mail", "letter", THING)

    assert text == (
        "# The fleet.\n\n"
        "[album]\nport = 8085\n\n"
        "# Mail goes out by it.\n[mail]\nport = 8084 # bare\n\n"
        '[mail.letter]\nname = "str(255)"\nnote = "text?"\n\n'
        "# The end.\n\n"
        '[user]\nport = 8081\n\n[user.thing]\nname = "str(255)"\nnote = "text?"\n'
    )
    assert remove_service(text, "mail").startswith(
        "# The fleet.\n\n[album]\nport = 8085\n\n# The end."
    )


def test_with_a_field_of_items_goes_its_part() -> None:
    before, _, rest = SHOP.partition("[order-service.order.line]")
    assert rest

    text = drop_field(SHOP, "order-service", "order", "lines")

    assert find(text, "order").parts == ()
    assert text.startswith(before.replace('lines = "items(line)"\n', "").rstrip())
    assert "items(line)" not in text


def test_fields_are_put_dropped_and_renamed_where_they_are() -> None:
    text = SHOP
    fields = parse_fields(["price:decimal(12,2):min(1)", 'colour:str(9)="a\\\\b"']).fields

    text = put_fields(text, "product-service", "product", fields)
    assert 'price = "decimal(12,2):min(1)"\nstock' in text
    assert 'tags = "many(tag)"\ncolour = \'str(9)="a\\\\b"\'\n_index' in text
    assert find(text, "product").fields[-1] == fields[1]
    text = drop_field(text, "ProductService", "product", "colour")
    text = put_fields(
        text, "product_service", "product", parse_fields(["price:decimal(10,2):min(0)"]).fields
    )
    assert text == SHOP

    text = rename_field(text, "product-service", "product", "price", "amount")
    assert 'amount = "decimal(10,2):min(0):was(price)"' in text
    assert '_index = ["category, amount"]' in text
    assert "price" not in forget_former_names(text).partition("[order-service]")[0]
    assert rename_field(text, "product-service", "product", "amount", "price") == SHOP
    text = rename_field(SHOP, "order-service", "order", "status", "state")
    assert 'pay = "state: open -> paid"' in text
    assert find(text, "order").fields[3].was == "status"
    text = rename_field(SHOP, "order-service", "order.line", "product", "article")
    assert '_unique = ["article"]                    # within one order' in text
    assert find(text, "order").parts[0].fields[0].was == "product"


@pytest.mark.parametrize(
    ("resource", "old", "new"), [("product", "price", "amount"), ("order.line", "product", "item")]
)
def test_a_renamed_field_that_is_described_anew_keeps_its_former_name(
    resource: str, old: str, new: str
) -> None:
    service = "product-service" if resource == "product" else "order-service"
    text = rename_field(SHOP, service, resource, old, new)
    fields = parse_fields([f"{new}:bigint"]).fields

    text = put_fields(text, service, resource, fields)

    assert f'{new} = "bigint:was({old})"' in text
    assert f'{new} = "bigint"\n' in forget_former_names(text)


def test_what_is_kept_of_a_description_has_no_former_names() -> None:
    text = rename_field(SHOP, "product-service", "product", "price", "amount")
    text = rename_field(text, "order-service", "order.line", "product", "item")

    assert describe(parse_fleet(text)) == describe(parse_fleet(forget_former_names(text)))


def test_a_field_is_put_where_the_resource_is_written() -> None:
    [field] = parse_fields(["size:int"]).fields

    assert put_fields("[a]\nport = 1025\n[a.b]\n", "a", "b", [field]).endswith(
        '[a.b]\nsize = "int"\n'
    )
    assert (
        put_fields("[a]\n  port = 1025\n  b.x = 'str'", "a", "b", [field])
        == "[a]\n  port = 1025\n  b.x = 'str'\n  b.size = \"int\""
    )
    assert (
        drop_field("[a]\n  port = 1025\n  b.x = 'str'\n  b.y = 'str'", "a", "b", "y")
        == "[a]\n  port = 1025\n  b.x = 'str'"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: add_service(SHOP, "UserService", 1, None), "which the service 'user-service' .* has. Choose"),
        (lambda: add_service(SHOP, "a", 8081, None), "Port 8081 belongs to the service 'user-service' .services/user_service.. Choose another, such as 8085."),
        (lambda: add_service(SHOP, "a", 8085, replace(THING, name="tag")), "'a' would keep tags, which the service 'product-service' already does. Choose another name."),
        (lambda: add_resource(SHOP, "user-service", "user", THING), "user-service has 'user' already"),
        (lambda: add_resource(SHOP, "user-service", "tag", THING), "which the service 'product-service' already does"),
        (lambda: add_resource(SHOP, "user-service", "class", THING), "^This cannot name a resource"),
        (lambda: put_fields(SHOP, "user-service", "user", parse_fields(["x:ref(tg)"]).fields), "^'tg' is no resource of user-service"),
        (lambda: drop_field(SHOP, "product-service", "product", "price"), "^'price' is no field for _index"),
        (lambda: remove_service(SHOP, "product-service"), "order-service.order.line.product refers to product"),
        (lambda: remove_resource(SHOP, "product-service", "tag"), "product-service.product.tags refers to tag"),
        (lambda: remove_service(SHOP.replace("port = 8084", "port = 1"), "product-service"), "line 51: '1' is no port"),
        (lambda: put_fields(SHOP.replace("port = 8084", "port = 1"), "user-service", "user", THING.fields), "line 51: '1' is no port"),
        (lambda: add_resource(SHOP, "usr-service", "x", THING), "did you mean 'user-service'"),
        (lambda: remove_service(SHOP, "usr"), "no service 'usr'"),
        (lambda: remove_resource(SHOP, "order-service", "ordr"), "did you mean 'order'"),
        (lambda: drop_field(SHOP, "order-service", "order", "cod"), "did you mean 'code'"),
        (lambda: drop_field(SHOP, "order-service", "order", "_actions"), "no field '_actions'"),
        (lambda: drop_field(SHOP, "order-service", "order.lin", "x"), "did you mean 'line'"),
        (lambda: rename_field(SHOP, "user-service", "user", "age", "email"), "'email' already"),
        (lambda: rename_field(SHOP, "user-service", "user", "age", "id"), "column of every table"),
        (lambda: put_fields("a = { b = { x = 'int' } }", "a", "b", THING.fields), "written in one line"),
        (lambda: drop_field("a = { b = { x = 'int' } }", "a", "b", "x"), "written in one line"),
        (lambda: add_resource("a = { port = 1025 }", "a", "b", THING), "written in one line"),
        (lambda: add_service("[a", "b", 1, None), "fleet.toml, line 1: Expected"),
    ],
)  # fmt: skip
def test_an_edit_of_what_is_not_there_is_refused(call: "object", message: str) -> None:
    with pytest.raises(ScaffoldError, match=message):
        call()  # type: ignore[operator] # each is a function


def test_a_table_is_added_where_it_takes_no_other_keys() -> None:
    text = "a.port = 1025\nb.port = 1026\n"

    text = add_resource(text, "a", "thing", THING)
    text = add_service(text, "aa", 1027, None)

    assert list(tomllib.loads(text)) == ["a", "b", "aa"]
    assert remove_service(remove_service(text, "aa"), "a") == "b.port = 1026\n"


def test_sides_that_are_joined_keep_their_comments() -> None:
    text = """\
# Fleet.
[a-service]
port = 1025
<<<<<<< HEAD
# Ours.
[a-service.apple]
name = "str(9)"   # short
=======

# Theirs: pears,
# green ones.
[a-service.pear]
# what it is
kind = "str(9)"   # of pear

# Another.
[b-service]
port = 1026  # free
# And plums.
[b-service.plum]
name = "str"
# The end.
>>>>>>> theirs
"""

    joined = join_sides(text)

    comments = (
        "Fleet",
        "Ours",
        "short",
        "Theirs",
        "green",
        "what it",
        "of pear",
        "Another",
        "free",
    )
    for comment in (*comments, "And plums", "The end"):
        assert joined.count(comment) == 1, comment
    assert [one.name for one in parse_fleet(joined).services] == ["a-service", "b-service"]


def test_sides_that_differ_are_told_with_the_file_that_has_the_marks(tmp_path: Path) -> None:
    path = ".scaffold/described/a-service.toml"
    (tmp_path / path).parent.mkdir(parents=True)
    ours, theirs = (f"[a-service.a]\nname = 'str({width})'\n" for width in (8, 9))
    (tmp_path / path).write_text(
        f"[a-service]\nport = 8081\n<<<<<<< one\n{ours}=======\n{theirs}>>>>>>> two\n"
    )

    with pytest.raises(ScaffoldError, match=rf"^{path} has the marks .* differ in a-service\.a:"):
        read_described(tmp_path)


def test_what_was_applied_is_read_service_by_service() -> None:
    fleet = parse_fleet(
        "[a-service]\nport = 8081\n[a-service.a]\nto = 'ref(b-service.b)'\n"
        "[b-service]\nport = 8082\n[b-service.b]\nname = 'str'\nall = 'many(b)'\n"
    )

    assert parse_described(describe(fleet)) == fleet


def test_what_breaks_clients_is_accepted_beside_the_services() -> None:
    accepted = '[_accepted]\n"user-service: GET /users: 200 may be \'x\' now" = "why"\n'
    service = "\n[mail-service]\nport = 8084\n"

    assert [one.name for one in parse_fleet(f"{accepted}{service}").services] == ["mail-service"]
    with pytest.raises(ScaffoldError, match=r"line 1: What is accepted has another form"):
        parse_fleet(f'_accepted = "all"\n{service}')
    sides = f'<<<<<<< ours\n[_accepted]\n"a" = "b"\n=======\n{accepted}>>>>>>> theirs\n{service}'
    joined = join_sides(sides)
    assert "<<<<" not in joined
    assert tomllib.loads(joined)["_accepted"] == {
        "a": "b",
        "user-service: GET /users: 200 may be 'x' now": "why",
    }
