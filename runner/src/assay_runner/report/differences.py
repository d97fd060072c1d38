"""Where two reports part: what was judged, what made it, verdicts, and figures beyond their noise.

A figure's noise is what the reports themselves say of it:

- an output's SNR or PSNR s, where golden agrees with itself only to f dB: golden's error, at worst all along the
  candidate's, moves s by at most 20 log10(1 + 10^((s - f) / 20)) dB; maximal errors by the floor itself;
- hits on labels of the same samples: golden alone hits in b of them and the candidate alone in c, so the difference to
  golden has a standard deviation of sqrt(b + c) samples (McNemar, Psychometrika 12, 1947), and the one of two
  candidates at most sqrt(b + c + b' + c'), of which 1.96 are taken;
- a latency: its own runs reach from the median to the 99th percentile, the wider of both.

What is within that is no difference. Figures of other data or another golden are not held against each other at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard

from assay_api.model import to_wire
from assay_api.output_details import LabelAccuracyDetails
from assay_api.report import CandidateReport, Report, Verdict
from assay_runner.report.content import model_digest
from assay_runner.report.figures import metric_of, number
from assay_runner.report.wording import SEVERITY, candidate_verdict, findings_of

Change = Literal["better", "worse", "same", "new"]
Z975: Final = 1.959964


@dataclass(frozen=True)
class Judged:
    """A verdict in both reports.

    Attributes:
        candidate: its key.
        check: name of the check; empty for the candidate's own verdict.
        old: None where the old report has none.
        new: likewise.
    """

    candidate: str
    check: str
    old: Verdict | None
    new: Verdict | None

    @property
    def change(self) -> Change:
        """Worse too where there is no verdict any more, and where the first one is Failed; new any other first one."""
        if self.old == self.new:
            return "same"
        if self.old is None or self.new is None:
            return "new" if self.new in (Verdict.PASSED, Verdict.INCONCLUSIVE) else "worse"
        return "better" if SEVERITY[self.new] > SEVERITY[self.old] else "worse"


@dataclass(frozen=True)
class Measured:
    """A figure in both reports.

    Attributes:
        candidate: its key.
        what: the output, or what was measured where it is of none.
        metric: key of `figures.METRICS`.
        old: value.
        new: value.
        noise: by how much either may move and mean nothing; None where the reports do not tell.
    """

    candidate: str
    what: str
    metric: str
    old: float
    new: float
    noise: float | None

    @property
    def change(self) -> Change:
        """Which way it went, beyond its noise."""
        if self.old == self.new or (math.isnan(self.old) and math.isnan(self.new)):
            return "same"
        if math.isnan(self.new) or math.isnan(self.old):
            return "worse" if math.isnan(self.new) else "better"
        if abs(self.new - self.old) <= (self.noise or 0.0):
            return "same"
        return "better" if (self.new > self.old) == metric_of(self.metric).more_is_better else "worse"


@dataclass(frozen=True)
class Differences:
    """Where two reports part.

    Attributes:
        inputs: what differs of model, data, spec, versions and build: old and new, by what it is.
        verdicts: every verdict of either, as the new report orders them.
        figures: every figure of both that may be compared.
        apart: why figures are not compared; empty where they are.
    """

    inputs: Mapping[str, tuple[str, str]]
    verdicts: tuple[Judged, ...]
    figures: tuple[Measured, ...]
    apart: str = ""

    def worse(self, *, figures: bool) -> bool:
        """Whether a verdict turned to Failed, or, asked of `figures` too, any figure got worse beyond its noise."""
        failed = any(each.new is Verdict.FAILED and each.change == "worse" for each in self.verdicts)
        return failed or (figures and any(each.change == "worse" for each in self.figures))

    @property
    def lost(self) -> bool:
        """Whether something that was judged no longer is."""
        return any(each.change == "worse" and each.new is not Verdict.FAILED for each in self.verdicts)

    def verdict(self, *, figures: bool = False) -> Verdict:
        """Failed where it is `worse`, Inconclusive where something is `lost`, else Passed."""
        if self.worse(figures=figures):
            return Verdict.FAILED
        return Verdict.INCONCLUSIVE if self.lost else Verdict.PASSED


def differences(old: Report, new: Report) -> Differences:
    """What changed from one report to the other; candidates and checks are the same where their names are."""
    apart = _apart(old, new)
    return Differences(
        inputs=_inputs(old, new),
        verdicts=tuple(_verdicts(old, new)),
        figures=() if apart else tuple(_figures(old, new)),
        apart=apart,
    )


def _apart(old: Report, new: Report) -> str:
    for what, of in (("data", _data), ("model, and so another golden", _model)):
        first, second = of(old), of(new)
        if first and second and first != second:
            return f"figures are not compared, for they are of another {what}"
        if not (first and second):
            return f"figures are not compared, for a report does not say which {what.partition(',')[0]} they are of"
    return ""


def _model(report: Report) -> str:
    return model_digest(report) or ""


def _data(report: Report) -> str:
    return report.dataset.identity or ""


def _inputs(old: Report, new: Report) -> dict[str, tuple[str, str]]:
    told = [dict(_told(report)) for report in (old, new)]
    names = dict.fromkeys((*told[0], *told[1]))
    both = {name: (told[0].get(name, ""), told[1].get(name, "")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _fields(value: Any, path: str = "spec") -> Iterator[tuple[str, str]]:
    """Every field of a spec with its path; entries of a list are called by their names, or their only keys."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _fields(each, f"{path}.{key}")
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        for number, each in enumerate(value):
            yield from _fields(each, f"{path}[{_entry(each, number)}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, default=str).strip('"')


def _entry(value: Any, number: int) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return str(value["name"])
    return str(number)


def _told(report: Report) -> Iterator[tuple[str, str]]:
    """What was judged and by what, one line each."""
    yield "audit", report.audit
    yield "model", _model(report)
    yield "data", _data(report)
    yield "samples", str(report.dataset.samples or "")
    yield "run", report.run
    yield "content", report.content or ""
    yield from _fields(to_wire(report.spec) if report.spec else {})
    yield "golden", " ".join(filter(None, (report.golden.precision, report.golden.backend)))
    yield from report.environment.items()
    for candidate in report.candidates:
        engine = candidate.engine
        yield f"{candidate.name}: backend", "emulated" if candidate.emulated else candidate.backend
        yield f"{candidate.name}: TensorRT", engine.tensorrt or ""
        yield f"{candidate.name}: GPU", engine.gpu or ""
        yield f"{candidate.name}: driver", engine.driver_cuda or ""
        yield f"{candidate.name}: typing", candidate.typing or ""
        yield f"{candidate.name}: flags", ", ".join(engine.flags or ())
        yield f"{candidate.name}: built", engine.built or ""
        yield f"{candidate.name}: layers by precision", ", ".join(f"{n} {k}" for k, n in candidate.achieved.items())


def _verdicts(old: Report, new: Report) -> Iterator[Judged]:
    before, after = _by_name(old), _by_name(new)
    for name in dict.fromkeys((*after, *before)):
        pair = [candidate_verdict(r, c[name]) if name in c else None for r, c in ((old, before), (new, after))]
        yield Judged(name, "", *pair)
        checks = [_checks(report, name) for report in (old, new)]
        for check in dict.fromkeys((*checks[1], *checks[0])):
            yield Judged(name, check, checks[0].get(check), checks[1].get(check))


def _by_name(report: Report) -> dict[str, CandidateReport]:
    return {candidate.name: candidate for candidate in report.candidates}


def _checks(report: Report, candidate: str) -> dict[str, Verdict]:
    """The worst verdict of each check."""
    found: dict[str, Verdict] = {}
    for finding in findings_of(report, candidate):
        known = found.get(finding.check)
        if known is None or SEVERITY[finding.verdict] < SEVERITY[known]:
            found[finding.check] = finding.verdict
    return found


def _figures(old: Report, new: Report) -> Iterator[Measured]:
    before = _by_name(old)
    for name, after in _by_name(new).items():
        if name in before:
            yield from _of_outputs(before[name], after)
            yield from _of_labels(old, new, before[name], after)
            yield from _of_time(before[name], after)
            yield from _of_layers(before[name], after)


def _of_outputs(old: CandidateReport, new: CandidateReport) -> Iterator[Measured]:
    before = {output.name: output.metrics for output in old.outputs}
    for output in new.outputs:
        for metric, entry in output.metrics.items():
            known = before.get(output.name, {}).get(metric)
            if known is None:
                continue
            noise = _of_floor(metric, (known.worst, known.floor), (entry.worst, entry.floor))
            yield Measured(new.name, output.name, metric, float(known.worst), float(entry.worst), noise)


def _of_floor(metric: str, *both: tuple[float, float | None]) -> float | None:
    """How far golden's own noise moves a figure."""
    known = [(float(value), float(floor)) for value, floor in both if floor is not None]
    if len(known) < len(both):
        return None
    if metric in ("snr", "psnr"):
        return max(_decibels(value, floor) for value, floor in known)
    if metric == "cosine":
        return max(1 - floor for _, floor in known)
    return max(floor for _, floor in known)


def _decibels(value: float, floor: float) -> float:
    if math.isinf(floor) and floor > 0:
        return 0.0
    if not math.isfinite(value):
        return 0.0 if value < 0 else math.inf
    return 20 * math.log10(1 + 10 ** ((value - floor) / 20))


def _of_labels(
    old_report: Report, new_report: Report, old: CandidateReport, new: CandidateReport
) -> Iterator[Measured]:
    details = [_labels(report, candidate.name) for report, candidate in ((old_report, old), (new_report, new))]
    for metric, value in new.accuracy.items():
        if metric in old.accuracy and not metric.startswith("golden"):
            unlike = [each.only_golden_hits + each.only_candidate_hits for each in details if _counts(each, metric)]
            known = len(unlike) == len(details) and new.samples > 0
            noise = Z975 * math.sqrt(sum(unlike)) / new.samples if known else None
            yield Measured(new.name, "labels", metric, float(old.accuracy[metric]), float(value), noise)


def _labels(report: Report, candidate: str) -> LabelAccuracyDetails | None:
    details = (finding.details for finding in findings_of(report, candidate) if finding.check == "labelAccuracy")
    return next((each for each in details if isinstance(each, LabelAccuracyDetails)), None)


def _counts(details: LabelAccuracyDetails | None, metric: str) -> TypeGuard[LabelAccuracyDetails]:
    """Whether its pairs are hits by this metric: by the first of top-1 and top-5 that is judged."""
    return details is not None and metric == ("top1" if details.top1 is not None else "top5")


def _of_time(old: CandidateReport, new: CandidateReport) -> Iterator[Measured]:
    before, after = old.latency, new.latency
    served = not (old.emulated or new.emulated) and old.backend == new.backend and old.engine.gpu == new.engine.gpu
    if before and after and served and before.batch == after.batch:
        noise = max(float(each.p99_ms) - float(each.median_ms) for each in (before, after))
        yield Measured(new.name, "latency", "medianMs", float(before.median_ms), float(after.median_ms), noise)


def _of_layers(old: CandidateReport, new: CandidateReport) -> Iterator[Measured]:
    pair = [_farthest(candidate) for candidate in (old, new)]
    if pair[0] is not None and pair[1] is not None:
        yield Measured(new.name, "farthest tensor", "accumulatedSnr", pair[0], pair[1], None)


def _farthest(candidate: CandidateReport) -> float | None:
    values = [number(layer.accumulated_snr) for layer in candidate.layers if layer.accumulated_snr is not None]
    known = [value for value in values if value is not None]
    return math.nan if any(map(math.isnan, known)) else min(known, default=None)
