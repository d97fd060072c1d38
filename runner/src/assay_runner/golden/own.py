"""Whether a golden run is the model's own arithmetic, or what ONNX Runtime's optimiser makes of it.

Two nodes in one round once where the model rounds twice, and folded weights may overflow where no tensor would. Those
optimisations that are known for it are kept out of golden (`backends/sessions.py`); of the others a few samples tell,
run with all of them off. Where that is another answer, FP64 decides: an optimiser that changes the arithmetic is the
farther from it of the two, and golden does without any. Where both are as far, sums were only taken in another order,
and the model makes much of it, as one does that rounds to 8 bits inside: that is golden's noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from assay_api.entries import FloorEntry
from assay_runner import interruption
from assay_runner.backends.backend import Session
from assay_runner.errors import AuditError
from assay_runner.golden.model import Precision
from assay_runner.golden.noise import EXACT, PRESUMED, few, floors, from_double, outputs_in, outputs_of
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.models.loading import LoadedModel
from assay_runner.statistics.samples import drift
from assay_runner.tensors import Array, Batch

SAMPLES: Final = 2
"""Samples that are run once more."""
FARTHER: Final = 20.0
"""dB by which an optimised run is farther from FP64 where that is no accident: an error ten times as large."""
ROUNDERS: Final = ("QuantizeLinear", "DynamicQuantizeLinear", "Round", "Floor", "Ceil")
"""Operators that make a whole step of a difference in the last bits."""


@dataclass(frozen=True)
class Judged:
    """What a run without optimisations tells of a golden run.

    Attributes:
        literal: whether golden must do without them.
        floors: how far both runs are apart; nothing where golden itself does without.
        doubled: how far golden is from FP64, where that was looked at.
        notes: what a reader must know of it.
    """

    literal: bool = False
    floors: tuple[FloorEntry, ...] = ()
    doubled: tuple[FloorEntry, ...] | None = None
    notes: tuple[str, ...] = ()


def judged(
    session: Session, model: LoadedModel, precision: Precision, batch: Batch, axes: SampleAxes, workdir: Path
) -> Judged:
    """Hold an optimised golden run against the model's nodes as they stand, on a few samples.

    Args:
        session: golden's, open.
        model: the audit's model.
        precision: of the golden run.
        batch: one of the dataset's.
        axes: where the samples of its outputs are.
        workdir: where a converted model may be kept.
    """
    taken = few(model, batch, SAMPLES)
    try:
        optimised = outputs_of(session, model, taken, axes)
        plain = outputs_in(model, precision, taken, axes, workdir, literal=True)[0]
    except AuditError:
        # What cannot be run so has no second answer; golden stands without it.
        return Judged()
    apart = _apart(optimised, plain)
    name = min(apart, key=apart.__getitem__, default="")
    if apart.get(name, np.inf) >= PRESUMED:
        return Judged(floors=floors("unoptimised", optimised, plain))
    told = f"output {name!r} {_said(apart[name])} with ONNX Runtime's optimisations off, against itself with them"
    if precision == "fp64":
        return Judged(literal=True, notes=(f"golden is run without them, for {told}",))
    return _decided(model, taken, axes, workdir, optimised, plain, told)


def _decided(
    model: LoadedModel,
    batch: Batch,
    axes: SampleAxes,
    workdir: Path,
    optimised: Mapping[str, Array],
    plain: Mapping[str, Array],
    told: str,
) -> Judged:
    try:
        double, islands = outputs_in(model, "fp64", batch, axes, workdir, literal=True)
    except Exception:
        if interruption.came():
            raise
        # Whatever it is that cannot be converted or run in FP64: the nodes as they stand are the model's own.
        return Judged(literal=True, notes=(f"golden is run without them, for {told}",))
    own, others = _apart(plain, double), _apart(optimised, double)
    worse = [name for name in others if others[name] < min(own[name], PRESUMED) - FARTHER]
    found, notes = from_double(plain if worse else optimised, double, islands)
    if worse:
        nearer = f"{_said(own[worse[0]])} against FP64 then, and {_said(others[worse[0]])} with them"
        reason = f"golden is run without ONNX Runtime's optimisations: output {worse[0]!r} {nearer}"
        return Judged(literal=True, doubled=found, notes=(reason, *notes))
    rounding = sorted({node.op_type for node in load_outline(model.path).graph.node} & set(ROUNDERS))
    steps = f", and nodes that round ({', '.join(rounding)}) make whole steps of it" if rounding else ""
    noise = f"golden's own noise is large: {told}, and neither is nearer to FP64: sums in another order differ{steps}"
    return Judged(floors=floors("unoptimised", optimised, plain), doubled=found, notes=(noise, *notes))


def _apart(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, float]:
    """By output, dB of the signal over the difference of two runs in its worst sample; -Inf where one is not finite."""
    return {name: _agreement(other[name], one[name]) for name in one if name in other}


def _agreement(reference: Array, found: Array) -> float:
    if reference.shape != found.shape:
        return -np.inf
    if {reference.dtype.kind, found.dtype.kind} & set(EXACT):
        wrong = float((reference != found).mean()) if found.size else 0.0
        # A share w of wrong indices, looked up in a table, leaves so much of it.
        return -10 * float(np.log10(2 * wrong)) if wrong else np.inf
    told = drift(reference, found)
    if told.broken.any() or told.void.any():
        return -np.inf
    return float(told.snr[told.compared > 0].min(initial=np.inf))


def _said(snr: float) -> str:
    return "is NaN or infinite in other places" if snr == -np.inf else f"has {snr:.4g} dB"
