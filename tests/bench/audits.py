"""The audits that are measured, written as a user would write them and run as a user would run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tests import documents
from tests.bench.programs import Usage, python, run_program
from tests.documents import HERE

__all__ = ["DRIFT", "LAYERS", "audit", "run_audit"]

DRIFT: Mapping[str, Any] = {"outputDrift": {"cosine": 0.999}}
LAYERS: Mapping[str, Any] = {"layerDrift": {}}


def audit(batch: int, *checks: Mapping[str, Any], precision: str = "fp32") -> dict[str, Any]:
    """An audit of the model and data beside it: golden in fp32, one candidate on ONNX Runtime."""
    candidate = {"name": precision, "backend": "onnxruntime", "precision": precision}
    more = {"golden": {"precision": "fp32"}, "artifacts": {"uri": f"{HERE}out/"}}
    return documents.audit("bench", f"{HERE}model.onnx", f"{HERE}data", [candidate], checks, {"batch": batch}, **more)


def run_audit(folder: Path, spec: Mapping[str, Any], allowed: Collection[int] = (0,)) -> Usage:
    """Run `assay run` on the model and data in `folder`, with nothing left of an earlier run to take up.

    Raises:
        ProgramFailed: it ended with an exit code that is not allowed, by default any but that of a pass: the work
            measured is not the work meant.
    """
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    file = folder / "audit.yaml"
    # JSON is YAML, and needs no package in this process.
    file.write_text(json.dumps(spec))
    return run_program(python("assay_runner", "run", "-f", file, "--out", out), folder / "assay.log", allowed)
