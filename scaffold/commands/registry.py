"""A registry of container images, asked which digest a tag stands for now.

It speaks the HTTP API of the OCI's distribution specification, and hands out tokens as Docker's do.
"""

import json
import re
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from scaffold.errors import ScaffoldError

_TIMEOUT = 30.0
"""Seconds."""
_ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
"""The index of an image for several platforms, else what an image for one platform has."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its tag, and where its registry has it."""

    reference: str
    registry: str
    """Scheme, host and port."""
    repository: str
    tag: str

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Read `NAME:TAG` as Docker does: a first part without dot or port is of Docker Hub."""
        name, _, tag = reference.rpartition(":")
        host, _, rest = name.partition("/")
        if not re.search(r"[.:]|^localhost$", host) or not rest:
            host, rest = "docker.io", name
        if host == "docker.io":
            host, rest = "registry-1.docker.io", rest if "/" in rest else f"library/{rest}"
        is_local = host.partition(":")[0] in ("localhost", "127.0.0.1")
        return cls(reference, f"{'http' if is_local else 'https'}://{host}", rest, tag)

    def get_digest(self) -> str:
        """Return the digest of what the tag names now; raises ScaffoldError."""
        manifest = Request(  # noqa: S310 - http or https, as `parse` wrote it
            f"{self.registry}/v2/{self.repository}/manifests/{self.tag}",
            headers={"Accept": _ACCEPTED},
            method="HEAD",
        )
        try:
            headers = self._ask(manifest)
        except HTTPError as error:
            reason = f"{error.code} {error.reason}"
            private = error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
            advice = (
                "\nWhere one logs in, ask Docker and edit the files: "
                f"docker buildx imagetools inspect {self.reference}"
            )
            raise ScaffoldError(
                f"{self.registry} offers no public {self.reference}: {reason}."
                f"{advice if private else ''}"
            ) from error
        except (URLError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error))
            raise ScaffoldError(f"{self.registry} cannot be asked: {reason}.") from error
        digest = headers.get("Docker-Content-Digest", "")
        if not _DIGEST.fullmatch(digest):
            raise ScaffoldError(f"{self.registry} names no digest of {self.reference}.")
        return digest

    def _ask(self, manifest: Request) -> Message:
        """Return the headers of the answer, with a token where the registry wants one."""
        try:
            return _open(manifest)[0]
        except HTTPError as error:
            challenge = dict(_PARAMETER.findall(error.headers.get("WWW-Authenticate", "")))
            realm = challenge.pop("realm", "")
            scheme = self.registry.partition("//")[0]
            if error.code != HTTPStatus.UNAUTHORIZED or not realm.startswith(scheme):
                raise
        _, body = _open(Request(f"{realm}?{urlencode(challenge)}"))  # noqa: S310 - as the registry
        answer = json.loads(body)
        # Not to be sent on, to wherever the registry redirects.
        token = answer.get("token") or answer["access_token"]
        manifest.add_unredirected_header("Authorization", f"Bearer {token}")
        return _open(manifest)[0]


def _open(request: Request) -> tuple[Message, bytes]:
    with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - http or https, see above
        return response.headers, response.read()
