"""A workspace comes over to a newer version: merged, told, and without a line of its owner lost."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import quart_fleet
from scaffold.engine.merging import find_conflicts
from tests.scaffold import faults
from tests.scaffold.commands import (
    ENVIRONMENT,
    REPOSITORY,
    Completed,
    done,
    picture,
    refused,
    run,
    scaffold,
)
from tests.scaffold.test_fleet import edit
from tests.workspace import GeneratedWorkspace

NOW = quart_fleet.__version__
NEXT = "99.0.0"
ARCHIVE = REPOSITORY / "tests/fixtures/generator-0.2.0.tar.xz"
"""The generator of 0.2.0, as its wheel had it: what `init` and NAME PORT need, with one hash for each
distribution in its locks. That wheel is in the vendor/ of what it makes, as it was for its users."""
SERVICES = (
    ("user-service", "8081"),
    ("product-service", "8082"),
    ("mail-service", "8083", "--bare"),
)
WORDS = ("--name", "shop", "--license", "MIT", "--description", "A shop")
ENTITY = "services/product_service/domain/entities/product.py"
CONTROLLERS = "services/product_service/infrastructure/web/controllers.py"


PRAISE = """
    def praise(self) -> str:
        return self.name
"""


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def run_by(distribution: Path, folder: Path, *arguments: str) -> Completed:
    """Run the generator of a distribution that is a folder."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "scaffold", *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONPATH": str(distribution)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def make_shop(distribution: Path, folder: Path) -> Path:
    """Make a workspace by a distribution, with three services."""
    done(run_by(distribution, folder, "init", "shop", *WORDS))
    for service in SERVICES:
        done(run_by(distribution, folder / "shop", "service", *service))
    return folder / "shop"


@pytest.fixture(scope="session")
def shop_of_0_2_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What users of 0.2.0 have, that tests only read."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder / "generator", filter="data")
    return make_shop(folder / "generator", folder)


@pytest.fixture(scope="session")
def shop_of_now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this version makes of the same, that tests only read."""
    return make_shop(REPOSITORY, tmp_path_factory.mktemp("now"))


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version, whose templates say something else here and there."""
    folder = copy_distribution(tmp_path_factory.mktemp("newer"), NEXT)
    templates = folder / "scaffold/templates"
    edit(templates, "service/README.md.jinja", "# ", "# The ")
    edit(
        templates,
        "workspace/Makefile.jinja",
        ".PHONY: help",
        "# Of the later version.\n.PHONY: help",
    )
    (templates / "workspace/.editorconfig.jinja").unlink()
    (templates / "workspace/docs/later.md.jinja").write_text("# Later\n")
    test = templates / "service/tests/test_health.py.jinja"
    test.rename(test.with_name("test_alive.py.jinja"))
    page = templates / "workspace/docs/troubleshooting.md.jinja"
    page.rename(page.with_name("trouble.md.jinja"))
    notices = folder / "scaffold/notices.toml"
    text = notices.read_text()
    notices.write_text(f'{text}\n["{NEXT}"]\nchanged = ["Later is now."]\nto_do = ["Rest."]\n')
    return folder


def copy_distribution(folder: Path, version: str) -> Path:
    """Copy the framework into a folder, as another version."""
    for package in ("quart_fleet", "scaffold", "db_manager"):
        shutil.copytree(REPOSITORY / package, folder / package)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(REPOSITORY / name, folder)
    edit(folder, "pyproject.toml", f'version = "{NOW}"', f'version = "{version}"')
    return folder


@pytest.fixture
def old(shop_of_0_2_0: Path, tmp_path: Path) -> Path:
    """A workspace of 0.2.0, a test's own."""
    return shutil.copytree(shop_of_0_2_0, tmp_path / "shop")


@pytest.fixture
def shop(shop_of_now: Path, tmp_path: Path) -> Path:
    """A workspace of this version, a test's own."""
    return shutil.copytree(shop_of_now, tmp_path / "shop")


def files(workspace: Path, *without: str) -> dict[str, bytes]:
    """Return the files of a workspace, but secrets and what a machine keeps for itself."""
    return {
        path: content
        for path, (_, content) in picture(workspace).items()
        if (workspace / path).is_file() and not path.startswith((".scaffold/undo.json", *without))
    }


@pytest.mark.slow
def test_what_was_not_edited_is_then_what_the_newer_version_makes(
    old: Path, shop_of_now: Path
) -> None:
    printed = done(run_by(REPOSITORY, old, "upgrade"))

    # Revisions that exist are never written again; 0.2.0 kept no account of them.
    versions = "db_manager/migrations/versions"
    passed = (versions, f".scaffold/generated/{versions}", ".scaffold/revisions")
    assert files(old, *passed) == files(shop_of_now, *passed)
    assert printed.startswith(f"✓ quart-fleet 0.2.0 is {NOW} (")
    assert "/page is gone" in printed
    assert 'revision -m "index lists"' in printed
    assert done(scaffold(old, "apply")) == "✓ Nothing to write.\n"
    assert done(run_by(REPOSITORY, old, "upgrade")) == "✓ Nothing to write.\n"


@pytest.mark.slow
def test_edits_of_every_kind_are_kept(old: Path) -> None:
    before = {path.name for path in (old / "db_manager/migrations/versions").iterdir()}
    append(old / ENTITY, PRAISE)
    edit(
        old,
        "pyproject.toml",
        "\n[project.optional",
        '\n[project.urls]\nhome = "https://shop.example"\n\n[project.optional',
    )
    edit(old, "Makefile", "types: $(STAMP)", "backup:\n\t@pg_dump shop\n\ntypes: $(STAMP)")
    readme = old / "services/product_service/README.md"
    readme.write_bytes(b"Mine.\r\n\r\n" + readme.read_bytes().replace(b"\n", b"\r\n"))
    (old / "docs/cookbook.md").unlink()
    (old / "services/user_service/tests/test_user_api.py").unlink()
    (old / "shared/prices.py").write_text("VAT = 20\n")
    append(old / "requirements.lock", "# mine\n")
    own = old / "services/mail_service/application/ports/mailer.py"
    own.write_text("class Mailer:\n    pass\n")
    settings = (old / "services/product_service/.env").read_bytes()

    completed = run_by(REPOSITORY, old, "upgrade")

    done(completed)
    assert "    def praise(self) -> str:\n" in (old / ENTITY).read_text()
    assert "@dataclass(slots=True, kw_only=True)" in (old / ENTITY).read_text()
    project = (old / "pyproject.toml").read_text()
    assert 'home = "https://shop.example"' in project
    assert f'framework = "{NOW}"' in project
    assert "\t@pg_dump shop\n" in (old / "Makefile").read_text()
    assert readme.read_bytes().startswith(b"Mine.\r\n")
    assert "docs/cookbook.md stays deleted; the newer version has it otherwise." in completed.stderr
    assert not (old / "docs/cookbook.md").exists()
    assert "services/user_service/tests/test_user_api.py" in completed.stderr
    assert not (old / "services/user_service/tests/test_user_api.py").exists()
    assert (old / "shared/prices.py").exists()
    assert own.exists()
    lock = (old / "requirements.lock").read_text()
    assert "# mine\n" in lock
    assert f"quart-fleet=={NOW} " in lock
    assert "requirements.lock is locked anew here, which is yours to repeat" in completed.stderr
    assert (old / "services/product_service/.env").read_bytes() == settings
    assert {path.name for path in (old / "db_manager/migrations/versions").iterdir()} == before
    assert [path.name for path in (old / "vendor").iterdir()] == [
        f"quart_fleet-{NOW}-py3-none-any.whl"
    ]


@pytest.mark.slow
def test_edits_of_the_same_lines_are_marked_and_named(old: Path) -> None:
    edit(old, ENTITY, "@dataclass(slots=True)", "@dataclass(slots=True, order=True)")
    edit(old, "pyproject.toml", 'framework = "0.2.0"', 'framework = "0.2.0"  # ours')

    completed = run_by(REPOSITORY, old, "upgrade")

    assert completed.returncode == 1
    for path, mine in ((ENTITY, "order=True)"), ("pyproject.toml", "# ours")):
        text = (old / path).read_text()
        assert f"{path}: 1 conflict, marked in the file." in completed.stderr
        assert "<<<<<<< yours\n" in text
        assert mine in text
    assert (old / ".scaffold/conflicts").read_text() == f"pyproject.toml\n{ENTITY}\n"
    edit(
        old, "pyproject.toml", (old / "pyproject.toml").read_text(), decided(old / "pyproject.toml")
    )
    edit(old, ENTITY, (old / ENTITY).read_text(), decided(old / ENTITY))
    done(scaffold(old, "apply"))
    assert not (old / ".scaffold/conflicts").exists()
    assert "kw_only=True" in (old / ENTITY).read_text()


def decided(path: Path) -> str:
    """Return a text with the newer side of each conflict."""
    kept, side = [], ""
    for line in path.read_text().splitlines(keepends=True):
        if line.startswith(("<<<<<<< ", "||||||| ", "=======", ">>>>>>> ")):
            side = "" if line.startswith(">") else line[0]
        elif side in ("", "="):
            kept.append(line)
    return "".join(kept)


@pytest.mark.slow
def test_it_is_undone_byte_for_byte_and_a_dry_run_writes_nothing(old: Path) -> None:
    before = picture(old)

    listed = done(run_by(REPOSITORY, old, "upgrade", "--dry-run"))
    found = json.loads(done(run_by(REPOSITORY, old, "upgrade", "--dry-run", "--json")))
    assert picture(old) == before
    done(run_by(REPOSITORY, old, "upgrade"))
    done(scaffold(old, "undo"))

    after = picture(old)
    assert files(old) == {
        path: what for path, (_, what) in before.items() if (old / path).is_file()
    }
    assert after.keys() - before.keys() <= {".scaffold", ".scaffold/.gitignore"}
    assert "create     fleet.toml\n" in listed
    assert (found["from"], found["to"]) == ("0.2.0", NOW)
    assert any("/page is gone" in each for each in found["changes"])


@pytest.mark.slow
def test_it_is_all_or_nothing_wherever_it_is_killed(old: Path) -> None:
    said = done(run(old, sys.executable, faults.__file__, "every", "upgrade"))

    times = re.search(r"killed (\d+) times, (\d+) times half-written", said)
    assert times, said
    assert int(times[1]) > 30
    assert int(times[2]) > 6
    assert done(run_by(REPOSITORY, old, "upgrade")) == "✓ Nothing to write.\n"


@pytest.mark.parametrize("kind", ["folder", "wheel"])
@pytest.mark.slow
def test_a_later_version_is_named_as_a_wheel_or_a_folder(
    shop: Path, newer: Path, tmp_path: Path, kind: str
) -> None:
    source = newer
    if kind == "wheel":
        done(run_by(newer, tmp_path, "init", "other", *WORDS))
        [source] = (tmp_path / "other/vendor").iterdir()
    append(shop / "services/mail_service/README.md", "Ours.\n")

    printed = done(run_by(REPOSITORY, shop, "upgrade", "--from", str(source)))

    assert printed.startswith(f"✓ quart-fleet {NOW} is {NEXT} (")
    assert "What is different:\n  Later is now.\n\nTo do:\n  Rest.\n" in printed
    assert "/page is gone" not in printed
    text = (shop / "services/mail_service/README.md").read_text()
    assert text.startswith("# The ")
    assert "Ours." in text
    assert "# Of the later version." in (shop / "Makefile").read_text()
    assert not (shop / ".editorconfig").exists()
    assert (shop / "docs/later.md").read_text() == "# Later\n"
    assert f'"quart-fleet=={NEXT}"' in (shop / "pyproject.toml").read_text()
    assert f"quart-fleet=={NEXT} " in (shop / "requirements.lock").read_text()


@pytest.mark.slow
def test_an_edited_template_reaches_ten_services_and_is_merged_with_the_newer_one(
    shop: Path, newer: Path
) -> None:
    more = "".join(f"[number{at}-service]\nport = {9000 + at}\n" for at in range(7))
    append(shop / "fleet.toml", f"\n{more}")
    done(scaffold(shop, "templates", "copy", "service/README.md"))
    own = shop / "scaffold/templates/service/README.md.jinja"
    own.write_text(f"{own.read_text()}\nAsk in the channel.\n")
    done(scaffold(shop, "apply"))

    pages = sorted((shop / "services").glob("*_service/README.md"))
    assert len(pages) == 10
    assert all(page.read_text().endswith("Ask in the channel.\n") for page in pages)

    done(run_by(newer, shop, "upgrade"))

    for page in pages:
        text = page.read_text()
        assert text.startswith("# The ")
        assert text.endswith("Ask in the channel.\n")


@pytest.mark.slow
def test_what_the_newer_version_has_no_more_or_elsewhere_keeps_edits(
    shop: Path, newer: Path
) -> None:
    edit(shop, ".editorconfig", "root = true", "root = false")
    append(shop / "docs/troubleshooting.md", "Mine.\n")

    completed = run_by(newer, shop, "upgrade")

    done(completed)
    assert ".editorconfig stays as it is; the newer version has it otherwise." in completed.stderr
    assert "root = false" in (shop / ".editorconfig").read_text()
    assert not (shop / "docs/troubleshooting.md").exists()
    assert (shop / "docs/trouble.md").read_text().endswith("Mine.\n")


@pytest.mark.slow
def test_a_template_that_was_renamed_carries_edits(shop: Path, newer: Path) -> None:
    append(shop / "services/mail_service/tests/test_health.py", "\n\nOURS = 1\n")

    done(run_by(newer, shop, "upgrade"))

    for name in ("mail", "product", "user"):
        tests = shop / f"services/{name}_service/tests"
        assert not (tests / "test_health.py").exists()
        assert ("OURS = 1" in (tests / "test_alive.py").read_text()) == (name == "mail")


@pytest.mark.slow
def test_two_and_two_hundred_conflicts_in_one_file_are_each_marked(tmp_path: Path) -> None:
    rows = [f"row {at}" for at in range(2000)]
    versions = {}
    for version, words in (("98.0.0", "was"), (NEXT, "is now")):
        versions[version] = copy_distribution(tmp_path / version, version)
        page = versions[version] / "scaffold/templates/service/README.md.jinja"
        page.write_text("\n".join(rows).replace("0\n", f"0 {words}\n") + "\n")
    shop = make_shop(versions["98.0.0"], tmp_path)
    mail, product = (shop / f"services/{name}_service/README.md" for name in ("mail", "product"))
    mail.write_text(mail.read_text().replace("990 was", "990 mine"))
    product.write_text(product.read_text().replace("0 was", "0 mine"))

    completed = run_by(versions[NEXT], shop, "upgrade")

    assert completed.returncode == 1
    assert "services/mail_service/README.md: 2 conflicts, marked" in completed.stderr
    assert "services/product_service/README.md: 200 conflicts, marked" in completed.stderr
    assert len(find_conflicts(mail.read_text())) == 2
    assert len(find_conflicts(product.read_text())) == 200
    assert product.read_text().count("0 mine\n") == product.read_text().count("0 is now\n") == 200


@pytest.mark.slow
def test_a_lost_baseline_is_made_again(shop: Path, shop_of_now: Path) -> None:
    append(shop / ENTITY, PRAISE)
    shutil.rmtree(shop / ".scaffold")

    done(run_by(REPOSITORY, shop, "upgrade"))

    assert done(scaffold(shop, "apply")) == "✓ Nothing to write.\n"
    assert "def praise" in (shop / ENTITY).read_text()
    documents = ".scaffold/generated/documents"  # says of which sources, the edited one too
    without = ("db_manager", ".scaffold/generated/db_manager", documents, ENTITY)
    assert files(shop, *without) == files(shop_of_now, *without)


@pytest.mark.slow
def test_what_cannot_be_upgraded_is_refused(shop_of_now: Path, old: Path, tmp_path: Path) -> None:
    shop = shutil.copytree(shop_of_now, tmp_path / "now/shop")
    (tmp_path / "nothing").mkdir()
    no_source = run_by(REPOSITORY, old, "upgrade", "--from", str(tmp_path / "nothing"))
    assert "is no distribution of quart-fleet" in refused(no_source, exit_code=2)
    assert "git pull" in refused(run_by(REPOSITORY, REPOSITORY, "upgrade"))
    edit(shop, "pyproject.toml", f'framework = "{NOW}"', f'framework = "{NEXT}"')
    assert "Name a newer one" in refused(run_by(REPOSITORY, shop, "upgrade"))
    [wheel] = (old / "vendor").iterdir()
    wheel.unlink()
    before = picture(old)
    assert f"vendor/{wheel.name} is missing" in refused(run_by(REPOSITORY, old, "upgrade"))
    assert picture(old) == before


@pytest.mark.slow
def test_what_came_over_passes_its_checks(old: Path) -> None:
    append(old / ENTITY, PRAISE)
    done(run_by(REPOSITORY, old, "upgrade"))
    workspace = GeneratedWorkspace(old)

    workspace.python("-m", "ruff", "check", ".")
    workspace.python("-m", "ruff", "format", "--check", ".")
    workspace.python("-m", "mypy", ".")
    workspace.python("-m", "pytest", "-q", "services")
