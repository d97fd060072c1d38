"""pydantic types to a structural OpenAPI schema, the dialect that CustomResourceDefinitions speak.

Kubernetes knows no `$ref`, no `anyOf` with null, no `const`, no defaults that a later version could change, and spells
an exclusive bound as in draft 4. Everything else pydantic says is kept, and the `RULES` of a type become its
`x-kubernetes-validations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from assay_api import names
from assay_api.audit import once_rules
from assay_api.descriptions import descriptions
from assay_api.model import Model
from assay_api.resources import Column, CustomResource

Schema = dict[str, Any]

DROPPED = frozenset({"title", "default", "additionalProperties", "discriminator", "examples"})


def structural(model: type[Model]) -> Schema:
    """The structural schema of a type, references resolved, rules attached."""
    _, document = models_json_schema([(model, "validation")], by_alias=True)
    definitions = document["$defs"]
    types = {t.__name__: t for t in types_in(model)}
    for name, kind in types.items():
        _describe(definitions[name]["properties"], kind)
    resolved: Schema = _resolve({"$ref": f"#/$defs/{model.__name__}"}, definitions, types)
    return resolved


def _describe(properties: Schema, model: type[Model]) -> None:
    """Put the descriptions of a type's fields into its schema, where none stands yet."""
    for name, text in descriptions(model).items():
        field = model.model_fields[name].alias or name
        properties[field] = {"description": text, **properties[field]}


def checks_schema(checks: Mapping[str, type[Model]]) -> Schema:
    """Schema of one entry of `spec.checks`: an object with exactly one of the checks as its key."""
    return {
        "type": "object",
        "description": "One check: its name as the only key, its parameters as the value.",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {name: structural(check) for name, check in checks.items()},
    }


def spec_schema(spec: type[Model], checks: Mapping[str, type[Model]]) -> Schema:
    """Schema of a `spec`; its checks, or those of its template, are filled in from the runner's table."""
    schema = structural(spec)
    if "checks" in spec.model_fields:
        _fill_checks(schema, checks)
    if "template" in spec.model_fields:
        _fill_checks(schema["properties"]["template"], checks)
    return schema


def _fill_checks(schema: Schema, checks: Mapping[str, type[Model]]) -> None:
    schema["properties"]["checks"]["items"] = checks_schema(checks)
    schema["properties"]["checks"]["x-kubernetes-list-type"] = "atomic"
    schema["x-kubernetes-validations"] += [{"rule": r.cel, "message": r.message} for r in once_rules(checks)]


def crd(resource: CustomResource, checks: Mapping[str, type[Model]]) -> Schema:
    """The CustomResourceDefinition of a resource."""
    root = structural(resource.model)
    status = structural(resource.status)
    status["default"] = {"observedGeneration": -1}
    schema = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": root["properties"]["apiVersion"]["description"]},
            "kind": {"type": "string", "description": root["properties"]["kind"]["description"]},
            "metadata": {"type": "object"},
            "spec": spec_schema(resource.spec, checks),
            "status": status,
        },
    }
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": path} for path in resource.selectable],
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.definition},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": list(resource.short_names),
                "categories": list(names.CATEGORIES),
            },
            "versions": [version],
        },
    }


def json_schema(resource: CustomResource, checks: Mapping[str, type[Model]]) -> Schema:
    """JSON Schema of a resource's file, for editors: strict about unknown fields where the API server is."""
    root = structural(resource.model)
    root["properties"]["spec"] = spec_schema(resource.spec, checks)
    closed = _closed(root)
    assert isinstance(closed, dict)
    closed["properties"]["apiVersion"]["enum"] = [names.API_VERSION]
    closed["properties"]["kind"]["enum"] = [resource.kind]
    closed["properties"]["metadata"] = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": resource.kind, **closed}


def _column(column: Column) -> Schema:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return shown | ({"priority": column.priority} if column.priority else {})


def types_in(model: type[Model]) -> set[type[Model]]:
    """The type and every type that stands in its fields."""
    found: set[type[Model]] = set()
    waiting: list[Any] = [model]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, Model):
            if annotation not in found:
                found.add(annotation)
                waiting.extend(f.annotation for f in annotation.model_fields.values())
        else:
            waiting.extend(getattr(annotation, "__args__", ()))
    return found


def _resolve(schema: Any, definitions: Mapping[str, Any], types: Mapping[str, type[Model]]) -> Any:
    if isinstance(schema, list):
        return [_resolve(item, definitions, types) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        resolved = _resolve({**definitions[name], **rest}, definitions, types)
        rules = types[name].RULES if name in types else ()
        if rules:
            resolved["x-kubernetes-validations"] = [{"rule": r.cel, "message": r.message} for r in rules]
        return resolved
    if "anyOf" in schema:
        (kept,) = (s for s in schema["anyOf"] if s.get("type") != "null")
        rest = {k: v for k, v in schema.items() if k != "anyOf"}
        return _resolve({**kept, **rest}, definitions, types)
    return _keywords(schema, definitions, types)


def _keywords(schema: Schema, definitions: Mapping[str, Any], types: Mapping[str, type[Model]]) -> Schema:
    out: Schema = {}
    for key, value in schema.items():
        match key:
            case "properties":
                out[key] = {name: _resolve(sub, definitions, types) for name, sub in value.items()}
            case "additionalProperties" if isinstance(value, dict):
                out[key] = _resolve(value, definitions, types)
            case "additionalProperties" if value is True:
                out["x-kubernetes-preserve-unknown-fields"] = True
            case "exclusiveMinimum" | "exclusiveMaximum":
                out[key.replace("exclusiveM", "m")] = value
                out[key] = True
            case "const":
                out["enum"] = [value]
            case "description":
                out[key] = " ".join(value.split())
            case "propertyNames":
                continue
            case _ if key in DROPPED:
                continue
            case _:
                out[key] = _resolve(value, definitions, types)
    return out


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: _closed(v) for k, v in schema.items() if not k.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if "properties" in schema and isinstance(schema.get("type"), str):
        out["additionalProperties"] = False
    for bound in ("Minimum", "Maximum"):
        if out.pop(f"exclusive{bound}", False) is True:
            out[f"exclusive{bound}"] = out.pop(bound.lower())
    return out
