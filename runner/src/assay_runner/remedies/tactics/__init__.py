"""Other tactics: a candidate that fails is built again, to see whether it fails by what the builder happened to choose.

Builds that fail and builds that pass are told apart by their tactics (`blame`); who is suspected is put to the proof
(`proof`). Builds that do not repeat are put on a ladder of three rungs (`ladder`); where all fail, knobs of the
builder's compiler are turned one at a time (`routes`).
"""

from __future__ import annotations

from assay_api.remedies import Remedies
from assay_runner.remedies.case import Case
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.remedies.tactics.bench import Bench
from assay_runner.remedies.tactics.inquiry import Inquiry
from assay_runner.remedies.workshop import Workshop

__all__ = ["other_tactics"]

NONE_CHOSEN = "an emulation chooses no tactics: only engines that are built on a GPU do"


def other_tactics(case: Case, asked: Remedies, workshop: Workshop) -> Cure:
    """Look whether the tactics that the builder chose make a candidate fail.

    Raises:
        Unavailable: the store, memory or the device gave out.
    """
    bench = Bench(case, asked, workshop)
    if case.emulates and not bench.holds:
        return does_not_apply(NONE_CHOSEN)
    inquiry = Inquiry(bench)
    try:
        return inquiry.cure()
    except OutOfBudget as error:
        return inquiry.ended(f"{error}; {inquiry.so_far()}", "OutOfBudget")
