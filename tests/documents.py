"""An audit as a file holds it, for programs and tests that run one: plain values, and no package is needed for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

HERE: Final = "file://./"
NOWHERE: Final = "file:///nowhere/"


def audit(
    name: str,
    model: str | Path,
    data: str | Path,
    candidates: Iterable[Mapping[str, Any]],
    checks: Iterable[str | Mapping[str, Any]],
    dataset: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An audit of a model by a folder of data.

    Args:
        name: of the audit.
        model: its file, or where that lies beside the audit's `file://./…`.
        data: the folder, likewise.
        candidates: as in the spec.
        checks: names, or mappings with parameters.
        dataset: more of the dataset.
        more: other fields of the spec; without `artifacts` they go beside what is run.
    """
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "AccuracyAudit",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": _uri(model)},
            "dataset": {"uri": f"{_uri(data).removesuffix('/')}/", **(dataset or {})},
            "candidates": [dict(each) for each in candidates],
            "checks": [{each: {}} if isinstance(each, str) else dict(each) for each in checks],
            "artifacts": {"uri": NOWHERE},
            **more,
        },
    }


def _uri(place: str | Path) -> str:
    return f"file://{place}" if isinstance(place, Path) else place
