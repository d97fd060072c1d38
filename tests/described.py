"""Whether the schema of report.json describes a report: every field of it, and no field otherwise than it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from assay_api.report import CandidateReport, Finding, Report, to_json
from assay_api.report_schema import report_schema
from assay_runner.checks import CHECKS

SCHEMA = report_schema(CHECKS)
KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def check_described(report: Report) -> None:
    """Do nothing where the schema describes the report as it is stored.

    Raises:
        AssertionError: with everything that it does not.
    """
    assert list(undescribed(json.loads(to_json(report)))) == []


def check_measured(candidate: CandidateReport, findings: Iterable[Finding]) -> None:
    """The same of a candidate and its findings, which are not in a report yet.

    Raises:
        AssertionError: with everything that the schema does not describe.
    """
    for part, kind in ((candidate, "CandidateReport"), *((finding, "Finding") for finding in findings)):
        written = json.loads(part.model_dump_json(by_alias=True, exclude_none=True))
        assert list(undescribed(written, {"$ref": f"#/$defs/{kind}"}, kind)) == []


def undescribed(value: Any, schema: Any = SCHEMA, path: str = "report") -> Iterator[str]:
    """What of a JSON value the schema does not know, or knows otherwise; an open schema would let the first pass."""
    schema = _resolved(schema, value)
    kinds = schema.get("type", [])
    wanted = [KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if wanted and not any(isinstance(value, kind) for kind in wanted):
        yield f"{path} is {value!r}, not {kinds}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{path} is {value!r}, not {schema['pattern']}"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{path} is {value!r}, no word of the schema's"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from undescribed(item, schema["items"], f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from (f"{path} lacks {name}" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is None:
                yield f"{path}.{name} is not described"
            else:
                yield from undescribed(item, inner, f"{path}.{name}")


def _resolved(schema: Any, value: Any) -> dict[str, Any]:
    """The schema without references, with what holds for this value under its conditions."""
    while "$ref" in schema:
        schema = {
            **SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]],
            **{k: v for k, v in schema.items() if k != "$ref"},
        }
    properties = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        asked = part["if"]["properties"]
        if value["check"] == asked["check"]["const"] and len(value["details"]) >= asked["details"]["minProperties"]:
            properties |= part["then"]["properties"]
    return {**schema, "properties": properties}
