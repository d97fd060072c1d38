"""Where does the error start, and where is it only passed on?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from assay_api.fields import Share
from assay_api.report import Finding, Verdict
from assay_api.tensor_details import LayerDriftDetails
from assay_runner.checks.check import Check, place, unseen, why_not_served
from assay_runner.checks.drift_coverage import nothing_compared, too_little
from assay_runner.checks.drift_details import drift_details
from assay_runner.checks.error_flow import ErrorFlow
from assay_runner.checks.error_origin import amplified, begun, cause_of, power, unequal, weighed, wrong_by_itself
from assay_runner.checks.fused_layer import explained, with_inner
from assay_runner.checks.layer_floor import Doubted, doubted
from assay_runner.checks.own_shares import Origin, origin_of
from assay_runner.checks.vanishing import with_divisor
from assay_runner.evidence import Evidence, ExactError, InnerTensor, LayerError, LayerErrors, TensorsWanted

LOCAL_SNR: Final = 20.0
EIGHT_BIT: Final[Mapping[str, float]] = MappingProxyType({"int8": 17.0})
"""localSnr of formats whose own noise is larger: docs/limits.md says where it comes from."""


NEAR: Final = 2
"""What has less than so many times the limit's decibels is explained though it passes: a single sample may be worse."""


class LayerDrift(Check):
    """Where does the error start, and where is it only passed on?

    Compares every tensor with the golden one: its accumulated error, and its local error, that of the candidate's own
    operation on golden inputs. Integers and booleans are golden's or they are not. Of an emulation, local errors are
    those of the first 8 samples, and of batches in which a tensor fares worse than in any before.
    """

    name: ClassVar[str] = "layerDrift"

    snr: float = Field(default=10, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, accumulated error. Default 10."""
    local_snr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, local error. Default 20; of int8 candidates 17, for whose 256
    steps alone make more noise."""
    equal: Share = Field(default=0.99)
    """Share of the elements of an integer or boolean tensor that must be golden's, where no floating-point tensor is
    computed from it, which would show what becomes of it. Default 0.99."""
    tensors: Literal["kept", "all"] = "kept"
    """Which tensors of an engine are compared: those that it keeps between its layers as it is served, or all of the
    model's, for which another engine is built that fuses less. Default kept; without an engine always all."""
    worst: int = Field(default=10, ge=1, le=1000)
    """How many of the worst tensors are listed. Default 10."""

    @property
    def needs(self) -> tuple[TensorsWanted]:
        """Every tensor, against golden's."""
        below = max(self.snr, LOCAL_SNR if self.local_snr is None else self.local_snr)
        return (TensorsWanted(compared=True, whole=self.tensors == "all", noise_below=below),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first tensor at which a breach starts, or that there is none."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        shown = evidence.of(*self.needs)
        if shown is None or shown.layers is None:
            return (self.inconclusive(evidence, "the tensors were not compared with golden's"),)
        errors = shown.layers
        layers = [layer for layer in errors.layers if layer.elements]
        if not layers and not any(entry.elements for entry in errors.exact):
            return (self.inconclusive(evidence, nothing_compared(errors)),)
        if reason := why_not_served(evidence):
            return (self.inconclusive(evidence, reason),)
        flow, details = ErrorFlow(errors), drift_details(errors, self.worst)
        doubt = doubted(errors, layers, self.snr, self._local_limit(evidence), self.equal)
        if failed := self._failed(evidence, layers, flow, details, doubt):
            return (with_divisor(failed, evidence, layers, errors),)
        if doubt.told:
            return (self.inconclusive(evidence, doubt.told, details=details),)
        if reason := too_little(layers, errors) or unseen(evidence):
            return (self.inconclusive(evidence, reason, details=details),)
        return (self._passed(evidence, layers, errors, flow, details),)

    def _local_limit(self, evidence: Evidence) -> float:
        return EIGHT_BIT.get(evidence.precision, LOCAL_SNR) if self.local_snr is None else self.local_snr

    def _origin(self, evidence: Evidence, flow: ErrorFlow, target: str) -> Origin:
        shown = evidence.of(*self.needs)
        return origin_of(flow, target, shown.kept_wide if shown else {})

    def _served(self, evidence: Evidence) -> bool:
        """Whether the run that showed the tensors gave the very outputs of the plain one, as far as that is known."""
        shown = evidence.of(*self.needs)
        return shown is None or shown.reproduction is None or shown.reproduction.bitwise

    def _failed(
        self,
        evidence: Evidence,
        layers: Sequence[LayerError],
        flow: ErrorFlow,
        details: LayerDriftDetails,
        doubt: Doubted,
    ) -> Finding | None:
        """What breaches a limit: a tensor that starts an error, else what is too far from golden; None: nothing."""
        limit = self._local_limit(evidence)
        judged = [layer for layer in layers if layer.site.tensor not in doubt.local]
        local = [layer for layer in judged if layer.local and not layer.local.snr >= limit]
        judged = [layer for layer in layers if layer.site.tensor not in doubt.accumulated]
        passed_on = [layer for layer in judged if not layer.accumulated.snr >= self.snr]
        shown_by_floats = flow.before_floats()
        aside = {*shown_by_floats, *doubt.unequal}
        wrong = [entry for entry in flow.exact.values() if entry.site.tensor not in aside]
        # A number that is a little off may lie on the other side of a threshold: outputs are judged as they are served.
        served = self._served(evidence)
        wrong = [entry for entry in wrong if served and entry.equal < self.equal]
        count = len({layer.site.tensor for layer in (*local, *passed_on)}) + len(wrong)
        worst = min(passed_on, key=lambda layer: layer.accumulated.snr, default=None)
        if local:
            return self._started(evidence, local, worst, flow, details, count)
        if worst:
            return self._passed_on(evidence, worst, passed_on[0], flow, details, count)
        return self._unequal(evidence, wrong, flow, details) if wrong else None

    def _started(
        self,
        evidence: Evidence,
        local: Sequence[LayerError],
        worst: LayerError | None,
        flow: ErrorFlow,
        details: LayerDriftDetails,
        breaches: int,
    ) -> Finding:
        limit = self._local_limit(evidence)
        noisiest = min(local, key=lambda layer: layer.local.snr if layer.local else 0.0)
        origin = self._origin(evidence, flow, flow.worst_after(noisiest.site.tensor))
        top = origin.dominating
        first = next((layer for layer in local if top and layer.site == top.site), local[0])
        error = first.local or first.accumulated
        message = (
            f"{begun(origin, first.site)}: on golden inputs it {power(error)}, must have at least {limit:g} dB"
            f"{weighed(origin)}; tensors whose own error is too large: {len(local)}, that breach a limit: {breaches}"
        )
        details = origin.added_to(details, self.worst)
        if rounding := flow.rounding(first.site.tensor):
            message += (
                f"; it amplifies the rounding of graph input {rounding.source.tensor!r} to {evidence.precision}, which "
                f"leaves that {rounding.before:.1f} dB"
            )
        if worst and (step := flow.amplifier(worst.site.tensor, self.snr)):
            message += f"; {amplified(flow, step)}"
        said, details = self._inside(evidence, first, limit, True, details)
        fields = {"metric": "localSnr", "value": error.snr, "limit": limit, "details": details}
        return self.finding(evidence, Verdict.FAILED, message + said, first.site, **fields)

    def _passed_on(
        self,
        evidence: Evidence,
        worst: LayerError,
        first: LayerError,
        flow: ErrorFlow,
        details: LayerDriftDetails,
        breaches: int,
    ) -> Finding:
        origin = self._origin(evidence, flow, worst.site.tensor)
        details = origin.added_to(details, self.worst)
        cause = cause_of(flow, origin, first.site.tensor, self.snr, self._local_limit(evidence))
        bar = f"must have at least {self.snr:g} dB"
        farthest = f"farthest from golden is {place(worst.site)}: it {_power(worst)}"
        blamed, at = flow.floats.get(cause.tensor), worst
        if blamed and not blamed.accumulated.snr >= self.snr:
            at = blamed
            message = f"{cause.sentence}, {bar}" + ("" if at is worst else f"; {farthest}")
        elif cause.tensor:
            message = f"{cause.sentence}; {farthest}, {bar}"
        else:
            message = f"{place(worst.site)} is farthest from golden: it {_power(worst)}, {bar}; {cause.sentence}"
        others = [s for s in flow.amplifiers() if s.before >= self.snr > s.after and not flow.reshaped(s.site.tensor)]
        more = sum(step.site.tensor != cause.tensor for step in others)
        message += f"; other nodes that amplify: {more}" if cause.tensor and more else ""
        message += f"; tensors that breach a limit: {breaches}"
        index = flow.exact.get(cause.tensor)
        if index and index.equal < self.equal:
            fields = {"metric": "equalElements", "value": index.equal, "limit": self.equal, "details": details}
            return self.finding(evidence, Verdict.FAILED, message, index.site, **fields)
        said, details = self._inside(evidence, at, self.snr, False, details)
        fields = {"metric": "accumulatedSnr", "value": at.accumulated.snr, "limit": self.snr, "details": details}
        return self.finding(evidence, Verdict.FAILED, message + said, at.site, **fields)

    def _unequal(
        self, evidence: Evidence, wrong: Sequence[ExactError], flow: ErrorFlow, details: LayerDriftDetails
    ) -> Finding:
        first = wrong[0]
        name = first.site.tensor
        bar = f"a share of {self.equal:g} must be golden's"
        message = f"of {place(first.site)} {unequal(first.different, first.elements)}, {bar}"
        if step := flow.amplifier(name, self.snr):
            same = step.site == first.site
            message = f"{amplified(flow, step)}; {bar}" if same else f"{message}; {amplified(flow, step)}"
        elif by_itself := flow.wrong_by_itself(name):
            message = f"{message}; {wrong_by_itself(by_itself)}"
        elif first.local is None:
            message += "; its node was not run on golden inputs, so whether it starts there is not known"
        if len(wrong) > 1:
            message += f"; further tensors that breach it: {len(wrong) - 1}"
        fields = {"metric": "equalElements", "value": first.equal, "limit": self.equal, "details": details}
        return self.finding(evidence, Verdict.FAILED, message, first.site, **fields)

    def _passed(
        self,
        evidence: Evidence,
        layers: Sequence[LayerError],
        errors: LayerErrors,
        flow: ErrorFlow,
        details: LayerDriftDetails,
    ) -> Finding:
        fused, seen = len(errors.fused), len(layers) + len(errors.exact)
        message = f"{seen} of {seen + len(errors.skipped)} tensors compared, all within the limits" + (
            f" ({fused} more lie inside fused layers and are never made)" if fused else ""
        )
        differ = [entry for entry in errors.exact if entry.different]
        site, near, fields = None, False, dict[str, Any]()
        if layers:
            worst = min(layers, key=lambda layer: layer.accumulated.snr)
            site = worst.site
            exact = worst.accumulated.snr == math.inf and not any(layer.accumulated.max_abs for layer in layers)
            message += (
                "; all equal golden's"
                if exact
                else f"; the farthest is {place(site)} with {worst.accumulated.snr:.1f} dB"
            )
            near = worst.accumulated.snr < NEAR * self.snr
            if near and (step := flow.amplifier(site.tensor, self.snr)):
                message += f"; {amplified(flow, step, site)}"
            fields = {"metric": "accumulatedSnr", "value": worst.accumulated.snr, "limit": self.snr}
        if differ:
            message += f"; of {place(differ[0].site)} {unequal(differ[0].different, differ[0].elements)}"
            # A wrong index in one sample of many shows in no figure over all of them.
            remark = near or any(not entry.boolean for entry in differ)
            details = details.model_copy(update={"remark": True}) if remark else details
        elif not layers:
            site, fields = errors.exact[0].site, {"metric": "equalElements", "value": 1.0, "limit": self.equal}
        return self.finding(evidence, Verdict.PASSED, message, site, **fields, details=details)

    def _inside(
        self, evidence: Evidence, first: LayerError, limit: float, local: bool, details: LayerDriftDetails
    ) -> tuple[str, LayerDriftDetails]:
        """What is known of the inside of the layer that makes the tensor; `local`: it breaches the local limit."""
        shown = evidence.of(*self.needs)
        split = shown.split_layers.get(first.site.tensor) if shown else None

        def fails(inner: InnerTensor) -> bool:
            return not inner.accumulated.snr >= limit

        def starts(inner: InnerTensor) -> bool:
            return not inner.local.snr >= limit if local and inner.local else fails(inner)

        return explained(split, fails, starts), with_inner(details, split, fails)


def _power(layer: LayerError) -> str:
    return power(layer.accumulated, layer.reshaped)
