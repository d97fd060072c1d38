"""The second opinion on a GPU: the audit's own engine run by TensorRT's own calls, against bare ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from tests.gpu.bare import inputs_and_outputs, opened
from tests.gpu.plans import plans_in
from tests.real import opinion
from tests.real.models import LABELS, MODELS
from tests.real.opinion import Opinion
from tests.real.runs import Ran

__all__ = ["engine_opinion"]


def engine_opinion(ran: Ran, staged: Path) -> Opinion | None:
    """How far the engine is from golden; None where the audit built none."""
    plans, model = plans_in(ran.folder / "out" / "cache"), staged / "model.onnx"
    inputs, outputs = inputs_and_outputs(model)
    try:
        engine = opened(plans, inputs, outputs)
    except LookupError:
        return None
    row = MODELS[ran.name]
    found, reference = Opinion(parts=row.parts), opinion.golden(model)
    for arrays in opinion.batches(staged / "data", row.batch, row.dataset.get("inputs")):
        fed = {name: array for name, array in arrays.items() if name != LABELS}
        found.add(reference(fed), engine.run(fed), len(next(iter(fed.values()))))
    return found
