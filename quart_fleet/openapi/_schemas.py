"""JSON schemas of DTOs and parameters, in the forms in which the chassis reads and writes values."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from quart_fleet.dto import PartDTO, PatchDTO, RequestDTO

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]

_DURATION = r"^-?P(?=\d|T)(\d{1,9}D)?(T(?=\d)(\d{1,12}H)?(\d{1,12}M)?(\d{1,12}(\.\d{1,6})?S)?)?$"
REFERENCE = "#/components/schemas/"


class Schemas:
    """The schemas of one document, which have their models in its components.

    Models are told apart by their names, and a model that is both read and written has two forms.
    """

    def __init__(self) -> None:
        self._wanted: dict[tuple[str, Mode], TypeAdapter[Any]] = {}

    def want(self, kind: Any, mode: Mode) -> None:
        """Ask for a type's schema, which `make` returns."""
        self._wanted.setdefault((repr(kind), mode), TypeAdapter(kind))

    def make(self) -> tuple[Mapping[tuple[str, Mode], Schema], dict[str, Schema]]:
        """Return the schemas that were asked for, by the types' `repr` and modes, and the components'."""
        inputs = [(key, mode, one.core_schema) for (key, mode), one in self._wanted.items()]
        generator = _Generator(by_alias=True, ref_template=f"{REFERENCE}{{model}}")
        found, definitions = generator.generate_definitions(inputs)
        return (
            {(key, "validation" if mode == "validation" else "serialization"): value
             for (key, mode), value in found.items()},
            dict(sorted(definitions.items())),
        )  # fmt: skip


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, where the chassis reads or writes otherwise."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's
        """Leave the titles out, which repeat the names."""
        return False

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        """In answers, an HTTP date."""
        if self.mode == "serialization":
            return {"type": "string", "format": "http-date"}
        return {"type": "string", "format": "date-time"}

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        """RFC 3339's partial-time, without an offset."""
        return {
            "type": "string",
            "format": "time-local",
            "pattern": r"^\d\d:\d\d:\d\d(\.\d{1,6})?$",
        }

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        """ISO 8601's, in days, hours, minutes and seconds."""
        if self.mode == "serialization":
            return {"type": "string", "format": "duration"}
        return {"type": "string", "format": "duration", "pattern": _DURATION}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """In answers a string; in requests a number too."""
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        whole = rf"\d{{1,{digits - (places or 0)}}}" if digits else r"\d+"
        if digits is not None and digits == places:
            whole = "0"
        fraction = "" if places == 0 else rf"(\.\d{{1,{places}}})?" if places else r"(\.\d+)?"
        text: Schema = {"type": "string", "format": "decimal", "pattern": f"^-?{whole}{fraction}$"}
        if self.mode == "serialization":
            return text
        number: Schema = {"type": "number"}
        bounds = {
            "ge": "minimum",
            "le": "maximum",
            "gt": "exclusiveMinimum",
            "lt": "exclusiveMaximum",
        }
        number |= {bounds[key]: float(schema[key]) for key in bounds if key in schema}  # type: ignore[literal-required]
        return {"anyOf": [text, number]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave null out, by which DTOs know what was left out."""
        found = super().default_schema(schema)
        if found.get("default", "") is None:
            del found["default"]
        return found

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Of a Part, which is told by whether it has an id: a known one may have all fields too."""
        found = super().tagged_union_schema(schema)
        if "oneOf" in found and "discriminator" not in found:
            found["anyOf"] = found.pop("oneOf")
        return found

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Leave out the fields of a PatchDTO that cannot be changed; a body is not empty otherwise."""
        found = super().model_schema(schema)
        kind = schema["cls"]
        if issubclass(kind, RequestDTO) and not issubclass(kind, PatchDTO | PartDTO):
            found["minProperties"] = 1
        properties = found.get("properties", {})
        for name in [name for name, each in properties.items() if each.pop("x-fixed", False)]:
            del properties[name]
        return found
