"""One look at every tensor of what is to be repaired."""

from __future__ import annotations

from assay_api.entries import TensorEntry
from assay_api.report import Finding
from assay_runner.backends import BACKENDS
from assay_runner.builds.brief import briefly_built
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.errors import CannotBuild, Died, InvalidInput, Unsupported
from assay_runner.journal import step
from assay_runner.passes.setting import Setting
from assay_runner.remedies.case import Design
from assay_runner.remedies.splits import SEARCH
from assay_runner.remedies.workshop import Workshop
from assay_runner.trial.measure import measure


def survey(workshop: Workshop, design: Design) -> tuple[tuple[TensorEntry, ...], tuple[Finding, ...]]:
    """Every tensor of an emulation of it, with errors and ranges, and what is not finite or leaves its range.

    On the samples that are searched with. Nothing where that cannot be had: a search does without.

    Raises:
        OutOfBudget: the budget is spent.
    """
    workshop.spending.check("emulation")
    workshop.doing("looking at every tensor of the candidate by emulation")
    checks = [Finite(), LayerDrift(), *([Fp16Range()] if design.order.precision == "fp16" else [])]
    request = workshop.request(BACKENDS["onnxruntime"], design)
    key = workshop.case.key
    try:
        with (
            step(f"survey-{key}", "looking at every tensor of what is to be repaired"),
            briefly_built(request, key, workshop.scratch, workshop.aside) as subject,
        ):
            measured = measure(Setting(subject, workshop.references[SEARCH], workshop.aside), checks)
    except (CannotBuild, Died, InvalidInput, Unsupported) as error:
        workshop.progress.note(f"tensors could not be looked at beforehand: {error}")
        return (), ()
    workshop.spending.count("emulation")
    return measured.report.layers, measured.findings
