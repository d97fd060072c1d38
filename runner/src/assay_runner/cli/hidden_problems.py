"""Mistakes that are looked for only once all others are mended, told in the same round."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def hidden_problems(value: Mapping[Any, Any], named: Collection[str]) -> list[str]:
    """What is wrong with the checks of a document that has other problems.

    Args:
        value: the document, of an audit or a sweep.
        named: problems that are told already.
    """
    from assay_runner.checks import check_problems

    place, spec = "spec", value.get("spec")
    if isinstance(spec, Mapping) and "template" in spec:
        place, spec = "spec.template", spec["template"]
    entries = spec.get("checks") if isinstance(spec, Mapping) else None
    found = check_problems(entries) if isinstance(entries, list) else []
    return [told for each in found if (told := each.replace("spec.checks", f"{place}.checks", 1)) not in named]
