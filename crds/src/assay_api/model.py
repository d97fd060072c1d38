"""One base for every type a user or a pod writes, so that Python refuses what the API server refuses.

A rule of the resource exists twice: as CEL, which the API server runs at admission, and as Python, which
`assay validate`, `assay run` and the operator run. Both halves stand in one `Rule` beside the fields they judge; the
CRD generator takes the first, the validator below the second, and a fuzz test against a real API server proves that
they agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

M = TypeVar("M", bound="Model")

LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"


@dataclass(frozen=True)
class Rule:
    """A rule over one object: `cel` for the API server, `holds` for Python, `message` for the person.

    Attributes:
        cel: expression over `self`; true where the object is allowed.
        holds: the same judgement over the parsed object.
        message: one sentence that names the fields and the way out.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str


class Model(BaseModel):
    """Immutable, camelCase on the wire, strict about types, unknown fields and its own `RULES`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and LIST_TYPE in extra:
                _refuse_duplicates(field.alias or name, getattr(self, name), extra.get(LIST_MAP_KEYS))
        for rule in type(self).RULES:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self

    def has(self, field: str) -> bool:
        """CEL's `has(self.field)`: whether the object gave the field."""
        return field in self.model_fields_set


def _refuse_duplicates(field: str, items: Any, keys: Any) -> None:
    """Lists of type `map` hold every key once, lists of type `set` every value."""
    seen: set[Any] = set()
    for item in items or ():
        identity = tuple(getattr(item, k) for k in keys) if keys else item
        if identity in seen:
            named = ", ".join(f"{k} {v!r}" for k, v in zip(keys, identity, strict=True)) if keys else repr(item)
            raise ValueError(f"duplicate {named} in {field}: each may stand there once")
        seen.add(identity)


def to_wire(model: Model) -> dict[str, Any]:
    """The object as JSON values, without the fields that equal their default.

    Dropping defaults keeps digests stable when a later version adds a field.
    """
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)


def parse(cls: type[M], data: Any) -> M:
    """An object from JSON or YAML values, as strictly as the API server takes it.

    Raises:
        pydantic.ValidationError: the data break the schema or a rule; `problems` puts it into sentences.
    """
    return cls.model_validate_json(json.dumps(_without_nulls(data), default=str))


def _without_nulls(data: Any) -> Any:
    """A field that is null is a field that is absent, as the API server has it; nulls in lists stay and are refused."""
    if isinstance(data, dict):
        return {str(key): _without_nulls(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [_without_nulls(item) for item in data]
    return data


def problems(error: ValidationError) -> list[str]:
    """One sentence per problem, each led by the path of the field it is about."""
    found = error.errors(include_url=False)
    return [f"{_path(e['loc'])}: {_sentence(e)}" for e in found if not _consequence(e, found)]


def _consequence(error: Any, found: list[Any]) -> bool:
    """Whether a list is called too short only because its items have problems of their own."""
    place = error["loc"]
    return error["type"] == "too_short" and any(e["loc"][: len(place)] == place != e["loc"] for e in found)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or "document"


def _sentence(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown field; see `kubectl explain accuracyaudit.spec` or `assay schema` for the fields there are"
        case "missing":
            return "required, but missing"
        case "too_short":
            return f"needs at least {error['ctx']['min_length']}, has {error['ctx']['actual_length']}"
        case "too_long":
            return f"takes at most {error['ctx']['max_length']}, has {error['ctx']['actual_length']}"
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            given = error.get("input")
            shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
            return f"{message[0].lower()}{message[1:]}{shown}"
