"""What is built beside what is served, and for which checks: said while it is built, and in the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay_api.entries import BuildEntry
from assay_api.report import CandidateReport, Verdict
from assay_runner import journal
from assay_runner.backends import Built
from assay_runner.checks import Check
from assay_runner.checks.builds import builds_of, spoken
from assay_runner.checks.extra_output import ExtraOutputCheck
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.report.wording import built_beside
from assay_runner.trial.measure import measure
from tests.cli.audits import FP32, good, run
from tests.fusing import Fusing, Kept
from tests.models import Heard, Samples, mlp, random
from tests.runner.numerics.candidates import prepared


def test_checks_share_what_is_built() -> None:
    checks: list[Check] = [Finite(), OutputDrift(), LayerDrift(), Fp16Range(), ExtraOutputCheck()]
    assert builds_of(checks) == {
        "a probe that shows tensors": ("finite", "layerDrift"),
        "the layers alone": ("layerDrift",),
        "an engine with one more output": ("extraOutput",),
    }
    assert spoken(builds_of(checks)).startswith("a probe that shows tensors (finite, layerDrift), the layers alone (")


class Told(Fusing):
    """Notes what it opens tensors for."""

    def __init__(self) -> None:
        super().__init__({})
        self.purposes: list[str] = []

    @contextmanager
    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
        self.purposes.append(journal.purpose())
        with super().open_comparison(built, local=local, whole=whole) as kept:
            yield kept

    def made(self, built: Built) -> tuple[BuildEntry, ...]:
        what = "a probe that shows 3 tensors"
        return tuple(BuildEntry(what=what, checks=tuple(told.split(", ")), seconds=2.1) for told in self.purposes)


def test_what_is_built_knows_its_checks_and_the_report_tells_of_it(tmp_path: Path) -> None:
    backend, checks = Told(), (Finite(), LayerDrift())
    setting, _ = prepared(mlp(), "fp16", Samples({"x": random(16, 8)}), tmp_path, *checks, backend=backend)
    told = measure(setting, checks)
    assert backend.purposes == ["finite, layerDrift"]
    assert isinstance(setting.progress, Heard)
    heard = setting.progress.notes
    assert "builds to come: a probe that shows tensors (finite, layerDrift), the layers alone (layerDrift)" in heard
    [entry] = told.report.builds
    assert (entry.what, entry.checks, entry.cached) == ("a probe that shows 3 tensors", ("finite", "layerDrift"), False)
    beside = "built beside the engine: a probe that shows 3 tensors for finite, layerDrift in 2 s"
    assert built_beside(told.report) == (beside,)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"seconds": 12.6}, " in 13 s"), ({"seconds": 3, "refused": True}, ": refused after 3 s"),
        ({"cached": True}, ", taken from an earlier build"), ({}, ""),
    ],
)  # fmt: skip
def test_a_build_is_told_as_it_went(found: dict[str, Any], told: str) -> None:
    entry = BuildEntry(what="the layers alone", checks=("layerDrift",), **found)
    served = BuildEntry(what="the engine", seconds=100)
    report = CandidateReport(name="c", verdict=Verdict.PASSED, backend="tensorrt", builds=(served, entry))
    assert built_beside(report) == (f"built beside the engine: the layers alone for layerDrift{told}",)
    assert [each["for"] for each in report.model_dump(by_alias=True)["builds"]] == ["the engine", "the layers alone"]


def test_the_report_of_an_audit_holds_what_was_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    int8 = {**FP32, "name": "int8", "precision": "int8", "calibration": {"uri": "file://./data/", "method": "minmax"}}
    for cached in (False, True):
        run(tmp_path, capsys, candidates=[FP32, int8], checks=[{"outputDrift": {"snr": -10 - cached}}])
        found = [
            candidate["builds"]
            for candidate in json.loads((tmp_path / "out" / "report.json").read_bytes())["candidates"]
        ]
        assert [entry.get("for") for [entry] in found] == ["the candidate"] * 2
        assert [entry["cached"] for [entry] in found] == [False, cached]
        assert all(entry["seconds"] >= 0 for [entry] in found)
