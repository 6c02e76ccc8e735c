"""The schemas that CloudNativePG itself installs, read strictly; they are not in this repository."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.deploy.documents import Document
from tests.requirement import require_module
from tests.workspace import FRAMEWORK

FOLDER = Path(os.environ.get("CLOUDNATIVE_PG_CRDS", FRAMEWORK.parent / "shared" / "cloudnative_pg"))
"""The operator's config/crd/bases, or a copy."""
KINDS = {"Cluster": "clusters", "Pooler": "poolers"}

_OPEN = ("additionalProperties", "x-kubernetes-preserve-unknown-fields")


class OperatorSchemas:
    """Validates the documents of the operator."""

    def __init__(self, folder: Path) -> None:
        require_module("jsonschema")
        validator = import_module("jsonschema").Draft202012Validator
        self._validators = {
            kind: validator(_read(folder / f"postgresql.cnpg.io_{plural}.yaml"))
            for kind, plural in KINDS.items()
        }

    def find_fault(self, document: Document) -> str | None:
        """Return what is wrong with a document, None for nothing."""
        errors = self._validators[document["kind"]].iter_errors(document)
        return next((error.message for error in errors), None)


def _read(path: Path) -> Any:
    require_module("yaml")
    yaml = import_module("yaml")  # which has no types of its own
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    definition = yaml.load(path.read_text(), Loader=loader)
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    return _strict(version["schema"]["openAPIV3Schema"])


def _strict(schema: Any) -> Any:
    """Refuse what a schema does not name, as `kubectl apply` does."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not any(key in schema for key in _OPEN):
        closed["additionalProperties"] = False
    return closed
