"""Damage that does not show in what is read is looked for all the same, before anything is allocated for it."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from assay_runner.data.datasets import Source, open_dataset
from assay_runner.data.readers.npz import _Head, read_headers
from assay_runner.errors import InvalidInput
from assay_runner.golden.stored import open_stored_outputs
from assay_runner.stores.memory import MemoryStore
from assay_runner.tensors import Array
from tests.cli.audits import INT8, assay, document, good, spec, write
from tests.runner.io.made import linear, loaded, opened, rows, shard, store

MANY = 20_000


def member(array: Array, **claims: Any) -> bytes:
    """An .npy file whose header claims what the rows do not hold."""
    content = io.BytesIO()
    npy.write_array_header_1_0(content, {**npy.header_data_from_array_1_0(array), **claims})
    return bytes(content.getvalue() + array.tobytes("A"))


def packed(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED, name: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{name}.npy", content)
    return path


def overwritten(path: Path, order: str = "C") -> Path:
    """Rows of plausible numbers in place of others, which only the checksum knows of."""
    shard(path, x=np.asarray(rows(MANY), order=order))  # type: ignore[call-overload]
    content = bytearray(path.read_bytes())
    content[400:448] = rows(4, seed=5).tobytes()
    path.write_bytes(content)
    return path


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    """The last would count, and which that is nobody sees."""
    path = packed(tmp_path / "data" / "a.npz", member(rows(8)))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", member(rows(8, seed=1)))
    with pytest.raises(
        InvalidInput, match=r"a\.npz holds several arrays named 'x': store it again, with each name once"
    ):
        opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data"))


@pytest.mark.parametrize("size", [-1, None, (1 << 16) + 1])
def test_a_header_is_read_within_its_budget(size: int | None) -> None:
    head = _Head(io.BytesIO(bytes(1 << 20)))
    with pytest.raises(ValueError, match="the header is too long"):
        head.read() if size is None else head.read(size)
    assert len(head.read(1 << 16)) == 1 << 16
    with pytest.raises(ValueError, match="the header is too long"):
        head.read(1)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("samples", [8, MANY // 2, None])
def test_a_wrong_checksum_is_found_however_little_is_read(tmp_path: Path, order: str, samples: int | None) -> None:
    overwritten(tmp_path / "data" / "a.npz", order)
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=samples))
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"a\.npz is corrupt or truncated \(Bad CRC-32 for file 'x\.npy'\)"):
            list(dataset)


def test_a_wrong_checksum_is_found_before_the_first_sample_is_used(tmp_path: Path) -> None:
    overwritten(tmp_path / "data" / "a.npz")
    with pytest.raises(InvalidInput, match="Bad CRC-32"):
        next(iter(opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=8))))


def test_an_array_that_is_not_used_is_not_looked_at(tmp_path: Path) -> None:
    path = shard(tmp_path / "data" / "a.npz", x=rows(9), other=np.zeros(5000))
    content = bytearray(path.read_bytes())
    content[content.index(b"other.npy") + 1000] ^= 1
    path.write_bytes(content)
    assert len(list(opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=8)))) == 1


def test_a_shard_is_read_to_its_end_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(MANY))
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=8))
    list(dataset)
    monkeypatch.setattr("assay_runner.data.readers.npz.verify", None)
    assert len(list(dataset)) == 1


def test_a_wrong_checksum_of_golden_outputs_is_found_where_fewer_are_used(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(MANY))
    overwritten(tmp_path / "golden.npz").rename(tmp_path / "was.npz")
    content = (tmp_path / "was.npz").read_bytes().replace(b"x.npy", b"y.npy")
    (tmp_path / "golden.npz").write_bytes(content)
    path = linear(tmp_path / "m.onnx", classes=3)
    dataset = opened(tmp_path, path, Source("file://./data", samples=8))
    golden = open_stored_outputs(
        store(tmp_path), "file://./golden.npz", loaded(path, tmp_path / "s"), dataset, tmp_path / "s"
    )
    with pytest.raises(InvalidInput, match=r"golden\.npz is corrupt or truncated \(Bad CRC-32"):
        list(golden)


@pytest.mark.parametrize("what", ["dataset", "calibration"])
def test_an_audit_of_a_few_samples_does_not_pass_over_a_damaged_shard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    good(tmp_path)
    source = {"uri": "file://./cut.npz", "samples": 8}
    overwritten(tmp_path / "cut.npz")
    changes = {"dataset": source} if what == "dataset" else {"candidates": [{**INT8, "calibration": source}]}
    file = write(tmp_path, document(spec(**changes)))
    ended = assay(capsys, "run", "-f", file, "--out", str(tmp_path / "out"))
    assert ended.code == 64
    assert "cut.npz is corrupt or truncated (Bad CRC-32 for file 'x.npy')" in ended.complaints[0]


ORDERS = {"rows": rows(20), "columns": np.asfortranarray(rows(20))}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("array", ORDERS.values(), ids=ORDERS)
def test_bytes_behind_the_rows_are_refused(tmp_path: Path, array: Array, compression: int) -> None:
    packed(tmp_path / "data" / "a.npz", member(array) + bytes(7), compression)
    with pytest.raises(InvalidInput, match=r"a\.npz is corrupt .*array x has 7 bytes behind its last sample"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))


@pytest.mark.parametrize("array", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("shape", [(21, 3), (2**38, 3), (2**62, 3), (-20, -3)])
def test_a_shape_beyond_the_bytes_is_refused_before_anything_is_allocated(
    tmp_path: Path, array: Array, shape: tuple[int, ...]
) -> None:
    packed(tmp_path / "data" / "a.npz", member(array, shape=shape))
    path = linear(tmp_path / "m.onnx")
    with pytest.raises(InvalidInput, match=r"a\.npz is corrupt or truncated"):
        opened(tmp_path, path)


def test_a_directory_that_claims_the_bytes_too_is_not_believed(tmp_path: Path) -> None:
    """Sizes in a zip are claims as well; what the file cannot hold is refused."""
    path = packed(tmp_path / "data" / "a.npz", member(rows(20, 3), shape=(2**26, 3)))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    size = 2**26 * 12 + 128
    content[entry + 20 : entry + 28] = struct.pack("<II", size, size)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"array x ends before its last sample"):
        opened(tmp_path, linear(tmp_path / "m.onnx"))


def test_columns_that_inflate_without_end_are_stopped(tmp_path: Path) -> None:
    bomb = member(ORDERS["columns"]) + bytes(64 << 20)
    packed(tmp_path / "data" / "a.npz", bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidInput, match=r"67108864 bytes behind its last sample"):
        list(opened(tmp_path, linear(tmp_path / "m.onnx")))
    assert not list((tmp_path / "scratch").rglob("*.columns"))


def test_a_header_that_inflates_without_end_is_not_read(tmp_path: Path) -> None:
    long = npy.magic(2, 0) + struct.pack("<I", 256 << 20) + b" " * (256 << 20)
    path = packed(tmp_path / "a.npz", long, zipfile.ZIP_DEFLATED)
    del long
    tracemalloc.start()
    with path.open("rb") as file, pytest.raises(InvalidInput, match="the header is too long"):
        read_headers(file, "a.npz")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20


def raw(header: bytes, length: int | None = None) -> bytes:
    size = struct.pack("<H", len(header) if length is None else length)
    return npy.magic(1, 0) + size + header + rows(2, 3).tobytes()


GOOD_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n"
HEADERS = {
    "cut": raw(b"{'descr': '<f4', 'shape': (1,2"),
    "too short a length": raw(GOOD_HEADER, 30),
    "too long a length": raw(GOOD_HEADER, 70),
    "longer than the file": raw(GOOD_HEADER, 9999),
    "mixed keys": raw(b"{1: 2, 'a': 3}"),
    "unhashable key": raw(b"{[]: 1}"),
    "descr": raw(GOOD_HEADER.replace(b"<f4", b"(2,")),
    "nested": raw(b"(" * 5000),
    "minus": raw(b"-" * 9000 + b"1"),
    "list": raw(b"[1, 2]"),
    "nothing": raw(b""),
    "negative": raw(GOOD_HEADER.replace(b"(2, 3)", b"(-2, 3)")),
    "no text": raw(bytes(range(128, 255))),
    "magic": b"\x93NUMPX\x01\x00",
    "version": npy.magic(9, 9) + bytes(90),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_none_is_corrupt(tmp_path: Path, content: bytes) -> None:
    packed(tmp_path / "data" / "a.npz", content)
    with pytest.raises(InvalidInput) as caught:
        opened(tmp_path, linear(tmp_path / "m.onnx"))
    assert "a.npz" in str(caught.value)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("place", [12, 16])
def test_a_directory_that_points_elsewhere_is_corrupt(tmp_path: Path, place: int, remote: bool) -> None:
    """Of the record at a zip's end: the size of the directory, and where it begins."""
    path = shard(tmp_path / "data" / "a.npz", x=rows(4))
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06") + place
    content[end : end + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    memory = MemoryStore()
    memory.put("memory://data/a.npz", path)
    kept, uri = (memory, "memory://data/") if remote else (store(tmp_path), "file://./data")
    model = loaded(linear(tmp_path / "m.onnx"), tmp_path / "scratch")
    with pytest.raises(InvalidInput, match=r"a\.npz is corrupt"):
        open_dataset(kept, Source(uri), model, tmp_path / "scratch")
