"""Weights alone in 8 bits: nothing to calibrate, a quarter of the bytes of weights, all arithmetic in FP32."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from assay_api.remedies import Remedies
from assay_api.report import Verdict
from assay_runner.backends.order import Quantisation
from assay_runner.remedies.baseline import baseline
from assay_runner.remedies.case import Case
from assay_runner.remedies.figures import figures
from assay_runner.remedies.judged import Judged
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import Oracle
from assay_runner.remedies.workshop import Workshop

NAME: Final = "weightOnly"
WORDS: Final = "INT8 weights alone, per channel, activations in FP32"


def weights_alone(case: Case, asked: Remedies, workshop: Workshop) -> Cure:
    """Try INT8 weights behind DequantizeLinear nodes, activations as they are.

    Raises:
        OutOfBudget: the budget is spent.
        Unavailable: the store, memory or the device gave out.
    """
    order = case.design.order
    if order.precision != "int8":
        return does_not_apply(f"it is for int8 candidates, and this one is {order.precision}")
    if order.quantisation is None:
        return does_not_apply("the candidate's own model brings its Q/DQ pairs, for which it was trained")
    base = baseline(case, workshop, NAME, "the format of weights and activations")
    if base.hopeless:
        return base.hopeless
    typing = "strong" if order.backend == "tensorrt" else order.typing
    made = replace(order, quantisation=Quantisation(weights_only=True), typing=typing)
    design = replace(case.design, order=made, calibration=None, words=WORDS)
    oracles: tuple[Oracle, ...] = ("emulation",) if case.emulates else ("emulation", "build")
    found = Judged(said=())
    for oracle in oracles:
        found = workshop.judged(design, NAME, oracle, names=base.telling)
        if not found.promising:
            worst = found.worst
            why: Literal["NotCured", "Inconclusive"] = "NotCured" if found.verdict is Verdict.FAILED else "Inconclusive"
            return Cure(None, f"with INT8 weights alone: {worst.message if worst else 'nothing was judged'}", why)
    return Cure(
        design,
        f"{WORDS}: {figures(found.telling(case.failing))}; no range needs to be found, and no 8-bit product runs",
    )
