"""Whether OpenTelemetry's own variables ask for traces, and where they are read from."""

import os
from asyncio import get_running_loop, sleep, to_thread
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from quart_fleet.conventions import SECRETS
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import read_text
from quart_fleet.logs import HOSTED

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication

_PREFIX = "OTEL_"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_ASKING = ("OTEL_TRACES_EXPORTER", *_ENDPOINTS)
FLUSH_TIMEOUT = 1.5
"""Seconds that the end of a process waits for the last spans to be sent."""


def trace_where_asked(app: "ServiceApplication") -> None:
    """Have the application make spans from its start on, where the variables ask for it."""
    variables = read_variables(Path(app.root_path))
    is_disabled = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    # OpenTelemetry's specification has otlp for the default. Here nothing is sent that no user has
    # asked for; a user who names a collector has asked.
    default = "otlp" if any(name in variables for name in _ENDPOINTS) else "none"
    named = variables.get("OTEL_TRACES_EXPORTER", default).split(",")
    exporters = list(dict.fromkeys(name.strip().lower() for name in named if name.strip()))
    if is_disabled or not exporters or "none" in exporters:
        return
    hosted = HOSTED.get()
    if hosted is None:
        os.environ.update(variables)  # which alone OpenTelemetry reads

    async def begin() -> None:
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            # Nothing of it is imported where no traces are asked for.
            from quart_fleet.telemetry._traces import Exports, Traces  # noqa: PLC0415
        except ImportError:
            asking = next(name for name in _ASKING if name in variables)
            raise ConfigurationError(
                f"Traces are asked for by {asking}, and need the extra quart-fleet[tracing]; "
                "OTEL_TRACES_EXPORTER=none leaves them out"
            ) from None
        except ValueError as error:  # of OTEL_PROPAGATORS
            raise ConfigurationError(f"OpenTelemetry cannot start: {error}") from None
        else:
            exports = Exports(exporters, app.config["SERVICE_NAME"], get_running_loop())
            app.observers.add(Traces(exports.provider))
        finally:
            if hosted is not None:  # of whose settings other services hear nothing
                for name in os.environ.keys() - before.keys():
                    del os.environ[name]

        @app.after_serving
        async def end() -> None:
            # A thread that ends with the process, whatever the collector does.
            flushing = Thread(target=exports.end, name="end of traces", daemon=True)
            flushing.start()
            await to_thread(flushing.join, FLUSH_TIMEOUT)
            await sleep(0)  # for what the thread has left to be logged
            exports.warnings.tell()

    app.before_serving_funcs.insert(0, begin)  # what the service does at its start is traced too


def read_variables(folder: Path) -> dict[str, str]:
    """Return those of OpenTelemetry that are set, as settings are: environment, .env, secrets."""
    found: dict[str, str | None] = {}
    secrets = Path(os.environ.get("SECRETS_DIR") or SECRETS)
    if secrets.is_dir():
        found.update((path.name, read_text(path).strip()) for path in secrets.glob(f"{_PREFIX}*"))
    dotenv = folder / ".env"
    if dotenv.is_file() and _PREFIX in read_text(dotenv):
        found.update(dotenv_values(dotenv, encoding="utf-8-sig"))
    found.update((name, value) for name, value in os.environ.items() if value)
    return {name: value for name, value in found.items() if value and name.startswith(_PREFIX)}
