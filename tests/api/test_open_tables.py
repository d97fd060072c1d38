"""A check and a measurement that nobody here knew of, added by a line in each table: seen wherever a user looks.

All of it stands in this one file only because it is a test: need, pass and check belong in folders of their own, as
CONTRIBUTING.md has it, for checks may not import passes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml
from pydantic import Field

from assay_api.report import Finding, Report, Verdict
from assay_api.resources import AUDIT
from assay_api.schema import crd
from assay_runner.checks import CHECKS
from assay_runner.checks.check import Check
from assay_runner.cli import run_command
from assay_runner.errors import Unsupported
from assay_runner.evidence import Evidence, Need
from assay_runner.passes import PASSES
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.report.figures import METRICS, Metric
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import defined
from tests.lab.processes import wait_until
from tools.generate import reference

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@dataclass(frozen=True)
class PeakFound:
    """What was found.

    Attributes:
        largest: magnitude among all outputs of all samples.
    """

    largest: float


@dataclass(frozen=True)
class PeakWanted(Need[PeakFound]):
    """The largest magnitude among the candidate's outputs."""


class PeakPass(Pass[PeakWanted]):
    """Looks at every output of every batch, rows of padding left out."""

    reads_outputs = True
    tolerant = True

    def __init__(self, needs: Sequence[PeakWanted], setting: Setting, stack: ExitStack) -> None:
        super().__init__(needs, setting, stack)
        self._peak = 0.0

    def add(self, step: Step) -> None:
        axes = self.setting.subject.built.axes
        for name, array in (step.found or {}).items():
            samples = axes.samples(name, array, step.batch)
            if samples is None:
                raise Unsupported(f"the samples of output {name!r} cannot be told apart, nor from rows of padding")
            self._peak = float(np.maximum(self._peak, np.abs(samples).max(initial=0)))  # NaN stays NaN

    def result(self) -> Mapping[PeakWanted, PeakFound]:
        return dict.fromkeys(self.needs, PeakFound(self._peak))


class Peak(Check):
    """Is any output larger than it may be?"""

    name: ClassVar[str] = "peak"

    at_most: float = Field(default=1e30, gt=0)
    """Largest magnitude that an output may have. Default 1e30."""

    @property
    def needs(self) -> tuple[PeakWanted]:
        return (PeakWanted(),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(*self.needs)
        if found is None:
            return (self.inconclusive(evidence, "no output was looked at"),)
        peak = found.largest
        # Not the other way round: NaN is no more than anything, and must not pass.
        verdict = Verdict.PASSED if peak <= self.at_most else Verdict.FAILED
        message = f"the largest output is {peak:g}"
        return (self.finding(evidence, verdict, message, metric="peak", value=peak, limit=self.at_most),)


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, Peak.name, Peak)
    monkeypatch.setitem(PASSES, PeakWanted, PeakPass)
    monkeypatch.setitem(METRICS, "peak", Metric("peak", "largest magnitude of an output"))


@pytest.mark.usefixtures("extended")
def test_a_new_check_stands_in_the_definition_and_the_reference() -> None:
    definition = crd(AUDIT, CHECKS)
    page = reference(definition)
    assert "peak" in page
    for text in (json.dumps(definition), page):
        assert "Is any output larger than it may be?" in text
        assert "Largest magnitude that an output may have." in text


@pytest.mark.usefixtures("extended")
def test_a_new_check_explains_itself(apiserver: ApiServer) -> None:
    """Under a group of its own: other tests have the resource as it is."""
    text = json.dumps(crd(AUDIT, CHECKS)).replace("assay.dev", "open.assay.dev").replace("accuracyaudit", "openaudit")
    with defined(apiserver.kubectl, json.loads(text)):
        # The API server publishes what `kubectl explain` reads a moment later.
        ask = ("explain", "openaudits.spec.checks.peak")
        wait_until(lambda: "atMost" in apiserver.kubectl.attempt(*ask).stdout, "the new check explained", 60, every=0.5)
        assert "Is any output larger than it may be?" in apiserver.kubectl(*ask)


@pytest.mark.usefixtures("extended")
@pytest.mark.parametrize(("limit", "verdict"), [(1e6, Verdict.PASSED), (1e-6, Verdict.FAILED)])
def test_a_new_check_judges_and_is_reported(limit: float, verdict: Verdict, tmp_path: Path) -> None:
    shutil.copytree(DIGITS, tmp_path / "digits")
    audit = yaml.safe_load((DIGITS / "digits-cnn.yaml").read_text())
    audit["spec"]["candidates"] = [{"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}]
    audit["spec"]["checks"] = [{"peak": {"atMost": limit}}]
    (tmp_path / "digits" / "audit.yaml").write_text(yaml.safe_dump(audit))
    code = run_command(["run", "-f", str(tmp_path / "digits" / "audit.yaml"), "--out", str(tmp_path / "out")])
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    [found] = [finding for finding in report.findings if finding.check == "peak"]
    assert (found.verdict, report.verdict) == (verdict, verdict)
    assert found.value is not None
    assert found.value > 1e-6
    assert code == (0 if verdict is Verdict.PASSED else 1)
    assert "peak" in (tmp_path / "out" / "report.html").read_text()
