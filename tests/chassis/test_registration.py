"""A service in a registry: when it is there, under which address, and what its end waits for."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from quart_fleet.server import _registration
from quart_fleet.server._registration import Registration
from tests.chassis.consul import Consul, Fault, Registry, ids_of, imitated, started, until
from tests.chassis.provider import Provider, refusal, success

WELL = success(b'{"status":"ready"}')


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew ten times a second."""
    monkeypatch.setattr(_registration, "TTL", 1)
    monkeypatch.setattr(_registration, "RENEWAL", 0.1)
    monkeypatch.setattr(_registration, "FIRST_BACKOFF", 0.01)


@pytest.fixture
async def consul() -> AsyncIterator[Consul]:
    async with imitated() as running:
        yield running


@pytest.fixture(params=["imitated", "real"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    async with started(request.param, tmp_path) as running:
        yield running


@asynccontextmanager
async def registered(
    url: str, service: Provider, settings: Mapping[str, object] | None = None
) -> AsyncIterator[Registration]:
    """Keep a service registered that listens already."""
    config = {
        "SERVICE_NAME": "user-service",
        "HOST": "127.0.0.1",
        "SERVICE_PORT": service.port,
        "SERVICE_ADDRESS": None,
        "SERVICE_REGISTRY_URL": url,
        "SERVICE_REGISTRY_TOKEN": None,
    }
    async with service.listening():
        registration = Registration({**config, "SERVICE_PORT": service.port, **(settings or {})})
        registration.__enter__()
        try:
            yield registration
        finally:
            await asyncio.to_thread(registration.end)
            assert not registration._thread.is_alive()


@pytest.mark.slow
async def test_a_service_is_there_from_when_it_is_ready_until_it_drains(registry: Registry) -> None:
    is_ready = False

    async def answer() -> bytes:
        return WELL if is_ready else refusal(503, "The database is not ready")

    service = Provider([answer])
    async with registered(registry.url, service) as registration:
        await until(lambda: len(service.received) > 2)
        before = await ids_of(registry, "user-service")
        is_ready = True
        expected = [f"user-service-127.0.0.1-{service.port}"]

        async def is_there() -> bool:
            return await ids_of(registry, "user-service") == expected

        await until(is_there)
        count = len(service.received)
        await until(lambda: len(service.received) > count + 20)  # for longer than TTL
        assert await is_there()
        await asyncio.to_thread(registration.end)
        after = await ids_of(registry, "user-service")

    assert (before, after) == ([], [])
    assert {each.path for each in service.received} == {"/api/v1/health/ready", "/api/v1/health"}


async def test_one_that_does_not_answer_is_left_out(registry: Registry) -> None:
    does_hang = False

    async def answer() -> bytes:
        if does_hang:
            await asyncio.sleep(60)
        return WELL

    async def is_there() -> bool:
        return bool(await ids_of(registry, "user-service"))

    async def is_away() -> bool:
        return not await is_there()

    async with registered(registry.url, Provider([answer])):
        await until(is_there)
        does_hang = True
        await until(is_away)


async def test_what_is_registered(consul: Consul) -> None:
    async with registered(consul.url, Provider([WELL])):
        await until(lambda: bool(consul.services))
        sent = next(iter(consul.services.values()))

    check = {"TTL": "1s", "Status": "passing", "DeregisterCriticalServiceAfter": "1m"}
    port, name = sent["Port"], f"user-service-127.0.0.1-{sent['Port']}"
    expected = {"ID": name, "Name": "user-service", "Address": "127.0.0.1", "Port": port}
    assert sent == {**expected, "Check": check}
    assert consul.asked[-1] == f"PUT /v1/agent/service/deregister/{name}"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"HOST": "0.0.0.0"}, ""),
        ({"HOST": "0.0.0.0", "SERVICE_ADDRESS": "users.example.com"}, "users.example.com"),
        ({"HOST": "localhost"}, "localhost"),
    ],
)
async def test_the_address_is_that_of_the_agent_where_none_is_known_and_it_is_here(
    settings: dict[str, object], expected: str, consul: Consul
) -> None:
    async with registered(consul.url, Provider([WELL]), settings):
        await until(lambda: bool(consul.services))
        sent = next(iter(consul.services.values()))

    assert sent["Address"] == expected
    assert len(sent["ID"]) > len(f"user-service--{sent['Port']}")


@pytest.mark.parametrize(
    ("host", "address", "registry", "expected"),
    [
        ("127.0.0.1", None, "http://10.1.2.3:8500", True),
        ("localhost", None, "http://registry.example.com:8500", True),
        ("127.8.8.8", None, "http://[2001:db8::1]:8500", True),
        ("::1", None, "http://10.1.2.3:8500", True),
        ("127.0.0.1", "users.example.com", "http://10.1.2.3:8500", False),
        ("0.0.0.0", None, "http://10.1.2.3:8500", False),
        ("10.1.2.4", None, "http://10.1.2.3:8500", False),
        ("127.0.0.1", None, "http://localhost:8500", False),
        ("localhost", None, "http://127.0.0.1:8500", False),
        ("127.0.0.1", None, "http://[::1]:8500", False),
    ],
)
async def test_an_address_that_callers_elsewhere_would_take_for_their_own_is_said(
    host: str, address: str | None, registry: str, expected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = Provider([refusal(503, "The database is not ready")])
    settings = {"HOST": host, "SERVICE_ADDRESS": address}
    async with registered(registry, service, settings):
        pass

    line = f"HOST={host} is reached from this machine alone, and is what the registry"
    assert [each.startswith(line) for each in caplog.messages] == [True] * expected
    assert all("SERVICE_ADDRESS" in each for each in caplog.messages)


async def test_a_name_of_the_registry_that_is_looked_up_for_long_is_given_up(
    consul: Consul, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(_registration, "TIMEOUT", 0.2)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)
    async with registered(consul.url, Provider([WELL]), {"HOST": "0.0.0.0"}):
        await until(lambda: "cannot be registered" in caplog.text)


FAULTS: list[Fault] = ["", "stalls", "has no leader", "moves"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_it_is_registered_as_soon_as_there_is_a_registry(
    fault: Fault,
    consul: Consul,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_registration, "TIMEOUT", 0.5)
    caplog.set_level(logging.INFO, "quart_fleet.server")
    consul.fault = fault
    if not fault:
        await consul.stop()
    service = Provider([WELL])
    async with registered(consul.url, service):
        await until(lambda: bool(caplog.messages))
        await until(lambda: not fault or len(consul.asked) > 1)
        consul.fault = ""
        if not fault:
            await consul.start()
        await until(lambda: bool(consul.services))

    name = f"user-service-127.0.0.1-{service.port}"
    said = [each.getMessage() for each in caplog.records if each.name == "quart_fleet.server"]
    assert said[0].startswith(f"user-service cannot be registered at {consul.url}")
    assert said[1] == f"{name} is in the registry at {consul.url}"
    assert said[-1] == f"{name} is out of the registry"


async def test_a_registry_that_is_away_for_long_is_tried_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = 0

    async def register(*_: object) -> None:
        nonlocal tried
        tried += 1
        raise TimeoutError

    monkeypatch.setattr(_registration, "FIRST_BACKOFF", 0.0)
    monkeypatch.setattr(Registration, "_register", register)
    async with registered("http://127.0.0.1:1", Provider([WELL])):
        await until(lambda: tried > 3000)


@pytest.mark.parametrize("is_old", [True, False])
async def test_one_that_the_registry_has_forgotten_is_registered_anew(
    is_old: bool, consul: Consul
) -> None:
    consul.is_old = is_old
    async with registered(consul.url, Provider([WELL])):
        await until(lambda: bool(consul.services))
        consul.services.clear()
        await until(lambda: bool(consul.services))
        await consul.stop()
        await consul.start()
        await until(lambda: bool(consul.services))


async def test_the_end_does_not_wait_for_a_registry_that_stalls(
    consul: Consul, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registration, "END_TIMEOUT", 0.2)
    async with registered(consul.url, Provider([WELL])) as registration:
        await until(lambda: bool(consul.services))
        consul.fault = "stalls"
        await asyncio.to_thread(registration.end)
        await until(lambda: not registration._thread.is_alive())

    assert "stays in the registry for 1 s" in caplog.text


async def test_what_has_left_is_not_registered_again(consul: Consul) -> None:
    service = Provider([WELL])
    async with registered(consul.url, service) as registration:
        await until(lambda: bool(consul.services))
        registration.leave()
        await until(lambda: not consul.services)
        await until(lambda: not registration._thread.is_alive())

    assert consul.services == {}


async def test_the_token_is_sent_to_the_registry_alone_and_never_said(
    consul: Consul, caplog: pytest.LogCaptureFixture
) -> None:
    consul.token = "of-the-registry"
    service = Provider([WELL])
    settings = {"SERVICE_REGISTRY_TOKEN": SecretStr("of-the-registry")}
    async with registered(consul.url, service, settings):
        await until(lambda: bool(consul.services))
    settings = {"SERVICE_REGISTRY_TOKEN": SecretStr("guessed-by-others")}
    async with registered(consul.url, service, settings):
        await until(lambda: "answered 403" in caplog.text)

    assert "x-consul-token" not in {name for each in service.received for name in each.headers}
    assert "guessed" not in caplog.text


@pytest.mark.slow
def test_nothing_of_it_is_imported_where_there_is_none() -> None:
    code = "import quart_fleet.server, quart_fleet.web, sys; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code = code.replace("quart_fleet.server", "quart_fleet.clients")
    calling = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "'quart_fleet.server._start'" in done.stdout
    assert "'aiohttp'" not in done.stdout
    assert "'prometheus_client'" not in done.stdout
    assert "'opentelemetry'" not in done.stdout
    assert "'aiohttp'" in calling.stdout
    assert "'quart_fleet.clients._registry'" not in calling.stdout
