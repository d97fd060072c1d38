"""A sweep as the cluster tells of it and its audits, read with the user's own kubectl, and its page."""

from __future__ import annotations

from typing import Any, Final

from assay_api.names import Reason
from assay_runner.cli.kubectl import Place, read_sweep
from assay_runner.cli.standing import Standing, standing
from assay_runner.raw import Raw, mapping
from assay_runner.report.sweep_cells import Run, SweepShown, sweep_shown
from assay_runner.report.sweep_page import render_sweep

_AS_IT_SHOULD: Final = (Reason.PASSED, Reason.BREACHED, Reason.INCONCLUSIVE, Reason.ERROR)
"""Ends of a sweep's run that its cells explain."""


def page_of_sweep(place: Place) -> bytes:
    """The page of a sweep, HTML in UTF-8.

    Raises:
        InvalidInput: there is no such sweep, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    return render_sweep(sweep_of(place))


def sweep_of(place: Place) -> SweepShown:
    """A sweep, its cells, and where its run stands.

    Raises:
        InvalidInput: there is no such sweep, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    return told_of(*read_sweep(place))


def told_of(sweep: Raw, audits: list[dict[str, Any]]) -> SweepShown:
    """What a sweep and its audits tell, as the API server has them."""
    return sweep_shown(sweep, audits, _run(standing(sweep), mapping(sweep.get("status"))))


def _run(now: Standing, status: Raw) -> Run:
    """Where the run stands. One that broke off before it knew its cells leaves answers and a gate of another run."""
    counted = bool(mapping(status.get("counts")).get("cells"))
    fine = now.code is not None and now.reason in _AS_IT_SHOULD and (counted or now.reason != Reason.ERROR)
    over = now.reason == Reason.OVER_BUDGET
    return Run(
        ended=now.code is not None,
        gated=fine or over or (now.code is None and now.word == "Running"),
        trouble="" if fine else f"{now.word}: {now.message or now.reason}",
    )
