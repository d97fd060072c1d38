"""The base of checks that hold two runs of a candidate against each other, not against golden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay_api.behaviour_details import SamenessDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.checks.output_drift import DEFAULT_SNR, OutputDrift
from assay_runner.checks.suspicion import although, cause, listed
from assay_runner.evidence import Evidence, OutputDrifts
from assay_runner.evidence.reruns import Comparison, Suspects
from assay_runner.statistics.quantiles import worst_index
from assay_runner.tensors import Site

EQUAL = float(OutputDrift.model_fields["equal"].default)


class Sameness(Check):
    """Judges outputs of two runs by outputDrift's default limits, or by their bits."""

    exact: bool = False
    """true: every bit must be the same. Default false: outputDrift's default limits hold, snr 17 (integers and
    booleans: identical in a share of 0.99), since other shapes may well take other kernels."""

    def compared(self, evidence: Evidence, same: Comparison, what: str) -> Iterator[Finding]:
        """One finding per output; `what` is held against what, in words."""
        for drifts in same.outputs:
            if not drifts.samples:
                reason = f"{what}: output {drifts.site.tensor!r} has no sample to judge"
                yield self.inconclusive(evidence, reason, drifts.site)
                continue
            if drifts.resized:
                yield self._other_rows(evidence, same, drifts, what)
                continue
            judge = self._exact if self.exact else self._near if drifts.equal is None else self._equal
            suspects = same.suspects.get(drifts.site.tensor, Suspects())
            yield _suspecting(judge(evidence, same, drifts, what), suspects, drifts.site)
        for name, reason in same.unmeasured.items():
            yield self.inconclusive(evidence, f"{what}: {reason}", tensor=name)

    def _other_rows(self, evidence: Evidence, same: Comparison, drifts: OutputDrifts, what: str) -> Finding:
        """Another number of rows: whatever else holds, the two are not the same."""
        assert drifts.resized is not None
        there, place = drifts.resized, same.places[drifts.resized.first]
        told = (
            f"{what}: output {drifts.site.tensor!r} holds another number of rows in {there.count} of {drifts.samples}, "
            f"first in {place}: {there.candidate} against {there.golden}"
        )
        suspects = same.suspects.get(drifts.site.tensor, Suspects())
        fields = {"metric": "otherRows", "value": there.count, "limit": 0}
        return _suspecting(self.finding(evidence, Verdict.FAILED, told, drifts.site, **fields), suspects, drifts.site)

    def _exact(self, evidence: Evidence, same: Comparison, drifts: OutputDrifts, what: str) -> Finding:
        rows = same.other_bits.get(drifts.site.tensor, ())
        told = f"{what}: output {drifts.site.tensor!r} is the same bit by bit in all {drifts.samples} rows"
        if rows:
            told = (
                f"{what}: output {drifts.site.tensor!r} has other bits in {len(rows)} of {drifts.samples} rows, "
                f"first in {same.places[rows[0]]}"
            )
        verdict = Verdict.FAILED if rows else Verdict.PASSED
        return self.finding(evidence, verdict, told, drifts.site, metric="otherBits", value=len(rows), limit=0)

    def _equal(self, evidence: Evidence, same: Comparison, drifts: OutputDrifts, what: str) -> Finding:
        assert drifts.equal is not None
        share = float(drifts.equal.mean())
        told = (
            f"{what}: output {drifts.site.tensor!r} is identical in {int(drifts.equal.sum())} of {drifts.samples} rows"
        )
        verdict = Verdict.PASSED if share >= EQUAL else Verdict.FAILED
        if verdict is Verdict.FAILED:
            place = same.places[int(np.argmin(drifts.equal))]
            told += f", must be in a share of {EQUAL:g}; the first that differs is {place}"
        return self.finding(evidence, verdict, told, drifts.site, metric="equal", value=share, limit=EQUAL)

    def _near(self, evidence: Evidence, same: Comparison, drifts: OutputDrifts, what: str) -> Finding:
        output = f"{what}: output {drifts.site.tensor!r}"
        fields = {"metric": "snr", "limit": DEFAULT_SNR}
        odd = np.flatnonzero(drifts.broken | drifts.void)
        if odd.size:
            told = f"{output} is NaN or Inf in one of the two only, in {odd.size} rows, first in {same.places[odd[0]]}"
            return self.finding(evidence, Verdict.FAILED, told, drifts.site, **fields, value=float("nan"))
        if not drifts.measured.size:
            return self.inconclusive(evidence, f"{output} holds no finite element, so nothing is compared", drifts.site)
        values = drifts.snr[drifts.measured]
        at = worst_index(values, True)
        row, worst = int(drifts.measured[at]), float(values[at])
        fields["value"] = worst
        bits = len(same.other_bits.get(drifts.site.tensor, ()))
        details = SamenessDetails(rows=drifts.samples, other_bits=bits, max_abs=float(drifts.max_abs.max()))
        near = f"{output} agrees to {worst:.1f} dB in {same.places[row]}, the worst of {values.size} rows"
        if not bits:
            near = f"{output} is the same bit by bit in all {values.size} rows"
        if worst >= DEFAULT_SNR:
            told = f"{near}, within the limit {DEFAULT_SNR:g} dB"
            return self.finding(evidence, Verdict.PASSED, told, drifts.site, **fields, details=details)
        told = f"{near}, and must to at least {DEFAULT_SNR:g} dB; the two differ by up to {drifts.max_abs[row]:.3g}"
        return self.finding(evidence, Verdict.FAILED, told, drifts.site, **fields, details=details)


def _suspecting(finding: Finding, suspects: Suspects, output: Site) -> Finding:
    """The finding with what may be the cause of a difference, or was expected to be."""
    suspected = cause(suspects, output)
    if finding.verdict is not Verdict.FAILED or not suspected:
        more = although(suspects) if finding.verdict is Verdict.PASSED else ""
        return finding.model_copy(update={"message": finding.message + more})
    details = finding.details if isinstance(finding.details, SamenessDetails) else SamenessDetails()
    named = {"random": listed(suspects.random), "custom": listed(suspects.custom)}
    details = details.model_copy(update=named)
    return finding.model_copy(update={"message": f"{finding.message}; {suspected}", "details": details})
