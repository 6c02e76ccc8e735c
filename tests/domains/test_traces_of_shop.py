"""One request through three services of the shop, as a collector of ours receives it: one trace."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.domains.test_domains import DOMAINS
from tests.requirement import require_module
from tests.workspace import GeneratedWorkspace, booted

require_module("opentelemetry")

from tests.chassis.otlp import Collector, Span, collecting  # noqa: E402 - of the extra

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the shop."""
    fleet = (DOMAINS / "shop/fleet.toml").read_text()
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("shop") / "fleet", fleet)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> AsyncIterator[tuple[Collector, dict[str, str]]]:
    """The three services, each sampling for itself all that its caller samples."""
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        with collecting() as collector, ExitStack() as stack:
            settings = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_BSP_SCHEDULE_DELAY": "50",
                "NO_PROXY": "127.0.0.1",
            }
            services: dict[str, str] = {}
            for name in ("user", "product", "order"):
                services[name] = stack.enter_context(
                    booted(workspace, f"{name}_service", url, **settings)
                )
                settings[f"{name.upper()}_SERVICE_URL"] = services[name].removesuffix("/api/v1")
            yield collector, services


def post(address: str, body: dict[str, object], **headers: str) -> httpx.Response:
    return httpx.post(address, json=body, headers=headers, timeout=30)


def test_one_request_through_three_services_is_one_trace(
    shop: tuple[Collector, dict[str, str]],
) -> None:
    collector, services = shop
    user = {"username": "ada-of-the-shop", "email": "ada@example.com"}
    product = {"name": "Lamp of the shop", "sku": "lamp", "price": "1"}
    assert post(f"{services['user']}/users", dict(user)).status_code == 201
    assert post(f"{services['product']}/products", dict(product)).status_code == 201
    line = {"product_id": 1, "quantity": 1, "unit_price": "1"}
    body = {"code": "A-1", "buyer_id": 1, "placed_at": "2026-11-29T12:00:00Z", "lines": [line]}
    answer = post(f"{services['order']}/orders", body, tracestate="shop=1")
    assert answer.status_code == 201, answer.text

    (root,) = collector.wait_for(1, name="POST /api/v1/orders")
    spans = collector.wait_for(12, trace_id=root.trace_id)

    def below(parent: Span, kind: str) -> dict[str, Span]:
        return {each.name: each for each in spans if (each.parent, each.kind) == (parent.id, kind)}

    assert (root.parent, root.service, root.kind) == ("", "order-service", "SERVER")
    asked = below(root, "CLIENT")
    assert list(asked)[-4:] == ["BEGIN", "INSERT orders", "INSERT order_lines", "COMMIT"]
    for resource in ("user", "product"):
        path = f"/api/v1/{resource}s/{{record_id}}"
        call = asked.pop(f"GET {path}")
        address = httpx.URL(services[resource])
        assert call.attributes == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "quart_fleet.call.outcome": "answered",
            "server.address": address.host,
            "server.port": address.port,
            "service.peer.name": f"{resource}-service",
            "url.full": f"http://{address.host}:{address.port}/api/v1/{resource}s/1",
            "url.template": path,
        }
        (answered,) = below(call, "SERVER").values()
        assert answered.service == f"{resource}-service"
        assert answered.name == f"GET /api/v1/{resource}s/<id:record_id>"
        assert call.start <= answered.start <= answered.end <= call.end
        assert f"SELECT {resource}s" in below(answered, "CLIENT")
    assert len(asked) == 4
    assert {each.trace_id for each in spans} == {root.trace_id}
    values = ("ada", "Lamp", "lamp", "A-1")
    assert not [each for each in values if f"{each}" in str([span.attributes for span in spans])]


def test_a_call_that_fails_is_an_error_of_its_span(
    shop: tuple[Collector, dict[str, str]],
) -> None:
    collector, services = shop
    trace_id = f"{77:032x}"
    line = {"product_id": 999, "quantity": 1, "unit_price": "1"}
    body = {"code": "A-2", "buyer_id": 1, "placed_at": "2026-11-29T12:00:00Z", "lines": [line]}
    parent = f"00-{trace_id}-b7ad6b7169203331-01"
    answer = post(f"{services['order']}/orders", body, traceparent=parent)
    assert answer.status_code == 422, answer.text

    (call,) = collector.wait_for(
        1, trace_id=trace_id, kind="CLIENT", name="GET /api/v1/products/{record_id}"
    )
    (root,) = collector.wait_for(1, trace_id=trace_id, kind="SERVER", service="order-service")

    assert call.is_error
    assert call.attributes["error.type"] == "404"
    assert call.attributes["quart_fleet.call.outcome"] == "refused"
    assert (root.is_error, root.parent) == (False, "b7ad6b7169203331")
