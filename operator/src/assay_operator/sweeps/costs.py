"""What the cells of a sweep cost: GPU seconds by the medians of what earlier audits took, and what a budget takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from assay_api.audit import AuditTemplate
from assay_api.cells import Ask
from assay_operator.sweeps.observed import SweepAudit


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
        return self._each(ask.model.name) * sum(cell.place.candidate in self.on_gpus for cell in ask.cells)

    def left_of(self, audit: SweepAudit) -> float:
        """GPU seconds that an audit which still goes on is reckoned to take beyond what it took so far."""
        return max(self._each(_model(audit)) * audit.gpu_cells - audit.gpu_seconds, 0.0)

    def _each(self, model: str) -> float:
        return self.of_model.get(model, self.overall or 0.0)


def prices(audits: Iterable[SweepAudit], template: AuditTemplate) -> Prices:
    """Medians over audits that ended and held a GPU."""
    found: dict[str, list[float]] = {}
    for audit in audits:
        if audit.complete and audit.gpu_cells and audit.gpu_seconds:
            found.setdefault(_model(audit), []).append(audit.gpu_seconds / audit.gpu_cells)
    every = [seconds for each in found.values() for seconds in each]
    on_gpus = frozenset(candidate.name for candidate in template.candidates if candidate.backend == "tensorrt")
    of_model = {model: median(each) for model, each in found.items()}
    return Prices(of_model, median(every) if every else None, on_gpus)


def spent(audits: Iterable[SweepAudit], run: str) -> int:
    """GPU seconds that the audits of a run took so far."""
    return sum(audit.gpu_seconds for audit in audits if audit.made and audit.made.run == run)


def committed(audits: Iterable[SweepAudit], run: str, price: Prices) -> float:
    """GPU seconds that the audits of a run which still go on are reckoned to take beyond what they took so far."""
    return sum(price.left_of(audit) for audit in audits if audit.active and audit.made and audit.made.run == run)


def affordable(asks: Sequence[Ask], price: Prices, left: float) -> tuple[Ask, ...]:
    """The audits, in their order, that what is left of a budget pays for: all up to the first that it does not.

    Where nothing was measured all of them are, as long as anything is left: what they take shows once they end.
    """
    taken: list[Ask] = []
    for ask in asks:
        if left <= 0 or price.of(ask) > left:
            break
        left -= price.of(ask)
        taken.append(ask)
    return tuple(taken)


def _model(audit: SweepAudit) -> str:
    return audit.made.place.split("\n")[0] if audit.made else ""
