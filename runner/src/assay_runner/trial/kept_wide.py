"""A node adds most of the error: does it help to keep it wide? The candidate is run once more to see.

A large error of a node's own need not reach the tensor that is far from golden: a branch that hardly counts may be the
noisiest. Only a run with that node in FP32 tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import LayerDriftDetails
from assay_runner.checks.own_shares import DOMINATES
from assay_runner.data.rows import is_float, parts
from assay_runner.errors import CannotBuild, InvalidInput, Unavailable
from assay_runner.evidence import Evidence, KeptWide, Need, TensorsWanted
from assay_runner.journal import step
from assay_runner.passes.host import compared_here
from assay_runner.passes.setting import Setting, Wider

WIDE: Final = "fp32"


def keep_wide(setting: Setting, evidence: Evidence, findings: Iterable[Finding]) -> Evidence:
    """The evidence with what became of the error where the node that adds most of it was kept in FP32.

    The same evidence where no failed check of all tensors names such a node.
    """
    found: dict[str, KeptWide] = {}
    for finding in findings:
        details = finding.details
        if finding.verdict is not Verdict.FAILED or not isinstance(details, LayerDriftDetails) or not details.shares:
            continue
        top, target = details.shares[0], details.shares_of
        if top.node and target and top.share >= DOMINATES:
            found[top.node] = _tried(setting, evidence, finding.check, top.node, target)
    if not found:
        return evidence
    closer: dict[Need[Any], Any] = {
        need: replace(shown, kept_wide=found)
        for need, shown in evidence.found.items()
        if isinstance(need, TensorsWanted)
    }
    return replace(evidence, found={**evidence.found, **closer})


def _tried(setting: Setting, evidence: Evidence, asking: str, node: str, target: str) -> KeptWide:
    shown = evidence.any(TensorsWanted)
    layers = shown.layers.layers if shown and shown.layers else ()
    before = next((layer.accumulated.snr for layer in layers if layer.site.tensor == target), math.nan)
    if setting.wider is None:
        return KeptWide(target, before, untried=setting.narrow)
    setting.progress.note(f"run once more with node {node} in FP32")
    try:
        with step(f"Keep {node}", f"running the candidate with node {node!r} kept in FP32", asking):
            return KeptWide(target, before, _after(setting, setting.wider, node, target))
    except (InvalidInput, Unavailable) as error:
        # What was measured before stands without it.
        return KeptWide(target, before, untried=str(error))


def _after(setting: Setting, wider: Wider, node: str, target: str) -> float:
    """A tensor's dB where a node is kept wide, over the whole dataset; -Inf where it has another shape."""
    reference, budgets = setting.reference, setting.budgets
    with wider({node: WIDE}) as subject:
        built = replace(subject.built, measured=setting.subject.built.measured)
        try:
            with compared_here(subject.backend, built, budgets, local=False, tensors={target}) as shown:
                for batch in reference.dataset:
                    size = shown.fits(batch, budgets.shown) if setting.splits else 0
                    for part in parts(batch, size or None):
                        golden = reference.tensors(part, {target})
                        shown.add(part, {name: array for name, array in golden.items() if is_float(array)})
                figures = shown.accumulated().get(target)
        finally:
            reference.rest()
    if figures is None:
        raise CannotBuild(f"tensor {target!r} is not made where node {node!r} is kept wide")
    return -math.inf if figures.reshaped else figures.sums.snr
