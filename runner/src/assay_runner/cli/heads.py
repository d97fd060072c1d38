"""What a document says that it is: kind, version and name, and what it is meant to be where it misspells them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from assay_api.audit import AccuracyAudit
from assay_api.gpu_screening import GpuScreening
from assay_api.names import API_VERSION, KIND, SCREENING_KIND, SWEEP_KIND
from assay_api.sweep import AccuracySweep

API_GROUP: Final = API_VERSION.partition("/")[0] + "/"
Resource = AccuracyAudit | AccuracySweep | GpuScreening
TYPES: Final[dict[str, type[Resource]]] = {
    KIND: AccuracyAudit,
    SWEEP_KIND: AccuracySweep,
    SCREENING_KIND: GpuScreening,
}
"""What a document may be, by its kind."""
_LONGEST_NAME: Final = 253
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def meant(value: dict[Any, Any]) -> type[Resource] | None:
    """What a document is to be, though its kind or version may be misspelt; None: nothing of ours."""
    ours, kind = str(value.get("apiVersion", "")).startswith(API_GROUP), value.get("kind")
    if isinstance(kind, str) and kind in TYPES:
        return TYPES[kind] if ours or "apiVersion" not in value else None
    spec = value.get("spec")
    if not ours or not isinstance(spec, dict):
        return None
    if "template" in spec:
        return AccuracySweep
    return GpuScreening if "plan" in spec and "model" not in spec else AccuracyAudit


def head(value: dict[Any, Any]) -> Iterator[str]:
    """What is wrong with version, kind and name."""
    for field, expected in (("apiVersion", (API_VERSION,)), ("kind", tuple(TYPES))):
        if value.get(field) not in expected:
            given = f"not {_shown(value[field])}" if field in value else "and it is missing"
            yield f"{field}: must be {' or '.join(expected)}, {given}"
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, bool | int | float):
        yield f'metadata.name: must be a string, and YAML reads {name} otherwise: write it in quotes, "{name}"'
    elif not isinstance(name, str) or not name:
        yield "metadata.name: required, but missing; give the audit a name"
    elif not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        yield f"metadata.name: {_shown(name)} is no Kubernetes name; use lower-case letters, digits, dashes and dots"


def label_of(value: dict[Any, Any], place: str) -> str:
    """The name of a document, or its place in the file where it has none that can be printed."""
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable() else place


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
