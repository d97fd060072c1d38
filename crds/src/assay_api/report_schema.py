"""JSON Schema of report.json, made from its types; what the reference page and the page's scripts go by.

Unlike the schema of an audit it is open: within a version of the format fields are added, and a reader ignores what it
does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from assay_api.descriptions import descriptions
from assay_api.details import DETAILS
from assay_api.model import Model, wire_name
from assay_api.report import Report
from assay_api.resources import AUDIT
from assay_api.schema import Schema, json_schema, types_in

_DROPPED = frozenset({"title", "default"})
_REF = "#/$defs/"


def report_schema(checks: Mapping[str, type[Model]]) -> Schema:
    """JSON Schema of a report, draft 2020-12.

    Args:
        checks: the runner's table of checks, whose parameters stand in `spec`.
    """
    models: list[type[Model]] = [Report, *dict.fromkeys(DETAILS.values())]
    _, document = models_json_schema([(model, "validation") for model in models], by_alias=True)
    definitions = document["$defs"]
    for model in {kind for each in models for kind in types_in(each)}:
        _describe(definitions[model.__name__], model)
    definitions["Report"]["properties"]["spec"] |= json_schema(AUDIT, checks)["properties"]["spec"]
    definitions["Report"]["properties"]["spec"].pop("anyOf")
    definitions["Finding"]["allOf"] = [_when(check, details) for check, details in DETAILS.items()]
    kept = {name: _plain(definitions[name]) for name in sorted(_used(definitions["Report"], definitions, {"Report"}))}
    report = kept.pop("Report")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "report.json of Assay",
        **report,
        "$defs": kept,
    }


def _describe(definition: Schema, model: type[Model]) -> None:
    for name, text in descriptions(model).items():
        definition["properties"][wire_name(model, name)]["description"] = " ".join(text.split())


def _when(check: str, details: type[Model]) -> Schema:
    """That details of a check are of its own type, where there are any."""
    return {
        "if": {"properties": {"check": {"const": check}, "details": {"minProperties": 1}}},
        "then": {"properties": {"details": {"$ref": f"{_REF}{details.__name__}"}}},
    }


def _used(schema: Any, definitions: Mapping[str, Any], found: set[str]) -> set[str]:
    for part in _parts(schema):
        name = str(part.get("$ref", "")).removeprefix(_REF)
        if name and name not in found:
            found.add(name)
            _used(definitions[name], definitions, found)
    return found


def _parts(schema: Any) -> Iterator[Schema]:
    """The schema and every object within it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _parts(item)


def _plain(schema: Any, *, named: bool = False) -> Any:
    """Without what a reader does not need: null, which is never written, titles, and that nothing may be added.

    Args:
        schema: the schema, or a part of it.
        named: whether its keys are names of fields, not words of the schema.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if named:
        return {name: _plain(value) for name, value in schema.items()}
    out: Schema = {}
    for key, value in schema.items():
        if key == "anyOf":
            kept = [_plain(each) for each in value if each.get("type") != "null"]
            out |= kept[0] if len(kept) == 1 else {"anyOf": kept}
        elif key == "description":
            out[key] = " ".join(value.split())
        elif key not in _DROPPED and (key != "additionalProperties" or value is not False):
            out[key] = _plain(value, named=key in ("properties", "$defs"))
    return out
