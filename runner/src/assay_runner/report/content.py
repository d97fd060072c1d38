"""What a report is of: the model and the data that were judged, told by their digests."""

from __future__ import annotations

import hashlib

from assay_api.report import Report


def model_digest(report: Report) -> str | None:
    """SHA-256 of the model, external data included; None where no run tells it."""
    told = (report.golden.provenance, *(candidate.provenance for candidate in report.candidates))
    return next((each.model for each in told if each and each.model), None)


def content_digest(report: Report) -> str | None:
    """16 hex digits of run, model and dataset; None where model or dataset are not known."""
    model = model_digest(report)
    if not model or not report.dataset.identity:
        return None
    return hashlib.sha256("\0".join((report.run, model, report.dataset.identity)).encode()).hexdigest()[:16]
