"""A service whose resources refer to each other: what is generated, its own tests, and its answers."""

import json

import httpx
import pytest

from tests.workspace import GeneratedWorkspace, Serve

pytestmark = pytest.mark.slow

FLEET = """
[shop-service]
port = 9301

[shop-service.product]
name = "str(120):unique:was(title)"
category = "ref(category)"
brand = "ref(brand, set_null)?"
tags = "many(tag)"
related = "many(product)"
_index = ["category, -name"]

[shop-service.category]
name = "str(80)"
parent = "ref(category, cascade)?"
department = "ref(department, cascade):fixed"

[shop-service.tag]
label = "str(40):unique"
shelves = "many(shelf):length(1,2)"

[shop-service.shelf]
name = "str"
products = "many(product):fixed"

[shop-service.brand]
name = "str(80)"

[shop-service.department]
title = "str(80)"
head = "ref(product)?"

[shop-service.badge]
product = "ref(product, cascade):unique"
user = "ref(shop)"

[shop-service.shop]
name = "str"
code = "str(8)?:unique=main"

[forum-service]
port = 9302

[forum-service.thread]
title = "str"
first_post = "ref(post, set_null)?"

[forum-service.post]
body = "text"
thread = "ref(thread, cascade)"
answers = "ref(post)?"
about = "ref(shop-service.product)?"
author = "ref(shop-service.shop, fk):fixed"
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with these services."""
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("relations") / "fleet", FLEET)


@pytest.fixture(scope="module")
def shop(serve: Serve) -> httpx.Client:
    """A client of the running shop."""
    return serve("shop_service")


def created(client: httpx.Client, path: str, **body: object) -> int:
    """Create one and return its id."""
    response = client.post(path, json=body)
    assert response.status_code == 201, response.text
    record_id: int = response.json()["data"]["id"]
    return record_id


def test_the_linter_and_the_strict_type_checker_find_nothing(
    workspace: GeneratedWorkspace,
) -> None:
    workspace.check()


def test_their_own_tests_pass(workspace: GeneratedWorkspace) -> None:
    assert " passed" in workspace.python("-m", "pytest", "-q", "services")


async def test_they_migrate_up_down_and_up_to_what_the_models_say(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    for command in ("migrate", "downgrade 3ef43f3fe70a --yes", "migrate"):
        workspace.python("-m", "db_manager", *command.split(), DATABASE_URL=fresh_database_url)

    report = workspace.python(
        "-m", "db_manager", "check", "--json", DATABASE_URL=fresh_database_url
    )

    assert json.loads(report)["ok"] is True


def test_references_are_read_found_sorted_and_refused(shop: httpx.Client) -> None:
    department = created(shop, "/departments", title="Books")
    first, second = (
        created(shop, "/categories", name=name, department_id=department) for name in ("a", "b")
    )
    atlas = created(shop, "/products", name="Atlas", category_id=first)
    novel = created(shop, "/products", name="Novel", category_id=second)

    def ids(**parameters: int | str) -> list[int]:
        found = shop.get("/products", params=parameters).json()["data"]
        return [each["id"] for each in found]

    assert ids(category_id=second) == [novel]
    assert ids(category_id=f"{first},{second}", sort="-category") == [novel, atlas]
    assert ids(brand_id="null", category_id=first) == [atlas]
    unknown = shop.get("/products", params={"category_id_min": 1})
    assert unknown.status_code == 422
    for value in (0, -1, 2**62):
        body = {"name": "Other", "category_id": value}
        missing = shop.post("/products", json=body)
        assert (missing.status_code, missing.json()["errors"]) == (
            422,
            {"category_id": "No such category"},
        )
    taken = shop.post("/products", json={"name": "Atlas", "category_id": 0})
    assert (taken.status_code, taken.json()["message"]) == (400, "Name already exists")
    wrong = shop.post("/products", json={"name": "Atlas", "category_id": "1"})
    assert wrong.json()["errors"] == {"category_id": "Must be an integer"}
    cleared = shop.patch(f"/products/{atlas}", json={"category_id": None})
    assert cleared.status_code == 422
    kept = shop.put(f"/products/{atlas}", json={"category_id": None}).json()["data"]
    assert kept["category_id"] == first


def test_many_are_sorted_replaced_and_kept(shop: httpx.Client) -> None:
    shelf = created(shop, "/shelves", name="First")
    one, two = (created(shop, "/tags", label=each, shelf_ids=[shelf]) for each in ("one", "two"))
    department = created(shop, "/departments", title="Toys")
    category = created(shop, "/categories", name="e", department_id=department)
    body = {"name": "Ball", "category_id": category, "tag_ids": [two, one]}
    product = created(shop, "/products", **body)
    path = f"/products/{product}"

    assert shop.get(path).json()["data"]["tag_ids"] == [one, two]
    assert shop.put(path, json={"tag_ids": None}).json()["data"]["tag_ids"] == [one, two]
    assert shop.put(path, json={"tag_ids": [two]}).json()["data"]["tag_ids"] == [two]
    assert shop.patch(path, json={}).json()["data"]["tag_ids"] == [two]
    assert shop.delete(f"/tags/{two}").status_code == 409
    for value, reason in (
        ([one, 2**62], "No such tag"),
        ([one, one], "Must not have the same item twice"),
        (list(range(1001)), "Must have at most 1000 items"),
        (None, "Must be an array"),
    ):
        refused = shop.patch(path, json={"tag_ids": value})
        assert (refused.status_code, refused.json()["errors"]) == (422, {"tag_ids": reason})
    nested = shop.patch(path, json={"tag_ids": [one, "2"]})
    assert nested.json()["errors"] == {"tag_ids.1": "Must be an integer"}
    assert shop.get(path).json()["data"]["tag_ids"] == [two]
    short = shop.post("/tags", json={"label": "three"})
    assert short.json()["errors"] == {"shelf_ids": "Must have at least 1 item"}
    assert shop.patch(path, json={"tag_ids": []}).json()["data"]["tag_ids"] == []
    assert shop.delete(f"/tags/{two}").status_code == 200


def test_what_is_in_use_stays_goes_along_or_is_forgotten(shop: httpx.Client) -> None:
    department = created(shop, "/departments", title="Games")
    category = created(shop, "/categories", name="c", department_id=department)
    child = created(shop, "/categories", name="d", department_id=department, parent_id=category)
    brand = created(shop, "/brands", name="Own")
    product = created(shop, "/products", name="Chess", category_id=category, brand_id=brand)

    for path in (f"/categories/{category}", f"/departments/{department}"):
        refused = shop.delete(path)
        assert refused.status_code == 409
    assert refused.json() == {"message": "Department is in use", "success": False}
    assert shop.delete(f"/brands/{brand}").status_code == 200
    assert shop.get(f"/products/{product}").json()["data"]["brand_id"] is None
    assert shop.delete(f"/products/{product}").status_code == 200
    assert shop.delete(f"/categories/{category}").status_code == 200
    assert shop.get(f"/categories/{child}").status_code == 404


def test_what_others_refer_to_is_not_removed(workspace: GeneratedWorkspace) -> None:
    with pytest.raises(AssertionError, match="brand refers to brand"):
        workspace.python("-m", "scaffold", "remove", "shop-service", "brand", "--yes")


async def test_circles_are_taken_back(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    settings = {"DATABASE_URL": fresh_database_url}
    workspace.python("-m", "db_manager", "migrate", **settings)
    workspace.python("-m", "scaffold", "remove", "forum-service", "--assume-applied", "--yes")

    workspace.python("-m", "db_manager", "migrate", **settings)
    report = workspace.python("-m", "db_manager", "check", "--json", **settings)
    workspace.python("-m", "db_manager", "downgrade", "3ef43f3fe70a", "--yes", **settings)

    assert json.loads(report)["ok"] is True
