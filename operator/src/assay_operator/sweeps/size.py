"""Keeping a status below 16 KiB: texts are shortened, the worst cells' first, then the least bad rows go.

Names and sentences are users' own: models may be called by 500 letters of which each takes 12 bytes. What a decision
goes by is never cut: counts, verdicts, the gate's decision, tokens, GPU products and their drivers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from assay_api.model import to_wire
from assay_api.names import STATUS_BYTES
from assay_api.result import shorten
from assay_api.sweep_status import CellStatus, GateRow, SweepStatus, SweepTarget
from assay_operator.objects.raw import compact

# Room for what the API server adds: blanks, defaults, the conditions' own growth.
BUDGET: Final = STATUS_BYTES - 1024
Step = Callable[[SweepStatus], SweepStatus]
_WORDS: Final = (240, 120, 60, 24)
_NAMES: Final = (128, 63, 40, 24)
_SENTENCES: Final = (512, 256, 120, 60)
_FEW: Final = 24


def size(status: SweepStatus) -> int:
    """Bytes of the status as JSON."""
    return len(compact(to_wire(status)))


def fitted(status: SweepStatus) -> SweepStatus:
    """The status, made small enough; it says how many rows it has no room for."""
    for step in _STEPS:
        if size(status) <= BUDGET:
            return status
        status = step(status)
    while size(status) > BUDGET and (status.worst or (status.gate and status.gate.worst)):
        status = _with_a_row_less(status)
    return status


def _with_a_row_less(status: SweepStatus) -> SweepStatus:
    """Without the least bad row of whichever list is longer."""
    gate = status.gate
    if gate and len(gate.worst) > len(status.worst):
        less = gate.model_copy(update={"worst": gate.worst[:-1], "left_out": gate.left_out + 1})
        return status.model_copy(update={"gate": less})
    return status.model_copy(update={"worst": status.worst[:-1], "worst_left_out": (status.worst_left_out or 0) + 1})


def _cells(words: int, names: int, status: SweepStatus) -> SweepStatus:
    def shorter(cell: CellStatus) -> CellStatus:
        update = {
            "message": _cut(cell.message, words), "cause": _cut(cell.cause, words), "model": shorten(cell.model, names),
            "image": _cut(cell.image, names),
        }  # fmt: skip
        return cell.model_copy(update=update)

    return status.model_copy(update={"worst": tuple(map(shorter, status.worst))})


def _gate(words: int, names: int, status: SweepStatus) -> SweepStatus:
    def shorter(row: GateRow) -> GateRow:
        return row.model_copy(update={"message": _cut(row.message, words), "model": shorten(row.model, names)})

    if status.gate is None:
        return status
    return status.model_copy(
        update={"gate": status.gate.model_copy(update={"worst": tuple(map(shorter, status.gate.worst))})}
    )


def _accepted(words: int, status: SweepStatus) -> SweepStatus:
    told = status.accepted
    if told is None:
        return status
    update = {"who": _cut(told.who, words), "why": _cut(told.why, words), "message": _cut(told.message, words)}
    return status.model_copy(update={"accepted": told.model_copy(update=update)})


def _conditions(words: int, status: SweepStatus) -> SweepStatus:
    told = tuple(each.model_copy(update={"message": shorten(each.message, words)}) for each in status.conditions)
    return status.model_copy(update={"conditions": told})


def _targets(status: SweepStatus) -> SweepStatus:
    """Without what says more of a product than a run goes by."""

    def bare(target: SweepTarget) -> SweepTarget:
        return target.model_copy(update={"memory_mib": None, "mig_profile": None, "source": None})

    return status.model_copy(update={"targets": tuple(map(bare, status.targets))})


def _latest(status: SweepStatus) -> SweepStatus:
    """Of the runs that ended only the latest."""
    return status.model_copy(update={"history": status.history[:1]})


def _cut(text: str | None, limit: int) -> str | None:
    return shorten(text, limit) if text else None


def _steps() -> tuple[Step, ...]:
    """All that is shortened, again and again to fewer letters, until rows have to go."""
    found: list[Step] = []
    for words, names, sentences in zip(_WORDS, _NAMES, _SENTENCES, strict=True):
        found += [
            partial(_cells, words, names), partial(_gate, words, names), partial(_accepted, words),
            partial(_conditions, sentences),
        ]  # fmt: skip
    return (*found, _targets, partial(_conditions, _FEW), _latest)


_STEPS: Final = _steps()
