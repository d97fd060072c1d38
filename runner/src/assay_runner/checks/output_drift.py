"""Do the outputs agree with the golden ones?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from assay_api.fields import ArrayName, Share
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, Floats, Need, OutputDrifts
from assay_runner.statistics.quantiles import bad_end, worst_index

DEFAULT_COSINE = 0.99


@dataclass(frozen=True)
class Metric:
    """A measure of drift with one value per sample."""

    name: str
    more_is_better: bool
    values: Callable[[OutputDrifts], Floats]

    def breached(self, value: float, limit: float) -> bool:
        """Whether a value is beyond the limit; NaN is."""
        return not (value >= limit if self.more_is_better else value <= limit)


METRICS = (
    Metric("maxAbs", False, lambda drifts: drifts.max_abs),
    Metric("maxRel", False, lambda drifts: drifts.max_rel),
    Metric("cosine", True, lambda drifts: drifts.cosine),
    Metric("psnr", True, lambda drifts: drifts.psnr),
    Metric("snr", True, lambda drifts: drifts.snr),
)


class OutputDrift(Check):
    """Do the outputs agree with the golden ones?

    Judged per output and per sample: the worst sample decides. Without any limit: cosine 0.99.
    """

    name: ClassVar[str] = "outputDrift"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OUTPUTS})

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
    """Smallest cosine similarity of a sample's output."""
    psnr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest peak signal-to-noise ratio in dB; the peak is the sample's largest golden magnitude."""
    snr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio in dB: golden power over the power of the difference."""
    top_k: int = Field(default=1, ge=1, le=1000)
    """k of topKAgreement. Default 1."""
    top_k_agreement: Share | None = None
    """Share of samples whose set of the k largest elements along the last axis must be the golden one's."""

    def limits(self) -> dict[str, float]:
        """Limits by metric, without topKAgreement's; the default where none is given."""
        given = {
            "maxAbs": self.max_abs,
            "maxRel": self.max_rel,
            "cosine": self.cosine,
            "psnr": self.psnr,
            "snr": self.snr,
        }
        found = {name: limit for name, limit in given.items() if limit is not None}
        return found if found or self.top_k_agreement is not None else {"cosine": DEFAULT_COSINE}

    def judges(self, output: str) -> bool:
        """Whether this output is judged."""
        return not self.outputs or output in self.outputs

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding per output: its worst breach, or that it is within all limits."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        measured = {drifts.site.tensor: drifts for drifts in evidence.outputs if self.judges(drifts.site.tensor)}
        findings = [self._output(evidence, drifts) for drifts in measured.values()]
        for name, reason in evidence.unmeasured.items():
            if self.judges(name):
                hint = "name the outputs to be judged in outputDrift.outputs"
                findings.append(self.inconclusive(evidence, f"{reason}; {hint}", tensor=name))
        missing = [name for name in self.outputs if name not in measured and name not in evidence.unmeasured]
        findings += [self.inconclusive(evidence, f"output {name!r} was not measured", tensor=name) for name in missing]
        return tuple(findings) or (self.inconclusive(evidence, "no output was compared with a golden one"),)

    def _output(self, evidence: Evidence, drifts: OutputDrifts) -> Finding:
        if not drifts.max_abs.size:
            return self.inconclusive(evidence, f"output {drifts.site.tensor!r} has no sample to judge", drifts.site)
        judged = [*self._per_sample(drifts), *self._top_k(drifts)]
        failed = [fields for verdict, fields in judged if verdict is Verdict.FAILED]
        unclear = [fields for verdict, fields in judged if verdict is Verdict.INCONCLUSIVE]
        if failed:
            more = f"; further limits breached: {len(failed) - 1}" if len(failed) > 1 else ""
            verdict, fields = Verdict.FAILED, failed[0] | {"message": failed[0]["message"] + more}
        elif unclear:
            verdict, fields = Verdict.INCONCLUSIVE, unclear[0]
        else:
            verdict, fields = Verdict.PASSED, judged[0][1]
        message = f"output {drifts.site.tensor!r}: {fields.pop('message')}"
        return self.finding(evidence, verdict, message, drifts.site, **fields, details=self._details(drifts))

    def _per_sample(self, drifts: OutputDrifts) -> Iterator[tuple[Verdict, dict[str, Any]]]:
        limits = self.limits()
        for metric in METRICS:
            if metric.name not in limits:
                continue
            limit, values = limits[metric.name], metric.values(drifts)
            worst = bad_end(values, 1.0, metric.more_is_better)
            sample = worst_index(values, metric.more_is_better)
            sign = "at least" if metric.more_is_better else "at most"
            where = f"{metric.name} {worst:.6g} in sample {sample}, the worst of {values.size}"
            broken = "is not finite there" if drifts.not_finite[sample] else f"must be {sign} {limit:g}"
            if metric.breached(worst, limit):
                verdict, message = Verdict.FAILED, f"{where}, {broken}"
            else:
                verdict, message = Verdict.PASSED, f"{where}, is within the limit {limit:g}"
            yield verdict, {"message": message, "metric": metric.name, "value": worst, "limit": limit}

    def _top_k(self, drifts: OutputDrifts) -> Iterator[tuple[Verdict, dict[str, Any]]]:
        limit = self.top_k_agreement
        if limit is None:
            return
        agreement = drifts.top_k[self.top_k]
        share, fields = float(agreement.mean()), {"metric": "topKAgreement", "limit": limit}
        if drifts.classes <= self.top_k:
            message = f"top-{self.top_k} agreement says nothing about {drifts.classes} elements: lower topK"
            yield Verdict.INCONCLUSIVE, fields | {"message": message}
            return
        message = f"top-{self.top_k} agrees in {int(agreement.sum())} of {agreement.size} samples"
        if share >= limit:
            yield Verdict.PASSED, fields | {"message": f"{message}, within the limit {limit:g}", "value": share}
        else:
            yield Verdict.FAILED, fields | {"message": f"{message}, must in a share of {limit:g}", "value": share}

    def _details(self, drifts: OutputDrifts) -> dict[str, Any]:
        details: dict[str, Any] = {"samples": int(drifts.max_abs.size)}
        for metric in METRICS:
            values = metric.values(drifts)
            shares = (("worst", 1.0), ("p99", 0.99), ("p50", 0.5))
            details[metric.name] = {name: bad_end(values, share, metric.more_is_better) for name, share in shares}
        details["notFinite"] = int(drifts.not_finite.sum())
        return details
