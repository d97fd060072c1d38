"""What one run finds that another has left: trials that are known, files that are another's, code that was changed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.remedies.repairs import Repaired, repaired, staged
from tests.runner.remedies.transformers import overflowing, sentences, transformer

SEARCH = {"to": ["fp32"], "rewrite": False}


def run(folder: Path, **fields: Any) -> Repaired:
    """Two blocks, of which one overflows; what is staged already stays."""
    if not (folder / "model.onnx").exists():
        staged(folder, transformer(loud=(1,), blocks=2), sentences())
    return repaired(folder, **{"remedies": {"precision": SEARCH}, **fields})


@pytest.mark.parametrize("proposals", [2, 5, 7])
def test_a_smaller_budget_comes_to_the_same_whether_or_not_trials_are_known(proposals: int, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"remedies": {"precision": SEARCH, "budget": {"proposals": proposals}}}
    fresh = run(tmp_path / "fresh", **asked)
    assert run(tmp_path / "known").entry.proposals > proposals
    again = run(tmp_path / "known", **asked)
    assert any(trial.known for trial in again.trials)
    assert again.remedy.message == fresh.remedy.message
    assert (again.entry.proposals, again.remedy.outcome) == (fresh.entry.proposals, fresh.remedy.outcome)
    # The audit of what was found comes on top.
    assert again.entry.proposals <= proposals + (again.remedy.repaired is not None)


def cured(folder: Path) -> Path:
    """The folder of what a repair has found."""
    found = run(folder)
    assert set(found.remedy.wide) == overflowing(1)
    return found.model.parent


def test_what_another_run_found_is_gone_where_nothing_replaces_it(tmp_path: Path) -> None:
    kept = cured(tmp_path)
    (kept / "model.plan").write_bytes(b"an engine of it")
    mine = kept.parent / "notes" / "reproduce.sh"
    mine.parent.mkdir()
    mine.write_text("#!/usr/bin/env bash\n")
    told = run(tmp_path, golden={"precision": "fp64"}, checks=[{"outputDrift": {"snr": 300}}])
    assert told.remedy.outcome == "NotCured"
    assert not kept.exists()
    assert mine.exists(), "none of ours"


def test_no_plan_of_another_run_lies_beside_the_model_of_this_one(tmp_path: Path) -> None:
    kept = cured(tmp_path)
    (kept / "model.plan").write_bytes(b"an engine of it")
    run(tmp_path, checks=[{"finite": {}}, {"outputDrift": {"snr": 31}}])
    assert sorted(path.name for path in kept.iterdir()) == ["model.onnx", "reproduce.sh"]


def test_what_the_same_run_has_kept_stays_until_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cured(tmp_path)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("assay_runner.tasks.repair.remedy_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert (kept / "model.onnx").is_file()


SCORE = """
import numpy as np

def worst(golden, found, labels):
    return {factor} / (1 + np.nan_to_num(np.abs(golden - found).max((1, 2)), nan=9))
"""


def installed(site: Path, factor: float) -> None:
    """A distribution with a metric, worked on in place: its version stays the same."""
    info = site / "own_metrics-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / "own_metrics_for_tests.py").write_text(SCORE.format(factor=factor))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[assay.metrics]\nworst = own_metrics_for_tests:worst\n")
    sys.modules.pop("own_metrics_for_tests", None)
    importlib.invalidate_caches()


def test_a_metric_that_was_changed_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    checks: list[dict[str, Any]] = [{"finite": {}}, {"metric": {"name": "worst", "keep": 0.5}}]
    known = []
    for factor in (1.0, 2.0, 2.0):
        installed(tmp_path / "site", factor)
        found = run(tmp_path, checks=checks)
        assert found.remedy.outcome == "Cured", found.remedy.message
        known.append({trial.known for trial in found.trials if trial.split == "search"})
    sys.modules.pop("own_metrics_for_tests", None)
    assert known == [{False}, {False}, {True}]
