"""The report as the page carries it: every value of report.json, ready for a JSON parser that knows no NaN."""

from __future__ import annotations

import math
from typing import Any

from assay_api.report import Report


def embedded(report: Report) -> dict[str, Any]:
    """The report's JSON values, non-finite numbers as the strings "NaN", "Infinity" and "-Infinity"."""
    values: dict[str, Any] = json_values(report.model_dump(mode="python", by_alias=True, exclude_none=True))
    return values


def json_values(value: Any) -> Any:
    """Any value as JSON has it: non-finite numbers as strings, what JSON does not know as text."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
