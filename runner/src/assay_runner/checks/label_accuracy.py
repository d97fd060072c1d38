"""Does the candidate keep the golden run's accuracy on the labels?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from assay_api.fields import ArrayName, Share
from assay_runner.checks.check import Check
from assay_runner.evidence import Need


class LabelAccuracy(Check):
    """Does the candidate keep the golden run's accuracy on the labels?

    Judged by a paired one-sided 95 % interval, so that few samples cannot pass a strict bar; too few are Inconclusive,
    with the number that would settle it.
    """

    name: ClassVar[str] = "labelAccuracy"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.LABELS})

    metric: Literal["top1", "top5"] = "top1"
    """Share of samples whose label is the largest (top1), or among the five largest (top5), elements of the output.
    Default top1."""
    keep: Share = Field(default=0.99)
    """Share of the golden run's metric that must remain. Default 0.99."""
    interval: Literal["paired", "none"] = "paired"
    """paired (default): the whole one-sided 95 % interval must lie above the bar. none: the metric itself must, for a
    validation set that is the whole population."""
    output: ArrayName | None = None
    """Output that holds the class scores, last axis = classes. Default: the first."""
