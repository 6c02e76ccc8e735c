"""The life of a fleet: described in fleet.toml, changed, merged with edits, taken back."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.scaffold.commands import done, is_secret, picture, refused, run, scaffold

PRICE = "price:decimal(10,2):min(0)"
PRODUCT = "services/product_service"
ENTITY = f"{PRODUCT}/domain/entities/product.py"


@pytest.fixture(scope="session")
def shop(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a product service, that tests only read."""
    folder = shutil.copytree(fresh, tmp_path_factory.mktemp("fleets") / "shop")
    done(scaffold(folder, "product-service", "8082", "name:str(80)", PRICE))
    return folder


@pytest.fixture
def fleet(shop: Path, tmp_path: Path) -> Path:
    """The shop, a test's own."""
    return shutil.copytree(shop, tmp_path / "shop")


def describe(fleet: Path, old: str, new: str) -> None:
    """Edit fleet.toml."""
    text = (fleet / "fleet.toml").read_text()
    assert old in text
    (fleet / "fleet.toml").write_text(text.replace(old, new))


def edit(fleet: Path, path: str, old: str, new: str) -> None:
    """Edit a generated file."""
    text = (fleet / path).read_text()
    assert old in text
    (fleet / path).write_text(text.replace(old, new))


def test_a_command_writes_what_it_is_given_into_the_description(fleet: Path) -> None:
    assert (
        (fleet / "fleet.toml")
        .read_text()
        .endswith(
            "\n[product-service]\nport = 8082\n\n"
            '[product-service.product]\nname = "str(80)"\nprice = "decimal(10,2):min(0)"\n'
        )
    )


@pytest.mark.slow
def test_a_preset_is_written_in_full(workspace: Path) -> None:
    done(scaffold(workspace, "team-service", "8082"))

    assert (
        (workspace / "fleet.toml")
        .read_text()
        .endswith('[team-service.team]\nname = "str(120):unique"\ndescription = "str(1000)?"\n')
    )


def test_applying_twice_changes_nothing(fleet: Path) -> None:
    before = picture(fleet)

    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"

    assert picture(fleet) == before


@pytest.mark.slow
def test_an_edited_description_generates_what_a_new_one_would(
    fresh: Path, fleet: Path, tmp_path: Path
) -> None:
    direct = shutil.copytree(fresh, tmp_path / "direct")
    fields = ("name:str(90)", "price:decimal(10,2):min(1)", "sku:str(9)?")
    done(scaffold(direct, "product-service", "8090", *fields))

    describe(fleet, "8082", "8090")
    describe(fleet, "str(80)", "str(90)")
    describe(fleet, 'min(0)"', 'min(1)"\nsku = "str(9)?"')
    done(scaffold(fleet, "apply"))

    ignored = (
        *("db_manager/migrations/versions", ".scaffold/generated/db_manager"),
        ".scaffold/revisions",
    )
    expected, found = (
        {path: what for path, what in picture(folder).items() if not path.startswith(ignored)}
        for folder in (direct, fleet)
    )
    assert found == expected


@pytest.mark.slow
def test_a_new_field_has_a_revision_of_its_own(fleet: Path) -> None:
    before = set((fleet / "db_manager/migrations/versions").iterdir())

    done(scaffold(fleet, "field", "product-service", "product", "sku:str(9)?"))

    [added] = set((fleet / "db_manager/migrations/versions").iterdir()) - before
    assert added.name.endswith("_add_sku_to_products.py")
    assert 'sa.Column("sku", sa.String(length=9)' in added.read_text()


@pytest.mark.slow
def test_a_new_required_field_wants_a_value_for_rows_that_are_there(fleet: Path) -> None:
    before = picture(fleet)
    arguments = ("field", "product-service", "product", "stock:int")

    assert "--fill stock=" in refused(scaffold(fleet, *arguments), exit_code=2)
    assert picture(fleet) == before
    done(scaffold(fleet, *arguments, "--fill", "stock=0"))


@pytest.mark.slow
def test_a_renamed_field_keeps_its_column(fleet: Path) -> None:
    done(scaffold(fleet, "field", "product-service", "product", "--rename", "price:net_price"))

    [revision] = (fleet / "db_manager/migrations/versions").glob("*price*products.py")
    assert "RENAME COLUMN price TO net_price" in revision.read_text()
    assert 'net_price = "decimal(10,2):min(0)"' in (fleet / "fleet.toml").read_text()
    assert "net_price" in (fleet / ENTITY).read_text()
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_a_reference_that_becomes_a_number_of_another_name_keeps_its_column(fleet: Path) -> None:
    field = ("field", "product-service", "product")
    versions = fleet / "db_manager/migrations/versions"
    done(scaffold(fleet, *field, "parent:ref(product)?"))

    done(scaffold(fleet, *field, "--rename", "parent:origin", "origin:bigint?"))
    done(scaffold(fleet, *field, "--rename", "origin:parent", "parent:ref(product)?"))
    done(scaffold(fleet, *field, "--rename", "parent:parent_id", "parent_id:bigint?"))

    text = "".join(path.read_text() for path in versions.iterdir())
    assert "RENAME COLUMN parent_id TO origin" in text
    assert "RENAME COLUMN parent_id TO parent_id" not in text
    assert text.count('op.drop_column("products", "parent_id")') == 1  # where it was added
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_a_dropped_field_is_told_to_lose_its_values(fleet: Path) -> None:
    completed = scaffold(fleet, "field", "product-service", "product", "--drop", "price")

    done(completed)
    assert "price" not in (fleet / ENTITY).read_text()
    assert completed.stderr.startswith("Warning: ")


@pytest.mark.slow
def test_an_edited_file_keeps_its_edits(fleet: Path) -> None:
    edit(
        fleet,
        ENTITY,
        "    def deactivate",
        "    def is_cheap(self) -> bool:\n        return self.price < 10\n\n    def deactivate",
    )

    done(scaffold(fleet, "field", "product-service", "product", "stock:int=0"))

    text = (fleet / ENTITY).read_text()
    assert "    stock: int" in text
    assert "    def is_cheap(self) -> bool:\n        return self.price < 10\n" in text


def test_a_conflict_is_marked_and_named_and_ends_with_1(fleet: Path) -> None:
    edit(fleet, f"{PRODUCT}/settings.py", "= 8082", "= 9999")
    describe(fleet, "8082", "8090")

    planned = scaffold(fleet, "apply", "--dry-run")
    completed = scaffold(fleet, "apply")

    assert f"{PRODUCT}/settings.py: 1 conflict, which would be marked in the" in planned.stderr
    assert completed.returncode == 1
    assert f"{PRODUCT}/settings.py: 1 conflict, marked in the file." in completed.stderr
    text = (fleet / PRODUCT / "settings.py").read_text()
    assert "<<<<<<<" in text
    assert "= 9999" in text
    assert "= 8090" in text


@pytest.mark.slow
def test_a_conflict_that_is_open_is_refused(fleet: Path) -> None:
    edit(fleet, f"{PRODUCT}/settings.py", "= 8082", "= 9999")
    describe(fleet, "8082", "8090")
    scaffold(fleet, "apply")
    before = picture(fleet)
    describe(fleet, "8090", "8091")
    before["fleet.toml"] = picture(fleet)["fleet.toml"]

    assert "Conflict marks in services/product_service/settings.py" in refused(
        scaffold(fleet, "apply")
    )
    assert picture(fleet) == before


@pytest.mark.slow
def test_a_file_that_was_deleted_stays_deleted(fleet: Path) -> None:
    (fleet / PRODUCT / "README.md").unlink()

    completed = scaffold(fleet, "field", "product-service", "product", "stock:int=0")

    done(completed)
    assert not (fleet / PRODUCT / "README.md").exists()
    assert f"not written again: {PRODUCT}/README.md" in completed.stderr


@pytest.mark.slow
def test_deleted_files_are_written_again_on_request(fleet: Path) -> None:
    before = picture(fleet)
    (fleet / PRODUCT / "README.md").unlink()
    shutil.rmtree(fleet / PRODUCT / "domain")

    done(scaffold(fleet, "apply", "--restore"))

    assert picture(fleet) == before


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.slow
def test_a_file_keeps_its_line_ends(fleet: Path, newline: bytes) -> None:
    path = fleet / ENTITY
    path.write_bytes(path.read_bytes().replace(b"\n", newline))

    done(scaffold(fleet, "field", "product-service", "product", "stock:int=0"))

    content = path.read_bytes()
    assert b"    stock: int" in content
    assert content.count(b"\n") == content.count(newline)


@pytest.mark.parametrize("first", ["category", pytest.param("tag", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_what_is_added_and_removed_leaves_every_byte(fleet: Path, first: str) -> None:
    before = picture(fleet)
    for name in ("category", "tag"):
        done(scaffold(fleet, "resource", "product-service", name, "label:str(40)"))
    done(scaffold(fleet, "user-service", "8081"))

    done(scaffold(fleet, "remove", "product-service", first))
    done(scaffold(fleet, "remove", "user-service"))
    other = "tag" if first == "category" else "category"
    done(scaffold(fleet, "remove", "product-service", other))

    assert without_versions(picture(fleet)) == without_versions(before)


@pytest.mark.slow
def test_the_last_service_leaves_nothing(workspace: Path) -> None:
    done(scaffold(workspace, "env"))  # which makes the secrets of the workspace
    before = picture(workspace)
    done(scaffold(workspace, "order-service", "8081"))

    done(scaffold(workspace, "remove", "order-service"))

    after = picture(workspace)
    assert after.pop(".scaffold/undo.json")
    assert after == before


def without_versions(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    return {
        path: what
        for path, what in files.items()
        if not any(
            one in path for one in ("migrations/versions/", "undo.json", ".scaffold/revisions")
        )
    }


@pytest.mark.slow
def test_revisions_on_top_of_the_chain_go_with_what_they_made(fleet: Path) -> None:
    before = picture(fleet)
    done(scaffold(fleet, "resource", "product-service", "category", "label:str(40)"))
    done(scaffold(fleet, "field", "product-service", "category", "rank:int=0"))

    done(scaffold(fleet, "remove", "product-service", "category"))

    after = picture(fleet)
    assert after.pop(".scaffold/undo.json")
    before.pop(".scaffold/undo.json")
    assert after == before


@pytest.mark.slow
def test_a_table_that_another_revision_follows_is_dropped_by_a_new_one(fleet: Path) -> None:
    for name in ("category", "tag"):
        done(scaffold(fleet, "resource", "product-service", name, "label:str(40)"))

    completed = scaffold(fleet, "remove", "product-service", "category")

    done(completed)
    versions = fleet / "db_manager/migrations/versions"
    assert list(versions.glob("*_create_categories.py"))
    assert list(versions.glob("*_drop_categories.py"))
    assert "categories is dropped, with its rows" in completed.stderr


@pytest.mark.slow
def test_files_of_ones_own_stay_where_a_service_was(fleet: Path) -> None:
    (fleet / PRODUCT / "domain/prices.py").write_text("mine")

    done(scaffold(fleet, "remove", "product-service"))

    assert [path.name for path in (fleet / PRODUCT).rglob("*") if path.is_file()] == ["prices.py"]


@pytest.mark.slow
def test_an_edited_file_is_deleted_only_when_that_is_agreed_to(fleet: Path) -> None:
    edit(fleet, ENTITY, "as the business knows it", "as we know it")
    before = picture(fleet)

    message = refused(scaffold(fleet, "remove", "product-service"))

    assert f"Edited since generated, and to be deleted: {ENTITY}." in message
    assert picture(fleet) == before
    done(scaffold(fleet, "remove", "product-service", "--yes"))
    assert not (fleet / PRODUCT).exists()


@pytest.mark.parametrize(
    "command",
    [
        ("user-service", "8081"),
        ("resource", "product-service", "tag", "label:str(40)"),
        ("field", "product-service", "product", "stock:int=0", "--drop", "name"),
        ("remove", "product-service"),
    ],
)
@pytest.mark.slow
def test_undo_takes_the_last_command_back_to_the_byte(
    fleet: Path, command: tuple[str, ...]
) -> None:
    (fleet / PRODUCT / "README.md").unlink()
    before = picture(fleet)
    del before[".scaffold/undo.json"]
    done(scaffold(fleet, *command))

    done(scaffold(fleet, "undo"))

    assert picture(fleet) == before
    again = refused(scaffold(fleet, "undo"))
    assert "nothing to undo on this machine: only the last command can be, and once." in again


@pytest.mark.slow
def test_what_git_took_back_already_is_told_as_that(fleet: Path) -> None:
    before = {path: path.read_bytes() for path in fleet.rglob("*") if path.is_file()}
    done(scaffold(fleet, "resource", "product-service", "tag", "label:str(40)"))
    record = (fleet / ".scaffold/undo.json").read_bytes()
    for path in [path for path in fleet.rglob("*") if path.is_file()]:
        path.write_bytes(before[path]) if path in before else path.unlink()
    (fleet / ".scaffold/undo.json").write_bytes(record)

    assert "What the last command wrote is gone already" in refused(scaffold(fleet, "undo"))


@pytest.mark.slow
def test_a_file_that_was_moved_since_is_named_by_undo(fleet: Path) -> None:
    done(scaffold(fleet, "resource", "product-service", "tag", "label:str(40)"))
    entity = fleet / "services/product_service/domain/entities/tag.py"
    entity.rename(entity.with_name("label.py"))
    before = picture(fleet)

    message = refused(scaffold(fleet, "undo"))

    assert "Changed since, so that nothing was undone: services/product_service/domain" in message
    assert picture(fleet) == before


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[]",
        '{"files": []}',
        '{"files": {"a": 5}}',
        '{"files": {"a": {"before": 5, "after": null}}}',
        '{"files": {"a": {"before": "eA=="}}}',
        '{"files": {"../a": {"before": "eA==", "after": null}}}',
        '{"files": {"/tmp/a": {"before": "eA==", "after": null}}}',
    ],
)
def test_a_record_that_is_not_whole_undoes_nothing(fleet: Path, record: str) -> None:
    (fleet / ".scaffold/undo.json").write_text(record)
    before = picture(fleet)

    message = refused(scaffold(fleet, "undo"))

    assert "is not whole" in message or "is not below" in message
    assert picture(fleet) == before
    assert not (fleet.parent / "a").exists()


@pytest.mark.slow
def test_undo_does_nothing_where_a_file_was_changed_since(fleet: Path) -> None:
    done(scaffold(fleet, "field", "product-service", "product", "stock:int=0"))
    edit(fleet, ENTITY, "as the business knows it", "as we know it")
    before = picture(fleet)

    message = refused(scaffold(fleet, "undo"))

    assert f"Changed since, so that nothing was undone: {ENTITY}." in message
    assert picture(fleet) == before


@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
@pytest.mark.slow
def test_what_only_shows_writes_nothing(fleet: Path, option: str) -> None:
    before = picture(fleet)

    for command in (
        ("resource", "product-service", "tag"),
        ("field", "product-service", "product", "stock:int=0"),
        ("remove", "product-service"),
        ("undo",),
    ):
        assert "services/product_service" in done(scaffold(fleet, *command, option))

    assert picture(fleet) == before


@pytest.mark.slow
def test_a_program_reads_what_a_command_did(fleet: Path) -> None:
    printed = done(scaffold(fleet, "remove", "product-service", "--json"))

    assert f"{PRODUCT}/app.py" in json.loads(printed)["deleted"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("resource", "order-service", "line"), "order-service"),
        (("resource", "product-service", "product"), "product"),
        (("resource", "product-service", "Tag"), "Tag"),
        (("field", "product-service", "tag", "x:int"), "tag"),
        (("field", "product-service", "product", "--drop", "colour"), "colour"),
        (("field", "product-service", "product", "--rename", "colour:color"), "colour"),
        (("field", "product-service", "product", "--rename", "price"), "OLD:NEW"),
        (("field", "product-service", "product"), "--drop"),
        (("remove", "order-service"), "order-service"),
        (("remove", "product-service", "tag"), "tag"),
        (("product-service", "8083"), "fleet.toml describes product-service already"),
    ],
)
def test_what_is_not_described_is_refused_by_its_name(
    fleet: Path, command: tuple[str, ...], message: str
) -> None:
    before = picture(fleet)
    completed = scaffold(fleet, *command)

    assert message in refused(completed, exit_code=completed.returncode)
    assert completed.returncode in (1, 2)
    assert picture(fleet) == before


@pytest.mark.slow
def test_a_resource_is_added_with_its_options(fleet: Path) -> None:
    options = ("--unique", "code, kind", "--action", "pay=kind: open -> paid", "--no-active")
    fields = ("code:str(9)", "kind:enum(open, paid)")
    done(scaffold(fleet, "resource", "product-service", "bill", *fields, *options))

    block = (fleet / "fleet.toml").read_text().partition("[product-service.bill]\n")[2]
    assert block.splitlines()[2:5] == [
        '_unique = ["code, kind"]',
        "_active = false",
        '_actions = { pay = "kind: open -> paid" }',
    ]
    assert "is_active" not in (fleet / "shared/models/bill.py").read_text()
    describe(fleet, "_active = false\n", "")
    done(scaffold(fleet, "apply"))
    versions = fleet / "db_manager/migrations/versions"
    assert [path.name[13:] for path in versions.glob("*is_active*.py")] == [
        "add_is_active_to_bills.py"
    ]


@pytest.mark.slow
def test_a_list_tells_what_was_edited_and_what_is_not_described(fleet: Path) -> None:
    edit(fleet, ENTITY, "as the business knows it", "as we know it")
    (fleet / PRODUCT / "README.md").unlink()
    (fleet / "services/old_service").mkdir()
    (fleet / "services/old_service/app.py").touch()

    printed = done(scaffold(fleet, "list"))
    found = json.loads(done(scaffold(fleet, "list", "--json")))

    assert [line.split() for line in printed.splitlines()[:3]] == [
        ["SERVICE", "PORT", "RESOURCES", "FILES"],
        ["product-service", "8082", "product", "1", "edited,", "1", "deleted"],
        ["old_service", "-", "-", "not", "in", "fleet.toml"],
    ]
    assert found["services"][0]["edited"] == [ENTITY]
    assert found["services"][0]["deleted"] == [f"{PRODUCT}/README.md"]


@pytest.mark.slow
def test_another_generator_or_style_is_applied_again(fleet: Path) -> None:
    project = fleet / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 100", "line-length = 60"))

    done(scaffold(fleet, "apply"))

    assert max(map(len, (fleet / PRODUCT / "bootstrap.py").read_text().splitlines())) <= 100
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_resources_with_names_that_end_alike_keep_their_revisions_apart(workspace: Path) -> None:
    done(scaffold(workspace, "shop-service", "8082", "--bare"))
    for name in ("order", "purchase_order"):
        done(scaffold(workspace, "resource", "shop-service", name, "code:str(20)"))

    done(scaffold(workspace, "remove", "shop-service", "order"))

    names = [path.name[13:] for path in (workspace / "db_manager/migrations/versions").glob("*.py")]
    assert sorted(names) == [
        "create_orders.py",
        "create_purchase_orders.py",
        "create_users.py",
        "drop_orders.py",
    ]


@pytest.mark.slow
def test_a_renamed_table_goes_with_all_its_revisions(fleet: Path) -> None:
    describe(fleet, 'min(0)"', 'min(0)"\n_plural = "produce"')
    done(scaffold(fleet, "apply"))

    done(scaffold(fleet, "remove", "product-service"))

    versions = fleet / "db_manager/migrations/versions"
    assert [path.name[13:] for path in versions.glob("*.py")] == ["create_users.py"]


@pytest.mark.slow
def test_a_table_that_was_dropped_is_created_again(fleet: Path) -> None:
    done(scaffold(fleet, "remove", "product-service", "--assume-applied"))

    done(scaffold(fleet, "product-service", "8082", "name:str(80)"))

    versions = fleet / "db_manager/migrations/versions"
    assert len(list(versions.glob("*_create_products.py"))) == 2


@pytest.mark.slow
def test_undo_is_refused_where_a_revision_by_hand_follows(fleet: Path) -> None:
    done(scaffold(fleet, "field", "product-service", "product", "stock:int=0"))
    versions = fleet / "db_manager/migrations/versions"
    [newest] = versions.glob("*_add_stock_to_products.py")
    (versions / "aaaa_mine.py").write_text(
        f'revision = "aaaa"\ndown_revision = "{newest.name[:12]}"\n'
    )
    before = picture(fleet)

    assert "aaaa_mine.py follows a revision" in refused(scaffold(fleet, "undo"))
    assert picture(fleet) == before


@pytest.mark.parametrize("command", [("apply",), ("remove", "product-service")])
@pytest.mark.slow
def test_a_description_that_is_gone_is_not_taken_for_an_empty_one(
    fleet: Path, command: tuple[str, ...]
) -> None:
    (fleet / "fleet.toml").unlink()
    before = picture(fleet)

    assert "fleet.toml is missing" in refused(scaffold(fleet, *command))
    assert picture(fleet) == before


@pytest.mark.slow
def test_what_is_no_longer_described_goes_only_when_that_is_agreed_to(fleet: Path) -> None:
    (fleet / "fleet.toml").write_text("")
    before = picture(fleet)

    message = refused(scaffold(fleet, "apply"))

    assert "No longer described, and to be deleted: product-service." in message
    assert picture(fleet) == before
    done(scaffold(fleet, "apply", "--yes"))
    assert not (fleet / PRODUCT).exists()


@pytest.mark.slow
def test_a_service_may_have_the_port_of_one_that_goes(fleet: Path) -> None:
    (fleet / "fleet.toml").write_text("[ware-service]\nport = 8082\n")

    done(scaffold(fleet, "apply", "--yes"))

    assert (fleet / "services/ware_service/app.py").is_file()
    assert not (fleet / PRODUCT).exists()


@pytest.mark.slow
def test_an_open_conflict_is_told_until_it_is_resolved(fleet: Path) -> None:
    edit(fleet, f"{PRODUCT}/settings.py", "= 8082", "= 9999")
    describe(fleet, "8082", "8090")
    assert scaffold(fleet, "apply").returncode == 1

    assert "Conflict marks in services/product_service/settings.py" in refused(
        scaffold(fleet, "apply")
    )
    settings = fleet / PRODUCT / "settings.py"
    settings.write_text(
        settings.read_text().partition("<<<<")[0] + "    service_port: int = 8090\n"
    )
    done(scaffold(fleet, "apply"))
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_imports_of_a_merged_file_are_sorted_as_those_of_others(fleet: Path) -> None:
    path = f"{PRODUCT}/application/use_cases/product_use_cases.py"
    edit(fleet, path, "async def delete", "async def drop")

    done(scaffold(fleet, "field", "product-service", "product", "ean:str(13)?:lookup"))

    lines = (fleet / path).read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("from product_service"))
    assert all("quart_fleet" in line for line in lines[:first] if line.startswith("from quart"))
    done(run(fleet, sys.executable, "-m", "ruff", "check", "--select=I", path))


@pytest.mark.parametrize("value", ["4", "x"])
def test_a_fill_obeys_the_fields_own_rules(fleet: Path, value: str) -> None:
    arguments = ("field", "product-service", "product", "stock:int:min(5)")

    assert "--fill stock=" in refused(
        scaffold(fleet, *arguments, "--fill", f"stock={value}"), exit_code=2
    )
    assert "no resource has such a field" in refused(
        scaffold(fleet, *arguments, "--fill", "stocks=5"), exit_code=2
    )


def of_users(root: Path) -> dict[str, bytes]:
    """Return the files of a workspace without what is random, and without the last command's."""
    return {path: text for path, (_, text) in picture(root).items() if not is_secret(Path(path))}


@pytest.mark.slow
def test_users_change_as_any_resource_does_and_go_back_to_what_came(workspace: Path) -> None:
    model, versions = workspace / "shared/models/user.py", "db_manager/migrations/versions"
    came = model.read_text(), {path.name for path in (workspace / versions).iterdir()}
    fresh = of_users(workspace)
    done(scaffold(workspace, "user-service", "8081"))
    assert model.read_text() == came[0]
    edit(workspace, "shared/models/user.py", "email: Mapped", "# who they are\n    email: Mapped")
    before = of_users(workspace)

    done(scaffold(workspace, "field", "user-service", "user", "nick:str(9)?", "--drop", "age"))

    [revision] = {path.name for path in (workspace / versions).glob("*.py")} - came[1]
    text = (workspace / versions / revision).read_text()
    assert 'op.add_column("users", sa.Column("nick", sa.String(length=9), nullable=True))' in text
    assert 'op.drop_column("users", "age")' in text
    assert "nick: Mapped[str | None] = mapped_column(String(9))" in model.read_text()
    assert "    # who they are\n" in model.read_text()
    done(scaffold(workspace, "undo"))
    assert of_users(workspace) == before

    done(scaffold(workspace, "field", "user-service", "user", "nick:str(9)?"))
    edit(workspace, "shared/models/user.py", "    # who they are\n", "")
    done(scaffold(workspace, "remove", "user-service", "--yes"))
    assert of_users(workspace) == fresh


@pytest.mark.slow
def test_users_may_have_any_fields_from_the_start(workspace: Path) -> None:
    done(scaffold(workspace, "user-service", "8081", "badge:int:unique", "born_on:date"))

    model = (workspace / "shared/models/user.py").read_text()
    [revision] = (workspace / "db_manager/migrations/versions").glob("*_change_users.py")
    assert "badge: Mapped[int] = mapped_column(Integer, unique=True)" in model
    assert "username" not in model
    assert 'op.drop_column("users", "username")' in revision.read_text()


@pytest.mark.slow
def test_a_resource_that_is_there_gets_more_options(fleet: Path) -> None:
    resource = ("resource", "product-service", "product")
    done(scaffold(fleet, "field", *resource[1:], "status:enum(open, sold)=open", "code:int?"))

    options = (
        "--index",
        "status, -price",
        "--unique",
        "name, code",
        "--action",
        "sell=status: open -> sold",
    )
    said = done(scaffold(fleet, *resource, *options))
    again = refused(scaffold(fleet, *resource, "--index", "status,-price"))
    done(scaffold(fleet, *resource, "--index", "code", "--action", "reopen=status: sold -> open"))
    done(scaffold(fleet, *resource, "--plural", "wares"))

    assert "product now has _index 'status, -price', _unique 'name, code', the action sell" in said
    assert "product-service.product has _index 'status,-price' already." in again
    assert (
        (fleet / "fleet.toml")
        .read_text()
        .endswith(
            'code = "int?"\n_index = ["status, -price", "code"]\n_unique = ["name, code"]\n'
            '_actions = { sell = "status: open -> sold", reopen = "status: sold -> open" }\n'
            '_plural = "wares"\n'
        )
    )
    assert (
        'bp.post("/wares/<id:record_id>/reopen"'
        in (fleet / PRODUCT / "infrastructure/web/controllers.py").read_text()
    )
    for number, wrong in enumerate((("--index", "colour"), ("--action", "x=status: open -> gone"))):
        assert ("colour", "gone")[number] in refused(
            scaffold(fleet, *resource, *wrong), exit_code=2
        )


@pytest.mark.slow
def test_options_keep_how_the_description_is_written(fleet: Path) -> None:
    text = (fleet / "fleet.toml").read_text()
    extra = '_index = [\n  "name",  # by name\n  "price", # and price\n]\n\n[product-service.product._actions]\n'
    (fleet / "fleet.toml").write_text(
        f'{text}state = "enum(a, b)=a"\n{extra}go = "state: a -> b"\n'
    )

    done(
        scaffold(
            fleet,
            "resource",
            "product-service",
            "product",
            "--index",
            "-price",
            "--action",
            "back=state: b -> a",
        )
    )

    assert (
        (fleet / "fleet.toml")
        .read_text()
        .endswith(
            '_index = [\n  "name",  # by name\n  "price",\n  "-price", # and price\n]\n\n'
            '[product-service.product._actions]\ngo = "state: a -> b"\nback = "state: b -> a"\n'
        )
    )


@pytest.mark.parametrize("fill", [(), ("--fill", "password=x")])
@pytest.mark.slow
def test_a_secret_that_rows_would_have_to_have_is_refused(
    fleet: Path, fill: tuple[str, ...]
) -> None:
    field = ("field", "product-service", "product")

    message = refused(scaffold(fleet, *field, "password:str:secret", *fill), exit_code=2)

    assert "its adapter's to say" in message
    done(scaffold(fleet, *field, "password:str?:secret"))


@pytest.mark.slow
def test_what_has_a_revision_says_the_next_command(fleet: Path) -> None:
    field = ("field", "product-service", "product")

    assert done(scaffold(fleet, *field, "sku:str(9)?")).endswith(
        "\n\nNext: python -m db_manager migrate\n"
    )
    assert "Next" not in done(scaffold(fleet, *field, "sku:str(9)?"))


@pytest.mark.slow
def test_a_diff_is_within_the_json_where_both_are_asked_for(fleet: Path) -> None:
    options = ("--diff", "--json")

    found = json.loads(
        done(scaffold(fleet, "field", "product-service", "product", "a:int?", *options))
    )

    assert "+    a: Mapped[int | None] = mapped_column(Integer)" in found["diff"]
    assert "shared/models/product.py" in found["changed"]


@pytest.mark.slow
def test_a_lost_baseline_is_named_with_the_ways_to_bring_it_back(fleet: Path) -> None:
    edit(fleet, ENTITY, "    def deactivate", "    # Mine.\n    def deactivate")
    kept = shutil.copytree(fleet / ".scaffold", fleet.parent / "kept")
    shutil.rmtree(fleet / ".scaffold/generated")
    ways = "git checkout -- .scaffold, or else: python -m scaffold upgrade"

    assert f"{ENTITY}.txt was lost: {ways}" in refused(scaffold(fleet, "apply"))
    shutil.rmtree(fleet / ".scaffold")
    assert f"Where that was lost: {ways}." in refused(scaffold(fleet, "apply"))

    shutil.copytree(kept, fleet / ".scaffold")
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_a_revision_on_top_that_cannot_be_read_stops_what_would_follow_it(fleet: Path) -> None:
    versions = fleet / "db_manager/migrations/versions"
    (versions / "broken.py").write_text("revision = compute()\ndown_revision = None\n")
    before = picture(fleet)
    commands = (
        ("field", "product-service", "product", "sku:str(9)?"),
        ("resource", "product-service", "category", "label:str(9)"),
        ("remove", "product-service"),
    )

    for command in commands:
        assert "A computed revision in " in refused(scaffold(fleet, *command))
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"
    assert picture(fleet) == before

    (versions / "broken.py").write_text('revision = "b"\ndown_revision = "gone"\n')
    for command in commands:
        message = refused(scaffold(fleet, *command))
        assert "broken.py (revision b) follows revision gone, which no file here holds" in message
