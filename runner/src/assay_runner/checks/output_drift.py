"""Do the outputs agree with the golden ones?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assay_api.fields import ArrayName, Share
from assay_api.report import Finding, Verdict
from assay_runner.checks.channel_groups import Judged, judged_groups, said, told_apart, worst_of
from assay_runner.checks.check import Check
from assay_runner.checks.drift_metrics import METRICS, Metric, details_of
from assay_runner.checks.drift_told import breaching, meaning, next_step
from assay_runner.checks.golden_floor import Noise, golden_noise
from assay_runner.evidence import Evidence, OutputDrifts, OutputsWanted
from assay_runner.evidence.outputs import Resized
from assay_runner.statistics.quantiles import bad_end

DEFAULT_SNR = 17.0
"""Noise of 2 % of golden's power: for small errors that of cosine 0.99, but it also sees scale and single numbers."""

NAMED = 5
"""Outputs that are listed where one cannot be judged."""

Flags = NDArray[np.bool_]


class OutputDrift(Check):
    """Do the outputs agree with the golden ones?

    Judged per output and per sample: the worst sample decides. Without any limit: snr 17, noise of 2 % of golden's
    power. Outputs of integers or booleans are judged by equal alone, all others by the other limits. Where the data
    decide how many rows there are, a sample with another number of them than golden's breaches every limit. Where an
    output holds numbers whose largest magnitudes differ by more than a factor of 8, as boxes and scores, by what
    operators do or by golden's own values, snr, psnr and cosine must hold for the channels of each scale too. A
    limit below golden's own noise is Inconclusive, unless the candidate is golden bit by bit or far beyond that noise.
    """

    name: ClassVar[str] = "outputDrift"

    outputs: tuple[ArrayName, ...] = Field(
        default=(), max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Names of the outputs that are judged. Default: all."""
    max_abs: float | None = Field(default=None, ge=0)
    """Largest absolute difference of an element."""
    max_rel: float | None = Field(default=None, ge=0)
    """Largest difference of an element, divided by the larger of the golden element's magnitude and 0.1 % of the
    sample's largest golden magnitude (so that elements near zero do not decide)."""
    cosine: float | None = Field(default=None, ge=-1, le=1)
    """Smallest cosine similarity of a sample's output. Blind for scale, and for outputs of one element per sample."""
    psnr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest peak signal-to-noise ratio in dB; the peak is the sample's largest golden magnitude."""
    snr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio in dB: golden power over the power of the difference. Default 17 where no limit is
    given."""
    top_k: int = Field(default=1, ge=1, le=1000)
    """k of topKAgreement. Default 1."""
    top_k_agreement: Share | None = None
    """Share of samples whose set of the k largest elements along the last axis must be the golden one's."""
    equal: Share = Field(default=0.99)
    """Share of samples whose integer or boolean output must be identical to the golden one. Applies to such outputs
    only. Default 0.99."""

    @property
    def needs(self) -> tuple[OutputsWanted]:
        """The outputs, and the agreement of their k largest elements."""
        return (OutputsWanted(self.top_k),)

    @property
    def outputs_read(self) -> tuple[str, ...]:
        """The outputs that are judged."""
        return self.outputs

    def limits(self) -> dict[str, float]:
        """Limits of float outputs by metric, without topKAgreement's; the default where none is given."""
        given = {
            "maxAbs": self.max_abs,
            "maxRel": self.max_rel,
            "cosine": self.cosine,
            "psnr": self.psnr,
            "snr": self.snr,
        }
        found = {name: limit for name, limit in given.items() if limit is not None}
        return found if found or self.top_k_agreement is not None else {"snr": DEFAULT_SNR}

    def limits_on(self, output: str) -> dict[str, float]:
        """Limits by metric, those of integers and of topKAgreement among them."""
        if not self.judges(output):
            return {}
        agreement = {} if self.top_k_agreement is None else {"topKAgreement": self.top_k_agreement}
        rows = {"otherRows": 0.0} if self.limits() else {}
        return {**self.limits(), "equal": self.equal, **agreement, **rows}

    def judges(self, output: str) -> bool:
        """Whether this output is judged."""
        return not self.outputs or output in self.outputs

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding per output: its worst breach, or that it is within all limits."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(*self.needs)
        if found is None:
            return (self.inconclusive(evidence, "no output was compared with a golden one"),)
        measured = {drifts.site.tensor: drifts for drifts in found.drifts if self.judges(drifts.site.tensor)}
        findings = [self._output(evidence, drifts) for drifts in measured.values()]
        for name, reason in found.unmeasured.items():
            if self.judges(name):
                findings.append(self.inconclusive(evidence, f"{reason}; {self._other(measured)}", tensor=name))
        missing = [name for name in self.outputs if name not in measured and name not in found.unmeasured]
        findings += [self.inconclusive(evidence, f"output {name!r} was not measured", tensor=name) for name in missing]
        return tuple(findings) or (self.inconclusive(evidence, "no output was compared with a golden one"),)

    def _other(self, measured: Collection[str]) -> str:
        """What to do without an output that cannot be compared."""
        if not measured:
            return "no output can be judged; layerDrift looks at the tensors that they are made of"
        left = ", ".join([*measured][:NAMED]) + (", and so on" if len(measured) > NAMED else "")
        return f"have the others judged alone by outputDrift.outputs: [{left}]"

    def _output(self, evidence: Evidence, drifts: OutputDrifts) -> Finding:
        if not drifts.samples:
            return self.inconclusive(evidence, f"output {drifts.site.tensor!r} has no sample to judge", drifts.site)
        if not drifts.elements:
            reason = (
                f"output {drifts.site.tensor!r} holds no rows in any of {drifts.samples} samples, in golden or in the "
                "candidate, so there is nothing to compare: give data in which the model finds something, or name the "
                "outputs to judge in outputDrift.outputs"
            )
            return self.inconclusive(evidence, reason, drifts.site)
        judged = list(self._judged(drifts))
        failed = [fields for verdict, fields in judged if verdict is Verdict.FAILED]
        unclear = [fields for verdict, fields in judged if verdict is Verdict.INCONCLUSIVE]
        if failed:
            more = f"; further limits breached: {len(failed) - 1}" if len(failed) > 1 else ""
            verdict, fields = Verdict.FAILED, failed[0] | {"message": failed[0]["message"] + more}
        elif unclear:
            verdict, fields = Verdict.INCONCLUSIVE, unclear[0]
        else:
            verdict, fields = Verdict.PASSED, judged[0][1]
        apart = told_apart(drifts, self.limits()) if verdict is Verdict.PASSED else ""
        if verdict is Verdict.FAILED and drifts.equal is None:
            # Agreement that is judged is told already.
            known = "" if fields["metric"] == "topKAgreement" else meaning(evidence, drifts)
            apart = f"{known}{next_step(evidence, drifts)}"
        message = f"output {drifts.site.tensor!r}: {fields.pop('message')}{_left_out(drifts)}{apart}"
        return self.finding(evidence, verdict, message, drifts.site, **fields, details=details_of(drifts))

    def _judged(self, drifts: OutputDrifts) -> Iterator[Judged]:
        if drifts.equal is not None:
            yield self._equal(drifts.equal, drifts.resized)
            return
        if drifts.resized and self.limits():
            fields = {"metric": "otherRows", "value": drifts.resized.count, "limit": 0}
            hint = "which the check detections matches, where they are detections"
            yield Verdict.FAILED, fields | {"message": f"{_other_rows(drifts.resized)}, {hint}"}
        if not drifts.measured.size and not drifts.resized:
            yield Verdict.INCONCLUSIVE, {"message": _nothing(drifts)}
            return
        if drifts.measured.size:
            yield from self._per_sample(drifts)
            yield from judged_groups(drifts, self.limits())
        yield from self._top_k(drifts)
        if drifts.void.any():
            yield Verdict.INCONCLUSIVE, {"message": _nothing(drifts)}

    def _equal(self, equal: Flags, resized: Resized | None) -> Judged:
        share, first = float(equal.mean()), int(np.argmin(equal))
        fields = {"metric": "equal", "value": share, "limit": self.equal}
        message = f"identical to golden in {int(equal.sum())} of {equal.size} samples"
        if share >= self.equal:
            return Verdict.PASSED, fields | {"message": f"{message}, within the limit {self.equal:g}"}
        message += f", must be in a share of {self.equal:g}; the first that differs is sample {first}"
        more = f"; {_other_rows(resized)}" if resized else ""
        return Verdict.FAILED, fields | {"message": message + more}

    def _per_sample(self, drifts: OutputDrifts) -> Iterator[Judged]:
        limits = self.limits()
        for metric in METRICS:
            if metric.name not in limits:
                continue
            limit = limits[metric.name]
            if metric.name == "cosine" and drifts.elements == 1 and not drifts.broken.any():
                message = "one element per sample has no direction, so its cosine says nothing: use snr or maxAbs"
                yield Verdict.INCONCLUSIVE, {"message": message, "metric": metric.name, "limit": limit}
                continue
            values = metric.values(drifts)[drifts.measured]
            if drifts.broken.any():
                value = bad_end(values, 1.0, metric.more_is_better)
                told = f"{_broken(drifts)}, so {metric.name} has no value"
                yield Verdict.FAILED, {"metric": metric.name, "value": value, "limit": limit, "message": told}
                continue
            verdict, fields = worst_of(metric.name, values, drifts.measured, limit, metric.more_is_better)
            if noise := _noise(drifts, metric, float(fields["value"]), limit):
                told = f"{fields['message']}; that is below golden's own noise: {noise.told}"
                if noise.explains:
                    verdict = Verdict.INCONCLUSIVE
                    told = f"{told}, so it says nothing of the candidate: {noise.way_out}"
                fields = fields | {"message": told}
            if verdict is Verdict.FAILED:
                more = breaching(values, drifts.measured, limit, metric.more_is_better)
                fields = fields | {"message": f"{fields['message']}{more}"}
            yield verdict, fields

    def _top_k(self, drifts: OutputDrifts) -> Iterator[Judged]:
        limit = self.top_k_agreement
        if limit is None:
            return
        fields: dict[str, Any] = {"metric": "topKAgreement", "limit": limit}
        if drifts.classes <= self.top_k:
            count = "one element per sample" if drifts.elements == 1 else f"{drifts.classes} elements"
            way = "leave it out, or judge by snr or maxAbs" if drifts.classes == 1 else "lower topK"
            message = f"top-{self.top_k} agreement says nothing about {count}: {way}"
            yield Verdict.INCONCLUSIVE, fields | {"message": message}
            return
        # Another number of rows is no agreement.
        agreement = drifts.top_k[self.top_k][drifts.judged]
        share = float(agreement.mean())
        message = f"top-{self.top_k} agrees in {int(agreement.sum())} of {agreement.size} samples"
        if share >= limit:
            yield Verdict.PASSED, fields | {"message": f"{message}, within the limit {limit:g}", "value": share}
        else:
            yield Verdict.FAILED, fields | {"message": f"{message}, must be in a share of {limit:g}", "value": share}


def _other_rows(resized: Resized) -> str:
    """Samples in which the data decided on another number of rows."""
    count, samples = resized.count, resized.flags.size
    where = f"first sample {resized.first}: {resized.candidate}, golden {resized.golden}"
    return f"{count} of {samples} samples {'holds' if count == 1 else 'hold'} another number of rows, {where}"


def _noise(drifts: OutputDrifts, metric: Metric, worst: float, limit: float) -> Noise | None:
    """Golden's own noise where it is beyond the limit; None where it is not, or nothing differs from golden at all."""
    if not drifts.max_abs[drifts.measured].any():
        return None
    return golden_noise(drifts.floors, metric.name, worst, limit, lambda value: said(metric.name, value, limit))


def _broken(drifts: OutputDrifts) -> str:
    """What the candidate holds that golden does not, and where."""
    what, found = ("NaN", drifts.nan) if drifts.nan.any() else ("Inf", drifts.broken)
    samples = np.flatnonzero(found)
    return (
        f"the candidate holds {what} where golden does not, in {samples.size} of {drifts.samples} samples, first in "
        f"sample {samples[0]}"
    )


def _nothing(drifts: OutputDrifts) -> str:
    """Why samples cannot be compared with golden."""
    void = np.flatnonzero(drifts.void)
    if void.size:
        return (
            f"golden holds NaN or Inf in sample {void[0]} where the candidate is finite, so there is nothing to "
            f"compare with in {void.size} of {drifts.samples} samples: look for it in golden.uri or in the model"
        )
    return f"golden holds no finite element in any of {drifts.samples} samples, so there is nothing to compare with"


def _left_out(drifts: OutputDrifts) -> str:
    """What of golden was not finite and is the same in the candidate."""
    elements = int(drifts.as_golden.sum())
    if not elements or not drifts.measured.size:
        return ""
    return f"; {elements} elements that golden has not finite either, and the same, are left out"
