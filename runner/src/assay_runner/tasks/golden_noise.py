"""Whether an audit needs to know golden's noise against FP64, which takes a second model and far slower kernels.

It is measured for small models, where it costs next to nothing, and where a limit of the audit is so fine that golden
may not hold it. It stays with the golden outputs, so that it is measured once.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from assay_api.plan import Task
from assay_runner import interruption
from assay_runner.checks import Check, parse_checks
from assay_runner.errors import InvalidInput, as_audit_error
from assay_runner.golden.cache import GoldenIndex
from assay_runner.golden.noise import PRESUMED, against_double, near
from assay_runner.graphs.documents import load_outline
from assay_runner.tasks.golden_entry import GoldenEntry
from assay_runner.tensors import names

MANY: Final = 16
"""Samples that a small model is run on in FP64."""
FEW: Final = 2
"""Samples that any other is: one takes as long as a dozen or more in FP32."""
WEIGHTS: Final = 1 << 20
"""Most weights of a small model."""
PRODUCTS: Final = 1 << 30
"""Most products of a weight and a number of one sample's inputs, of which a model has no more than about so many."""


def with_noise(index: GoldenIndex, entry: GoldenEntry, task: Task) -> GoldenIndex:
    """The index of golden outputs in FP32, with their noise against FP64 where this audit is to know it."""
    if entry.precision != "fp32" or index.doubled is not None:
        return index
    small, strict = _small(entry), _strict(entry, task) or _shaken(index)
    if not small and not strict:
        return index
    context = entry.context
    context.progress.note("golden's own noise: a few samples in FP64")
    axes = context.axes(entry.model, entry.dataset).outputs
    try:
        literal = not index.details["provenance"]["optimised"]
        count = MANY if small else FEW
        found, notes = against_double(entry.model, entry.dataset, axes, entry.workdir / "noise", count, literal)
    except Exception as error:
        if interruption.came():
            raise
        # The outputs are there and stand without it, whatever it is that cannot be converted or run in FP64.
        told = f"golden's own noise could not be measured against FP64: {as_audit_error(error)}"
        return index.model_copy(update={"notes": (*index.notes, told)}) if strict else index
    return entry.amended(index.model_copy(update={"doubled": found, "notes": (*index.notes, *notes)}))


def checks_of(task: Task) -> tuple[Check, ...]:
    """The audit's checks; none where one cannot be had, which every candidate tells."""
    try:
        return tuple(parse_checks(task.spec))
    except InvalidInput:
        return ()


def _shaken(index: GoldenIndex) -> bool:
    """Whether another order and batch showed more noise than is presumed of FP32, or samples that are not apart."""
    return any(entry.snr < PRESUMED for entry in index.axes.floors)


def _small(entry: GoldenEntry) -> bool:
    weights = sum(math.prod(weight.dims) for weight in load_outline(entry.model.path).graph.initializer)
    numbers = sum(math.prod(extents.opt[1:]) for extents in entry.dataset.extents().values())
    return bool(weights <= WEIGHTS and weights * numbers <= PRODUCTS)


def _strict(entry: GoldenEntry, task: Task) -> bool:
    checks = checks_of(task)
    limits = {
        output: [limit for check in checks for limit in check.limits_on(output).items()]
        for output in names(entry.model.outputs)
    }
    absolute = any(metric == "maxAbs" for of_one in limits.values() for metric, _ in of_one)
    first = next(iter(entry), {}) if absolute else {}
    peaks = {output: float(np.abs(array).max(initial=0)) for output, array in first.items()}
    return any(
        near(metric, limit, peaks.get(output, 0.0)) for output, of_one in limits.items() for metric, limit in of_one
    )
