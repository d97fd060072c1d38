"""One base for every type a user or a pod writes, so that Python refuses what the API server refuses.

A rule of the resource exists twice: as CEL, which the API server runs at admission, and as Python, which
`assay validate`, `assay run` and the operator run. Both halves stand in one `Rule` beside the fields they judge; the
CRD generator takes the first, the validator below the second, and a fuzz test against a real API server proves that
they agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from typing_extensions import Self

from assay_api.sentences import problems, refuse_non_finite

__all__ = ["LIST_MAP_KEYS", "LIST_TYPE", "M", "Model", "Rule", "parse", "problems", "to_wire", "wire_name"]

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
        # A run needs few of the types of a report, and to build them all takes longer than to read its audit.
        defer_build=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        cls = type(self)
        unheld = (rule.message for rule in cls.RULES if not rule.holds(self))
        for message in chain(duplicates(cls, self), unheld, cls.further_problems(self)):
            raise ValueError(message)
        return self

    @classmethod
    def further_problems(cls, whole: Any) -> Iterator[str]:
        """What is wrong with an object of this type that no rule tells; `whole` has its fields."""
        yield from ()

    def has(self, field: str) -> bool:
        """CEL's `has(self.field)`: whether the object gave the field."""
        return field in self.model_fields_set


@cache
def _lists_without_duplicates(model: type[Model]) -> tuple[tuple[str, str, Any], ...]:
    """Name, name on the wire and keys of every such field; asked once per type, for a report holds 100,000 objects."""
    found = []
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and LIST_TYPE in extra:
            found.append((name, field.alias or name, extra.get(LIST_MAP_KEYS)))
    return tuple(found)


def duplicates(cls: type[Model], whole: Any) -> Iterator[str]:
    """What stands twice in lists of type `map`, which hold every key once, and of type `set`, every value."""
    for name, alias, keys in _lists_without_duplicates(cls):
        seen: set[Any] = set()
        for item in getattr(whole, name) or ():
            identity = tuple(getattr(item, k) for k in keys) if keys else item
            try:
                twice = identity in seen
            except TypeError:
                continue  # A list or a mapping where a value belongs: its type is wrong, and told so.
            if twice:
                named = ", ".join(f"{k} {v!r}" for k, v in zip(keys, identity, strict=True)) if keys else repr(item)
                yield f"duplicate {named} in {alias}: each may stand there once"
            seen.add(identity)


def to_wire(model: Model) -> dict[str, Any]:
    """The object as JSON values, without the fields that equal their default.

    Dropping defaults keeps digests stable when a later version adds a field.
    """
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)


def wire_name(model: type[BaseModel], field: str) -> str:
    """What a field of a type is called in JSON.

    Raises:
        KeyError: the type has no such field.
    """
    return model.model_fields[field].alias or field


def parse(cls: type[M], data: Any) -> M:
    """An object from JSON or YAML values, as strictly as the API server takes it.

    Raises:
        pydantic.ValidationError: the data break the schema or a rule, or hold a number that JSON cannot carry;
            `problems` puts it into sentences.
    """
    try:
        text = json.dumps(_without_nulls(data), default=str, allow_nan=False)
    except (ValueError, RecursionError):
        refuse_non_finite(cls.__name__, data)
        raise
    return cls.model_validate_json(text)


def _without_nulls(data: Any) -> Any:
    """A field that is null is a field that is absent, as the API server has it; nulls in lists stay and are refused."""
    if isinstance(data, dict):
        return {str(key): _without_nulls(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [_without_nulls(item) for item in data]
    return data
