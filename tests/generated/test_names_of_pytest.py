"""Services whose names mean something to pytest pass their own tests, where warnings are errors."""

import pytest

from tests.workspace import GeneratedWorkspace

pytestmark = pytest.mark.slow

NAMES = (
    *("testimonial-service", "test-service", "test-case", "tester", "testing-service"),
    *("lab-test", "unit_test-service", "conftest-service", "mock", "fixture", "request-service"),
    *("monkeypatch", "tmp-path", "pytest-service", "setup", "teardown", "plugin", "warning"),
)


def test_every_service_passes_its_own_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    services = [f"{name} {9300 + number}" for number, name in enumerate(NAMES)]
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp("generated") / "fleet", *services)

    output = workspace.python("-X", "dev", "-W", "error", "-m", "pytest", "-q", "services")

    assert " passed" in output
    assert "warning" not in output
