"""Every Dockerfile: small, pinned, without root, and true to the code that it holds."""

import re
from pathlib import Path, PurePosixPath

import pytest

from tests.containers.dockerfile import Stage, read_stages
from tests.containers.ignored import build_context
from tests.workspace import GeneratedWorkspace

SERVICES = ["services/user_service/Dockerfile", "services/metrics_service/Dockerfile"]
DOCKERFILES = [*SERVICES, "db_manager/Dockerfile"]
BASE = re.compile(r"python:3\.\d+(\.\d+)?-slim-[a-z]+@sha256:[0-9a-f]{64}")


@pytest.fixture(params=DOCKERFILES)
def dockerfile(request: pytest.FixtureRequest, workspace: GeneratedWorkspace) -> Path:
    """Each in turn."""
    return workspace.root / str(request.param)


@pytest.fixture
def final(dockerfile: Path) -> Stage:
    """The stage that is shipped."""
    return read_stages(dockerfile)[-1]


def test_packages_are_installed_in_a_stage_that_is_left_behind(dockerfile: Path) -> None:
    _, build, final = read_stages(dockerfile)

    assert "pip --python /venv/bin/python install" in build.get("RUN").text
    assert all("pip" not in each.text for each in final.all("RUN"))
    assert final.all("COPY")[0].text == "--from=build /venv /venv"


def test_the_base_is_a_slim_python_by_digest_named_once(dockerfile: Path) -> None:
    first, *others = read_stages(dockerfile)

    assert BASE.fullmatch(first.base)
    assert {stage.base for stage in others} == {first.name}


def test_every_image_has_the_same_base(workspace: GeneratedWorkspace) -> None:
    assert len({read_stages(workspace.root / name)[0].base for name in DOCKERFILES}) == 1


def test_packages_are_kept_for_the_next_build_and_out_of_the_image(dockerfile: Path) -> None:
    [installing] = read_stages(dockerfile)[1].all("RUN")

    assert installing.text.startswith("--mount=type=cache,target=/root/.cache/pip ")
    assert "--no-cache-dir" not in installing.text


def test_no_image_runs_as_root_and_the_user_is_a_number(final: Stage) -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", final.get("USER").text)
    assert final.all("COPY")[-1].name == "COPY"
    names = [each.name for each in final.instructions]
    assert names.index("USER") > max(
        number for number, name in enumerate(names) if name in ("COPY", "RUN")
    )


def test_a_signal_reaches_python(final: Stage) -> None:
    program = (final.all("ENTRYPOINT") or final.all("CMD"))[0]

    assert program.words[0] == "python"


def test_the_image_says_what_it_is(final: Stage) -> None:
    labels = final.get("LABEL").settings

    prefix = "org.opencontainers.image."
    assert labels.keys() == {
        f"{prefix}{name}"
        for name in ("title", "description", "version", "revision", "source", "created")
    }
    assert all(labels.values())
    arguments = set(re.findall(r"([A-Z]+)=", final.get("ARG").text))
    assert arguments == {value[1:] for value in labels.values() if value.startswith("$")}


def test_no_layer_is_built_anew_because_a_label_changed(final: Stage) -> None:
    assert [each.name for each in final.instructions[-2:]] == ["ARG", "LABEL"]


def test_no_registry_is_asked_for_the_syntax(dockerfile: Path) -> None:
    assert "syntax=" not in dockerfile.read_text()


def test_every_copied_path_exists(dockerfile: Path, workspace: GeneratedWorkspace) -> None:
    context = build_context(workspace.root)
    copies = [each.text for stage in read_stages(dockerfile) for each in stage.all("COPY")]
    sources = [text.split()[0] for text in copies if not text.startswith("--from=")]

    assert sources
    for source in sources:
        assert any(path.is_relative_to(source) for path in context), source


@pytest.mark.parametrize("name", SERVICES)
def test_the_default_server_runs(name: str, workspace: GeneratedWorkspace) -> None:
    final = read_stages(workspace.root / name)[-1]

    assert final.get("CMD").words == ["python", str(PurePosixPath(name).parent / "app.py")]


@pytest.mark.parametrize("name", SERVICES)
def test_the_port_is_the_services(name: str, workspace: GeneratedWorkspace) -> None:
    final = read_stages(workspace.root / name)[-1]
    settings = (workspace.root / name).parent / "settings.py"

    port = final.get("EXPOSE").text
    assert f"    service_port: int = {port}\n" in settings.read_text()
    assert final.get("HEALTHCHECK").words == ["python", "-m", "quart_fleet.healthcheck", port]
    assert final.get("ENV").settings.keys().isdisjoint({"SERVICE_PORT", "PORT", "SERVICE_NAME"})
    assert final.get("ENV").settings["HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", SERVICES)
def test_metrics_are_on_and_no_platform_publishes_them(
    name: str, workspace: GeneratedWorkspace
) -> None:
    final = read_stages(workspace.root / name)[-1]

    assert final.get("ENV").settings["METRICS_PORT"] == "9464"
    assert "9464" not in final.get("EXPOSE").text


def test_every_image_installs_by_the_same_layer(workspace: GeneratedWorkspace) -> None:
    stages = [read_stages(workspace.root / name)[1].instructions for name in DOCKERFILES]

    assert len({tuple((each.name, each.text) for each in stage) for stage in stages}) == 1
    assert "--require-hashes" in str(stages[0])


def test_a_service_holds_neither_the_framework_nor_another_service(final: Stage) -> None:
    copied = {each.text.split()[0] for each in final.all("COPY")[1:]}

    assert {"pyproject.toml", "shared", "db_manager/migrations/versions"} <= copied
    assert len(copied) <= 4
