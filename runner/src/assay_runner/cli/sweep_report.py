"""`assay report --sweep`: a page of a sweep, made of what the cluster tells of it and its audits."""

from __future__ import annotations

from assay_runner.cli.kubectl import Place, read_sweep
from assay_runner.report.sweep_cells import sweep_shown
from assay_runner.report.sweep_page import render_sweep


def page_of_sweep(place: Place) -> bytes:
    """The page of a sweep, HTML in UTF-8.

    Raises:
        InvalidInput: there is no such sweep, or the user may not read it.
        Unavailable: kubectl or the cluster is not there.
    """
    return render_sweep(sweep_shown(*read_sweep(place)))
