"""Reading documents: their validity, their examples, and their references."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tests.requirement import require_module

Document = dict[str, Any]


def ensure_valid(document: Document) -> int:
    """Fail where the document is none of OpenAPI 3.1, or an example is not as its schema says.

    Returns the number of examples.
    """
    require_module("openapi_spec_validator")
    import_module("openapi_spec_validator").OpenAPIV31SpecValidator(document).validate()
    count = 0
    for media in _media_of(document):
        for example in examples_of(media):
            assert not find_fault(example, media["schema"], document)
            count += 1
    return count


def find_fault(value: Any, schema: dict[str, Any], document: Document) -> str | None:
    """Return why a value is not as a schema of the document says; None where it is."""
    require_module("jsonschema")
    jsonschema = import_module("jsonschema")  # which has no types of its own
    whole = {"components": document["components"], **schema}
    checked = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
    return next((str(error) for error in checked.iter_errors(value)), None)


def examples_of(media: dict[str, Any]) -> list[Any]:
    """Return the examples of a media type."""
    named = [each["value"] for each in media.get("examples", {}).values()]
    return [*named, *([media["example"]] if "example" in media else [])]


def lacking_examples(document: Document) -> list[str]:
    """Return the summaries of schemas of media types without an example."""
    return [str(media["schema"]) for media in _media_of(document) if not examples_of(media)]


def operations_of(document: Document) -> dict[str, dict[str, Any]]:
    """Return the operations by their methods and paths: `GET /api/v1/users`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def resolved(document: Document, value: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference is to, or the value itself."""
    if "$ref" not in value:
        return value
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolved(document, found)


def _media_of(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "content":
                yield from (media for media in each.values() if "schema" in media)
            yield from _media_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from _media_of(each)
