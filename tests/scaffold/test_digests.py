"""`python -m scaffold digests`, asked of a registry that speaks the real protocol on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from scaffold.commands.registry import Image
from scaffold.errors import ScaffoldError
from tests.scaffold.commands import done, picture, refused, scaffold

OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "012")
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(slots=True)
class Registry:
    """A registry that gives tokens to all, and remembers what it was asked."""

    address: str
    digests: dict[str, str] = field(default_factory=dict)
    """By repository and tag."""
    asked: list[str] = field(default_factory=list)
    is_private: bool = False

    def pinned(self, image: str, digest: str) -> str:
        """Return the reference of one of its images."""
        return f"{self.address}/{image}@{digest}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry on this machine, which is asked without TLS, as Docker does."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            assert self.path.startswith("/token?")
            assert query["service"] == ["registry.test"]
            body = json.dumps({"token": f"for {query['scope'][0]}"}).encode()
            self.send_response(403 if made.is_private else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            _, _, rest = self.path.partition("/v2/")
            repository, _, tag = rest.partition("/manifests/")
            scope = f"repository:{repository}:pull"
            if self.headers["Authorization"] != f"Bearer for {scope}":
                self.send_response(401)
                realm = f'realm="http://{made.address}/token"'
                challenge = f'Bearer {realm},service="registry.test",scope="{scope}"'
                self.send_header("WWW-Authenticate", challenge)
            elif f"{repository}:{tag}" not in made.digests:
                self.send_response(404)
            else:
                assert self.headers["Accept"].startswith(INDEX)
                made.asked.append(f"{repository}:{tag}")
                self.send_response(200)
                self.send_header("Content-Type", INDEX)
                self.send_header("Docker-Content-Digest", made.digests[f"{repository}:{tag}"])
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Registry(f"127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def pinned(workspace: Path, registry: Registry) -> Path:
    """A workspace whose images are all of the registry, two of them with newer digests."""
    registry.digests = {"library/python:3.13": NEW, "postgres:18": NEW, "proxy:1": OTHER}
    base, postgres = (
        registry.pinned("library/python:3.13", OLD),
        registry.pinned("postgres:18", OLD),
    )
    compose = workspace / "db_manager/compose.yaml"
    (workspace / "db_manager/Dockerfile").write_text(f"FROM {base} AS base\nFROM base\n")
    compose.write_text(
        f"services:\n  a:\n    image: &a {postgres}\n  b:\n    image: {registry.address}/postgres:17\n"
    )
    proxy = workspace / "deploy/k8s/base/proxy.yaml"
    proxy.parent.mkdir(parents=True)
    proxy.write_text(f"image: {registry.pinned('proxy:1', OTHER)}\n")
    done(scaffold(workspace, "user-service", "8081"))
    return workspace


def test_each_digest_is_renewed_wherever_it_is(pinned: Path, registry: Registry) -> None:
    before = picture(pinned)

    printed = done(scaffold(pinned, "digests"))

    after = picture(pinned)
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {
        *("db_manager/Dockerfile", "db_manager/compose.yaml"),
        "services/user_service/Dockerfile",
    }
    for path in changed:
        assert OLD not in (pinned / path).read_text()
        assert NEW in (pinned / path).read_text()
        assert f"change     {path}\n" in printed
    assert f"{registry.address}/proxy:1  {OTHER}\n" in printed
    assert "postgres:17\n" in (pinned / "db_manager/compose.yaml").read_text()
    assert sorted(registry.asked) == ["library/python:3.13", "postgres:18", "proxy:1"]


def test_the_check_writes_nothing_and_fails_until_all_are_the_newest(pinned: Path) -> None:
    before = picture(pinned)

    outdated = scaffold(pinned, "digests", "--check")
    assert picture(pinned) == before
    done(scaffold(pinned, "digests"))
    newest = scaffold(pinned, "digests", "--check")

    assert (outdated.returncode, newest.returncode) == (1, 0)
    assert "Not every digest is the newest: python -m scaffold digests" in outdated.stderr


def test_a_tag_that_is_gone_changes_nothing(pinned: Path, registry: Registry) -> None:
    del registry.digests["proxy:1"]
    before = picture(pinned)

    message = refused(scaffold(pinned, "digests"))

    assert f"offers no public {registry.address}/proxy:1: 404" in message
    assert picture(pinned) == before


def test_a_private_registry_is_told_with_the_remedy(pinned: Path, registry: Registry) -> None:
    registry.is_private = True

    message = refused(scaffold(pinned, "digests"))

    assert f"docker buildx imagetools inspect {registry.address}/library/python:3.13" in message


def test_a_registry_that_does_not_answer_is_told(workspace: Path) -> None:
    (workspace / "db_manager/Dockerfile").write_text(f"FROM localhost:1/a:1@{OLD}\n")

    message = refused(scaffold(workspace, "digests"))

    assert "http://localhost:1 cannot be asked: " in message


def test_an_answer_without_a_digest_is_refused(registry: Registry) -> None:
    registry.digests["a:1"] = "sha256:short"

    with pytest.raises(ScaffoldError, match="names no digest of"):
        Image.parse(f"{registry.address}/a:1").get_digest()


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("python:3.13", ("https://registry-1.docker.io", "library/python", "3.13")),
        ("docker.io/grafana/k6:1", ("https://registry-1.docker.io", "grafana/k6", "1")),
        ("docker.io/python:3", ("https://registry-1.docker.io", "library/python", "3")),
        ("ghcr.io/a/b/c:1.2", ("https://ghcr.io", "a/b/c", "1.2")),
        ("10.0.0.1:5000/2024:1e3", ("https://10.0.0.1:5000", "2024", "1e3")),
        ("localhost/a:1", ("http://localhost", "a", "1")),
        ("127.0.0.1:5000/a:1", ("http://127.0.0.1:5000", "a", "1")),
    ],
)
def test_a_name_leads_to_its_registry(reference: str, place: tuple[str, str, str]) -> None:
    image = Image.parse(reference)

    assert (image.registry, image.repository, image.tag) == place
