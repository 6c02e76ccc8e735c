"""Dashboards for Grafana: one of the whole fleet, one of a service, as its provisioning reads them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SCHEMA = 41
"""Of Grafana 12; later ones bring it to theirs."""
_WIDTH, _HEIGHT = 8, 8
"""Of a panel, in Grafana's units: three fill the 24 of a row."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OF = 'namespace=~"$namespace", job=~"$service"'
_ONE = f'{_OF}, instance=~"$instance"'
_RATE = "[$__rate_interval]"
_WELL = "answered|refused|cancelled"
"""Outcomes of calls that are no failure of the service that was called."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel draws: a line for each series, named by its labels."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time."""

    title: str
    unit: str
    """As Grafana names it."""
    queries: Sequence[Query]
    description: str = ""

    def describe(self, number: int) -> dict[str, Any]:
        """Return it as Grafana has it, at the place of its number."""
        row, column = divmod(number, 3)
        return {
            "id": number + 1,
            "type": "timeseries",
            "title": self.title,
            "description": self.description,
            "datasource": _SOURCE,
            "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": row * _HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": _SOURCE,
                    "editorMode": "code",
                    "expr": query.expression,
                    "legendFormat": query.legend,
                    "range": True,
                }
                for index, query in enumerate(self.queries)
            ],
        }


@dataclass(frozen=True, slots=True)
class Variable:
    """What is chosen above the panels: values of a label of Prometheus."""

    name: str
    label: str
    values: str
    is_one: bool = False
    """Whether one value is chosen, and not several or all."""

    def describe(self) -> dict[str, Any]:
        """Return it as Grafana has it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": self.values, "refId": self.name},
            "refresh": 2,
            "sort": 1,
            "multi": not self.is_one,
            "includeAll": not self.is_one,
            # Also what has no such label: outside of a cluster there is no namespace.
            **({} if self.is_one else {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}),
        }  # fmt: skip


def _quantile(share: float, metric: str, by: str, labels: str = _OF) -> str:
    return (
        f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}{_RATE})))"
    )


def _rate(metric: str, by: str, labels: str = _OF) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}{_RATE}))"


def _share(part: str, whole: str) -> str:
    """Return the share of one rate in another, 0 where there is no part."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


_NAMESPACE = Variable("namespace", "Namespace", "label_values(service_build_info, namespace)")
_SERVICES = 'label_values(service_build_info{namespace=~"$namespace"}, job)'
_INSTANCES = f"label_values(service_build_info{{{_OF}}}, instance)"

_FLEET = (
    Panel("Instances", "short", (Query(f"sum by (job) (up{{{_OF}}})", "{{job}}"),)),
    Panel("Requests", "reqps", (Query(_rate("http_requests_total", "job"), "{{job}}"),)),
    Panel(
        "Errors",
        "percentunit",
        (
            Query(
                _share(
                    _rate("http_requests_total", "job", f'{_OF}, status="5xx"'),
                    _rate("http_requests_total", "job"),
                ),
                "{{job}}",
            ),
        ),
        "Answers with a 5xx.",
    ),
    Panel(
        "Duration, half of all requests",
        "s",
        (Query(_quantile(0.5, "http_request_duration_seconds", "job"), "{{job}}"),),
    ),
    Panel(
        "Duration, 99 of 100 requests",
        "s",
        (Query(_quantile(0.99, "http_request_duration_seconds", "job"), "{{job}}"),),
    ),
    Panel(
        "Error budget",
        "none",
        (
            Query(
                f"job:http_errors:rate1h{{{_OF}}} / job:http_requests:rate1h"
                " / on () group_left objective:http_errors:ratio",
                "{{job}} errors",
            ),
            Query(
                f"job:http_slow:rate1h{{{_OF}}} / job:http_requests:rate1h"
                " / on () group_left objective:http_slow:ratio",
                "{{job}} slow",
            ),
        ),
        "How many times as fast as it may the budget of 30 days was spent in the last hour.",
    ),
    Panel(
        "Calls of other services",
        "reqps",
        (Query(_rate("service_calls_total", "job, service"), "{{job}} of {{service}}"),),
    ),
    Panel(
        "Calls that failed",
        "percentunit",
        (
            Query(
                _share(
                    _rate("service_calls_total", "job, service", f'{_OF}, outcome!~"{_WELL}"'),
                    _rate("service_calls_total", "job, service"),
                ),
                "{{job}} of {{service}}",
            ),
        ),
    ),
    Panel(
        "Open circuits",
        "none",
        (
            Query(
                f"max by (job, service) (service_circuit_open{{{_OF}}})", "{{job}} to {{service}}"
            ),
        ),
        "Instances that are not called, since they fail.",
    ),
    Panel(
        "Connections to the database that are lent",
        "percentunit",
        (
            Query(
                f'sum by (job) (db_pool_connections{{{_OF}, state="lent"}})'
                f" / sum by (job) (db_pool_limit{{{_OF}}})",
                "{{job}}",
            ),
        ),
    ),
    Panel(
        "Requests that wait for a connection",
        "none",
        (Query(f"sum by (job) (db_pool_waiting{{{_OF}}})", "{{job}}"),),
    ),
    Panel(
        "Event loop, lateness",
        "s",
        (Query(_quantile(0.99, "event_loop_lag_seconds", "job"), "{{job}}"),),
        "Of 99 in 100 of its turns.",
    ),
    Panel(
        "Memory",
        "bytes",
        (Query(f"sum by (job) (process_resident_memory_bytes{{{_OF}}})", "{{job}}"),),
    ),
    Panel(
        "Processor",
        "none",
        (Query(_rate("process_cpu_seconds_total", "job"), "{{job}}"),),
        "Cores.",
    ),
    Panel(
        "Refused by the server itself",
        "reqps",
        (Query(_rate("http_refused_total", "job, status"), "{{job}} {{status}}"),),
        "Before the application saw them: malformed, too large, too many.",
    ),
)

_SERVICE = (
    Panel(
        "Requests by route",
        "reqps",
        (Query(_rate("http_requests_total", "method, route", _ONE), "{{method}} {{route}}"),),
    ),
    Panel(
        "Answers by status",
        "reqps",
        (Query(_rate("http_requests_total", "status", _ONE), "{{status}}"),),
    ),
    Panel(
        "Errors by route",
        "reqps",
        (
            Query(
                _rate("http_requests_total", "method, route", f'{_ONE}, status="5xx"'),
                "{{method}} {{route}}",
            ),
        ),
        "Answers with a 5xx.",
    ),
    Panel(
        "Duration by route, half of all requests",
        "s",
        (
            Query(
                _quantile(0.5, "http_request_duration_seconds", "method, route", _ONE),
                "{{method}} {{route}}",
            ),
        ),
    ),
    Panel(
        "Duration by route, 99 of 100 requests",
        "s",
        (
            Query(
                _quantile(0.99, "http_request_duration_seconds", "method, route", _ONE),
                "{{method}} {{route}}",
            ),
        ),
    ),
    Panel(
        "Requests in progress",
        "none",
        (Query(f"sum by (instance) (http_requests_in_progress{{{_ONE}}})", "{{instance}}"),),
    ),
    Panel(
        "Bodies",
        "Bps",
        (
            Query(f"sum (rate(http_request_body_bytes_total{{{_ONE}}}{_RATE}))", "received"),
            Query(f"sum (rate(http_response_body_bytes_total{{{_ONE}}}{_RATE}))", "sent"),
        ),
    ),
    Panel(
        "Statements",
        "ops",
        (Query(_rate("db_statement_duration_seconds_count", "statement", _ONE), "{{statement}}"),),
    ),
    Panel(
        "Duration of statements, 99 of 100",
        "s",
        (
            Query(
                _quantile(0.99, "db_statement_duration_seconds", "statement", _ONE),
                "{{statement}}",
            ),
        ),
    ),
    Panel(
        "Time spent in statements",
        "none",
        (Query(_rate("db_statement_duration_seconds_sum", "statement", _ONE), "{{statement}}"),),
        "Seconds a second: how many connections they keep busy.",
    ),
    Panel(
        "Statements that failed",
        "ops",
        (Query(_rate("db_statement_errors_total", "sqlstate", _ONE), "{{sqlstate}}"),),
    ),
    Panel(
        "Pool",
        "none",
        (
            Query(f"sum by (state) (db_pool_connections{{{_ONE}}})", "{{state}}"),
            Query(f"sum (db_pool_limit{{{_ONE}}})", "limit"),
            Query(f"sum (db_pool_waiting{{{_ONE}}})", "requests that wait"),
        ),
        "Connections to the database.",
    ),
    Panel(
        "Calls by outcome",
        "reqps",
        (
            Query(
                _rate("service_calls_total", "service, operation, outcome", _ONE),
                "{{service}} {{operation}} {{outcome}}",
            ),
        ),
    ),
    Panel(
        "Duration of calls, 99 of 100",
        "s",
        (
            Query(
                _quantile(0.99, "service_call_duration_seconds", "service, operation", _ONE),
                "{{service}} {{operation}}",
            ),
        ),
    ),
    Panel(
        "Open circuits",
        "none",
        (Query(f"max by (service) (service_circuit_open{{{_ONE}}})", "{{service}}"),),
    ),
    Panel(
        "Event loop, lateness",
        "s",
        (
            Query(_quantile(0.5, "event_loop_lag_seconds", "instance", _ONE), "{{instance}} half"),
            Query(
                _quantile(0.99, "event_loop_lag_seconds", "instance", _ONE),
                "{{instance}} 99 of 100",
            ),
        ),
    ),
    Panel(
        "Garbage collections",
        "ops",
        (
            Query(
                _rate("python_gc_collections_total", "generation", _ONE),
                "generation {{generation}}",
            ),
        ),
    ),
    Panel(
        "Time spent in garbage collection",
        "percentunit",
        (Query(_rate("python_gc_duration_seconds_sum", "instance", _ONE), "{{instance}}"),),
    ),
    Panel(
        "Memory",
        "bytes",
        (Query(f"process_resident_memory_bytes{{{_ONE}}}", "{{instance}}"),),
    ),
    Panel(
        "Processor",
        "none",
        (Query(_rate("process_cpu_seconds_total", "instance", _ONE), "{{instance}}"),),
        "Cores.",
    ),
    Panel(
        "Instances by version",
        "none",
        (
            Query(
                f"count by (version, framework, python) (service_build_info{{{_ONE}}})",
                "{{version}}, quart-fleet {{framework}}, Python {{python}}",
            ),
        ),
    ),
)


def write_fleet(project: str) -> str:
    """Return the dashboard of all services at a glance."""
    services = Variable("service", "Service", _SERVICES)
    return _write(f"{project}-fleet", f"{project}: fleet", _FLEET, (_NAMESPACE, services))


def write_service(project: str) -> str:
    """Return the dashboard of one service."""
    chosen = (
        _NAMESPACE,
        Variable("service", "Service", _SERVICES, is_one=True),
        Variable("instance", "Instance", _INSTANCES),
    )
    return _write(f"{project}-service", f"{project}: service", _SERVICE, chosen)


def _write(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[Variable]) -> str:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    document = {
        "uid": uid[-40:],  # Grafana takes no longer one
        "title": title,
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "tags": ["quart-fleet"],
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *(each.describe() for each in variables)]},
        "panels": [panel.describe(number) for number, panel in enumerate(panels)],
    }
    return json.dumps(document, indent=2) + "\n"
