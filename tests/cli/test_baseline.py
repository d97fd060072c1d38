"""`assay baseline`: whole audits accepted, and later ones held against them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.cli.audits import Ended, assay, good, run

Capture = pytest.CaptureFixture[str]
LABELLED = [{"finite": {}}, {"outputDrift": {"cosine": 0.5}}, {"labelAccuracy": {"keep": 0.5, "interval": "none"}}]
CPU = [{"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_RETRY_SECONDS", "1")
    good(tmp_path)
    return tmp_path


def audited(folder: Path, capsys: Capture, own: str = "model.onnx", **changes: object) -> str:
    """The folder of the report of an audit whose candidate is a model of its own."""
    candidates = [{**CPU[0], "model": {"uri": f"file://./{own}"}}]
    ended = run(folder, capsys, **{"candidates": candidates, "checks": LABELLED, **changes})
    assert ended.code in (0, 1, 2), ended.err
    return str(folder / "out")


def baseline(folder: Path, capsys: Capture, what: str, report: str, *words: str) -> Ended:
    more = ("--why", "release 7", "--who", "ann") if what == "accept" and "--why" not in words else ()
    return assay(capsys, "baseline", what, report, "--store", f"file://{folder}/kept", *more, *words)


def other(folder: Path, scale: float) -> str:
    """The model with weights of its own."""
    model = onnx.load(folder / "model.onnx")
    (weight,) = model.graph.initializer
    found = numpy_helper.to_array(weight)
    noise = np.random.default_rng(3).standard_normal(found.shape).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(found + np.float32(scale) * noise, weight.name))
    onnx.save(model, folder / "other.onnx")
    return "other.onnx"


def state(ended: Ended) -> str:
    return next(word for word in ended.out.split() if word in STATES)


STATES = ("New", "Unchanged", "Changed", "Improved", "Regressed", "Inconclusive")


def test_what_is_accepted_shows_at_once_and_later_audits_are_held_against_it(folder: Path, capsys: Capture) -> None:
    report = audited(folder, capsys)
    ended = baseline(folder, capsys, "show", report)
    assert (ended.code, state(ended)) == (2, "New")
    ended = baseline(folder, capsys, "accept", report)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("fp32: accepted by ann, record ")
    ended = baseline(folder, capsys, "show", report)
    assert (ended.code, state(ended)) == (0, "Unchanged")
    assert "release 7" in " ".join(ended.out.split())
    # The same audit again, from a fresh start, gives the same bits.
    assert state(baseline(folder, capsys, "show", audited(folder, capsys))) == "Unchanged"
    # A little other weights: other bits, the same labels.
    ended = baseline(folder, capsys, "show", audited(folder, capsys, other(folder, 1e-4)))
    assert (ended.code, state(ended)) == (0, "Changed")
    # Quite other weights lose labels.
    worse = audited(folder, capsys, other(folder, 2.0))
    ended = baseline(folder, capsys, "show", worse)
    assert (ended.code, state(ended)) == (1, "Regressed")
    # Accepting it is one command, and shows at once; the one before is an improvement now.
    assert baseline(folder, capsys, "accept", worse).code == 0
    assert state(baseline(folder, capsys, "show", worse)) == "Unchanged"
    assert state(baseline(folder, capsys, "show", audited(folder, capsys))) == "Improved"
    (pointer,) = (folder / "kept" / "baselines").glob("*.json")
    told = json.loads(pointer.read_text())
    assert (told["who"], told["why"]) == ("ann", "release 7")
    assert {told["record"], told["previous"]} == {p.stem for p in (folder / "kept" / "baselines" / "records").iterdir()}


def test_what_may_not_become_one_is_told_why(folder: Path, capsys: Capture) -> None:
    candidates = [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}]
    report = audited(folder, capsys, candidates=candidates)
    ended = baseline(folder, capsys, "accept", report)
    assert ended.code == 64
    assert ended.out.startswith("fp16: not accepted: it is emulated")
    assert not (folder / "kept").exists()


def test_wrong_use_is_told_in_one_sentence(folder: Path, capsys: Capture) -> None:
    report = audited(folder, capsys)
    assert "say in a few words why" in baseline(folder, capsys, "accept", report, "--why", " ").err
    ended = baseline(folder, capsys, "show", report, "--candidate", "int8")
    assert (ended.code, "there are fp32" in ended.err) == (64, True)
    assert "there is no report" in baseline(folder, capsys, "show", str(folder / "nowhere")).err
    ended = assay(capsys, "baseline", "show", report, "--store", "kept")
    assert (ended.code, "--store takes a URI" in ended.err) == (64, True)


@pytest.mark.parametrize("what", ["accept", "show"])
@pytest.mark.parametrize("option", ["cause", "model", "cell", "image", "candidate", "sweep", "store"])
def test_an_option_that_is_empty_does_not_mean_every_answer(what: str, option: str, capsys: Capture) -> None:
    words = {"sweep": "nightly", "why": "release 7", option: " "}
    if what == "show":
        del words["why"]
    ended = assay(capsys, "baseline", what, *(word for name, value in words.items() for word in (f"--{name}", value)))
    told = f"--{option} is empty, as where a variable was not set: give it a value, or leave it out"
    assert (ended.code, ended.out) == (64, "")
    assert told in ended.err


def test_a_record_that_was_changed_or_has_gone_is_not_believed(folder: Path, capsys: Capture) -> None:
    report = audited(folder, capsys)
    baseline(folder, capsys, "accept", report)
    (record,) = (folder / "kept" / "baselines" / "records").iterdir()
    record.write_text(record.read_text().replace('"Passed"', '"Failed"'))
    ended = baseline(folder, capsys, "show", report)
    assert (ended.code, "did not match its digest" in ended.err) == (69, True)
    record.unlink()
    ended = baseline(folder, capsys, "show", report)
    assert (ended.code, "is gone: accept another report" in ended.err) == (64, True)
