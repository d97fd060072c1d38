"""The field that an unknown one may be meant for, told in the sentence that refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from assay_api.model import Model
from assay_runner.errors import did_you_mean

_UNKNOWN: Final = ": unknown field"
_MOST: Final = 64
"""Unknown fields that are held against known ones; who has more has not misspelt one."""


def suggested(kind: type[Model], value: Mapping[Any, Any], problems: Iterable[str]) -> Iterator[str]:
    """The problems of a document, those of unknown fields with the known one that comes close.

    Args:
        kind: what the document is.
        value: the document.
        problems: sentences, each led by the path of a field.
    """
    known: dict[str, list[str]] | None = None
    looked = 0
    for problem in problems:
        path, refused, _ = problem.partition(_UNKNOWN)
        if refused and known is None:
            known = dict(_unknown(kind, value))
        field = path.rpartition(".")[2]
        looked += bool(refused)
        fields = (known or {}).get(path, ()) if refused and looked <= _MOST else ()
        meant = did_you_mean(field, fields)
        yield f"{path}{refused}{meant}" if meant else problem


def _unknown(kind: type[Model], value: Mapping[Any, Any]) -> Iterator[tuple[str, list[str]]]:
    """Paths of unknown fields, each with the fields that are known where it stands."""
    from assay_api.partial import objects

    for place, cls, given in objects(kind, value):
        yield from _strangers(place, cls, given)
        checks = given.get("checks")
        for index, entry in enumerate(checks) if isinstance(checks, list) else ():
            yield from _of_check(f"{place}.checks[{index}]", entry)


def _of_check(place: str, entry: Any) -> Iterator[tuple[str, list[str]]]:
    from assay_api.partial import objects
    from assay_runner.checks import CHECKS

    for name, parameters in entry.items() if isinstance(entry, dict) else ():
        if name in CHECKS and isinstance(parameters, dict):
            for inner, cls, given in objects(CHECKS[name], parameters):
                yield from _strangers(f"{place}.{name}{f'.{inner}' if inner else ''}", cls, given)


def _strangers(place: str, cls: type[Model], given: Mapping[Any, Any]) -> Iterator[tuple[str, list[str]]]:
    fields = [field.alias or name for name, field in cls.model_fields.items()]
    absent = [field for field in fields if field not in given]
    for key in given:
        if key not in fields:
            yield f"{place}.{key}" if place else str(key), absent
