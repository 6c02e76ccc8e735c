"""The rows of the contract that every service answers alike, whatever it keeps."""

from scaffold.demo.answers import JSON_TYPE, Answer, empty, error, success
from scaffold.demo.examination import Examination
from scaffold.demo.requests import get, plain

NO_ENDPOINT = error(404, "Endpoint not found")

_HEALTHY = success({"status": "healthy"})
_READING = "GET, HEAD, OPTIONS"


def wrong_method(allowed: str) -> Answer:
    """Expect 405 and the methods that would be right, sorted."""
    return error(405, "Method not allowed", headers={"Allow": allowed})


def check_common_routes(examination: Examination) -> None:
    """Ask what needs no record: health, the root, unknown routes and wrong methods."""
    ask, name = examination.ask, examination.service.name
    ask("is healthy", get("/health"), _HEALTHY)
    ask("is ready: its database answers", get("/health/ready"), success({"status": "ready"}))
    ask("says its name", get("/"), success({"message": f"Welcome to {name}"}))
    ask("an unknown route", get("/nothing"), NO_ENDPOINT)
    ask("a trailing slash", get("/health/"), NO_ENDPOINT)
    ask("paths are case sensitive", get("/Health"), NO_ENDPOINT)
    ask("a wrong method", plain("DELETE", "/health"), wrong_method(_READING))
    ask("HEAD goes with GET", plain("HEAD", "/health"), empty(200, JSON_TYPE))
    ask("OPTIONS tells the methods", plain("OPTIONS", "/health"), empty(200, {"Allow": _READING}))
