"""What may name a service, and what it becomes."""

import keyword
from itertools import product
from string import ascii_lowercase

import pytest

from scaffold import english
from scaffold.errors import MisuseError
from scaffold.names import ResourceName, ServiceName, parse_port


@pytest.mark.parametrize(
    ("typed", "package"),
    [
        ("user-service", "user_service"),
        ("user_service", "user_service"),
        ("User-Service", "user_service"),
        ("UserService", "user_service"),
        ("USER-SERVICE", "user_service"),
        ("HTTPGateway", "http_gateway"),
        ("order2Item", "order2_item"),
        ("a-b", "a_b"),
        ("A-b", "a_b"),
        ("a__b--c", "a_b_c"),
        ("user-", "user"),
        ("match", "match"),
        ("a" * 63, "a" * 63),
    ],
)
def test_every_spelling_of_a_name_is_one_package(typed: str, package: str) -> None:
    name = ServiceName.parse(typed)

    assert (name.typed, name.package) == (typed, package)


@pytest.mark.parametrize(
    "typed",
    ["", "1a", "-a", "_a", "a b", "a.b", "a/b", "..", "a\n", "a-b\n", "é", "aé", "a\x00", "a٣"],
)
def test_a_name_is_ascii_letters_digits_dashes_and_underscores(typed: str) -> None:
    with pytest.raises(MisuseError, match="begin with a letter"):
        ServiceName.parse(typed)


@pytest.mark.parametrize("word", [*keyword.kwlist, "class-service", "Class", "import_service"])
def test_a_keyword_of_python_names_no_service(word: str) -> None:
    with pytest.raises(MisuseError, match="is a keyword of Python"):
        ServiceName.parse(word)


@pytest.mark.parametrize("typed", ["a" * 64, "aB" * 31 + "a"])
def test_a_name_longer_than_63_is_refused(typed: str) -> None:
    with pytest.raises(MisuseError, match="too long"):
        ServiceName.parse(typed)


@pytest.mark.parametrize(
    ("typed", "singular", "plural"),
    [
        ("user-service", "user", "users"),
        ("users-service", "user", "users"),
        ("order-item-service", "order_item", "order_items"),
        ("OrderItems", "order_item", "order_items"),
        ("person-service", "person", "people"),
        ("people-service", "person", "people"),
        ("category-service", "category", "categories"),
        ("child-service", "child", "children"),
        ("box", "box", "boxes"),
        ("bus-service", "bus", "buses"),
        ("status-service", "status", "statuses"),
        ("address", "address", "addresses"),
        ("lens", "lens", "lenses"),
        ("analysis", "analysis", "analyses"),
        ("news-service", "news", "news"),
        ("sheep-service", "sheep", "sheep"),
        ("series", "series", "series"),
        ("data-service", "data", "data"),
        ("analytics-service", "analytics", "analytics"),
        ("unit-of-work", "unit_of_work", "units_of_work"),
        ("gps-service", "gps", "gps"),
        ("apis", "api", "apis"),
        ("service", "service", "services"),
        ("service-service", "service", "services"),
        ("line-2", "line_2", "line_2s"),
    ],
)
def test_a_resource_has_a_right_english_plural(typed: str, singular: str, plural: str) -> None:
    resource = ResourceName.of(ServiceName.parse(typed))

    assert (resource.singular, resource.many) == (singular, plural)


@pytest.mark.parametrize(
    ("state", "was_done"),
    [
        *((word, True) for word in ("paid", "shipped", "cancelled", "sent", "partly paid")),
        *((word, True) for word in ("checked in", "signed-off", "withdrawn")),
        *((word, False) for word in ("open", "live", "in transit", "not paid", "red", "on hold")),
        *((word, False) for word in ("in", "off", "needs review", "done")),
    ],
)
def test_a_participle_says_what_was_done(state: str, was_done: bool) -> None:
    assert english.is_participle(state) is was_done


def test_a_word_of_any_two_letters_has_a_singular_a_plural_and_an_article() -> None:
    words = [*ascii_lowercase, *map("".join, product(ascii_lowercase, repeat=2))]

    for word in (*words, *(f"unit of {each}" for each in ascii_lowercase)):
        assert english.singular(word), word
        assert english.plural(word), word
        assert english.article(word) in ("a", "an"), word
    assert (
        ServiceName.parse("s-service").stem == ResourceName.of(ServiceName.parse("s")).name == "s"
    )


def test_a_resource_is_spelt_for_code_for_messages_and_for_urls() -> None:
    resource = ResourceName.of(ServiceName.parse("OrderItem-service"))

    assert resource.name == "order_item"
    assert resource.class_name == "OrderItem"
    assert (resource.label, resource.label_lower) == ("Order item", "order item")
    assert (resource.plural, resource.plural_label_lower) == ("order_items", "order items")
    assert resource.path == "order-items"
    assert resource.article == "an"


@pytest.mark.parametrize(
    ("typed", "name", "plural", "path"),
    [
        ("news-service", "news", "news_records", "news"),
        ("list-service", "list_record", "lists", "lists"),
        ("type-service", "type_record", "types", "types"),
        ("match-service", "match_record", "matches", "matches"),
        ("var-service", "var", "var_records", "vars"),
        ("a-service", "a", "a_records", "as"),
    ],
)
def test_variables_hide_nothing_of_python_and_differ(
    typed: str, name: str, plural: str, path: str
) -> None:
    resource = ResourceName.of(ServiceName.parse(typed))

    assert (resource.name, resource.plural, resource.path) == (name, plural, path)


def test_constraints_of_the_longest_name_fit_postgresql() -> None:
    long, other = (ResourceName.of(ServiceName.parse("a" * 62 + end)) for end in "xy")

    table = long.table_for(["name", "sku"])

    assert len(f"uq_{table}_name".encode()) <= 63
    assert table != other.table_for(["name", "sku"])
    assert ResourceName.of(ServiceName.parse("product")).table_for(["name"]) == "products"


@pytest.mark.parametrize("typed", ["1024", "8081", "65535"])
def test_a_port_is_a_decimal_number(typed: str) -> None:
    assert parse_port(typed) == int(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "0", "80", "1023", "65536", "99999", "123456", "08081", "+8081", "-8081", "8081.0"),
        *("0x1f91", "8_081", " 8081", "8081\n", "٨٠٨١", "port", "8081 "),
    ],
)
def test_anything_else_is_no_port(typed: str) -> None:
    with pytest.raises(MisuseError, match="from 1024 to 65535"):
        parse_port(typed)


@pytest.mark.parametrize(("typed", "is_listed"), [("../x", True), ("80", False)])
def test_a_port_that_may_be_a_mistyped_command_leads_to_the_list_of_commands(
    typed: str, is_listed: bool
) -> None:
    with pytest.raises(MisuseError) as refusal:
        parse_port(typed)

    assert ("python -m scaffold --help lists the commands." in str(refusal.value)) == is_listed
