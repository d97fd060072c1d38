"""What a sweep over calibrations came to, in sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from assay_api.repair import CoverageEntry
from assay_runner.remedies.calibration.tried import Tried
from assay_runner.remedies.figures import figure, figures

NAMED: Final = 2
"""Tensors that a sentence names."""
MENDING: Final = 3
"""Samples that it names."""
CUT: Final = 0.5
"""Share of what calibration saw of a tensor below which it counts as cut."""


def called(each: Tried) -> str:
    """A way to calibrate: "percentile 99.9 from 250 samples, weights per channel"."""
    share = f" {each.way.percentile:g}" if each.way.method == "percentile" else ""
    source = "samples" if each.source == "calibration" else "samples of the dataset"
    weights = "per channel" if each.per_channel else "per tensor"
    return f"{each.way.method}{share} from {each.samples} {source}, weights {weights}"


def against(best: Tried, first: Tried | None, failing: Collection[str]) -> str:
    """The best by the figure that was to be mended, and what the candidate's own way has there."""
    said = best.judged.telling(failing)
    told = figures(said)
    if said is None:
        return told
    if first is None or first is best:
        return told
    same = [own for own in first.judged.said if (own.check, own.metric) == (said.check, said.metric)]
    if not same or same[0].value is None or same[0].value == said.value:
        return told
    return f"{told}, where {called(first)} has {figure(same[0].metric, same[0].value)}"


def represents(covered: CoverageEntry, source: str) -> str:
    """How well the set stands for the samples, what it lacks, and what would mend it."""
    text = f"{source} covers {_share(covered.inside)} of the activations of {covered.samples} samples"
    if covered.least:
        text += f", the least of {_listed(covered.least)}"
    if covered.mending:
        text += f"; it lacks samples like {', '.join(map(str, covered.mending[:MENDING]))} of the dataset, by index"
    return text


def cuts(covered: CoverageEntry) -> str:
    """Which tensors the failed candidate's ranges cut most, or nothing."""
    cut = {name: share for name, share in covered.clipped.items() if share < CUT}
    return f"the candidate's own ranges cut {_listed(cut)} of what calibration saw" if cut else ""


def sentence(parts: Sequence[str]) -> str:
    """Clauses, those that are empty left out."""
    return "; ".join(part for part in parts if part)


def _listed(shares: Mapping[str, float]) -> str:
    named = [f"{name!r} ({_share(share)})" for name, share in list(shares.items())[:NAMED]]
    more = f" and {len(shares) - NAMED} more" if len(shares) > NAMED else ""
    return f"{', '.join(named)}{more}"


def _share(share: float) -> str:
    """Per cent, never rounded up to all."""
    digits = 2 if share < 0.9999 else 4
    shown = math.floor(share * 100 * 10**digits) / 10**digits
    return f"{shown:.{digits}f}".rstrip("0").rstrip(".") + " %"
