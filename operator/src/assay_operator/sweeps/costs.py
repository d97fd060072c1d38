"""What a budget takes: what the audits of a run took and will take, by the prices that earlier audits show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay_api.audit import AuditTemplate
from assay_api.cells import Ask
from assay_api.prices import Prices, prices
from assay_operator.sweeps.observed import SweepAudit


def measured(audits: Iterable[SweepAudit], template: AuditTemplate) -> Prices:
    """Medians over the audits that ended and held a GPU."""
    return prices((audit.taken for audit in audits if audit.complete), template)


def spent(audits: Iterable[SweepAudit], run: str) -> int:
    """GPU seconds that the audits of a run took so far."""
    return sum(audit.gpu_seconds for audit in audits if audit.made and audit.made.run == run)


def committed(audits: Iterable[SweepAudit], run: str, price: Prices) -> float:
    """GPU seconds that the audits of a run which still go on are reckoned to take beyond what they took so far."""
    return sum(_left_of(audit, price) for audit in audits if audit.active and audit.made and audit.made.run == run)


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


def _left_of(audit: SweepAudit, price: Prices) -> float:
    """GPU seconds that an audit which still goes on is reckoned to take beyond what it took so far."""
    return max(price.a_cell(audit.taken.model) * audit.gpu_cells - audit.gpu_seconds, 0.0)
