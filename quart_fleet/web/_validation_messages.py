"""The messages of validation errors: for each kind of pydantic's, one of our own."""

from collections.abc import Sequence
from string import Formatter
from typing import Any

from pydantic_core import ErrorDetails

from quart_fleet.dto import PART_TAGS
from quart_fleet.errors import InvalidRequestError, ValidationFailedError

_KINDS = {
    "Must be a string": "string_type string_sub_type",
    "Must be valid Unicode text": "string_unicode",
    "Must be at most {max_length:character}": "string_too_long url_too_long",
    "Must be at least {min_length:character}": "string_too_short",
    "Must have the expected form": "string_pattern_mismatch",
    "Must contain only ASCII characters": "string_not_ascii",
    "Must be an integer": "int_type int_parsing int_parsing_size int_from_float",
    "Must be a number": "float_type float_parsing complex_type complex_str_parsing",
    "Must be a decimal number": "decimal_type decimal_parsing",
    "Must be a fraction": "fraction_type fraction_parsing",
    "Must be a finite number": "finite_number",
    "Must be true or false": "bool_type bool_parsing",
    "Must be null": "none_required",
    "Must be greater than {gt}": "greater_than",
    "Must be at least {ge}": "greater_than_equal",
    "Must be less than {lt}": "less_than",
    "Must be at most {le}": "less_than_equal",
    "Must be a multiple of {multiple_of}": "multiple_of",
    "Must have at most {max_digits:digit}": "decimal_max_digits",
    "Must have at most {decimal_places:decimal place}": "decimal_max_places",
    "Must have at most {whole_digits:digit} before the decimal point": "decimal_whole_digits",
    "Must be a date, like 2026-11-23":
        "date_type date_parsing date_from_datetime_parsing date_from_datetime_inexact",
    "Must be a time, like 09:24:02": "time_type time_parsing",
    "Must be a date and time, like 2026-11-23T09:24:02Z":
        "datetime_type datetime_parsing datetime_object_invalid datetime_from_date_parsing",
    "Must be a duration, like PT1H30M": "time_delta_type time_delta_parsing",
    "Must be in the past": "date_past datetime_past",
    "Must be in the future": "date_future datetime_future",
    "Must have a time zone": "timezone_aware",
    "Must not have a time zone": "timezone_naive",
    "Must have the time zone's offset {tz_expected}, in seconds": "timezone_offset",
    "Must be {expected}": "enum literal_error",
    "Must be a UUID": "uuid_type uuid_parsing",
    "Must be a UUID of version {expected_version}": "uuid_version",
    "Must be a URL": "url_type url_parsing url_syntax_violation",
    "Must be a URL that begins with {expected_schemes}": "url_scheme",
    "Must be valid {encoding}": "bytes_invalid_encoding",
    "Must be at least {min_length:byte}": "bytes_too_short",
    "Must be at most {max_length:byte}": "bytes_too_long",
    "Must be valid JSON": "json_invalid",
    "Must be a string of JSON": "json_type",
    "Must be an array":
        "list_type deque_type tuple_type set_type frozen_set_type iterable_type sequence_str",
    "Must have at least {min_length:item}": "too_short",
    "Must have at most {max_length:item}": "too_long",
    "Must be an object":
        "dict_type frozen_dict_type ordered_dict_type counter_type mapping_type model_type"
        " model_attributes_type dataclass_type dataclass_exact_type named_tuple_type",
    "Must be an array or an object": "arguments_type",
    "Must not be given": "extra_forbidden unexpected_keyword_argument",
    "Must be nested less deeply": "recursion_depth_exceeded recursion_loop",
    "Must have {expected_tags} as {discriminator}": "union_tag_invalid",
    "Must have {discriminator}": "union_tag_not_found",
    "Is required": "missing missing_argument missing_keyword_only_argument"
        " missing_positional_only_argument",
    "Must not contain NUL characters": "nul_character",
    "Must be an IPv4 address": "ip_v4_address",
    "Must be an IPv6 address": "ip_v6_address",
    "Must be an IP address": "ip_any_address",
    "Must be an IPv4 network": "ip_v4_network",
    "Must be an IPv6 network": "ip_v6_network",
    "Must be an IP network": "ip_any_network",
    "Must be an IPv4 address with its network": "ip_v4_interface",
    "Must be an IPv6 address with its network": "ip_v6_interface",
    "Must be an IP address with its network": "ip_any_interface",
    "Must be a number of bytes, like 64KiB": "byte_size byte_size_unit",
    "Must be valid Base64": "base64_decode",
    "Must be a regular expression":
        "pattern_type pattern_str_type pattern_bytes_type pattern_regex",
    "Must be a time zone, like Europe/Vienna": "zoneinfo_str",
    "Must be a colour": "color_error",
    "Must be a payment card's number":
        "payment_card_number_brand payment_card_number_digits payment_card_number_luhn",
    "Must be a path":
        "path_type path_exists path_not_directory path_not_file path_not_socket"
        " parent_does_not_exist",
    "Must have strings for keys": "invalid_key",
    "Must be bytes": "bytes_type",
    "Is not valid":
        "value_error assertion_error default_factory_not_called set_item_not_hashable"
        " predicate_failed not_operation_failed import_error iteration_error"
        " no_such_attribute get_attribute_error frozen_field frozen_instance needs_python_object"
        " is_instance_of is_subclass_of callable_type missing_sentinel_error ellipsis_error"
        " multiple_argument_values unexpected_positional_argument",
}  # fmt: skip
"""Our messages, and the kinds of pydantic's errors that are answered with them, so that an upgrade of
pydantic changes no answer. The values in braces come from the DTO's definition, never from what was
sent; `{max_length:item}` is a number of items, one or many.
"""

MESSAGES = {kind: message for message, kinds in _KINDS.items() for kind in kinds.split()}


class _Counting(Formatter):
    """Writes `{count:item}` as `1 item` or `2 items`."""

    def format_field(self, value: object, noun: str) -> str:
        if not noun:
            return str(value)
        return f"{value} {noun}" if value == 1 else f"{value} {noun}s"


_FORMATTER = _Counting()


def validation_error_of(
    details: Sequence[ErrorDetails],
) -> InvalidRequestError | ValidationFailedError:
    """Return what the contract answers: the first missing field (400), else all reasons (422)."""
    for detail in details:
        if detail["type"] == "missing":
            return InvalidRequestError(f"Field '{_field(detail)}' is required")
    return ValidationFailedError({_field(detail): reason_of(detail) for detail in details})


def _field(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"] if part not in PART_TAGS)


def reason_of(detail: ErrorDetails) -> str:
    """Return our message; of a kind that is not pydantic's, the message of the code that raised it."""
    kind = detail["type"]
    if isinstance(detail["input"], str) and kind in ("too_short", "too_long"):
        kind = f"string_{kind}"  # of a text with a validator of its own, as quart_fleet.dto.Text
    context: dict[str, Any] = detail.get("ctx", {})
    try:
        return _FORMATTER.vformat(MESSAGES[kind], (), context)
    except KeyError:
        return detail["msg"]
