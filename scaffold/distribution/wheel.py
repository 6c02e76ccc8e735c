"""The framework's wheel, equal byte for byte wherever the framework runs from.

Files are sorted and stored without compression (the output of zlib differs between its builds),
with one time and one mode. An installed wheel hands on its METADATA, a clone makes it.
"""

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scaffold.distribution.framework import SOURCE, Framework, find_carried

_LEFTOVERS = re.compile(r"__pycache__|.*\.py[co]|.*_cache|\.env|\.DS_Store|.*~|.*\.(orig|rej|swp)")
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that the zip format knows."""
_MODE = 0o100644 << 16
_UNIX = 3

_TAGS = "Wheel-Version: 1.0\nGenerator: scaffold\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel in memory."""

    name: str
    """Its file name."""
    content: bytes

    @property
    def digest(self) -> str:
        """Its SHA-256 as hexadecimal digits, as lock files have it."""
        return hashlib.sha256(self.content).hexdigest()


def build_wheel(framework: Framework) -> Wheel:
    """Build the wheel of the framework that runs here."""
    stem = f"{framework.name.replace('-', '_')}-{framework.version}"
    info = f"{stem}.dist-info"
    excluded = {SOURCE / path for path in framework.wheel["exclude"]}
    files = {
        file.relative_to(SOURCE).as_posix(): file.read_bytes()
        for package in framework.wheel["packages"]
        for file in _walk(SOURCE / package, excluded)
    }
    for source, target in framework.wheel["force-include"].items():
        files[target] = find_carried(source, target).read_bytes()
    license_file = f"{info}/licenses/LICENSE"
    files[license_file] = find_carried("LICENSE", license_file).read_bytes()
    files[f"{info}/WHEEL"] = _TAGS.encode()
    scripts = (f"{name} = {place}\n" for name, place in framework.project["scripts"].items())
    files[f"{info}/entry_points.txt"] = "".join(["[console_scripts]\n", *scripts]).encode()
    files[f"{info}/METADATA"] = _describe(framework, SOURCE / info / "METADATA")
    lines = []
    for path, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}")
    lines += [f"{info}/RECORD,,", ""]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in [
            *sorted(files.items()),
            (f"{info}/RECORD", "\n".join(lines).encode()),
        ]:
            entry = zipfile.ZipInfo(path, _TIME)
            entry.external_attr, entry.create_system = _MODE, _UNIX
            archive.writestr(entry, content)
    return Wheel(f"{stem}-py3-none-any.whl", buffer.getvalue())


def _walk(folder: Path, excluded: set[Path]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path in excluded or _LEFTOVERS.fullmatch(path.name):
            continue
        if path.is_dir():
            yield from _walk(path, excluded)
        else:
            yield path


def _describe(framework: Framework, installed: Path) -> bytes:
    """Return METADATA: an installed wheel's own, else a clone's, whose README is the description."""
    if installed.is_file():
        return installed.read_bytes()
    project = framework.project
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {framework.name}",
        f"Version: {framework.version}",
        f"Summary: {project['description']}",
        *(f"Author: {author['name']}" for author in project["authors"]),
        f"License-Expression: {project['license']}",
        *(f"License-File: {name}" for name in project["license-files"]),
        f"Keywords: {','.join(project['keywords'])}",
        *(f"Classifier: {each}" for each in project["classifiers"]),
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {line}" for line in project["dependencies"]),
    ]
    for extra, requirements in project["optional-dependencies"].items():
        lines += [f"Provides-Extra: {extra}"]
        lines += [f"Requires-Dist: {_in_extra(line, extra)}" for line in requirements]
    lines += ["Description-Content-Type: text/markdown", ""]
    return "\n".join([*lines, (SOURCE / project["readme"]).read_text("utf-8")]).encode()


def _in_extra(requirement: str, extra: str) -> str:
    needed, _, marker = map(str.strip, requirement.partition(";"))
    condition = f'extra == "{extra}"'
    return f"{needed}; ({marker}) and {condition}" if marker else f"{needed}; {condition}"
