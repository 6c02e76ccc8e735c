"""Instances that a registry knows: which are called, and what happens where it, or one of them, fails."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from quart_fleet.asgi._application import LeanApplication
from quart_fleet.clients import Clients, Operation, Record, ServiceClient, _registry
from quart_fleet.errors import NotFoundError, UnavailableError
from quart_fleet.settings import ServiceSettings
from tests.chassis.consul import DOCUMENTED, Consul, Fault, Registry, imitated, started, until
from tests.chassis.provider import CUT, Provider, calling, refusal, success
from tests.ports import reserve_port

GET = Operation("GET", "/users/{user_id}", Record)
POST = Operation("POST", "/users", Record)
ADA = success(b'{"id":7}')
PRODUCTION: dict[str, object] = {
    "TESTING": False,
    "SECRET_KEY": "of the tests",
    "DATABASE_URL": "postgresql://localhost/any",
}
"""Settings with which a service has no address by itself."""


@pytest.fixture
async def consul() -> AsyncIterator[Consul]:
    async with imitated() as running:
        yield running


@pytest.fixture(params=["imitated", "real"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    async with started(request.param, tmp_path) as running:
        yield running


@asynccontextmanager
async def found_by(
    registry: Registry, *providers: Provider, **settings: object
) -> AsyncIterator[ServiceClient]:
    """What calls the service that these providers are, as the registry says."""
    async with AsyncExitStack() as stack:
        for number, each in enumerate(providers):
            await stack.enter_async_context(each.listening())
            if isinstance(registry, Consul):
                registry.put(f"user-{number}", "user-service", each.port)
        settings = {**PRODUCTION, "SERVICE_REGISTRY_URL": registry.url, **settings}
        yield await stack.enter_async_context(calling(None, None, **settings))


def urls_of(client: ServiceClient) -> set[str]:
    return {each.url for each in client.instances}


async def test_the_healthy_instances_are_called_as_they_come_and_go(registry: Registry) -> None:
    one, other = Provider([ADA]), Provider([ADA])
    async with (
        one.listening(),
        other.listening(),
        httpx.AsyncClient(base_url=f"{registry.url}/v1/agent/service/", trust_env=False) as agent,
        calling(None, None, **PRODUCTION, SERVICE_REGISTRY_URL=registry.url) as client,
    ):
        for number, each in enumerate((one, other)):
            check = {"TTL": "60s", "Status": "passing"}
            sent = {"ID": f"user-{number}", "Name": "user-service", "Address": "127.0.0.1"}
            body = {**sent, "Port": each.port, "Check": check}
            assert (await agent.put("register", json=body)).status_code == 200
        await until(lambda: urls_of(client) == {one.url, other.url})
        for _ in range(40):
            await client.call(POST)
        both = len(one.received), len(other.received)
        assert (await agent.put("deregister/user-0")).status_code == 200
        await until(lambda: urls_of(client) == {other.url})
        for _ in range(10):
            await client.call(POST)

    assert min(both) > 3
    assert sum(both) == 40
    assert (len(one.received), len(other.received)) == (both[0], both[1] + 10)


async def test_a_change_is_waited_for_and_not_asked_for(consul: Consul) -> None:
    async with found_by(consul, Provider([ADA])) as client:
        for _ in range(50):
            await client.call(GET, {"user_id": 7})
        await until(lambda: len(consul.asked) == 2)
        before = urls_of(client)
        consul.put("user-9", "user-service", 9)
        await until(lambda: urls_of(client) > before)
        await until(lambda: len(consul.asked) == 3)

    path = "GET /v1/health/service/user-service?passing=true"
    assert consul.asked == [path, f"{path}&index=12&wait=30s", f"{path}&index=13&wait=30s"]


async def test_an_address_that_is_set_wins(consul: Consul) -> None:
    provider = Provider([ADA])
    consul.put("user-1", "user-service", 1)
    async with (
        provider.listening(),
        calling(provider.url, SERVICE_REGISTRY_URL=consul.url) as client,
    ):
        await client.call(GET, {"user_id": 7})

    assert (len(provider.received), consul.asked) == (1, [])


FAULTS: list[Fault] = ["stalls", "stalls within", "talks rubbish", "has no leader", "moves"]


@pytest.mark.parametrize("fault", [*FAULTS, "is away"])
async def test_the_last_known_instances_are_called_while_the_registry_fails(
    fault: Fault, consul: Consul, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registry, "WAIT_TIMEOUT", 0.2)
    monkeypatch.setattr(_registry, "TIMEOUT", 0.2)
    monkeypatch.setattr(_registry, "FIRST_BACKOFF", 0.01)
    caplog.set_level(logging.INFO, "quart_fleet.clients")
    provider, another = Provider([ADA]), Provider([ADA])
    async with another.listening(), found_by(consul, provider) as client:
        await client.call(POST)
        known = client.instances[0]
        if fault == "is away":
            await consul.stop()
        consul.fault = fault
        consul._change()
        await until(lambda: bool(caplog.messages))
        asked = len(consul.asked)
        await until(lambda: fault == "is away" or len(consul.asked) > asked + 3)
        await client.call(POST)
        kept = client.instances[0]

        consul.fault = ""
        consul.put("user-1", "user-service", another.port)
        if fault == "is away":
            await consul.start()
        await until(lambda: another.url in urls_of(client))

    assert kept is known
    told = [each.partition(f" registry at {consul.url} ")[2] for each in caplog.messages]
    told = [each.partition(",")[0] for each in told]
    assert told[:2] == [  # a machine that is busy may say them again
        "does not say where the user-service is",
        "says again where the user-service is",
    ]


@pytest.mark.parametrize("fault", [*FAULTS, "is away", "knows none"])
async def test_without_any_instance_calls_fail_until_there_is_one(
    fault: Fault, consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registry, "TIMEOUT", 0.2)
    monkeypatch.setattr(_registry, "FIRST_BACKOFF", 0.01)
    if fault == "is away":
        await consul.stop()
    consul.fault = fault
    provider = Provider([ADA])
    async with (
        provider.listening(),
        calling(None, None, **PRODUCTION, SERVICE_REGISTRY_URL=consul.url) as client,
    ):
        with pytest.raises(UnavailableError) as failed:
            await client.call(GET, {"user_id": 7})
        consul.fault = ""
        consul.put("user-1", "user-service", provider.port)
        if fault == "is away":
            await consul.start()
        await until(lambda: bool(client.instances))
        await client.call(GET, {"user_id": 7})

    assert str(failed.value) == "The user-service is unavailable"
    assert failed.value.retry_after == 1
    assert (client.outcomes["not sent"], client.outcomes["answered"]) == (1, 1)


async def test_a_call_waits_no_longer_for_the_registry_than_it_may(consul: Consul) -> None:
    consul.fault = "stalls"
    async with found_by(consul, CALL_TIMEOUT=0.05) as client:
        with pytest.raises(UnavailableError):
            await client.call(GET, {"user_id": 7})

    assert client.outcomes["late"] == 1


async def test_in_development_the_port_of_the_workspace_stands_in(
    consul: Consul, tmp_path: Path
) -> None:
    provider, another = Provider([ADA]), Provider([ADA])
    async with provider.listening(), another.listening():
        (tmp_path / "pyproject.toml").write_text("[tool.scaffold]\n")
        (tmp_path / "fleet.toml").write_text(f"[user-service]\nport = {provider.port}\n")
        app = LeanApplication(__name__, root_path=str(tmp_path), static_folder=None)
        given = {"DEBUG": True, "SERVICE_REGISTRY_URL": consul.url}
        client = Clients(app, ServiceSettings.model_validate(given)).of("user-service", None)
        async with app.test_app():
            await client.call(GET, {"user_id": 7})
            before = client.instances[0]
            client.locate(())
            assert client.instances[0] is before  # with its circuit
            consul.put("user-1", "user-service", another.port)
            await until(lambda: urls_of(client) == {another.url})
            await client.call(GET, {"user_id": 7})

    assert (len(provider.received), len(another.received)) == (1, 1)


async def test_a_registry_that_is_away_for_long_is_asked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    async def ask(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise TimeoutError

    monkeypatch.setattr(_registry, "FIRST_BACKOFF", 0.0)
    monkeypatch.setattr(_registry.Registry, "_ask", ask)
    async with calling(None, None, **PRODUCTION, SERVICE_REGISTRY_URL="http://127.0.0.1:1"):
        await until(lambda: asked > 3000)


async def test_a_registry_that_was_restarted_with_an_empty_memory_is_not_believed_at_once(
    consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registry, "FIRST_BACKOFF", 0.01)
    async with found_by(consul, Provider([ADA])) as client:
        await client.call(POST)
        await consul.stop()
        consul.asked.clear()
        await consul.start()
        await until(lambda: any("index=11" in each for each in consul.asked))
        await client.call(POST)

        monkeypatch.setattr(_registry, "EMPTY_TIMEOUT", 0)
        consul._change()
        await until(lambda: not client.instances)
        with pytest.raises(UnavailableError):
            await client.call(POST)


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_registry_that_has_lost_its_memory_takes_no_instance_away_before_it_may_be_back(
    is_away: bool, consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registry, "FIRST_BACKOFF", 0.01)
    first, second, new = Provider([ADA]), Provider([ADA]), f"http://127.0.0.1:{reserve_port()}"
    async with found_by(consul, first, second) as client:
        await client.call(POST)
        before = urls_of(client)
        if is_away:
            await consul.stop()
            await consul.start()
        else:
            consul.services.clear()
            consul.index = 5
        consul.put("user-0", "user-service", first.port)
        consul.put("user-9", "user-service", int(new.rpartition(":")[2]))
        await until(lambda: new in urls_of(client))
        assert urls_of(client) == {*before, new}

        monkeypatch.setattr(_registry, "TTL", 1)
        consul.index = 2
        consul._change()
        await until(lambda: urls_of(client) == {first.url, new})


async def test_a_registry_that_answers_at_once_is_not_asked_in_a_busy_loop(
    consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_registry, "INTERVAL", 60)
    consul.fault = "answers at once"
    async with found_by(consul, Provider([ADA])) as client:
        await until(lambda: len(consul.asked) > _registry.BURST)
        for _ in range(50):
            await client.call(GET, {"user_id": 7})

    assert len(consul.asked) == _registry.BURST + 1


async def test_an_index_that_goes_backwards_is_begun_anew_and_none_is_below_one(
    consul: Consul,
) -> None:
    async with found_by(consul, Provider([ADA])) as client:
        await client.call(GET, {"user_id": 7})
        await until(lambda: len(consul.asked) == 2)
        consul.index = -5
        consul._change()
        await until(lambda: len(consul.asked) == 4)

    queries = [each.partition("?passing=true")[2] for each in consul.asked]
    assert queries[:4] == ["", "&index=12&wait=30s", "", "&index=1&wait=15s"]


async def test_the_token_is_sent_and_never_said(
    consul: Consul, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    consul.token = "of-the-registry"
    async with found_by(
        consul, Provider([ADA]), SERVICE_REGISTRY_TOKEN="of-the-registry"
    ) as client:
        await client.call(GET, {"user_id": 7})
    async with found_by(consul, SERVICE_REGISTRY_TOKEN="guessed-by-others") as client:
        with pytest.raises(UnavailableError):
            await client.call(GET, {"user_id": 7})

    assert "answered 403" in caplog.text
    assert "guessed" not in caplog.text


async def test_an_answer_with_all_that_is_documented_is_read(consul: Consul) -> None:
    body = json.dumps(DOCUMENTED).encode()
    head = f"HTTP/1.1 200 OK\r\nX-Consul-Index: 42\r\nContent-Length: {len(body)}\r\n\r\n"
    agent = Provider([head.encode() + body])
    async with (
        agent.listening(),
        calling(None, None, **PRODUCTION, SERVICE_REGISTRY_URL=agent.url) as client,
    ):
        await until(lambda: len(agent.received) > 1)
        found = urls_of(client)
    consul.put("user-1", "user-service", 8000)
    async with httpx.AsyncClient(trust_env=False) as asking:
        imitated = (await asking.get(f"{consul.url}/v1/health/service/user-service")).json()[0]

    assert found == {"http://10.1.2.4:8000", "http://10.1.2.3:8000"}
    assert agent.received[1].path.endswith("?passing=true&index=42&wait=30s")
    for part in ("Node", "Service"):
        assert set(imitated[part]) <= set(DOCUMENTED[0][part])
    assert set(imitated["Checks"][0]) <= set(DOCUMENTED[0]["Checks"][0])


async def test_what_no_call_can_be_sent_to_is_left_out(consul: Consul) -> None:
    consul.put("1", "user-service", 0)
    consul.put("2", "user-service", 8081, "a host")
    consul.put("3", "user-service", 8081, "10.0.0.1:80/x")
    consul.put("4", "user-service", 8081, "::1")
    consul.put("5", "user-service", 8081, "")
    consul.put("6", "user-service", 65536)
    consul.put("7", "user-service", 8081, "users.example.com")
    consul.put("8", "user-service", 8081, "a..b")
    consul.put("9", "user-service", 8081, "999.1.1.1")
    async with found_by(consul) as client:
        await until(lambda: bool(client.instances))
        assert [each.url for each in client.instances] == [
            "http://[::1]:8081",
            "http://127.0.0.1:8081",
            "http://users.example.com:8081",
        ]


async def test_an_instance_that_refuses_is_left_out_and_no_call_fails(
    consul: Consul, caplog: pytest.LogCaptureFixture
) -> None:
    gone, provider = reserve_port(), Provider([ADA])
    consul.put("user-gone", "user-service", gone)
    async with found_by(consul, provider) as client:
        for _ in range(60):
            await client.call(POST)
        states = {each.url: each.breaker.state for each in client.instances}

    assert len(provider.received) == 60
    assert states == {f"http://127.0.0.1:{gone}": "open", provider.url: "closed"}
    assert caplog.messages == [
        f"user-service at http://127.0.0.1:{gone}: the circuit is open for 5 s, "
        "since 5 calls in a row have failed"
    ]


async def test_many_that_refuse_are_all_tried_for_the_one_that_does_not(consul: Consul) -> None:
    provider = Provider([ADA])
    for number in range(6):
        consul.put(f"user-gone-{number}", "user-service", reserve_port())
    async with found_by(consul, provider) as client:
        for _ in range(5):
            await client.call(POST)

    assert len(provider.received) == 5


async def test_one_instance_that_fails_does_not_close_the_way_to_others(consul: Consul) -> None:
    broken, sound = Provider([CUT]), Provider([ADA])
    async with found_by(consul, broken, sound) as client:
        outcomes = await asyncio.gather(
            *(client.call(POST) for _ in range(5)), return_exceptions=True
        )
        for _ in range(40):
            try:
                await client.call(POST)
            except UnavailableError as error:
                outcomes.append(error)

    failed = sum(isinstance(each, UnavailableError) for each in outcomes)
    assert failed == len(broken.received)
    assert 5 <= failed <= 7
    assert client.outcomes["rejected"] == 0


async def test_one_that_says_later_is_not_waited_for_where_there_is_another(
    consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0)
    busy = Provider([refusal(503, "The server is busy", "Retry-After: 4000")])
    idle = Provider([ADA])
    async with found_by(consul, busy, idle) as client:
        await client.call(GET, {"user_id": 7})

    assert (len(busy.received), len(idle.received)) == (1, 1)


async def test_the_instance_with_the_fewest_calls_is_called(consul: Consul) -> None:
    is_over = asyncio.Event()

    async def wait() -> bytes:
        await is_over.wait()
        return ADA

    slow, quick = Provider([wait]), Provider([ADA])
    async with found_by(consul, slow, quick) as client:
        running = [asyncio.create_task(client.call(POST)) for _ in range(2)]
        await until(lambda: len(slow.received) == 1)
        for _ in range(20):
            await client.call(POST)
        busy = {each.url: each.running for each in client.instances}
        is_over.set()
        await asyncio.gather(*running)

    assert busy[slow.url] == 1
    assert len(slow.received) == 1
    assert {each.running for each in client.instances} == {0}


async def test_what_nobody_has_foreseen_is_a_failure_and_not_a_call_that_was_cancelled() -> None:
    provider = Provider([ADA])
    async with provider.listening(), calling(provider.url) as client:
        session = client._clients._session
        assert session is not None
        await session.close()
        with pytest.raises(RuntimeError):
            await client.call(POST)

    assert (client.outcomes["failed"], client.outcomes["cancelled"]) == (1, 0)


async def test_what_came_of_calls_can_be_read() -> None:
    async def never() -> bytes:
        await asyncio.sleep(60)
        return CUT

    answers = [ADA, refusal(404, "User not found"), refusal(404, "Endpoint not found"), CUT]
    provider = Provider([*answers, refusal(503, "Later"), never, never, CUT])
    async with provider.listening(), calling(provider.url, CALL_TIMEOUT=1) as client:
        await client.call(POST)
        with pytest.raises(NotFoundError):
            await client.call(POST)
        for _ in range(4):
            with pytest.raises(UnavailableError):
                await client.call(POST)
        seen = client.instances[0].breaker.failures
        cancelled = asyncio.create_task(client.call(POST))
        await until(lambda: len(provider.received) == 7)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await client.call(POST)

    assert seen == 3
    assert client.outcomes == {
        "answered": 1,
        "refused": 1,
        "unexpected": 1,
        "failed": 4,
        "late": 1,
        "rejected": 1,
        "cancelled": 1,
        "not sent": 0,
    }
