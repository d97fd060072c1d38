"""Mistakes that are looked for only once all others are mended, told in the same round."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from assay_api.model import parse, problems
from assay_api.sweep import AccuracySweep, SweepSpec
from assay_runner.cli.heads import Resource

NO_NUMBER: Final = "not a finite number"


def hidden_problems(kind: type[Resource], value: Mapping[Any, Any], named: Collection[str]) -> list[str]:
    """What else is wrong with a document that has problems.

    Args:
        kind: what it is.
        value: the document.
        named: problems that are told already.
    """
    from assay_api.partial import broken_rules

    plain = _finite(value)
    found = dict.fromkeys((*_beside(kind, plain, named), *broken_rules(kind, plain), *_of_checks(plain)))
    found |= dict.fromkeys(_of_sweep(plain) if kind is AccuracySweep else ())
    return [told for told in found if told not in named]


def _beside(kind: type[Any], value: Any, named: Collection[str]) -> Iterator[str]:
    """What is wrong beside numbers that are not finite, which no JSON can carry, so that nothing else was looked at."""
    places = {told.partition(": ")[0] for told in named}
    try:
        parse(kind, value)
    except ValidationError as error:
        yield from (told for told in problems(error) if told.partition(": ")[0] not in places)


def _finite(value: Any) -> Any:
    """The same with text in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return NO_NUMBER if isinstance(value, float) and not math.isfinite(value) else value


def _of_checks(value: Mapping[str, Any]) -> Iterator[str]:
    from assay_runner.checks import check_problems

    place, spec = "spec", value.get("spec")
    if isinstance(spec, dict) and "template" in spec:
        place, spec = "spec.template", spec["template"]
    entries = spec.get("checks") if isinstance(spec, dict) else None
    for told in check_problems(entries) if isinstance(entries, list) else ():
        if NO_NUMBER not in told:
            yield told.replace("spec.checks", f"{place}.checks", 1)


def _of_sweep(value: Mapping[str, Any]) -> Iterator[str]:
    from assay_api.partial import partly
    from assay_api.sweep_rules import SWEEP_RULES

    for rule in SWEEP_RULES:
        try:
            yield from [f"spec.{told}" for told in rule(partly(SweepSpec, value.get("spec")))]
        except Exception:  # It reads what is not there or not right.
            continue
