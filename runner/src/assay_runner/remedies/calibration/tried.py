"""Ways to calibrate that were tried, and which of them is better."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from assay_api.repair import CalibrationEntry
from assay_api.report import Verdict
from assay_runner.backends.calibration import Way
from assay_runner.remedies.case import Design
from assay_runner.remedies.judged import Judged, margin

SourceName = Literal["calibration", "dataset"]
_RANK: Final = {Verdict.PASSED: 2, Verdict.INCONCLUSIVE: 1, Verdict.FAILED: 0}


@dataclass(frozen=True)
class Tried:
    """A way to calibrate, and what came of it.

    Attributes:
        design: what was built.
        way: how ranges were chosen.
        samples: how many they were found with.
        source: where those are from.
        judged: what was found by emulation, checks left out that tell nothing.
    """

    design: Design
    way: Way
    samples: int
    source: SourceName
    judged: Judged

    @property
    def per_channel(self) -> bool:
        """Whether each output channel of a weight has a scale of its own."""
        how = self.design.order.quantisation
        return how is not None and how.per_channel

    @property
    def score(self) -> tuple[int, float, float]:
        """More is better: the verdict, then the least margin, then all of them together."""
        margins = [margin(said) for said in self.judged.said if math.isfinite(margin(said))]
        return _RANK[self.judged.verdict], min(margins, default=-math.inf), sum(margins)

    def entry(self, chosen: bool, failing: Collection[str]) -> CalibrationEntry:
        """For the report; `failing` are the checks that the candidate failed."""
        said = self.judged.telling(failing)
        return CalibrationEntry(
            method=self.way.method,
            percentile=self.way.percentile if self.way.method == "percentile" else None,
            source=self.source,
            samples=self.samples,
            per_channel=self.per_channel,
            verdict=self.judged.verdict,
            check=said.check if said else None,
            metric=said.metric if said else None,
            value=said.value if said else None,
            limit=said.limit if said else None,
            margin=margin(said) if said else None,
            chosen=chosen,
        )


def best_first(tried: Iterable[Tried]) -> list[Tried]:
    """The best first; of equals the one that was tried first."""
    return sorted(tried, key=lambda each: each.score, reverse=True)
