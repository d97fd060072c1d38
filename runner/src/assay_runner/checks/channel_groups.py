"""Judges the channels of each scale for themselves, where an output holds several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from assay_api.output_details import ChannelGroupEntry, SpreadEntry
from assay_api.report import Verdict
from assay_runner.checks.check import decibels, spoken
from assay_runner.checks.drift_told import breaching
from assay_runner.evidence import OutputDrifts
from assay_runner.statistics.quantiles import bad_end, worst_index
from assay_runner.statistics.scales import Group, elements, figures, groups
from assay_runner.tensors import Floats

DECIBELS: Final = frozenset({"psnr", "snr"})
RATIOS: Final = ("cosine", "psnr", "snr")
"""Metrics of an output that say nothing of what is small beside the rest of it."""

Judged = tuple[Verdict, dict[str, Any]]


def worst_of(metric: str, values: Floats, samples: NDArray[np.intp], limit: float, more_is_better: bool) -> Judged:
    """The worst sample's value against the limit.

    Args:
        metric: what is judged.
        values: one per sample, at least one.
        samples: their indices.
        limit: of the metric.
        more_is_better: whether that is the least it may be.
    """
    worst = bad_end(values, 1.0, more_is_better)
    fields = {"metric": metric, "value": worst, "limit": limit}
    sample = samples[worst_index(values, more_is_better)]
    where = f"{metric} {said(metric, worst, limit)} in sample {sample}, the worst of {values.size:,}"
    bar = f"{limit:g}{' dB' if metric in DECIBELS else ''}"
    if worst >= limit if more_is_better else worst <= limit:
        return Verdict.PASSED, fields | {"message": f"{where}, is within the limit {bar}"}
    sign = "at least" if more_is_better else "at most"
    return Verdict.FAILED, fields | {"message": f"{where}, must be {sign} {bar}"}


def said(metric: str, value: float, limit: float) -> str:
    """A value in a sentence, with its unit."""
    return decibels(value, limit) if metric in DECIBELS else f"{value:.6g}"


def judged_groups(drifts: OutputDrifts, limits: Mapping[str, float]) -> Iterator[Judged]:
    """Each group of channels against each limit that is a ratio; of an output of one scale nothing."""
    sound, apart = _sound(drifts), _groups(drifts)
    found: list[Judged] = []
    for group in apart:
        if not group.judged or not sound.size:
            continue
        values = figures(drifts.sums, group.members, sound)
        single = elements(drifts.sums, group.members) == 1
        for metric in RATIOS:
            if metric in limits and not (single and metric == "cosine"):
                verdict, fields = worst_of(metric, getattr(values, metric), sound, limits[metric], True)
                named = f"{group.channels(drifts.parts)}, {_beside(group, apart)}, for themselves: {fields['message']}"
                if verdict is Verdict.FAILED:
                    named += breaching(getattr(values, metric), sound, limits[metric], True)
                found.append((verdict, fields | {"message": named}))
    yield from sorted(found, key=lambda judged: float(judged[1]["value"]))


def told_apart(drifts: OutputDrifts, limits: Mapping[str, float]) -> str:
    """That the groups hold the limits too, and which of them there is too little of to say so."""
    if limits.keys().isdisjoint(RATIOS):
        return ""
    apart = _groups(drifts)
    quiet = [
        f"; {group.channels(drifts.parts)} hold no more than {spoken(group.largest)} in these data, too little to be "
        "judged for themselves"
        for group in apart
        if not group.judged
    ]
    named = [group.channels(drifts.parts) for group in apart if group.judged]
    held = f"; so are, for themselves, {' and '.join(named)}" if len(named) > 1 else ""
    return held + "".join(quiet)


def entries(drifts: OutputDrifts) -> tuple[ChannelGroupEntry, ...]:
    """What the report tells of the groups."""
    sound = _sound(drifts)
    return tuple(
        ChannelGroupEntry(
            channels=group.channels(drifts.parts),
            largest=group.largest,
            snr=spread(figures(drifts.sums, group.members, sound).snr, True) if group.judged and sound.size else None,
        )
        for group in _groups(drifts)
    )


def spread(values: Floats, more_is_better: bool) -> SpreadEntry:
    """A metric over the samples, at least one."""
    worst, p99, p50 = (bad_end(values, share, more_is_better) for share in (1.0, 0.99, 0.5))
    return SpreadEntry(worst=worst, p99=p99, p50=p50)


def _groups(drifts: OutputDrifts) -> tuple[Group, ...]:
    return groups(drifts.parts, drifts.sums)


def _sound(drifts: OutputDrifts) -> NDArray[np.intp]:
    """Samples without NaN and infinities, in which there is something."""
    there = drifts.measured
    return there[~(drifts.broken | drifts.void)[there]]


def _beside(group: Group, apart: tuple[Group, ...]) -> str:
    others = [each.largest for each in apart if each is not group]
    return f"up to {spoken(group.largest)} beside up to {spoken(max(others))}"
