"""Every wrong input of a run: one sentence on standard error, exit code 64, never a traceback, never a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.cli.audits import INT8, good, report_of, run
from tests.runner.io.made import info, linear, rows, save, shard

Change = Callable[[Path], dict[str, Any] | None]


def change(function: Callable[[Path], Any], **changes: Any) -> Change:
    def apply(folder: Path) -> dict[str, Any]:
        function(folder)
        return changes

    return apply


def nothing(folder: Path) -> None:
    pass


def replace_data(**arrays: Any) -> Callable[[Path], Any]:
    return lambda folder: shard(folder / "data" / "part-1.npz", **arrays)


def lose(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for path in sorted((folder / name).glob("**/*")) if (folder / name).is_dir() else [folder / name]:
            path.unlink()

    return remove


def lost_weights(folder: Path) -> None:
    linear(folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()


def cut(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) - 20])


def node(op: str, opset: int, domain: str = "") -> Callable[[Path], Any]:
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_node(op, ["x"], ["y"], domain=domain)
    return lambda folder: save(
        folder / "model.onnx", [made], [info("x", ["b", 3])], [info("y", ["b", 3])], opsets=opsets
    )


X, LABEL = rows(4), np.zeros(4, np.int64)
NAN = X.copy()
NAN[1, 1] = np.nan

BAD: list[tuple[str, Change, str]] = [
    ("model missing", change(lose("model.onnx")), "model.onnx does not exist"),
    ("model truncated", change(cut), "is not ONNX, or truncated"),
    ("not ONNX", change(lambda f: (f / "model.onnx").write_bytes(b"%PDF-1.7")), "is not ONNX"),
    ("wrong sha256", change(nothing, model={"uri": "file://./model.onnx", "sha256": "0" * 64}), "has SHA-256"),
    ("external data", change(lost_weights), "external data weights.bin"),
    ("opset", change(node("Relu", 99)), "is of opset 99"),
    ("operator", change(node("Frobnicate", 17)), "uses operator Frobnicate"),
    ("custom operator", change(node("Foo", 17, "com.acme")), "uses operator com.acme:Foo"),
    ("dataset missing", change(nothing, dataset={"uri": "file://./absent"}), "absent is missing or empty"),
    ("dataset empty", change(lose("data")), "is missing or empty"),
    ("no samples", change(nothing, dataset={"uri": "file://./zero.npz"}), "zero.npz is empty: its shards hold no"),
    ("corrupt", change(lambda f: (f / "data" / "part-0.npz").write_bytes(b"PK junk")), "part-0.npz is corrupt"),
    ("first axes", change(replace_data(x=rows(5), label=LABEL)), "disagree on the number of samples"),
    ("input name", change(replace_data(z=X, label=LABEL)), "no array for the model's input 'x'"),
    ("dtype", change(replace_data(x=X.astype("float16"), label=LABEL)), "store it by .astype('float32')"),
    ("shape", change(replace_data(x=rows(4, 5), label=LABEL)), "has shape (4, 5)"),
    ("NaN", change(replace_data(x=NAN, label=LABEL)), "holds NaN in sample 1 (sample 13 of the dataset)"),
    ("labels missing", change(replace_data(x=X)), "no array of labels 'label'"),
    ("labels negative", change(replace_data(x=X, label=LABEL - 1)), "is out of range"),
    (
        "labels out of range",
        change(replace_data(x=X, label=LABEL + 4), checks=[{"labelAccuracy": {"metric": "top1"}}]),
        "label 4 of sample 12 is no class of output 'y'",
    ),
    ("stored golden missing", change(nothing, golden={"uri": "file://./absent.npz"}), "stored golden outputs"),
    ("stored golden short", change(nothing, golden={"uri": "file://./short.npz"}), "hold 3 samples"),
    ("stored golden name", change(nothing, golden={"uri": "file://./calib/"}), "model's output 'y': it holds 'x'"),
    ("calibration empty", change(lose("calib"), candidates=[INT8]), "candidate int8: the calibration set"),
    ("fp8 input", change(node("Identity", 17), candidates=[]), "needs at least 1"),
    ("out is a file", change(lambda f: (f / "out").write_text("")), "cannot write"),
]


@pytest.mark.parametrize(("apply", "sentence"), [(c, s) for _, c, s in BAD], ids=[n for n, _, _ in BAD])
def test_wrong_input_ends_in_one_sentence_and_64(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apply: Change, sentence: str
) -> None:
    good(tmp_path)
    shard(tmp_path / "zero.npz", x=rows(0))
    shard(tmp_path / "short.npz", y=rows(3, 4))
    changes = apply(tmp_path) or {}
    ended = run(tmp_path, capsys, **changes)
    assert ended.code == 64, ended.err
    assert len(ended.complaints) == 1, ended.err
    assert sentence in ended.complaints[0]
    assert "Traceback" not in ended.err + ended.out
    if (tmp_path / "out" / "report.json").exists():
        assert report_of(tmp_path).verdict == "Inconclusive"


def test_a_model_of_another_element_type_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    own = tmp_path / "own.onnx"
    made = helper.make_node("Identity", ["x"], ["y"])
    save(own, [made], [info("x", ["b", 3], TensorProto.DOUBLE)], [info("y", ["b", 3], TensorProto.DOUBLE)])
    candidate = {"name": "own", "backend": "onnxruntime", "precision": "fp32", "model": {"uri": "file://./own.onnx"}}
    ended = run(tmp_path, capsys, candidates=[candidate])
    assert ended.code == 64
    assert "takes other inputs (x: float64) than the audit's (x: float32)" in ended.complaints[0]


@pytest.mark.parametrize(("shape", "told"), [(["b", 4], "[b, 4]"), (["b", 3, 1], "[b, 3, 1]"), ([None], "[?]")])
def test_a_model_of_another_layout_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: list[str | int | None], told: str
) -> None:
    """As one whose images have their channels last, where the audit's have them first."""
    good(tmp_path)
    own = tmp_path / "own.onnx"
    save(own, [helper.make_node("Identity", ["x"], ["y"])], [info("x", shape)], [info("y", shape)])
    candidate = {"name": "own", "backend": "onnxruntime", "precision": "fp32", "model": {"uri": "file://./own.onnx"}}
    ended = run(tmp_path, capsys, candidates=[candidate])
    assert ended.code == 64
    assert (
        f"takes 'x' in the shape {told}, and the audit's in [batch, 3]: export both in one layout"
        in ended.complaints[0]
    )
