"""Audits run here as a user runs them, and what their reports say."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from assay_api.model import parse
from assay_api.report import CandidateReport, Finding, Report, Verdict
from assay_runner.cli import run_command
from tests import documents
from tests.described import undescribed
from tests.gpu.plans import plans_in
from tests.lab import Unavailable
from tests.timings import shared_by_audits

__all__ = ["KEEP", "Audited", "audit", "measured", "not_here", "run", "trt"]

KEEP: Final = "ASSAY_GPU_OUT"
"""Names a folder that every report is copied to."""


@dataclass(frozen=True)
class Audited:
    """How an audit ended.

    Attributes:
        code: exit code.
        report: the summary's report.
        out: folder of the reports.
    """

    code: int
    report: Report
    out: Path

    def candidate(self, name: str) -> CandidateReport:
        """A candidate's part."""
        [found] = [each for each in self.report.candidates if each.name == name]
        return found

    def findings(self, check: str = "", candidate: str = "") -> list[Finding]:
        """Findings of a check, or of all; on a candidate, or on all."""
        return [f for f in self.report.findings if check in ("", f.check) and candidate in ("", f.candidate)]

    def verdict(self, check: str) -> Verdict:
        """The verdict of a check that found one thing."""
        [found] = self.findings(check)
        return found.verdict

    def failed_at(self) -> set[str]:
        """Nodes that failed findings name."""
        return {f.node for f in self.findings() if f.verdict is Verdict.FAILED and f.node}

    def plans(self) -> list[Path]:
        """Engines that the audit left in its cache."""
        return plans_in(self.out / "cache")


def not_here(found: CandidateReport, *words: str) -> str:
    """Why this TensorRT or GPU does not have what a candidate asks for; empty where it was measured.

    A candidate that ends in an error counts as refused only where the error has one of these words; none given: any but
    those of a bug.
    """
    if not found.error:
        return ""
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "a bug in Assay" not in found.error
    assert not words or any(each in found.error for each in words), found.error
    return found.error


def measured(told: Audited, name: str, *words: str) -> CandidateReport:
    """A candidate's part, where it was measured.

    Raises:
        Unavailable: it was refused, in one of these words; then the test is listed as NOT RUN.
    """
    found = told.candidate(name)
    if why := not_here(found, *words):
        raise Unavailable(why)
    return found


def trt(precision: str, name: str = "", level: int = 1, **more: Any) -> dict[str, Any]:
    """A candidate that builds quickly: on small nets builds are what costs."""
    fields = {"name": name or precision, "backend": "tensorrt", "precision": precision}
    return fields | {"build": {"optimizationLevel": level}} | more


def audit(
    name: str, model: Path, data: Path, candidates: Sequence[Mapping[str, Any]], checks: Sequence[Any], **dataset: Any
) -> dict[str, Any]:
    """An audit as a file holds it; checks are names, or mappings with parameters."""
    return documents.audit(name, model, data, candidates, checks, dataset)


def run(document: Mapping[str, Any], folder: Path, command: str = "run") -> Audited:
    """Run an audit in this process and read its report; a copy is kept where the environment says so.

    Its artifact store is its own but for the timing cache.

    Raises:
        FileNotFoundError: the audit left no report: it was refused, or could not be run at all.
    """
    name = document["metadata"]["name"]
    out = folder / "out" / name
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    shared_by_audits(out / "cache")
    code = run_command([command, "-f", str(file), "--out", str(out)])
    report = out / "report.json"
    if kept := os.environ.get(KEEP):
        Path(kept).mkdir(parents=True, exist_ok=True)
        shutil.copy(report, Path(kept, f"{name}.json"))
    written = json.loads(report.read_bytes())
    assert list(undescribed(written)) == []
    return Audited(code, parse(Report, written), out)
