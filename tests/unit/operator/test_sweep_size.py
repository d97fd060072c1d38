"""The status of a sweep stays small whatever its models are called, and nothing that is decided by is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay_api.baseline import AcceptedStatus
from assay_api.names import STATUS_BYTES
from assay_api.status import ConditionStatus
from assay_api.sweep_status import (
    GATED,
    RUNS,
    TARGETS,
    WORST,
    CellStatus,
    GateRow,
    GateStatus,
    SweepCounts,
    SweepRunRecord,
    SweepStatus,
    SweepTarget,
)
from assay_operator.sweeps.size import BUDGET, fitted, size

TIME = "2026-03-01T02:00:00Z"
COUNTS = SweepCounts(cells=10**6, waiting=1, running=2, passed=3, failed=4, inconclusive=5, errors=6, regressed=7)
# Of one, two, three and four bytes in UTF-8, of two and of six in JSON beside them.
LETTERS = ("x", "ü", "界", "\U0001f600", '"', "\x01")


def status(name: str, words: str, token: str, targets: int) -> SweepStatus:
    """A status with as many rows as there may be, each with these texts."""
    worst = CellStatus(
        model=name, candidate="c" * 40, gpu_product="g" * 63, image=name[:512], verdict="Failed", cause=words[:200],
        message=words[:240], audit="a" * 63,
    )  # fmt: skip
    row = GateRow(model=name, gpu_product="g" * 63, decision="NoGo", message=words[:240])
    condition: dict[str, Any] = {
        "status": "True", "reason": "Breached", "message": words, "last_transition_time": TIME,
        "observed_generation": 10**6,
    }  # fmt: skip
    record = SweepRunRecord(
        name="20260301T0200Z", start_time=TIME, completion_time=TIME, verdict="Failed", counts=COUNTS
    )
    return SweepStatus(
        observed_generation=10**6, phase="Stalled", verdict="Failed", run="20260301T0200Z",
        conditions=tuple(
            ConditionStatus(type=kind, **condition)
            for kind in ("Ready", "Reconciling", "Stalled", "Complete", "Passed")
        ),
        rerun=token, rerun_failed=token, start_time=TIME, completion_time=TIME, last_schedule_time=TIME,
        next_schedule_time=TIME, models=10**5, counts=COUNTS, finished="12/1000000", update_time=TIME,
        targets=tuple(
            SweepTarget(
                gpu_product=f"{n:02}".ljust(63, "g"), driver="570.86.15,580.126.09", nodes=5000, memory_mib=143771,
                source="ResourceSlices",
            )
            for n in range(targets)
        ),
        gate=GateStatus(decision="NoGo", go=1, no_go=10**5, inconclusive=10**5, worst=(row,) * GATED),
        accepted=AcceptedStatus(asked="a" * 16, time=TIME, who=words[:256], why=words[:256], message=words[:480]),
        worst=(worst,) * WORST, history=(record,) * RUNS,
    )  # fmt: skip


texts = st.builds(lambda letter, count: letter * count, st.sampled_from(LETTERS), st.integers(1, 1024))


@example(name="\U0001f600" * 1024, words="\U0001f600" * 1024, token="\U0001f600" * 256, targets=TARGETS)
@given(name=texts, words=texts, token=texts.map(lambda text: text[:256]), targets=st.integers(0, TARGETS))
def test_any_status_fits_and_keeps_what_is_decided_by(name: str, words: str, token: str, targets: int) -> None:
    whole = status(name, words, token, targets)
    made = fitted(whole)
    assert size(made) <= BUDGET < STATUS_BYTES
    assert fitted(made) == made
    same = ("phase", "verdict", "run", "counts", "rerun", "rerun_failed", "models", "finished")
    assert all(getattr(made, field) == getattr(whole, field) for field in same)
    assert [(t.gpu_product, t.driver, t.nodes) for t in made.targets] == [
        (t.gpu_product, t.driver, t.nodes) for t in whole.targets
    ]
    assert [(c.type, c.status, c.reason) for c in made.conditions] == [
        (c.type, c.status, c.reason) for c in whole.conditions
    ]
    assert made.gate is not None
    assert whole.gate is not None
    rows = {"worst": (), "left_out": 0}
    assert made.gate.model_copy(update=rows) == whole.gate.model_copy(update=rows)
    assert made.history[0] == whole.history[0]
    # What has no room is counted.
    assert len(made.gate.worst) + made.gate.left_out == GATED
    assert len(made.worst) + (made.worst_left_out or 0) == WORST


@pytest.mark.parametrize("letter", LETTERS)
def test_names_of_500_letters_leave_the_worst_cells_and_rows_to_be_seen(letter: str) -> None:
    made = fitted(status(letter * 505, letter * 240, "1", 8))
    assert made.gate is not None
    assert len(made.worst) >= 4
    assert len(made.gate.worst) >= 4


def test_a_status_that_fits_is_left_as_it_is() -> None:
    small = status("bert", "it breached", "1", 1)
    assert fitted(small) is small
