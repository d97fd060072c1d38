"""GPU seconds, and what they cost, by what they answered: counted when a run ends, from its status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter

from assay_operator.objects.raw import unpacked

VERDICTS: Final = ("Passed", "Failed", "Inconclusive", "None")
KINDS: Final = {"candidate": "candidates", "repair": "repairs"}
"""Where the status has them, by kind of task."""
DEFAULT: Final = "default"
"""Key of the price of every GPU product that has none of its own."""
HOUR: Final = 3600.0


class Spending:
    """Counters of GPU time and money.

    Args:
        registry: where they are served from.
        prices: of an hour of one GPU, by product; `default` is of all others.
    """

    def __init__(self, registry: CollectorRegistry, prices: Mapping[str, float]) -> None:
        self._prices = prices
        labels = ["kind", "verdict"]
        self.seconds = Counter("assay_gpu_seconds", "GPU seconds of runs that ended.", labels, registry=registry)
        self.cost = Counter("assay_gpu_cost", "What they cost, by the prices that are set.", labels, registry=registry)
        # There from the start, for Prometheus sees no increase in what was not there before.
        for kind in KINDS:
            for verdict in VERDICTS if kind == "candidate" else VERDICTS[-1:]:
                self.seconds.labels(kind, verdict)
                self.cost.labels(kind, verdict)

    def ended(self, status: bytes) -> None:
        """Count what the candidates and repairs of a run took that has ended now; `status` may be packed."""
        told = json.loads(unpacked(status))
        for kind, where in KINDS.items():
            for entry in told.get(where) or ():
                self._count(kind, entry)

    def _count(self, kind: str, entry: Mapping[str, Any]) -> None:
        seconds = float(entry.get("gpuSeconds") or 0)
        if seconds <= 0:
            return
        given = entry.get("verdict")
        verdict = given if given in VERDICTS else "None"
        product = str(entry.get("name") or "").partition("@")[2]
        price = self._prices.get(product, self._prices.get(DEFAULT, 0.0))
        self.seconds.labels(kind, verdict).inc(seconds)
        self.cost.labels(kind, verdict).inc(seconds / HOUR * price)
