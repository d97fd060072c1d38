"""What is wrong with a dataset is said in one sentence: the shard, the array, what is expected, the way out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from assay_runner.data.datasets import Source
from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array
from tests.runner.io.made import info, linear, opened, rows, save, shard


def nothing(data: Path) -> None:
    pass


def only_text(data: Path) -> None:
    data.mkdir()
    (data / "README.md").write_text("x")


def writes(name: str, content: bytes) -> Callable[[Path], None]:
    def build(data: Path) -> None:
        data.mkdir(exist_ok=True)
        (data / name).write_bytes(content)

    return build


def arrays(**of: Any) -> Callable[[Path], None]:
    def build(data: Path) -> None:
        shard(data / "part-000.npz", x=rows(4), label=np.zeros(4, np.int64))
        shard(data / "part-001.npz", **of)

    return build


def with_value(value: float) -> Callable[[Path], None]:
    bad = rows(4)
    bad[2, 1] = value
    return arrays(x=bad, label=np.zeros(4, np.int64))


def damaged(data: Path) -> None:
    content = shard(data / "part-000.npz", True, x=rows(400), label=np.zeros(400, np.int64)).read_bytes()
    broken = bytearray(content)
    middle = len(broken) // 3
    broken[middle : middle + 40] = bytes(40)
    (data / "part-000.npz").write_bytes(bytes(broken))


def cut_off(data: Path) -> None:
    content = shard(data / "part-000.npz", x=rows(400), label=np.zeros(400, np.int64)).read_bytes()
    (data / "part-000.npz").write_bytes(content[: len(content) // 2])


def short_member(data: Path) -> None:
    data.mkdir()
    buffer = io.BytesIO()
    np.save(buffer, rows(400))
    with zipfile.ZipFile(data / "part-000.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue()[:-100])
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(400, np.int64))
        archive.writestr("label.npy", buffer.getvalue())


def single_npy(data: Path) -> None:
    data.mkdir(exist_ok=True)
    np.save(data / "x.npy", rows(4))


INT = np.zeros(4, np.int64)
BAD: list[tuple[str, Callable[[Path], None], str]] = [
    ("missing", nothing, "is missing or empty: nothing lies below it"),
    (
        "no shards",
        only_text,
        "holds 1 objects, none of which is known here (the first is README.md): known are .npz, .safetensors",
    ),
    ("npy alone", single_npy, "x.npy is a single .npy array, and a dataset is an .npz with one array per model input"),
    ("empty file", writes("part-000.npz", b""), "part-000.npz is empty (0 bytes)"),
    ("not a zip", writes("part-000.npz", b"hello, I am no archive"), "part-000.npz is corrupt or truncated"),
    ("npy", writes("part-000.npz", b"\x93NUMPY\x01\x00" + bytes(80)), "is a single .npy array, not an .npz"),
    ("cut off", cut_off, "part-000.npz is corrupt or truncated"),
    ("damaged", damaged, "part-000.npz is corrupt or truncated"),
    ("short member", short_member, "part-000.npz is corrupt or truncated"),
    ("no samples", arrays(x=rows(4)[:, :2], label=INT), "shape (4, 2), and the model's input takes (samples, 3)"),
    ("wrong name", arrays(X=rows(4), label=INT), "no array for the model's input 'x': it holds 'X', 'label'"),
    ("close name", arrays(x_=rows(4), label=INT), "'x_' has its type and shape: store it as 'x'"),
    ("wrong type", arrays(x=rows(4).astype("float64"), label=INT), "is float64, and the model's input takes float32"),
    ("cast", arrays(x=rows(4).astype("uint8"), label=INT), "store it by .astype('float32')"),
    ("wrong rank", arrays(x=rows(4)[..., None], label=INT), "has shape (4, 3, 1)"),
    ("scalar", arrays(x=np.float32(1.0), label=INT), "has shape (), and the model's input takes"),
    ("text", arrays(x=np.array(["one"] * 4), label=INT), "is text, and the model's input takes float32"),
    ("text labels", arrays(x=rows(4), label=np.array(["a"] * 4)), "are text, and class labels are integers"),
    ("objects", arrays(x=np.array([None] * 4, dtype=object), label=INT), "is object, and the model's input takes"),
    (
        "float8",
        arrays(x=rows(4).astype(ml_dtypes.float8_e5m2), label=INT),
        "array 'x' of part-001.npz has element",
    ),
    ("bfloat16", arrays(x=rows(4).astype(ml_dtypes.bfloat16), label=INT), "is bare bytes, 2 to an element (as NumPy"),
    ("unequal", arrays(x=rows(5), label=INT), "disagree on the number of samples, their first axis (x: 5, label: 4)"),
    ("no labels", arrays(x=rows(4)), "no array of labels 'label' (dataset.labels): it holds 'x'"),
    ("float labels", arrays(x=rows(4), label=INT.astype("float32")), "are float32, and class labels are integers"),
    ("one-hot", arrays(x=rows(4), label=np.eye(4, dtype=np.int64)), "have shape (4, 4), and there is one per sample"),
    ("negative", arrays(x=rows(4), label=np.array([0, 1, -3, 2])), "label -3 of sample 2 in array 'label'"),
    ("nan", with_value(np.nan), "'x' of part-001.npz holds NaN in sample 2 (sample 6 of the dataset)"),
]


@pytest.mark.parametrize(("build", "sentence"), [(b, s) for _, b, s in BAD], ids=[n for n, _, _ in BAD])
def test_a_bad_dataset_is_refused_in_one_sentence(tmp_path: Path, build: Callable[[Path], None], sentence: str) -> None:
    build(tmp_path / "data")
    model = linear(tmp_path / "m.onnx")
    with pytest.raises(InvalidInput) as caught:
        list(opened(tmp_path, model, Source("file://./data", labels="label")))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dataset_of_no_samples_is_empty(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(0))
    with pytest.raises(InvalidInput, match=r"the calibration set file://\./data is empty"):
        opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", what="calibration set"))


def test_shards_after_the_limit_are_not_looked_at(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(4))
    writes("b.npz", b"broken")(tmp_path / "data")
    assert opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=4)).samples == 4


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("d.npy", "numpy.savez('d.npz', NAME=numpy.load('d.npy')), NAME being the input's name"),
        ("d", "is a file whose name tells none that is known here: known are .npz, .safetensors"),
        ("d.h5", "is a file whose name tells none that is known here: known are .npz, .safetensors"),
        ("e.npy", "is missing or empty: it does not exist"),
    ],
)
def test_a_file_that_is_no_npz_is_told_from_one_that_is_not_there(tmp_path: Path, name: str, sentence: str) -> None:
    for there in ("d.npy", "d", "d.h5"):
        (tmp_path / there).write_bytes(b"x")
    with pytest.raises(InvalidInput) as caught:
        opened(tmp_path, linear(tmp_path / "m.onnx"), Source(f"file://./{name}"))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (rows(4), "the labels 'x' of a.npz are float32, and class labels are integers"),
        (np.zeros((4, 3), np.int64), "the labels 'x' of a.npz have shape (4, 3), and there is one per sample"),
    ],
)
def test_labels_that_are_an_input_are_held_to_the_same_rules(tmp_path: Path, array: Array, sentence: str) -> None:
    shard(tmp_path / "data" / "a.npz", x=array)
    elem = TensorProto.INT64 if array.dtype.kind == "i" else TensorProto.FLOAT
    same = helper.make_node("Identity", ["x"], ["y"])
    model = save(tmp_path / "m.onnx", [same], [info("x", ["b", 3], elem)], [info("y", ["b", 3], elem)])
    with pytest.raises(InvalidInput) as caught:
        opened(tmp_path, model, Source("file://./data", labels="x"))
    assert sentence in str(caught.value)


def test_bits_of_a_type_that_numpy_lacks_are_not_called_numbers(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    shape = [info(name, ["n", 3], TensorProto.BFLOAT16) for name in ("x", "y")]
    save(tmp_path / "m.onnx", nodes, shape[:1], shape[1:])
    shard(tmp_path / "data" / "part-0.npz", x=np.zeros((4, 3), np.uint16))
    with pytest.raises(InvalidInput, match=r"\.view\('bfloat16'\) if these are its bits"):
        opened(tmp_path, tmp_path / "m.onnx")
