"""A built plan and what is kept beside it; and whether somebody else's plan is one of the audit's model."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from assay_runner.backends.tensorrt.building import Recipe, build
from assay_runner.backends.tensorrt.device import stream
from assay_runner.backends.tensorrt.interface import check_layouts
from assay_runner.backends.tensorrt.library import tensorrt
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.errors import InvalidInput
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Progress, names

PLAN: Final = "engine.plan"
RECORD: Final = "engine.json"
INSPECTED: Final = "inspected.json"
RANGES: Final = "calibration.cache"
TACTICS: Final = "tactics.json"
TIMED: Final = "timed.json"


def build_or_reuse(recipe: Recipe, kept: Path, progress: Progress, fingerprint: str) -> dict[str, Any]:
    """How the plan in `kept` was built; built now unless it is there, from the same.

    Raises:
        InvalidInput: the model cannot be parsed or built so.
        Unsupported: this TensorRT lacks an option that is asked for.
        Unavailable: device memory ran out.
    """
    if (kept / PLAN).is_file() and (kept / RECORD).is_file():
        record = json.loads((kept / RECORD).read_text())
        if record.pop("fingerprint", "") == fingerprint:
            progress.note("engine taken from the cache")
            return {**record, "cached": True}
    for old in (*kept.glob("*.plan"), kept / INSPECTED, kept / RANGES, kept / TACTICS, kept / TIMED):
        old.unlink(missing_ok=True)
    product = build(recipe, progress, "build the engine")
    progress.note(f"built in {product.seconds:.0f} s")
    (kept / PLAN).write_bytes(product.plan)
    if product.tactics is not None:
        (kept / TACTICS).write_text(json.dumps(product.tactics, indent=1))
    if product.timed is not None:
        (kept / TIMED).write_text(json.dumps(product.timed, indent=1))
    record = {
        "buildSeconds": round(product.seconds, 3),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "warnings": list(product.warnings),
    }
    (kept / RECORD).write_text(json.dumps({**record, "fingerprint": fingerprint}))
    return {**record, "cached": False}


def tactics_of(kept: Path, file: str = TACTICS) -> dict[str, str] | None:
    """The tactics of the plan in `kept`, where its build recorded them: of its layers, or of TIMED's keys."""
    path = kept / file
    found: dict[str, str] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def check_plan(plan: Path, model: LoadedModel) -> None:
    """Do nothing where a plan takes the model's inputs and gives its outputs.

    Raises:
        InvalidInput: it cannot be loaded on this version and GPU, or its inputs or outputs are not the model's.
    """
    with stream() as handle:
        session = EngineSession(plan, handle)
        missing = [name for name in names(model.outputs) if name not in session.outputs]
        extra = [name for name in session.inputs if name not in names(model.inputs)]
        try:
            check_layouts(tensorrt(), session.engine, (*session.inputs, *session.outputs))
        finally:
            session.close()
    if missing or extra:
        what = f"lacks output {missing[0]!r}" if missing else f"takes input {extra[0]!r}"
        raise InvalidInput(
            f"plan {plan.name} {what}, unlike the audit's model: give the model that the plan was built from"
        )
