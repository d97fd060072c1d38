"""What must come out right of a repair, from YAML by `assay repair`: its exit code, words, report, and what to ship.

Where no precision of this machine's does it, the engines are rigged: right or wrong by a rule, with tactics or without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from assay_api.repair import RemedyEntry
from assay_api.report import Report
from assay_runner.backends import BACKENDS, Backend
from assay_runner.tasks import candidate, repair
from tests.choosing import Choosing, Library
from tests.cli.audits import Ended, assay, document, report_of, spec, write
from tests.models import random
from tests.rigged import Engines, Rule
from tests.runner.remedies.calibrated import DIGITS, audit, int8
from tests.runner.remedies.rebuilt import WIDTH, layer, stack
from tests.runner.remedies.repairs import ENGINE, FP16, INT8, staged
from tests.runner.remedies.test_precision import LABELS, classifier
from tests.runner.remedies.test_repair_by_tactics import Unsteady
from tests.runner.remedies.test_ways_to_8_bits import QAT, untrained
from tests.runner.remedies.transformers import overflowing, sentences, transformer

A, B = "b1.q.node", "b4.out.node"
"""Nodes that no emulation suspects."""
DRIFT = [{"outputDrift": {"snr": 30}}]
SEARCH = {"precision": {"to": ["fp32"], "rewrite": False}}


def repaired(folder: Path, capsys: pytest.CaptureFixture[str], **fields: Any) -> tuple[Ended, Report]:
    """`assay repair` of what is staged."""
    given = {"dataset": {"uri": "file://./data/", "batch": 4}, "checks": DRIFT, "candidates": [FP16], **fields}
    return by_command(folder, capsys, document(spec(**given)))


def by_command(folder: Path, capsys: pytest.CaptureFixture[str], written: Mapping[str, Any]) -> tuple[Ended, Report]:
    ended = assay(capsys, "repair", "-f", write(folder, written), "--out", str(folder / "out"))
    assert ended.code in (0, 1, 2), ended.err
    assert (folder / "out" / "recommended").is_dir() == (ended.code == 0)
    return ended, report_of(folder)


def of(report: Report, name: str) -> RemedyEntry:
    (found,) = [remedy for entry in report.repair for remedy in entry.remedies if remedy.remedy == name]
    return found


def shipped(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "recommended" / "recommended.json").read_text())
    return found


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts engines in the place of TensorRT's."""

    def put(backend: Backend) -> None:
        for module in (candidate, repair):
            monkeypatch.setattr(module, "BACKENDS", {**BACKENDS, "tensorrt": backend})

    return put


def test_two_of_twelve_blocks_that_overflow_in_fp16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path, transformer(loud=(3, 9)), sentences())
    ended, report = repaired(tmp_path, capsys, remedies=SEARCH)
    assert ended.code == 0
    remedy = of(report, "precision")
    assert {name.partition(".")[0] for name in remedy.wide} == {"b3", "b9"}
    assert set(remedy.wide) <= overflowing(3, 9)
    assert remedy.minimal in ("Proved", "Implied")
    assert shipped(tmp_path)["candidate"] == "fp16-precision"
    assert snr(tmp_path) > 30


def snr(folder: Path) -> float:
    """Of what is shipped, in dB, by bare ONNX Runtime; everything that is not held is in FP16 there."""
    x = sentences()
    wanted, got = (
        onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"]).run(None, x)[0]
        for name in ("model.onnx", "out/recommended/model.onnx")
    )
    wanted = wanted.astype(np.float64)
    return float(10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum()))


def test_an_outlier_channel_and_a_residual_sum_in_int8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staged(tmp_path, *classifier())
    dataset = {"uri": "file://./data/", "batch": 100, "labels": "label"}
    ended, report = repaired(
        tmp_path,
        capsys,
        dataset=dataset,
        checks=list(LABELS),
        candidates=[INT8],
        remedies={"precision": {"to": ["fp32"]}},
    )
    assert ended.code == 0
    assert set(of(report, "precision").wide) == {"d3.node", "mixed.node"}
    assert all(name in ended.out for name in ("d3.node", "mixed.node"))
    session = onnxruntime.InferenceSession(
        str(tmp_path / "out" / "recommended" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    data = np.load(tmp_path / "data" / "part-0.npz")
    assert np.mean(session.run(None, {"x": data["x"]})[0].argmax(1) == data["label"]) >= 0.99


RULES: dict[str, Rule] = {
    "either alone fails and both together pass": lambda wide: {A, B} <= wide,
    "either alone passes and both together fail": lambda wide: (A in wide) ^ (B in wide),
}


@pytest.mark.parametrize("rule", RULES)
def test_two_culprits_that_depend_on_each_other(
    rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    engines(Engines(RULES[rule]))
    staged(tmp_path, transformer((), blocks=6), sentences())
    ended, report = repaired(tmp_path, capsys, candidates=[ENGINE], remedies=SEARCH)
    remedy = of(report, "precision")
    assert (ended.code, remedy.outcome) == (0, "Cured")
    assert RULES[rule](frozenset(remedy.wide))


@pytest.mark.parametrize("seed", [2, 7])
def test_answers_that_are_wrong_three_times_in_a_hundred(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    near = {"wrong": 10 ** (-29 / 20), "right": 10 ** (-32 / 20)}
    engines(Engines(lambda wide: {A, B} <= wide, **near, flips=0.03, seed=seed))
    staged(tmp_path, transformer((), blocks=6), sentences())
    ended, report = repaired(tmp_path, capsys, candidates=[ENGINE], remedies={**SEARCH, "budget": {"builds": 400}})
    remedy = of(report, "precision")
    assert (ended.code, remedy.outcome, set(remedy.wide)) == (0, "Cured", {A, B})


def test_an_engine_that_passes_by_luck_is_the_one_that_is_shipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    """Seed 31 of the above: the candidate's own build is the wrong answer. The verdict is of it, and it ships."""
    backend = Engines(lambda wide: {A, B} <= wide, wrong=10 ** (-29 / 20), right=10 ** (-32 / 20), flips=0.03, seed=31)
    engines(backend)
    staged(tmp_path, transformer((), blocks=6), sentences())
    ended, report = repaired(tmp_path, capsys, candidates=[ENGINE], remedies=SEARCH)
    assert (ended.code, report.repair, backend.asked) == (0, (), [frozenset()])
    [candidate] = report.candidates
    assert candidate.outputs[0].metrics["snr"].worst == pytest.approx(32, abs=0.1)
    assert shipped(tmp_path)["candidate"] == "fp16"


@pytest.mark.parametrize("good", ["qat", "ptq"])
def test_what_was_trained_for_8_bits_and_what_was_calibrated(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = DIGITS / "digits-cnn-qat.onnx" if good == "qat" else untrained(tmp_path / "bad.onnx")
    calibration = "calib-poor" if good == "qat" else "calib"
    written = audit(
        [int8("ptq", method="minmax", uri=f"file://{DIGITS}/{calibration}/"), {**QAT, "model": {"uri": f"file://{own}"}}],
        {"weightOnly": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "labels": "label", "batch": 64},
    )  # fmt: skip
    ended, report = by_command(tmp_path, capsys, written)
    assert ended.code == 0
    assert report.recommendation is not None
    assert report.recommendation.candidate == good
    assert shipped(tmp_path)["candidate"] == good
    # Beside a repair of its that passes, too, the calibrated one is told of last.
    worse = "; ptq (PTQ) less so" if good == "qat" else "is more accurate than qat (own Q/DQ): top1"
    assert worse in report.recommendation.message


def built(folder: Path, capsys: pytest.CaptureFixture[str], **fields: Any) -> tuple[Ended, Report]:
    """A stack of layers whose builder chooses tactics."""
    staged(folder, stack(8), {"x": random(64, WIDTH, seed=9)})
    asked = {"name": "fp32", "backend": "tensorrt", "precision": "fp32"}
    given: dict[str, Any] = {"dataset": {"uri": "file://./data/", "batch": 8}, "candidates": [asked]}
    return repaired(folder, capsys, **{**given, "checks": [{"outputDrift": {"maxAbs": 0.01}}], **fields})


def test_an_injected_bad_tactic_among_rebuilds_that_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    engines(Choosing(Library(bad=[{layer(3): "0x0"}], favoured=0.9)))
    ended, report = built(tmp_path, capsys, remedies={"tactics": {}})
    remedy = of(report, "tactics")
    assert ended.code == 0
    assert f"tactic 0x0 of layer '{layer(3)}' is to blame" in remedy.message
    tactics = json.loads((tmp_path / "out" / "recommended" / "tactics.json").read_text())["tactics"]
    assert tactics[layer(3)] != "0x0"
    assert remedy.tactics is not None
    bits = {how: [b.bits for b in remedy.tactics.rebuilds if b.how == how] for how in ("free", "pinned")}
    assert len(set(bits["free"])) > 1
    assert (len(bits["pinned"]) > 1, len(set(bits["pinned"]))) == (True, 1)


def test_layers_that_cannot_be_pinned_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    engines(Choosing(Library(bad=[{layer(3): "0x0"}], favoured=0.9, compiled=frozenset({layer(5)}))))
    _, report = built(tmp_path, capsys, remedies={"tactics": {}})
    told = of(report, "tactics").tactics
    assert told is not None
    assert "{ForeignNode[h5.node]}" in {name for rung in told.ladder for name in rung.unheld}


def test_an_engine_that_does_not_repeat_its_bits_is_no_matter_of_tactics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engines: Any
) -> None:
    engines(Unsteady())
    once = {"runToRun": {"runs": 2, "batches": 1, "conditions": ["newSession"]}}
    ended, report = built(tmp_path, capsys, remedies={"tactics": {}}, checks=[once])
    remedy = of(report, "tactics")
    assert (ended.code, remedy.outcome) == (1, "NotCured")
    assert "each of them gives other bits from one session to the next, which no choice of tactics" in remedy.message
    assert "look at precision" not in remedy.message
