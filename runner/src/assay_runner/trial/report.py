"""One candidate's part of the report, from evidence and findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from assay_api.entries import (
    EngineEntry,
    EngineLayerEntry,
    HistogramEntry,
    Latency,
    MetricEntry,
    OutputEntry,
    TensorEntry,
)
from assay_api.report import CandidateReport, Finding, Verdict, worst
from assay_runner.backends.subject import Subject
from assay_runner.checks import Check
from assay_runner.checks.check import probe_disagrees
from assay_runner.checks.drift_metrics import METRICS, Metric
from assay_runner.checks.golden_floor import floor_figures
from assay_runner.checks.latency import latency_of
from assay_runner.evidence import (
    BatchTimes,
    DigestWanted,
    EngineFacts,
    EngineLayer,
    Evidence,
    Histogram,
    LabelsWanted,
    LayerError,
    OutputDrifts,
    OutputsWanted,
    RangesWanted,
    Reproduction,
    ShownTensors,
    TensorsWanted,
    TimingWanted,
)
from assay_runner.evidence.ranges import TensorRange
from assay_runner.evidence.reruns import Timing
from assay_runner.statistics.bits import packed
from assay_runner.statistics.quantiles import bad_end, worst_index

SAME_DB = 80.0
"""Outputs that agree so well differ by the rounding of FP32 alone: values rounded once to the 11 bits of FP16 and TF32
agree with what they were to 74 dB, to the 24 bits of FP32 to 152 dB, and sums in another order lie between."""
MOST_HITS = 1_000_000
"""Samples beyond which a report does not say of each whether it was right."""
ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def candidate_report(
    subject: Subject, checks: Sequence[Check], evidence: Evidence, findings: Iterable[Finding]
) -> tuple[CandidateReport, tuple[Finding, ...]]:
    """The report and the findings, worst first.

    Args:
        subject: the candidate.
        checks: what was judged.
        evidence: what was measured.
        findings: what the checks found.
    """
    built, shown = subject.built, evidence.any(TensorsWanted)
    reproduction, outputs = shown.reproduction if shown else None, evidence.any(OutputsWanted)
    ordered = tuple(sorted(findings, key=lambda finding: ORDER[finding.verdict]))
    timing, engine, digest = evidence.any(TimingWanted), evidence.engine, evidence.any(DigestWanted)
    report = CandidateReport(
        name=subject.key,
        verdict=worst(finding.verdict for finding in ordered),
        backend=subject.backend.name,
        precision=built.precision,
        typing=engine.typing if engine else None,
        emulated=built.emulated,
        samples=evidence.samples,
        latency=latency_of(timing) if timing else latency(evidence.times),
        # An emulation's file says nothing about an engine's size.
        size=None if built.emulated else built.path.stat().st_size,
        memory=_memory(engine, timing),
        accuracy=accuracy(evidence),
        outputs_digest=digest.value if digest else None,
        hits=hits(evidence),
        outputs=tuple(_output(drifts, checks) for drifts in (outputs.drifts if outputs else ())),
        layers=_layers(evidence, shown),
        layers_served=not probe_disagrees(reproduction),
        fused=len(shown.layers.fused) if shown and shown.layers else 0,
        histograms=tuple(map(_histogram, shown.histograms if shown else ())),
        achieved=engine.achieved() if engine else {},
        engine=engine.facts if engine else EngineEntry(),
        engine_layers=tuple(map(_engine_layer, engine.layers if engine else ())),
        notes=(*built.notes, *evidence.notes, *reproduces(reproduction)),
    )
    return report, ordered


def _memory(engine: EngineFacts | None, timing: Timing | None) -> int | None:
    """What the engine says that it needs; else what was needed while it was timed."""
    if engine and engine.memory is not None:
        return engine.memory
    return timing.memory if timing else None


def _engine_layer(layer: EngineLayer) -> EngineLayerEntry:
    return EngineLayerEntry.model_validate(asdict(layer))


def latency(times: BatchTimes) -> Latency | None:
    """Median and 99th percentile; the first run warms up and does not count, unless it is the only one."""
    kept = np.array(times.milliseconds[1:] or times.milliseconds, np.float64)
    if not kept.size:
        return None
    p99 = float(np.quantile(kept, 0.99, method="higher"))
    return Latency(median_ms=float(np.median(kept)), p99_ms=p99, batch=times.rows, runs=len(kept))


def accuracy(evidence: Evidence) -> dict[str, float]:
    """Top-1 and top-5 of candidate and golden; of the first output judged, where there are several."""
    found: dict[str, float] = {}
    for ranks in islice(evidence.each(LabelsWanted), 1):
        for name, k in (("top1", 1), ("top5", 5)):
            if k < ranks.classes:
                found[name] = float((ranks.candidate < k).mean())
                found[f"golden{name.capitalize()}"] = float((ranks.golden < k).mean())
    return found


def hits(evidence: Evidence) -> str | None:
    """Which samples' labels the candidate names rightly, as `CandidateReport.hits` has them."""
    ranks = next(iter(evidence.each(LabelsWanted)), None)
    if ranks is None or ranks.classes < 2 or ranks.candidate.size > MOST_HITS:
        return None
    return packed(ranks.candidate < 1)


def _output(drifts: OutputDrifts, checks: Iterable[Check]) -> OutputEntry:
    limits = {name: limit for check in checks for name, limit in check.limits_on(drifts.site.tensor).items()}
    metrics: dict[str, MetricEntry] = {}
    if drifts.equal is not None:
        metrics["equal"] = _share(drifts.equal, np.arange(drifts.samples), limits.get("equal"))
    if drifts.resized:
        # Integers are judged by equality alone.
        limit = limits.get("otherRows") if drifts.equal is None else None
        metrics["otherRows"] = MetricEntry(worst=drifts.resized.count, worst_sample=drifts.resized.first, limit=limit)
    for metric in METRICS:
        values = metric.values(drifts)[drifts.measured]
        if not values.size or (metric.name == "cosine" and drifts.elements == 1):
            continue
        metrics[metric.name] = MetricEntry(
            worst=bad_end(values, 1.0, metric.more_is_better),
            p50=bad_end(values, 0.5, metric.more_is_better),
            p99=bad_end(values, 0.99, metric.more_is_better),
            worst_sample=int(drifts.measured[worst_index(values, metric.more_is_better)]),
            limit=limits.get(metric.name),
            floor=_floor(drifts, metric),
        )
    for k, agreement in drifts.top_k.items():
        if drifts.classes > k and drifts.judged.size:
            share = _share(agreement[drifts.judged], drifts.judged, limits.get("topKAgreement"))
            metrics["topKAgreement"] = share.model_copy(update={"k": k})
    return OutputEntry(name=drifts.site.tensor, metrics=metrics)


def _floor(drifts: OutputDrifts, metric: Metric) -> float | None:
    figures = floor_figures(drifts.floors, metric.name).values()
    return (min if metric.more_is_better else max)(figures, default=None)


def _share(flags: NDArray[np.bool_], samples: NDArray[np.intp], limit: float | None) -> MetricEntry:
    """A metric that is a share of samples; its worst sample is the first that has not."""
    worst_sample = None if flags.all() else int(samples[np.argmin(flags)])
    return MetricEntry(worst=float(flags.mean()), worst_sample=worst_sample, limit=limit)


def _layers(evidence: Evidence, shown: ShownTensors | None) -> tuple[TensorEntry, ...]:
    """Entries per tensor, with golden's counts against FP16 where that is the candidate's format."""
    if shown is None or shown.layers is None:
        return ()
    counted: dict[str, TensorRange] = {}
    ranges = evidence.any(RangesWanted)
    if ranges and evidence.precision == "fp16":
        counted = {entry.site.tensor: entry for entry in ranges.tensors}
    return tuple(_layer(layer, counted.get(layer.site.tensor)) for layer in shown.layers.layers)


def _histogram(histogram: Histogram) -> HistogramEntry:
    return HistogramEntry(
        tensor=histogram.site.tensor,
        node=histogram.site.node,
        op=histogram.site.op,
        low=histogram.low,
        golden=histogram.golden,
        candidate=histogram.candidate,
        golden_zeros=histogram.golden_zeros,
        candidate_zeros=histogram.candidate_zeros,
        non_finite=histogram.not_finite,
    )


def _layer(layer: LayerError, counted: TensorRange | None) -> TensorEntry:
    local = layer.local
    return TensorEntry(
        name=layer.site.tensor,
        node=layer.site.node,
        op=layer.site.op,
        local_snr=local.snr if local else None,
        local_rms=local.rms if local else None,
        local_max_abs=local.max_abs if local else None,
        accumulated_snr=layer.accumulated.snr,
        accumulated_rms=layer.accumulated.rms,
        accumulated_max_abs=layer.accumulated.max_abs,
        accumulated_cosine=layer.accumulated.cosine,
        starts_here=layer.starts_here,
        min=layer.low,
        max=layer.high,
        golden_min=layer.golden_low,
        golden_max=layer.golden_high,
        non_finite=layer.not_finite,
        smallest=counted.smallest or None if counted else None,
        overflow=counted.overflow if counted else None,
        underflow=counted.underflow if counted else None,
        subnormal=counted.subnormal if counted else None,
    )


def reproduces(reproduction: Reproduction | None) -> tuple[str, ...]:
    """What a reader of the tensors must know of the run that showed them; nothing where it gave the same bits."""
    if reproduction is None or reproduction.bitwise:
        return ()
    if reproduction.snr == np.inf:
        return ("the run that shows every tensor gives the numbers of the plain run, but other indices or shapes",)
    if reproduction.snr >= SAME_DB:
        return (
            "the run that shows every tensor has no optimisation and gives the plain run's outputs within rounding "
            f"(at least {reproduction.snr:.0f} dB)",
        )
    if told := probe_disagrees(reproduction):
        return (f"{told}, so what it shows of the tensors is not what is served",)
    return (
        f"the run that shows every tensor reproduces the plain run's outputs only to {reproduction.snr:.1f} dB, so "
        "what it shows of the tensors is near what is served, not equal",
    )
