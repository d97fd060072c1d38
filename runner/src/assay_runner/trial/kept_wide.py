"""A node adds most of the error: does it help to keep it wide? The candidate is run once more to see.

A large error of a node's own need not reach the tensor that is far from golden: a branch that hardly counts may be the
noisiest. Only a run with that node in FP32 tells. In formats that round what a node gives out, those that read it must
be wide too, or they round it all the same; and so on where the values do not fit into the format.

The first samples are enough where the tensor is as far from golden in them as in all: both figures are of them then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import LayerDriftDetails
from assay_runner.backends import Built
from assay_runner.backends.subject import Subject
from assay_runner.checks.check import CONTROL_FLOW
from assay_runner.checks.own_shares import DOMINATES
from assay_runner.data.rows import is_float
from assay_runner.errors import CannotBuild, InvalidInput, Unavailable
from assay_runner.evidence import Evidence, KeptWide, LayerError, Need, TensorsWanted
from assay_runner.golden.noise import PRESUMED
from assay_runner.graphs.unclipped import unclipped
from assay_runner.journal import step
from assay_runner.passes.comparing import compared_here
from assay_runner.passes.host import HostComparison
from assay_runner.passes.setting import Setting
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Batch

WIDE: Final = "fp32"
UNOPTIMISED: Final = "unoptimised"
EIGHT_BIT: Final = ("int8", "fp8")
"""Formats to which inputs are rounded, in front of the nodes that read them."""
FITS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({"fp16": (2.0**-14, 65504.0)})
"""Between which magnitudes the largest number of a tensor must lie to fit, by format; others reach as far as FP32."""


CANNOT: Final = "control flow cannot be kept in another precision"
ALIKE: Final = 1.0
"""dB between the first samples and all, up to which the first tell what becomes of the error."""
FARTHER: Final = 20.0
"""dB by which a tensor must be farther from golden than two ways to compute golden are apart, to be told to 0.05 dB."""


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
            found[top.node] = _tried(setting, evidence, finding.check, top.node, target, top.op in CONTROL_FLOW)
    if not found:
        return evidence
    closer: dict[Need[Any], Any] = {
        need: replace(shown, kept_wide=found)
        for need, shown in evidence.found.items()
        if isinstance(need, TensorsWanted)
    }
    return replace(evidence, found={**evidence.found, **closer})


def _tried(setting: Setting, evidence: Evidence, asking: str, node: str, target: str, control_flow: bool) -> KeptWide:
    shown = evidence.any(TensorsWanted)
    errors = shown.layers if shown else None
    layers = {layer.site.tensor: layer for layer in errors.layers} if errors else {}
    before, samples = _before(layers.get(target), evidence.samples)
    held = _held(node, layers, errors.reads if errors else {}, evidence.precision)
    told = KeptWide(target, before, nodes=tuple(held), samples=samples)
    if setting.wider is None:
        return replace(told, untried=setting.narrow)
    if control_flow:
        return replace(told, untried=CANNOT)
    setting.progress.note(f"run once more with node {node} in FP32")
    try:
        with step(f"Keep {node}", f"running the candidate with node {node!r} kept in FP32", asking):
            return replace(told, after=_after(setting, setting.wider(dict.fromkeys(held, WIDE)), target, samples))
    except (InvalidInput, Unavailable) as error:
        # What was measured before stands without it.
        return replace(told, untried=str(error))


def _before(layer: LayerError | None, samples: int) -> tuple[float, int | None]:
    """A tensor's dB as it is, and in how many of the first samples; None: all, as where they tell something else."""
    if layer is None:
        return math.nan, None
    early, snr = layer.early, layer.accumulated.snr
    if early is None or early.samples >= samples or not (early.snr == snr or abs(early.snr - snr) <= ALIKE):
        return snr, None
    return early.snr, early.samples


def _held(
    node: str, layers: Mapping[str, LayerError], reads: Mapping[str, tuple[str, ...]], precision: str
) -> list[str]:
    """The node, and what reads it until its values fit again; in formats that round inputs the node alone."""
    held = [node]
    if precision in EIGHT_BIT:
        return held
    least, most = FITS.get(precision, (0.0, math.inf))
    wide = {name for name, layer in layers.items() if layer.site.node == node}
    for name, sources in reads.items():
        layer = layers.get(name)
        if layer is None or layer.site.node is None or wide.isdisjoint(sources):
            continue
        if layer.site.node not in held:
            held.append(layer.site.node)
        if not least <= max(abs(layer.golden_low), abs(layer.golden_high)) <= most:
            wide.add(name)
    return held


def _after(setting: Setting, opened: AbstractContextManager[Subject], target: str, samples: int | None) -> float:
    """A tensor's dB where nodes are kept wide, over the first samples, None: all; -Inf where it has another shape."""
    reference = setting.reference
    with opened as subject:
        built = replace(subject.built, measured=setting.subject.built.measured)
        clips = unclipped(built.source, reference.model.path)
        # One tensor is shown, which is no more than what a batch takes that is served.
        with compared_here(
            subject.backend, built, setting.budgets, local=False, tensors={target}, clips=clips
        ) as shown:
            if reference.computed and (found := _of_output(setting, built, shown, target, samples)) is not None:
                return found
            try:
                for batch in _first(reference.dataset, samples):
                    golden = reference.tensors(batch, {target})
                    shown.add(batch, {name: array for name, array in golden.items() if is_float(array)})
            finally:
                reference.rest()
            figures = shown.accumulated().get(target)
    if figures is None:
        raise CannotBuild(f"tensor {target!r} is not made where those nodes are kept wide")
    return -math.inf if figures.reshaped else figures.sums.snr


def _first(batches: Iterable[Batch], samples: int | None) -> Iterator[Batch]:
    """Batches up to so many samples, None: all; the last one is cut, and no further one is read."""
    left = math.inf if samples is None else samples
    for batch in batches:
        yield batch if batch.count <= left else batch.part(0, int(left))
        left -= batch.count
        if left <= 0:
            return


def _of_output(setting: Setting, built: Built, shown: HostComparison, target: str, samples: int | None) -> float | None:
    """An output's dB, by golden's as it is held, which need not be run for it.

    None where it is no output, or so near that optimisations show, with which golden is run for its outputs alone.
    """
    apart = [entry.snr for entry in setting.reference.floors if (entry.output, entry.against) == (target, UNOPTIMISED)]
    sums = Sums()
    reference = setting.reference
    for batch, golden in zip(_first(reference.dataset, samples), reference.outputs, strict=False):
        if target not in golden or not is_float(golden[target]):
            return None
        array = built.axes.samples(target, shown.show(batch, {target})[target], batch)
        expected = golden[target][: batch.count]
        if array is None or array.shape != expected.shape:
            return None
        sums.add(expected, array)
    return sums.snr if sums.snr < min(apart, default=PRESUMED) - FARTHER else None
