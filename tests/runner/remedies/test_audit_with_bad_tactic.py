"""A whole audit whose engine fails by a bad tactic: its report names it, and what is deployed is without it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from assay_api.model import parse
from assay_api.report import Report
from assay_runner.backends import BACKENDS
from assay_runner.tasks import candidate, repair
from tests.choosing import Choosing, Library
from tests.cli.audits import Ended, assay, document, write
from tests.models import random
from tests.runner.io.made import shard
from tests.runner.remedies.rebuilt import WIDTH, layer, stack

BAD = {layer(3): "0x0"}


def audited(folder: Path, capsys: pytest.CaptureFixture[str]) -> Ended:
    onnx.save(stack(8), str(folder / "stack.onnx"))
    shard(folder / "data" / "part-0.npz", x=random(64, WIDTH, seed=9))
    spec = {
        "model": {"uri": "file://./stack.onnx"},
        "dataset": {"uri": "file://./data/", "batch": 8},
        "candidates": [{"name": "fp32", "backend": "tensorrt", "precision": "fp32"}],
        "checks": [{"outputDrift": {"maxAbs": 0.01}}],
        "remedies": {"tactics": {}},
        "artifacts": {"uri": "file:///nowhere/"},
    }
    return assay(capsys, "run", "-f", write(folder, document(spec)), "--out", str(folder / "out"))


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    # Its builder prefers the bad one, so that the candidate fails.
    others = {**BACKENDS, "tensorrt": Choosing(Library(bad=[BAD], favoured=0.9))}
    for module in (candidate, repair):
        monkeypatch.setattr(module, "BACKENDS", others)
    ended = audited(tmp_path, capsys)
    assert ended.code in (0, 1), ended.err
    return parse(Report, json.loads((tmp_path / "out" / "repair" / "report.json").read_bytes()))


def test_an_audit_names_the_tactic_and_deploys_what_is_without_it(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [entry] = report.repair
    [remedy] = entry.remedies
    assert remedy.outcome == "Cured", remedy.message
    assert "passes on 32 samples that no search has seen" in remedy.message
    assert remedy.tactics
    assert [suspect.tactics for suspect in remedy.tactics.suspects if suspect.blamed] == [BAD]
    assert remedy.deploy.tactics
    written = json.loads(Path(remedy.deploy.tactics.removeprefix("file://")).read_text())
    assert written["tactics"][layer(3)] != "0x0"
    with_it = next(build for build in remedy.tactics.rebuilds if build.how == "held")
    assert with_it.record
    shown = assay(capsys, "tactics", "diff", with_it.record, remedy.deploy.tactics)
    assert shown.code == 1
    assert [layer(3), "0x0", written["tactics"][layer(3)]] in [line.split() for line in shown.out.splitlines()]
    assert remedy.deploy.reproduce
    script = Path(remedy.deploy.reproduce.removeprefix("file://")).read_text()
    assert "trtexec cannot hold a layer to a tactic" in script


@pytest.mark.parametrize("damage", ["none", "changed", "removed"])
def test_a_build_that_was_audited_is_taken_while_what_it_left_is_there(
    damage: str, report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by a repair that was killed after it; what it left is not believed unseen."""
    tactics = report.repair[0].remedies[0].deploy.tactics
    assert tactics
    path = Path(tactics.removeprefix("file://"))
    whole = path.read_bytes()
    if damage == "changed":
        path.write_bytes(whole.replace(b"0x", b"1x"))
    if damage == "removed":
        path.unlink()
    audited(tmp_path, capsys)
    again = parse(Report, json.loads((tmp_path / "out" / "repair" / "report.json").read_bytes()))
    audits = [trial for trial in again.repair[0].trials if trial.split == "unseen"]
    assert [trial.known for trial in audits] == [damage == "none"]
    assert [remedy.outcome for remedy in again.repair[0].remedies] == ["Cured"]
    assert again.repair[0].remedies[0].deploy == report.repair[0].remedies[0].deploy
    assert path.read_bytes().count(b"1x") == 0
    assert again.candidates[0].verdict == report.candidates[0].verdict == "Passed"
