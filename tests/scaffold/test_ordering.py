"""The order of revisions whose tables refer to each other."""

import pytest

from scaffold.errors import MisuseError
from scaffold.generation.fleet import Fleet
from scaffold.generation.tables import Table
from scaffold.language.fleet import parse_fleet
from scaffold.revisions.ordering import Step, order_steps


def fleet(**resources: str) -> Fleet:
    """Return a service whose resources have one field each; an empty text is a resource without."""
    lines = ["[shop-service]", "port = 8081"]
    for name, spec in resources.items():
        lines += [f"[shop-service.{name}]", f'one = "{spec}"', 'name = "str"']
    return Fleet.of(parse_fleet("\n".join(lines) + "\n"))


def ordered(before: Fleet, after: Fleet) -> list[str]:
    """Return what is done, a word for each step; a minus is before one without a foreign key."""
    was = {resource.singular: resource for _, resource in before.resources()}
    now = {resource.singular: resource for _, resource in after.resources()}
    steps = [
        Step(name, was.get(name), now.get(name))
        for name in dict.fromkeys([*was, *now])
        if was.get(name) != now.get(name)
    ]
    found = []
    for step in order_steps(steps):
        kind = "drop" if step.now is None else "change" if step.was else "create"
        has_keys = step.now is not None and Table.of(step.now).references
        found.append(f"{kind} {step.owner}{' with keys' if has_keys else ''}")
    return found


def test_what_is_referred_to_is_created_first() -> None:
    after = fleet(product="ref(category)", category="ref(shop)?", shop="int", other="int")

    assert ordered(fleet(), after) == [
        "create shop",
        "create category with keys",
        "create product with keys",
        "create other",
    ]


def test_what_refers_is_dropped_first() -> None:
    before = fleet(shop="int", category="ref(shop)", product="ref(category)")

    assert ordered(before, fleet()) == ["drop product", "drop category", "drop shop"]


def test_a_reference_is_dropped_before_what_it_leads_to() -> None:
    before = fleet(category="int", product="ref(category)")
    after = fleet(product="int")

    assert ordered(before, after) == ["change product", "drop category"]


def test_a_reference_is_added_after_what_it_leads_to() -> None:
    before = fleet(product="int")
    after = fleet(product="ref(category)", category="int")

    assert ordered(before, after) == ["create category", "change product with keys"]


def test_circles_are_opened_and_closed_by_steps_of_their_own() -> None:
    circle = fleet(thread="ref(post)?", post="ref(thread)", answer="ref(answer)?")

    assert ordered(fleet(), circle) == [
        "create answer with keys",
        "create thread",
        "create post with keys",
        "change thread with keys",
    ]
    assert ordered(circle, fleet()) == [
        "drop answer",
        "change post",
        "drop thread",
        "drop post",
    ]


def test_a_table_that_moves_is_dropped_before_it_is_made_again() -> None:
    moved = parse_fleet("[a-service]\nport = 8082\n[a-service.shop]\nname = 'str'\n")
    kept, made = fleet(shop="int"), Fleet.of(moved)
    [(_, old)], [(_, new)] = kept.resources(), made.resources()

    steps = [Step("a_service.shop", None, new), Step("shop_service.shop", old, None)]

    assert [step.owner for step in order_steps(steps)] == ["shop_service.shop", "a_service.shop"]


def test_what_no_order_can_do_is_refused() -> None:
    [(_, old), (_, product)] = fleet(category="int", product="ref(category)").resources()
    [(_, new), (_, changed)] = fleet(category="str", product="ref(category)?").resources()
    steps = [Step("old", old, None), Step("product", product, changed), Step("new", None, new)]

    with pytest.raises(MisuseError, match="do it in two steps"):
        list(order_steps(steps))
