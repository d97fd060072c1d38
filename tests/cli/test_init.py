"""`assay init`: what it writes validates, was fed to the model, and says what it guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from assay_api.audit import AccuracyAudit
from assay_api.model import parse
from tests.cli.audits import assay, report_of
from tests.runner.io.made import info, linear, save, shard

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def drafted(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The spec of what `assay init` writes."""
    file = folder / "audit.yaml"
    ended = assay(capsys, "init", *words, "-o", str(file))
    assert ended.code == 0, ended.err
    assert ended.out.strip().endswith(f"next: assay run -f {file}")
    document = yaml.safe_load(file.read_text())
    parse(AccuracyAudit, document)
    spec: dict[str, Any] = document["spec"]
    return spec


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    ended = assay(capsys, "init", *words)
    assert (ended.code, ended.out) == (64, "")
    [complaint] = ended.complaints
    return complaint


def recurrent(path: Path) -> None:
    """The interface of a detector of speech: windows, a state with its samples in the middle, a sampling rate."""
    nodes = [
        helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["input", "rate"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("ReduceMean", ["state"], ["kept"], axes=[0, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["kept", "one"], ["column"]),
        helper.make_node("Add", ["mean", "column"], ["output"]),
        helper.make_node("Identity", ["state"], ["stateN"]),
    ]
    inputs = [info("input", ["n", 8]), info("state", [2, "n", 4]), info("sr", [], TensorProto.INT64)]
    one = numpy_helper.from_array(np.array([1]), "one")
    save(path, nodes, inputs, [info("output", ["n", 1]), info("stateN", [2, "n", 4])], initializer=[one])


def test_data_with_labels_are_found_and_the_audit_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = drafted(tmp_path, capsys, str(DIGITS / "digits-cnn.onnx"), str(DIGITS / "data"))
    assert spec["dataset"] == {"uri": f"file://{DIGITS / 'data'}/", "batch": 32, "labels": "label"}
    assert [c["precision"] for c in spec["candidates"]] == ["fp32", "fp16", "bf16", "int8"]
    assert {"labelAccuracy": {}} in spec["checks"]
    ended = assay(capsys, "run", "-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out"))
    assert ended.code in (0, 1), ended.err
    verdicts = {c.candidate: c.verdict for c in report_of(tmp_path).candidates}
    assert (verdicts["fp32"], verdicts["fp16"]) == ("Passed", "Passed")


@pytest.mark.parametrize(
    ("more", "labels", "unread"),
    [
        ({"label": np.arange(60) % 10}, None, "label (60,) int64"),  # Not one per sample.
        ({"id": np.arange(64) + 5}, None, "id (64,) int64"),  # No indices of ten classes.
        ({"id": np.arange(64) + 5, "kind": np.arange(64) % 10}, "kind", "id (64,) int64"),
        ({"fold": np.arange(64) % 5, "y": np.arange(64) % 10}, "y", "fold (64,) int64"),
        ({"onehot": np.eye(10, dtype="float32")[np.arange(64) % 10]}, None, "onehot (64, 10) float32"),
        ({"name\n- x": np.array(["zero"] * 64)}, None, "name?- x (64,) text"),
        ({"label": -np.arange(64) % 10 - 5}, None, "label (64,) int64"),
    ],
)
def test_what_cannot_be_labels_is_not_taken_for_them_and_told(
    more: dict[str, np.ndarray], labels: str | None, unread: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The draft must run as it is: an array of integers alone makes no labels."""
    with np.load(DIGITS / "data" / "part-000.npz") as part:
        image = part["image"][:64]
    np.savez(tmp_path / "data.npz", image=image, **more)  # type: ignore[arg-type]
    spec = drafted(tmp_path, capsys, str(DIGITS / "digits-cnn.onnx"), str(tmp_path / "data.npz"))
    assert spec["dataset"].get("labels") == labels
    assert f"# Nothing reads {unread}." in (tmp_path / "audit.yaml").read_text()
    words = ("--candidate", "fp32", "--check", "outputDrift", "--out", str(tmp_path / "out"))
    assert assay(capsys, "run", "-f", str(tmp_path / "audit.yaml"), *words).code == 0


def test_an_array_of_another_name_that_would_do_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(DIGITS / "data" / "part-000.npz") as part:
        np.savez(tmp_path / "data.npz", pixels=part["image"], label=part["label"])
    told = refused(capsys, str(DIGITS / "digits-cnn.onnx"), str(tmp_path / "data.npz"), "-o", str(tmp_path / "a.yaml"))
    assert told.endswith("'pixels' has its type and shape: store it as 'image'")


def test_made_up_data_never_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = drafted(tmp_path, capsys, str(DIGITS / "digits-cnn.onnx"))
    assert spec["dataset"]["synthetic"] is True
    ended = assay(capsys, "run", "-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out"))
    assert ended.code == 2
    report = report_of(tmp_path)
    assert report.recommendation is not None
    assert report.recommendation.candidate is None
    for candidate in report.candidates:
        assert candidate.verdict == "Inconclusive"
        told = [f for f in report.findings if f.candidate == candidate.candidate and "made up" in f.message]
        assert [f.check for f in told] == ["outputDrift"]


def test_a_breach_on_made_up_data_is_a_breach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drafted(tmp_path, capsys, str(DIGITS / "digits-cnn.onnx"))
    file = tmp_path / "audit.yaml"
    document = yaml.safe_load(file.read_text())
    document["spec"]["checks"] = [{"outputDrift": {"snr": 200}}]
    document["spec"]["candidates"] = document["spec"]["candidates"][1:2]
    file.write_text(json.dumps(document))
    assert assay(capsys, "run", "-f", str(file), "--out", str(tmp_path / "out")).code == 1


def test_states_and_scalars_are_fed_by_what_the_model_declares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recurrent(tmp_path / "vad.onnx")
    spec = drafted(tmp_path, capsys, str(tmp_path / "vad.onnx"))
    assert spec["model"] == {"uri": "file://./vad.onnx"}
    assert spec["dataset"]["inputs"] == {"sr": {"constant": 16000}, "state": {"axis": 1}}
    # A state that nobody stored begins with 0.
    random = np.random.default_rng(1)
    np.savez(tmp_path / "windows.npz", input=random.standard_normal((20, 8)).astype(np.float32))
    spec = drafted(tmp_path, capsys, str(tmp_path / "vad.onnx"), str(tmp_path / "windows.npz"), "--force")
    assert spec["dataset"]["inputs"] == {"sr": {"constant": 16000}, "state": {"constant": 0}}
    assert "synthetic" not in spec["dataset"]
    ended = assay(capsys, "run", "-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out"))
    verdicts = {c.candidate: c.verdict for c in report_of(tmp_path).candidates}
    assert verdicts["fp32"] == "Passed", ended.err


def test_feeds_are_told_from_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recurrent(tmp_path / "vad.onnx")
    (tmp_path / "feeds").mkdir()
    for number in range(3):
        window, state = np.ones((1, 8), np.float32), np.zeros((2, 1, 4), np.float32)
        shard(tmp_path / "feeds" / f"{number}.npz", input=window, state=state, sr=np.array(16000))
    spec = drafted(tmp_path, capsys, str(tmp_path / "vad.onnx"), str(tmp_path / "feeds"))
    assert spec["dataset"] == {"uri": "file://./feeds/", "layout": "feeds"}
    assert {"batchInvariance": {}} not in spec["checks"]


def test_made_up_indices_are_within_their_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = numpy_helper.from_array(np.arange(14, dtype=np.float32).reshape(7, 2), "table")
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    save(
        tmp_path / "m.onnx",
        nodes,
        [info("ids", ["n", "t"], TensorProto.INT64)],
        [info("rows", ["n", "t", 2])],
        initializer=[table],
    )
    drafted(tmp_path, capsys, str(tmp_path / "m.onnx"))
    [file] = (tmp_path / "m-synthetic").iterdir()
    ids = np.load(file)["ids"]
    assert ids.min() >= 0
    assert ids.max() == 6


def test_a_batch_that_the_model_does_not_declare_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = numpy_helper.from_array(np.array([1, 6]), "shape")
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    save(tmp_path / "m.onnx", nodes, [info("x", ["n", 2, 3])], [info("y", [1, 6])], initializer=[shape])
    spec = drafted(tmp_path, capsys, str(tmp_path / "m.onnx"))
    assert spec["dataset"]["batch"] == 1


def test_a_name_that_yaml_takes_for_something_else_stays_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    save(tmp_path / "My Model (1): #2.onnx", nodes, [info("x", ["n", 4])], [info("y", ["n", 4])])
    shard(tmp_path / "{a: b}.npz", x=np.ones((30, 4), np.float32), no=np.arange(30) % 4)
    spec = drafted(tmp_path, capsys, str(tmp_path / "My Model (1): #2.onnx"), str(tmp_path / "{a: b}.npz"))
    assert spec["model"]["uri"] == "file://./My Model (1): #2.onnx"
    assert spec["dataset"]["uri"] == "file://./{a: b}.npz"
    assert spec["dataset"]["labels"] == "no"


def test_what_is_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "audit.yaml").write_text("mine")
    told = refused(capsys, str(DIGITS / "digits-cnn.onnx"), "-o", str(tmp_path / "audit.yaml"))
    assert "--force" in told
    assert (tmp_path / "audit.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("none.onnx", None, "none.onnx"),
        (str(DIGITS / "digits-cnn.onnx"), "nowhere", "nowhere"),
        (str(DIGITS / "digits-cnn.onnx"), "other.npz", "other.npz"),
        ("text.onnx", None, "ONNX"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    model: str, data: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "other.npz", nothing=np.ones(3))
    (tmp_path / "text.onnx").write_text("no model")
    before = sorted(tmp_path.iterdir())
    words = [str(tmp_path / model), *([str(tmp_path / data)] if data else []), "-o", str(tmp_path / "audit.yaml")]
    assert said in refused(capsys, *words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["s3://m/a.onnx"], "s3://m/a.onnx: the bucket's name has 1 character, and S3 gives buckets names of 3 to 63"),
        (["a\nb.onnx"], "has a line break in it, which no URI takes: rename the file"),
        (["linear.onnx", "s3://Data/"], "s3://Data/: the bucket's name is not lower-case letters"),
    ],
)
def test_a_uri_that_no_audit_takes_is_refused_with_the_reason(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    linear(tmp_path / "linear.onnx")
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *words, "-o", str(tmp_path / "audit.yaml"))
    assert not (tmp_path / "audit.yaml").exists()
