"""Data as people have them, written by the tools that people write them with: every sample once, in order."""

from __future__ import annotations

import base64
import json
import os
import struct
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from assay_runner.data.datasets import Source, open_dataset
from assay_runner.data.readers import READERS
from assay_runner.errors import InvalidInput
from assay_runner.models.feeding import Feeding
from assay_runner.stores.memory import MemoryStore
from assay_runner.tensors import Array
from tests.runner.io.made import info, linear, loaded, normal, opened, save, shard, stateful

FEEDS = Feeding(feeds=True)
AS_SHIPPED = Feeding(axes=(("state", 1),), constants=(("sr", 16_000),))
Write = Callable[[Path, list[dict[str, Array]]], None]


def npz(folder: Path, parts: list[dict[str, Array]]) -> None:
    for number, arrays in enumerate(parts):
        shard(folder / f"{number:02}.npz", False, **arrays)


def safetensors(folder: Path, parts: list[dict[str, Array]]) -> None:
    folder.mkdir(parents=True)
    for number, arrays in enumerate(parts):
        contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        save_file(contiguous, folder / f"{number:02}.safetensors", {"made": "by its own library"})


def onnx_test_sets(folder: Path, parts: list[dict[str, Array]], kind: str = "input", named: bool = True) -> None:
    for number, arrays in enumerate(parts):
        target = folder / f"test_data_set_{number}"
        target.mkdir(parents=True, exist_ok=True)
        for place, (name, array) in enumerate(arrays.items()):
            tensor = numpy_helper.from_array(np.asarray(array), name if named else "")
            (target / f"{kind}_{place}.pb").write_bytes(tensor.SerializeToString())


def by_number(folder: Path, parts: list[dict[str, Array]]) -> None:
    onnx_test_sets(folder, parts, named=False)


def polygraphy(folder: Path, parts: list[dict[str, Array]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from polygraphy.json import save_json

        folder.mkdir(parents=True)
        save_json(parts, str(folder / "inputs.json"))


WRITERS: Mapping[str, Write] = {
    "npz": npz, "safetensors": safetensors, "test sets": onnx_test_sets, "test sets by number": by_number,
    "polygraphy": polygraphy,
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_samples_come_as_they_were_stored(tmp_path: Path, writer: str) -> None:
    x, state = normal(30, 16), normal(2, 30, 8)
    parts = [
        {"input": x[some], "state": state[:, some]}
        for some in (slice(0, 2), slice(2, 3), slice(3, 14), *(slice(i, i + 1) for i in range(14, 30)))
    ]
    WRITERS[writer](tmp_path / "data", parts)
    source = Source("file://./data", batch=8)
    dataset = opened(tmp_path, stateful(tmp_path / "m.onnx"), source, AS_SHIPPED)
    assert dataset.samples == 30
    for _ in range(2):
        found = list(dataset)
        assert np.array_equal(np.concatenate([b.inputs["input"] for b in found]), x)
        assert np.array_equal(np.concatenate([b.inputs["state"] for b in found], 1), state)


@pytest.mark.parametrize("writer", WRITERS)
def test_feeds_come_as_they_were_stored(tmp_path: Path, writer: str) -> None:
    """Without rows, with one, with several; a scalar; more than nine, so that names must be read as numbers."""
    parts: list[dict[str, Array]] = [
        {"input": normal(n, 16, seed=n), "state": normal(2, n, 8, seed=n), "sr": np.asarray(n)}
        for n in (3, 0, *range(1, 12))
    ]
    WRITERS[writer](tmp_path / "data", parts)
    dataset = opened(tmp_path, stateful(tmp_path / "m.onnx", None), None, FEEDS)
    assert dataset.samples == len(parts)
    found = [batch.inputs for batch in dataset]
    for stored, fed in zip(parts, found, strict=True):
        assert {name: array.shape for name, array in fed.items()} == {n: np.shape(a) for n, a in stored.items()}
        assert all(np.array_equal(fed[name], array) for name, array in stored.items())


@pytest.mark.parametrize("writer", ["test sets", "safetensors"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.BOOL, np.bool_),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.DOUBLE, np.float64),
    ],
)
def test_element_types_stay(tmp_path: Path, writer: str, kind: int, dtype: Any) -> None:
    model = save(
        tmp_path / "m.onnx",
        [helper.make_node("Identity", ["x"], ["y"])],
        [info("x", ["n", 3], kind)],
        [info("y", ["n", 3], kind)],
    )
    x = (10 * normal(5, 3)).clip(0).astype(dtype)
    if writer == "safetensors" and dtype is ml_dtypes.bfloat16:
        data = x.tobytes()
        head = json.dumps({"x": {"dtype": "BF16", "shape": [5, 3], "data_offsets": [0, len(data)]}}).encode()
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)
    else:
        WRITERS[writer](tmp_path / "data", [{"x": x}])
    (batch,) = opened(tmp_path, model)
    assert batch.inputs["x"].dtype == np.dtype(dtype)
    assert batch.inputs["x"].tobytes() == x.tobytes()


@pytest.mark.parametrize("writer", WRITERS)
def test_they_come_from_a_bucket_too_and_only_as_many_as_asked_for(tmp_path: Path, writer: str) -> None:
    parts = [{"x": normal(4, 3, seed=seed)} for seed in range(5)]
    WRITERS[writer](tmp_path / "made", parts)
    memory = MemoryStore()
    for path in sorted((tmp_path / "made").rglob("*.*")):
        memory.put(f"memory://d/{path.relative_to(tmp_path / 'made')}", path)
    model = loaded(linear(tmp_path / "m.onnx"), tmp_path / "scratch")
    for keep in (0, 1 << 30):
        dataset = open_dataset(memory, Source("memory://d/", 4, samples=10), model, tmp_path / "scratch", keep)
        every = np.concatenate([part["x"] for part in parts])
        assert np.array_equal(np.concatenate([b.inputs["x"] for b in dataset]), every[:10])
        assert [shard.rows for shard in dataset.shards] == [4, 4, 2]


def test_one_file_or_one_folder_of_them_may_be_named(tmp_path: Path) -> None:
    x = normal(4, 3)
    safetensors(tmp_path / "s", [{"x": x}, {"x": x}])
    onnx_test_sets(tmp_path / "t", [{"x": x}, {"x": x}])
    polygraphy(tmp_path / "p", [{"x": x}, {"x": x}])
    model = linear(tmp_path / "m.onnx")
    counts = {
        uri: opened(tmp_path, model, Source(f"file://./{uri}")).samples
        for uri in (
            "s", "s/", "s/01.safetensors", "p/inputs.json", "p",
            "t", "t/test_data_set_1", "t/test_data_set_1/", "t/test_data_set_1/input_0.pb",
        )
    }  # fmt: skip
    assert counts == {
        "s": 8, "s/": 8, "s/01.safetensors": 4, "t": 8, "t/test_data_set_1": 4, "t/test_data_set_1/": 4,
        "t/test_data_set_1/input_0.pb": 4, "p/inputs.json": 8, "p": 8,
    }  # fmt: skip


def test_what_lies_beside_them_is_left_alone(tmp_path: Path) -> None:
    """A model's own folder, as ONNX's model zoo has it."""
    model = linear(tmp_path / "zoo" / "model.onnx")
    onnx_test_sets(tmp_path / "zoo", [{"x": normal(4, 3)}])
    onnx_test_sets(tmp_path / "zoo", [{"y": normal(4, 4)}], "output")
    (tmp_path / "zoo" / "config.json").write_text("{}")
    assert opened(tmp_path, model, Source("file://./zoo")).samples == 4


def test_files_of_several_kinds_are_refused(tmp_path: Path) -> None:
    npz(tmp_path / "data", [{"x": normal(4, 3)}])
    save_file({"x": normal(4, 3)}, tmp_path / "data" / "b.safetensors")
    with pytest.raises(InvalidInput, match=r"holds files of several kinds \(1 of npz, 1 of safetensors\)"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))


def head(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(shape: list[int], dtype: str = "F32", offsets: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets or [0, 4 * int(np.prod(shape))]}


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


GOOD = head(x=entry([4, 3])) + bytes(48)
TENSOR = numpy_helper.from_array(np.zeros((4, 3), np.float32), "x")


def tensor(**changes: Any) -> bytes:
    proto = TensorProto()
    proto.CopyFrom(TENSOR)
    for name, value in changes.items():
        if isinstance(value, list):
            del getattr(proto, name)[:]
            getattr(proto, name).extend(value)
        else:
            setattr(proto, name, value)
    return bytes(proto.SerializeToString())


def npy(content: bytes) -> bytes:
    return base64.b64encode(b"\x93NUMPY" + content)


HUGE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 3), }"
OBJECT = b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 3), }"
ZEROS = npy(b"\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }".ljust(118))
WRONG: list[tuple[str, bytes, str]] = [
    ("a.safetensors", b"", "a.safetensors is empty (0 bytes)"),
    ("a.safetensors", b"\x01\x02", "a.safetensors is corrupt or truncated (it ends before its header)"),
    ("a.safetensors", struct.pack("<Q", 1 << 60) + b"{}", "its header is to have 1152921504606846976 bytes"),
    ("a.safetensors", GOOD[:-4], "a.safetensors is corrupt or truncated (array x ends before its last sample)"),
    ("a.safetensors", struct.pack("<Q", 5) + b"{no}}", "a.safetensors is corrupt or truncated"),
    ("a.safetensors", struct.pack("<Q", 2) + b"[]", "its header is no table of arrays"),
    ("a.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000, "its header is nested too deeply"),
    ("a.safetensors", struct.pack("<Q", 16) + b'{"x":{},"x":{} }' + bytes(8), "its header names an array twice"),
    ("a.safetensors", head(x={}) + bytes(48), "the header tells no type, shape and place of array x"),
    ("a.safetensors", head(x=entry([4, -3])) + bytes(48), "in whole numbers"),
    (
        "a.safetensors",
        head(x=entry([4, 3], offsets=[0, 44])) + bytes(48),
        "array x has 44 bytes, and its shape another",
    ),
    ("a.safetensors", head(x=entry([1 << 40, 3], offsets=[0, 48])) + bytes(48), "array x has 48 bytes, and its shape"),
    ("a.safetensors", head(x=entry([4, 3], "F4")) + bytes(48), "array 'x' of a.safetensors is object, and the model's"),
    ("a.safetensors", head(x=entry([4, 3]), y=entry([4, 3])) + bytes(48), "lies on top of another one"),
    ("a.safetensors", head(x=entry([4, 2])) + bytes(32), "array 'x' of a.safetensors has shape (4, 2)"),
    ("input_0.pb", b"", "input_0.pb holds no ONNX tensor (TensorProto)"),
    ("input_0.pb", b"\xff\xff\xff", "input_0.pb holds no ONNX tensor (TensorProto)"),
    ("input_0.pb", cut(tensor()), "input_0.pb holds no ONNX tensor (TensorProto)"),
    ("input_0.pb", tensor(dims=[4, 2]), "input_0.pb is corrupt or truncated"),
    ("input_0.pb", tensor(dims=[1 << 40, 3]), "input_0.pb is corrupt or truncated"),
    ("input_0.pb", tensor(dims=[-1, 3]), "input_0.pb holds no ONNX tensor"),
    ("input_0.pb", tensor(data_type=0), "input_0.pb holds no ONNX tensor"),
    ("input_0.pb", tensor(data_type=99), "input_0.pb holds no ONNX tensor"),
    ("input_0.pb", tensor(data_location=1), "input_0.pb keeps its values in another file"),
    ("input_0.pb", numpy_helper.from_array(np.array(["a"], object), "x").SerializeToString(), "input_0.pb holds text"),
    ("input_0.pb", numpy_helper.from_list([np.zeros(2)], "x").SerializeToString(), "input_0.pb "),
    ("a.json", b"", "a.json is corrupt or truncated (it ends in the middle of the JSON document)"),
    ("a.json", b"{}", "a.json holds nothing that Polygraphy saved"),
    ("a.json", b"[1, 2]", "a.json holds nothing that Polygraphy saved"),
    ("a.json", b"[" * 1_000_000, "a.json is corrupt or truncated (it is nested more than 16 deep)"),
    ("a.json", b'[{"x": ' + b"9" * 1_000_000 + b"}]", "a number of more than 64 characters"),
    ("a.json", b'[{"' + b"x" * 1_000_000 + b'": 1}]', "a text of more than 4096 bytes"),
    ("a.json", b'[{"x": {"array": "not base64"}}]', "array 'x' of a.json is no base64"),
    ("a.json", b'[{"x": {"array": "UEsDBA=="}}]', "array 'x' of a.json is no NumPy array"),
    ("a.json", b'[{"x": {"array": "k05VTVBZAQB2"}}]', "a.json is corrupt or truncated"),
    ("a.json", b'[{"x": {"array": "%s"}}]' % npy(b"\x01\x00v\x00" + HUGE.ljust(118)), "array x has 0 bytes"),
    ("a.json", b'[{"x": {"array": "%s"}}]' % npy(b"\x01\x00v\x00" + OBJECT.ljust(118)), "array x has 0 bytes"),
    ("a.json", b'[{"x": {"array": "%s"}, "x": {"array": "%s"}}]' % (ZEROS, ZEROS), "holds 'x' twice in iteration 0"),
    ("a.json", b'[{"x": {"array": "k05V', "it ends in the middle of a text"),
    ("a.json", b'[{"x" 1}]', "a.json is corrupt or truncated"),
    ("a.json", b'[{"x": nul}]', "a.json is corrupt or truncated"),
    ("a.json", b"[] []", "something stands behind the end of the JSON document"),
    ("a.json", b'{"lst": [["r", []]]}', "a.json holds outputs that Polygraphy saved, not inputs"),
    ("a.json", b"\x00\x01", "a.json is corrupt or truncated"),
    ("a.h5", b"x", "a.h5): known are .npz, .safetensors, ONNX's test_data_set_N"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), WRONG)
def test_what_is_wrong_ends_in_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        list(opened(tmp_path, linear(tmp_path / "m.onnx")))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("writer", ["safetensors", "polygraphy", "test sets"])
def test_files_that_end_anywhere_are_refused(tmp_path: Path, writer: str) -> None:
    """Wherever it is cut, it is no traceback; and never another number of samples."""
    WRITERS[writer](tmp_path / "data", [{"x": normal(5, 3)}])
    model = linear(tmp_path / "m.onnx")
    (path,) = (p for p in (tmp_path / "data").rglob("*") if p.is_file())
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidInput):
            list(opened(tmp_path, model))


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, *names: str) -> None:
    """A package with readers, as an image may have one."""
    name = f"readers_{abs(hash((str(folder), code, names))):x}"
    (folder / f"{name}.py").write_text(code)
    info_ = folder / f"{name}-1.0.dist-info"
    info_.mkdir()
    (info_ / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info_ / "entry_points.txt").write_text("[assay.readers]\n" + "".join(f"{n} = {name}:read\n" for n in names))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)


READ = """
import numpy
def read(path):
    for line in path.read_text().splitlines():
        yield {"x": numpy.array([[float(n) for n in line.split(",")]], numpy.float32)}
"""


def test_a_reader_of_the_users_own_is_found_by_the_files_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, READ, "csv")
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / "data" / f"{number}.csv").write_text(f"{number},1,2\n{number},3,4\n")
    (tmp_path / "data" / "notes.txt").write_text("by hand")
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", batch=4))
    rows = np.concatenate([batch.inputs["x"] for batch in dataset])
    assert np.array_equal(rows, [[n, *rest] for n in range(3) for rest in ((1, 2), (3, 4))])
    feeds = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", batch=4), FEEDS)
    assert [part.key for part in feeds.parts] == ["0", "0//1", "1", "1//1", "2", "2//1"]
    assert feeds.identity != dataset.identity


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def read(path):\n    raise KeyError('no such\\ncolumn')", "reader 'csv' failed on a.csv: KeyError: 'no such"),
        ("def read(path):\n    return 3", "reader 'csv' failed on a.csv: TypeError"),
        ("def read(path):\n    yield 3", "reader 'csv' failed on a.csv: AttributeError"),
        ("def read(path):\n    yield {'x': ['a']}", "array 'x' of a.csv holds no numbers"),
        ("def read(path):\n    yield {'x': [[1, 2, 3]]}", "array 'x' of a.csv is int64, and the model's input takes"),
        ("def read(path):\n    yield {}", "a.csv has no array for the model's input 'x': it holds no arrays"),
        ("def read(path):\n    return []", "is empty: its shards hold no samples"),
        ("read = 3", "which is no function"),
        ("import nothing_like_it", "reader 'csv' cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_reader_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, sentence: str
) -> None:
    installed(tmp_path, monkeypatch, code, "csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2,3")
    with pytest.raises(InvalidInput) as caught:
        opened(tmp_path, linear(tmp_path / "m.onnx"))
    assert sentence in str(caught.value)


def test_a_reader_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, READ, "csv")
    installed(tmp_path, monkeypatch, READ + "\n", "csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2,3")
    with pytest.raises(InvalidInput, match="reader 'csv' is installed more than once"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))


def test_a_reader_of_json_goes_before_polygraphys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import json, numpy\ndef read(path):\n    yield {'x': numpy.array(json.loads(path.read_text()), 'float32')}"
    installed(tmp_path, monkeypatch, code, "json")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.json").write_text("[[1, 2, 3]]")
    for uri in ("file://./data", "file://./data/a.json"):
        assert opened(tmp_path, linear(tmp_path / "m.onnx"), Source(uri)).samples == 1


def test_a_reader_cannot_take_the_place_of_one_that_is_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, READ, "npz")
    npz(tmp_path / "data", [{"x": normal(4, 3)}])
    with pytest.raises(InvalidInput, match=r"reader \.npz \(by readers_.*\) has the name of one that is built in"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))


@pytest.mark.parametrize("name", ["a.safetensors", "input_0.pb", "a.json"])
def test_a_pipe_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / name)
    with pytest.raises(InvalidInput, match=r"named pipe|missing or empty"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))
    with pytest.raises(InvalidInput, match=r"named pipe|missing or empty"):
        opened(tmp_path, linear(tmp_path / "m.onnx"), Source(f"file://./data/{name}"))


def test_every_reader_says_what_it_reads() -> None:
    assert len({reader.name for reader in READERS}) == len(READERS)
    assert all(reader.what and (reader.format or reader.parts) for reader in READERS)
