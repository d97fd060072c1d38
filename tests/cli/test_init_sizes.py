"""`assay init` on models with inputs that say a size: what it writes runs, made-up data or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from assay_runner.tensors import Array
from tests.cli.audits import assay
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

IMAGES = random(6, 3, 16, 16)
ROWS = random(6, 12)
INT64 = TensorProto.INT64


def resized(*inputs: str, before: tuple[onnx.NodeProto, ...] = (), **declared: Any) -> onnx.ModelProto:
    """A convolution, resized to what an input says."""
    resize = helper.make_node("Resize", ["c", *inputs], ["y"], "resize", mode="nearest")
    weights = [constant("w", random(3, 3, 3, 3)), constant("zero", np.array([0])), constant("two", np.array([2]))]
    given = [value("x", "N", 3, "H", "W"), *(value(name, size, kind=kind) for name, (size, kind) in declared.items())]
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), *before, resize]
    return model(nodes, given, [value("y", "n", 3, "h", "v")], weights)


def behind(op: str, *names: str, size: int) -> onnx.ModelProto:
    """A product, brought into another shape by what inputs say."""
    told = [value(name, size, kind=INT64) for name in names]
    nodes = [node("MatMul", "x w", "m"), node(op, " ".join(["m", *names]), "y")]
    return model(
        nodes, [value("x", "N", 12), *told], [value("y", *(f"d{i}" for i in range(2)))], [constant("w", random(12, 12))]
    )


def joined() -> onnx.ModelProto:
    """Height and width alone are an input; the rest is taken from the data."""
    before = (
        node("Shape", "c", "lengths"), node("Slice", "lengths zero two", "head"),
        helper.make_node("Concat", ["head", "hw"], ["sizes"], "join", axis=0),
    )  # fmt: skip
    return resized("", "", "sizes", before=before, hw=(2, INT64))


CASES: dict[str, tuple[onnx.ModelProto, Array, dict[str, Any]]] = {
    "sizes of a Resize": (resized("", "", "sizes", sizes=(4, INT64)), IMAGES, {"sizes": [1, 3, 16, 16]}),
    "scales of a Resize": (resized("", "scales", scales=(4, TensorProto.FLOAT)), IMAGES, {"scales": [1, 1, 1, 1]}),
    "height and width": (joined(), IMAGES, {"hw": [16, 16]}),
    "shape of a Reshape": (behind("Reshape", "shape", size=2), ROWS, {"shape": [-1, 12]}),
    "shape of an Expand": (behind("Expand", "shape", size=2), ROWS, {"shape": [1, 1]}),
    "repeats of a Tile": (behind("Tile", "repeats", size=2), ROWS, {"repeats": [1, 1]}),
    "pads of a Pad": (behind("Pad", "pads", size=4), ROWS, {"pads": [0, 0, 0, 0]}),
    "both ends of a Slice": (behind("Slice", "from", "to", size=1), ROWS, {"from": [0], "to": [1 << 30]}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_size_that_the_data_lack_is_held_constant(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto, x, held = CASES[case]
    shard(tmp_path / "data" / "part-0.npz", x=x)
    spec = _drafted(proto, tmp_path, capsys, str(tmp_path / "data"))
    assert {name: told["constant"] for name, told in spec["dataset"]["inputs"].items()} == held
    assert spec["dataset"]["batch"] == (1 if "sizes" in held else 32)
    assert _run(tmp_path, capsys) == 0


@pytest.mark.parametrize("case", CASES)
def test_without_data_each_feed_says_its_size(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = _drafted(CASES[case][0], tmp_path, capsys)
    assert spec["dataset"]["layout"] == "feeds"
    assert _run(tmp_path, capsys) == 2


def test_sizes_that_are_stored_are_fed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        shard(tmp_path / "data" / f"{number}.npz", x=IMAGES[:1], sizes=np.array([1, 3, 32, 24]))
    spec = _drafted(CASES["sizes of a Resize"][0], tmp_path, capsys, str(tmp_path / "data"))
    assert spec["dataset"]["layout"] == "feeds"
    assert _run(tmp_path, capsys) == 0


def test_a_size_that_cannot_be_known_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be resized comes out of an operator of which nothing is inferred."""
    before = (node("NonZero", "x", "places"), node("Gather", "places zero", "some", axis=0))
    proto = resized("", "", "sizes", before=before, sizes=(4, INT64))
    proto.graph.node[-1].input[0] = "some"
    onnx.save(proto, tmp_path / "model.onnx")
    shard(tmp_path / "data" / "part-0.npz", x=IMAGES)
    ended = assay(capsys, "init", str(tmp_path / "model.onnx"), str(tmp_path / "data"), "-o", str(tmp_path / "a.yaml"))
    assert ended.code == 64
    [complaint] = ended.complaints
    assert "sizes" in complaint


def _drafted(proto: onnx.ModelProto, folder: Path, capsys: pytest.CaptureFixture[str], *data: str) -> dict[str, Any]:
    onnx.save(proto, folder / "model.onnx")
    ended = assay(capsys, "init", str(folder / "model.onnx"), *data, "-o", str(folder / "audit.yaml"))
    assert ended.code == 0, ended.err
    spec: dict[str, Any] = yaml.safe_load((folder / "audit.yaml").read_text())["spec"]
    return spec


def _run(folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Of its first candidate, by its outputs alone: what is fed is the same for all."""
    document = yaml.safe_load((folder / "audit.yaml").read_text())
    document["spec"] |= {"candidates": document["spec"]["candidates"][:1], "checks": [{"outputDrift": {}}]}
    (folder / "short.yaml").write_text(yaml.safe_dump(document))
    return assay(capsys, "run", "-f", str(folder / "short.yaml"), "--out", str(folder / "out")).code
