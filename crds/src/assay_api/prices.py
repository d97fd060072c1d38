"""What the cells of a sweep cost: GPU seconds, by the medians of what its earlier audits took.

The operator decides by these prices what a budget pays for, and `assay plan` tells them ahead: both ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from assay_api.audit import AuditTemplate
from assay_api.cells import Ask


class Taken(NamedTuple):
    """What an audit that ended took: its model, or nothing where that is not known; GPU seconds; cells on a GPU."""

    model: str
    gpu_seconds: int
    gpu_cells: int


@dataclass(frozen=True)
class Prices:
    """Medians of GPU seconds of a cell on a GPU.

    Attributes:
        of_model: by the model's name.
        overall: of all that was measured; None: nothing was.
        on_gpus: names of the candidates that need a GPU.
    """

    of_model: Mapping[str, float]
    overall: float | None
    on_gpus: frozenset[str]

    def of(self, ask: Ask) -> float:
        """GPU seconds that an audit is reckoned to take; 0 where nothing was measured."""
        return self.a_cell(ask.model.name) * sum(cell.place.candidate in self.on_gpus for cell in ask.cells)

    def a_cell(self, model: str) -> float:
        """GPU seconds that a cell of a model is reckoned to take: by its own audits, or else by those of all."""
        return self.of_model.get(model, self.overall or 0.0)


def prices(audits: Iterable[Taken], template: AuditTemplate) -> Prices:
    """Medians over audits that held a GPU.

    Args:
        audits: what those took that have ended; one that goes on has yet to show it.
        template: the sweep's template.
    """
    found: dict[str, list[float]] = {}
    for audit in audits:
        if audit.gpu_cells and audit.gpu_seconds:
            found.setdefault(audit.model, []).append(audit.gpu_seconds / audit.gpu_cells)
    every = [seconds for each in found.values() for seconds in each]
    of_model = {model: median(each) for model, each in found.items()}
    return Prices(of_model, median(every) if every else None, gpu_candidates(template))


def gpu_candidates(template: AuditTemplate) -> frozenset[str]:
    """Names of the candidates that need a GPU."""
    return frozenset(candidate.name for candidate in template.candidates if candidate.backend == "tensorrt")


def gpu_seconds_of(status: Mapping[str, Any]) -> int:
    """GPU seconds that an audit took so far, by its raw status."""
    entries = (*(status.get("candidates") or ()), *(status.get("repairs") or ()))
    return sum(int(entry.get("gpuSeconds") or 0) for entry in entries)


def gpu_cells_of(spec: Mapping[str, Any]) -> int:
    """Candidates of an audit that need a GPU, by its raw spec."""
    return sum(candidate.get("backend") == "tensorrt" for candidate in spec.get("candidates") or ())
