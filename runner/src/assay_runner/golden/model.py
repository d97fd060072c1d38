"""The model that a golden run runs: the original, in FP32 as ONNX Runtime runs it, or in FP64.

ONNX Runtime lacks kernels in double precision for several operators, convolution among them. Those are rewritten
exactly or run in FP32 between casts; which, the notes and details say.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import onnxruntime as ort

from assay_runner.backends.backend import Built
from assay_runner.backends.conversion import DOUBLE, HALVES, fp32_model, fp64_model, listed
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.sessions import PROVIDER
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.element_types import written
from assay_runner.models.loading import LoadedModel

Precision = Literal["fp32", "fp64"]
BACKEND = OnnxRuntime()


def golden_model(
    model: LoadedModel, precision: Precision, workdir: Path, literal: bool = False
) -> tuple[Built, dict[str, Any]]:
    """The model that a golden run runs, and how it was made.

    Args:
        model: the audit's model.
        precision: of the run.
        workdir: where a converted model may be kept.
        literal: whether every node runs as it stands, none of ONNX Runtime's optimisations applied.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="golden-", dir=workdir))
    details: dict[str, Any] = {
        "precision": precision,
        "backend": f"{BACKEND.name} {ort.__version__}",
        "provenance": {
            "runtime": BACKEND.name,
            "version": ort.__version__,
            "provider": PROVIDER,
            "precision": precision,
            "tf32": "none",
            "optimised": not literal,
        },
    }
    notes = list(model.notes)
    if precision == "fp32":
        path = fp32_model(model.path, folder, HALVES).path
        notes += _kept(model.path)
    else:
        path, made = fp64_model(model.path, folder)
        islands = [f"{site.node} ({site.op})" for site in made.islands]
        details |= {"fp32Nodes": islands, "rewrittenNodes": len(made.rewritten)}
        if islands:
            notes.append(f"fp64: ONNX Runtime computes these nodes in their own precision only: {listed(islands)}")
    built = Built(BACKEND.name, precision, path, model.path, folder, literal=literal, notes=tuple(notes))
    return built, details


def _kept(path: Path) -> list[str]:
    """What the model's own element types mean for a golden run in FP32."""
    there, notes = written(load_outline(path)), []
    if not DOUBLE.isdisjoint(there):
        notes.append("float64 tensors of the model are float64 in golden, as the model says")
    if not HALVES.isdisjoint(there):
        notes.append("half tensors of the model are FP32 in golden, which shows what their rounding costs")
    return notes
