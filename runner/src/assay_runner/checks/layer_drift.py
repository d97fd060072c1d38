"""Where does the error start, and where is it only passed on?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import LayerDriftDetails, LayerDriftEntry
from assay_runner.checks.check import MOST_UNSEEN, Check, place, unseen, why_not_served
from assay_runner.checks.fused_layer import errors_of, explained, with_inner
from assay_runner.evidence import Error, Evidence, InnerTensor, LayerError, LayerErrors, TensorsWanted


class LayerDrift(Check):
    """Where does the error start, and where is it only passed on?

    Compares every tensor with the golden one: its accumulated error, and its local error, that of the candidate's own
    operation on golden inputs.
    """

    name: ClassVar[str] = "layerDrift"

    snr: float = Field(default=10, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, accumulated error. Default 10."""
    local_snr: float = Field(default=20, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, local error. Default 20."""
    tensors: Literal["kept", "all"] = "kept"
    """Which tensors of an engine are compared: those that it keeps between its layers as it is served, or all of the
    model's, for which another engine is built that fuses less. Default kept; without an engine always all."""
    worst: int = Field(default=10, ge=1, le=1000)
    """How many of the worst tensors are listed. Default 10."""

    @property
    def needs(self) -> tuple[TensorsWanted]:
        """Every tensor, against golden's."""
        return (TensorsWanted(compared=True, whole=self.tensors == "all"),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first tensor at which a breach starts, or that there is none."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        shown = evidence.of(*self.needs)
        if shown is None or shown.layers is None:
            return (self.inconclusive(evidence, "the tensors were not compared with golden's"),)
        layers = [layer for layer in shown.layers.layers if layer.elements]
        if not layers:
            reason = "candidate and golden share no tensor by name: build the candidate from the same graph"
            return (self.inconclusive(evidence, reason),)
        if reason := why_not_served(evidence):
            return (self.inconclusive(evidence, reason),)
        details = self._details(layers, shown.layers)
        local = [layer for layer in layers if layer.local and not layer.local.snr >= self.local_snr]
        passed_on = [layer for layer in layers if not layer.accumulated.snr >= self.snr]
        if local or passed_on:
            return (self._failed(evidence, local, passed_on, details),)
        if reason := _unmeasured(layers, shown.layers.skipped):
            return (self.inconclusive(evidence, reason, details=details),)
        if reason := unseen(evidence):
            return (self.inconclusive(evidence, reason, details=details),)
        worst = min(layers, key=lambda layer: layer.accumulated.snr)
        fused = len(shown.layers.fused)
        message = (
            f"{len(layers)} of {len(layers) + len(shown.layers.skipped)} tensors compared, all within the limits"
            + (f" ({fused} more lie inside fused layers and are never made)" if fused else "")
            + f"; the farthest is {place(worst.site)} with {worst.accumulated.snr:.1f} dB"
        )
        fields = {"metric": "accumulatedSnr", "value": worst.accumulated.snr, "limit": self.snr}
        return (self.finding(evidence, Verdict.PASSED, message, worst.site, **fields, details=details),)

    def _failed(
        self,
        evidence: Evidence,
        local: Sequence[LayerError],
        passed_on: Sequence[LayerError],
        details: LayerDriftDetails,
    ) -> Finding:
        breaches = len({layer.site.tensor for layer in (*local, *passed_on)})
        if local:
            first = local[0]
            error = first.local or first.accumulated
            message = (
                f"the error starts at {place(first.site)}: on golden inputs it {_power(error)}, must have at "
                f"least {self.local_snr:g} dB; tensors that start such errors: {len(local)}, that breach a limit: "
                f"{breaches}"
            )
            fields = {"metric": "localSnr", "value": error.snr, "limit": self.local_snr}
        else:
            first = min(passed_on, key=lambda layer: layer.accumulated.snr)
            message = (
                f"{place(first.site)} is farthest from golden: it {_power(first.accumulated)}, must have at "
                f"least {self.snr:g} dB; {self._origin(passed_on)}; breaches: {breaches} tensors"
            )
            fields = {"metric": "accumulatedSnr", "value": first.accumulated.snr, "limit": self.snr}
        said, details = self._inside(evidence, first, bool(local), details)
        return self.finding(evidence, Verdict.FAILED, message + said, first.site, **fields, details=details)

    def _origin(self, passed_on: Sequence[LayerError]) -> str:
        """What is known of where an error starts that no local one accounts for."""
        if all(layer.local for layer in passed_on):
            return f"no single tensor starts an error below {self.local_snr:g} dB, it adds up"
        return f"local errors were not measured, the first below the limit is {place(passed_on[0].site)}"

    def _inside(
        self, evidence: Evidence, first: LayerError, local: bool, details: LayerDriftDetails
    ) -> tuple[str, LayerDriftDetails]:
        """What is known of the inside of the layer that makes the tensor; `local`: it breaches the local limit."""
        shown = evidence.of(*self.needs)
        split = shown.split_layers.get(first.site.tensor) if shown else None
        limit = self.local_snr if local else self.snr

        def fails(inner: InnerTensor) -> bool:
            return not inner.accumulated.snr >= limit

        def starts(inner: InnerTensor) -> bool:
            return not inner.local.snr >= limit if local and inner.local else fails(inner)

        return explained(split, fails, starts), with_inner(details, split, fails)

    def _details(self, layers: Sequence[LayerError], seen: LayerErrors) -> LayerDriftDetails:
        started = [layer for layer in layers if layer.local]
        origins = sorted(started, key=lambda layer: layer.local.snr if layer.local else 0.0)
        farthest = sorted(layers, key=lambda layer: layer.accumulated.snr)
        return LayerDriftDetails(
            compared=len(layers),
            not_compared=len(seen.skipped),
            inside_fused_layers=len(seen.fused),
            without_local_error=len(layers) - len(started),
            worst=tuple(map(_entry, farthest[: self.worst])),
            origins=tuple(map(_entry, origins[: self.worst])),
        )


def _unmeasured(layers: Sequence[LayerError], skipped: Sequence[str]) -> str:
    """Why too little was measured for a pass, or nothing."""
    if not any(layer.local for layer in layers):
        return "the local error of no tensor could be measured: no part of the candidate was run on golden's tensors"
    total = len(layers) + len(skipped)
    if len(skipped) > MOST_UNSEEN * total:
        return (
            f"only {len(layers)} of {total} tensors could be compared; {skipped[0]!r} could not, being no number or in "
            "one of the two graphs alone: build the candidate from the same graph"
        )
    without = [layer.site.tensor for layer in layers if not layer.local]
    if len(without) > MOST_UNSEEN * total:
        return f"the local error of {len(without)} of {total} tensors could not be measured, {without[0]!r} the first"
    return ""


def _power(error: Error) -> str:
    """A signal-to-noise ratio as a predicate; an infinite error has none."""
    return "holds NaN or Inf that golden does not" if error.max_abs == float("inf") else f"has {error.snr:.1f} dB"


def _entry(layer: LayerError) -> LayerDriftEntry:
    return LayerDriftEntry(**errors_of(layer), starts_here=layer.starts_here)
