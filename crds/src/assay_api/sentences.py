"""What is wrong with a document, in sentences: pydantic's findings put into the words of whoever wrote the file.

A regular expression tells a machine what is allowed and a person nothing, so every pattern of a field has its sentence
in `fields.PATTERNS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from assay_api.fields import PATTERNS, unlike

Place = tuple[int | str, ...]
"""Fields and indices on the way to a value."""


def problems(error: ValidationError) -> list[str]:
    """One sentence per problem, each led by the path of the field it is about."""
    found = error.errors(include_url=False)
    return [f"{path_of(e['loc'])}: {_sentence(e)}" for e in found if not _consequence(e, found)]


def refuse_non_finite(title: str, data: Any) -> None:
    """Refuse what YAML can say and JSON cannot: `.inf` and `.nan`, which as a limit could never fail.

    Raises:
        pydantic.ValidationError: one problem per number that is not finite.
    """
    found = [
        InitErrorDetails(type=PydanticCustomError("not_finite", "must be a finite number"), loc=place, input=value)
        for place, value in _non_finite(data, ())
    ]
    if found:
        raise ValidationError.from_exception_data(title, found)


def _non_finite(data: Any, place: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], float]]:
    if isinstance(data, float) and not math.isfinite(data):
        yield place, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _non_finite(value, (*place, str(key)))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _non_finite(value, (*place, index))


def _consequence(error: Any, found: list[Any]) -> bool:
    """Whether a list is called too short only because its items have problems of their own."""
    place = error["loc"]
    return error["type"] == "too_short" and any(e["loc"][: len(place)] == place != e["loc"] for e in found)


def path_of(location: Place) -> str:
    """Where something stands, as people write it: spec.candidates[0].name."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or "document"


def _sentence(error: Any) -> str:
    given = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            return "unknown field; see `kubectl explain accuracyaudit.spec` or `assay schema` for the fields there are"
        case "missing":
            return "required, but missing"
        case "too_short":
            return f"needs at least {error['ctx']['min_length']}, has {error['ctx']['actual_length']}"
        case "too_long":
            return f"takes at most {error['ctx']['max_length']}, has {error['ctx']['actual_length']}"
        case "string_type" if isinstance(given, bool | int | float):
            return f'must be a string, and YAML reads {_plain(given)} otherwise: write it in quotes, "{_plain(given)}"'
        case "string_type":
            return f"must be a string, not {_kind(given)}"
        case "int_type" | "float_type" | "bool_type" as expected if isinstance(given, bool | int | float):
            return f"must be {_EXPECTED[expected]} (got {_plain(given)})"
        case "int_type" | "float_type" | "bool_type" as expected:
            got = f" (got {given!r})" if isinstance(given, str) else ""
            quotes = ": write it without quotes" if _reads_as(expected, given) else ""
            return f"must be {_EXPECTED[expected]}, not {_kind(given)}{got}{quotes}"
        case "list_type" | "tuple_type" | "dict_type" | "model_type" as expected:
            return f"must be {_EXPECTED[expected]}, not {_kind(given)}"
        case "string_pattern_mismatch" if error["ctx"]["pattern"] in PATTERNS:
            # Not what was given: where a pattern does not hold, it may be a URL with a password in it.
            return unlike(error["ctx"]["pattern"], str(given))
        case _:
            message = str(error["msg"])
            shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
            # Our own sentences begin as they are to begin, one with a product's name among them.
            ours = message.removeprefix("Value error, ")
            return f"{ours if ours != message else message[0].lower() + message[1:]}{shown}"


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
"""What a value is to be, by the finding that it is not."""


def _kind(value: Any) -> str:
    """What stands there instead, as YAML has it."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _reads_as(expected: str, given: Any) -> bool:
    """Whether text would be what is wanted without its quotes."""
    if not isinstance(given, str):
        return False
    if expected == "bool_type":
        return given in ("true", "false")
    try:
        number = float(given)
    except ValueError:
        return False
    return expected == "float_type" or number.is_integer()


def _plain(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
