"""Which latencies are shown side by side: those of one kind, that somebody asked for or that decide what to ship."""

from __future__ import annotations

from assay_api.report import CandidateReport, Latency, Report


def served_latency(report: Report, candidate: CandidateReport) -> Latency | None:
    """The latency of a candidate as it is served; None of an emulation, whose time says nothing of an engine's.

    On ONNX Runtime it is shown where the check `latency` asks for it; an engine's decides what is recommended.
    """
    asked = report.spec is None or any("latency" in check for check in report.spec.checks)
    wanted = asked or candidate.backend != "onnxruntime"
    return candidate.latency if wanted and not candidate.emulated else None


def any_served(report: Report) -> bool:
    """Whether there is one to show."""
    return any(served_latency(report, candidate) for candidate in report.candidates)
