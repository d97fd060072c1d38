"""How suspicious each node is, by what was measured of a run that failed: only the order counts.

First what cannot be right whatever comes: values and sums that the format cannot hold, and who reads them. Then nodes
by the noise that they add themselves, and by how much of what is there starts with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from assay_api.entries import TensorEntry
from assay_api.finding import Finding
from assay_api.tensor_details import FiniteDetails, Fp16RangeDetails

IMPOSSIBLE: Final = 1e9
"""A value or sum that the format cannot hold: the node that makes it."""
READS_IMPOSSIBLE: Final = 1e8
FACT: Final = READS_IMPOSSIBLE
"""From here on it is no suspicion."""
FIRST_FAULT: Final = 1e7
"""What is the first that is not finite; less for those after it."""
VANISHES: Final = 1e4


def priors(
    layers: Sequence[TensorEntry], findings: Iterable[Finding], readers: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Suspicion by node, at least 0.

    Args:
        layers: every tensor, in topological order, its errors and its range.
        findings: of `finite` and `fp16Range`.
        readers: nodes that read a tensor, by its name.
    """
    found: dict[str, float] = {}

    def suspect(node: str | None, value: float) -> None:
        if node is not None and value > found.get(node, 0.0):
            found[node] = value

    for layer in layers:
        suspect(layer.node, _noise(layer))
        if layer.overflow:
            suspect(layer.node, IMPOSSIBLE)
            for node in readers.get(layer.name, ()):
                suspect(node, READS_IMPOSSIBLE)
        elif layer.underflow:
            suspect(layer.node, VANISHES * _share(layer))
    for finding in findings:
        match finding.details:
            case Fp16RangeDetails() as ranges:
                for total in ranges.inner_sums:
                    suspect(total.node, IMPOSSIBLE)
                for entry in ranges.overflow:
                    suspect(entry.node, IMPOSSIBLE)
                    for node in readers.get(entry.tensor, ()):
                        suspect(node, READS_IMPOSSIBLE)
            case FiniteDetails(tensors=tuple() as tensors):
                for number, fault in enumerate(tensors):
                    suspect(fault.node, FIRST_FAULT / (1 + number))
        if finding.node and finding.verdict.value == "Failed":
            suspect(finding.node, FIRST_FAULT)
    return found


def _noise(layer: TensorEntry) -> float:
    """Power of the noise that the node itself adds, over that of its signal; what starts there counts in full."""
    if layer.local_snr is None or math.isnan(layer.local_snr):
        return 0.0
    ratio = 10 ** (-min(max(layer.local_snr, -100.0), 300.0) / 10)
    return ratio * (1.0 + (layer.starts_here or 0.0))


def _share(layer: TensorEntry) -> float:
    return layer.underflow / (layer.underflow + 1e6) if layer.underflow else 0.0
