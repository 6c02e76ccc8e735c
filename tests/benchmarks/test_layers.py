"""The layer that a sample of the profiler belongs to."""

import pytest

from benchmarks.layers import find_layer

SERVER = "run_asgi (/venv/site-packages/uvicorn/protocols/http/httptools_impl.py:422)"
QUART = "Quart.asgi_app (/venv/site-packages/quart/app.py:1762)"
OURS = "get (/fleet/services/user_service/infrastructure/web/controllers.py:40)"
PYTHON = "Runner.run (/lib/python3.11/asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("frames", "layer"),
    [
        ([OURS, PYTHON, SERVER], "server"),
        ([OURS, SERVER, QUART], "Quart, Werkzeug"),
        ([SERVER, QUART, OURS], "ours"),
        ([SERVER, QUART, PYTHON], "Quart, Werkzeug"),
        ([PYTHON], None),
    ],
)
def test_the_innermost_layer_has_the_time_and_that_of_the_python_it_calls(
    frames: list[str], layer: str | None
) -> None:
    assert find_layer(frames) == layer
