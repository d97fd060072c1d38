"""Files of a dataset are told apart by what they hold, and are to hold it as long as they are read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import save_file

from assay_runner.data import seals
from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.data.seals import Seal
from assay_runner.digests import open_sha256
from assay_runner.errors import AuditError, InvalidInput
from assay_runner.models.feeding import Feeding
from assay_runner.tensors import Array
from tests.runner.io.made import linear, loaded, shard, store

TICK = 0.05
"""Seconds after which the kernel gives a change another time."""
OLD = 10**9
"""A time of the last change, in seconds."""


def npz(folder: Path, number: int, x: Array) -> Path:
    return shard(folder / f"{number}.npz", x=x)


def safetensors(folder: Path, number: int, x: Array) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"x": x}, str(folder / f"{number}.safetensors"))
    return folder / f"{number}.safetensors"


def zoo(folder: Path, number: int, x: Array) -> Path:
    path = folder / f"test_data_set_{number}" / "input_0.pb"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_tensor(numpy_helper.from_array(x, "x"), str(path))
    return path


def polygraphy(folder: Path, number: int, x: Array) -> Path:
    from polygraphy.json import save_json

    path = folder / f"{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_json([{"x": x}], str(path))
    return path


KINDS = {kind.__name__: kind for kind in (npz, safetensors, zoo, polygraphy)}
FEEDS = {"zoo", "polygraphy"}
Kind = Callable[[Path, int, Array], Path]


def opened(folder: Path, kind: Kind) -> Dataset:
    scratch = folder / "scratch"
    model = loaded(linear(folder / "m.onnx", batch="batch"), scratch)
    if kind.__name__ in FEEDS:
        model = replace(model, feeding=Feeding(feeds=True), axes={})
    return open_dataset(store(folder), Source("file://./data/", batch=4), model, scratch)


def dated(path: Path) -> None:
    os.utime(path, ns=(OLD * 10**9, OLD * 10**9))


def rewritten(path: Path, kind: Kind, x: Array) -> None:
    """Other values in place: of the same size, with the time of the last change as it was."""
    before, inode = path.stat(), path.stat().st_ino
    other = kind(path.parents[2] / "others", 7, x)
    content = other.read_bytes()
    assert len(content) == before.st_size
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, inode)


def values(seed: int, count: int = 4) -> Array:
    """Numbers that every text of numbers tells in as many characters."""
    return np.random.default_rng(seed).permutation(9 * count)[: 3 * count].reshape(count, 3).astype(np.float32) % 10


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_content_tells_them_apart_where_size_and_time_are_the_same(kind: Kind, tmp_path: Path) -> None:
    paths = [kind(tmp_path / "data", number, values(number)) for number in range(2)]
    for path in paths:
        dated(path)
    first = opened(tmp_path, kind)
    assert opened(tmp_path, kind).identity == first.identity
    rewritten(paths[1], kind, values(9))
    again = opened(tmp_path, kind)
    assert again.identity != first.identity
    assert [a == b for a, b in zip(first.prints, again.prints, strict=True)] == [True, False]


def test_the_time_of_the_last_change_is_no_content(kind: Kind, tmp_path: Path) -> None:
    path = kind(tmp_path / "data", 0, values(0))
    first = opened(tmp_path, kind).identity
    dated(path)
    assert opened(tmp_path, kind).identity == first


def test_a_checksum_that_was_made_to_match_deceives_nobody(tmp_path: Path) -> None:
    """A multiple of its polynomial, added anywhere, leaves a CRC as it is."""
    path = npz(tmp_path / "data", 0, values(0))
    first, content = opened(tmp_path, npz), path.read_bytes()
    begin = content.index(values(0).tobytes())
    bits = int(mirrored(content[begin : begin + 8]), 2) ^ (0x104C11DB7 << 4)
    forged = bytes(int(f"{byte:08b}"[::-1], 2) for byte in bits.to_bytes(8, "big"))
    path.write_bytes(content[:begin] + forged + content[begin + 8 :])
    again = opened(tmp_path, npz)
    sums = [[header.checksum for header in each.shards[0].headers.values()] for each in (first, again)]
    assert sums[0] == sums[1]
    assert sum(batch.count for batch in again) == 4  # What is read does match it.
    assert again.identity != first.identity


def mirrored(content: bytes) -> str:
    return "".join(f"{byte:08b}"[::-1] for byte in content)


def in_place(path: Path) -> None:
    rewritten(path, safetensors if path.suffix == ".safetensors" else npz, values(9))


def by_name(path: Path) -> None:
    """Another file of the same size and time takes its name."""
    other = path.parents[1] / f"other{path.suffix}"
    shutil.copy2(path, other)
    in_place(other)
    os.replace(other, path)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"0")


CHANGES: list[Callable[[Path], None]] = [in_place, by_name, longer, Path.unlink]


@pytest.mark.parametrize("aged", [True, False], ids=["at rest", "just written"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reader", ["npz", "safetensors"])
def test_a_shard_that_changes_between_two_passes_is_named(
    reader: str, change: Callable[[Path], None], aged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if aged:
        monkeypatch.setattr(seals, "SETTLED_NS", 0)
    paths = [KINDS[reader](tmp_path / "data", number, values(number)) for number in range(3)]
    dataset = opened(tmp_path, KINDS[reader])
    assert sum(batch.count for batch in dataset) == 12
    if aged:
        time.sleep(TICK)
    change(paths[1])
    with pytest.raises(InvalidInput) as told:
        list(dataset)
    name = paths[1].name
    what = "removed" if change is Path.unlink else "written to or replaced"
    assert str(told.value).startswith(f"{name} of the dataset file://./data/ was {what} while the audit ran: ")
    assert "leave the data alone until the audit has ended, and run it again" in str(told.value)


@pytest.mark.parametrize("change", CHANGES)
def test_a_shard_that_changes_while_it_is_read_is_named(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = safetensors(tmp_path / "data", 0, np.tile(values(0), (30_000, 1)))
    dataset = opened(tmp_path, safetensors)
    time.sleep(TICK)
    batches = iter(dataset)
    next(batches)
    if change is in_place:
        before = path.stat()
        with path.open("r+b") as file:
            file.seek(-64, os.SEEK_END)
            file.write(bytes(64))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change is by_name:
        (tmp_path / "other").write_bytes(path.read_bytes()[:-4] + b"\0\0\0\x01")
        os.replace(tmp_path / "other", path)
    else:
        change(path)
    with pytest.raises(InvalidInput, match=r"0\.safetensors of the dataset file://\./data/ was .* while the audit ran"):
        list(batches)


@pytest.mark.parametrize("aged", [True, False], ids=["at rest", "just written"])
def test_what_leaves_the_content_as_it_is_is_no_trouble(
    aged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if aged:
        monkeypatch.setattr(seals, "SETTLED_NS", 0)
    path = npz(tmp_path / "data", 0, values(0))
    dataset = opened(tmp_path, npz)
    path.touch()
    path.chmod(0o640)
    os.link(path, tmp_path / "second")
    assert sum(batch.count for batch in dataset) == 4
    (tmp_path / "copy").write_bytes(path.read_bytes())
    os.replace(tmp_path / "copy", path)
    assert sum(batch.count for batch in dataset) == 4


def test_a_file_system_that_keeps_no_time_of_change_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "BELIEVED", frozenset())
    monkeypatch.setattr(seals, "SETTLED_NS", 0)
    seals._believed.cache_clear()
    kept = Seal._now
    monkeypatch.setattr(Seal, "_now", lambda self: kept(self)._replace(changed=1, modified=1))
    path = safetensors(tmp_path / "data", 0, values(0))
    dataset = opened(tmp_path, safetensors)
    assert sum(batch.count for batch in dataset) == 4
    in_place(path)
    with pytest.raises(InvalidInput, match=r"0\.safetensors .* was written to or replaced"):
        list(dataset)
    seals._believed.cache_clear()


def test_the_file_systems_of_this_machine_are_told_apart(tmp_path: Path) -> None:
    assert seals._believed(tmp_path)
    assert not seals._believed(Path("/proc/self"))
    assert not seals._believed(Path("/sys/kernel"))


def test_a_file_is_read_once_to_be_told_apart_and_not_again_while_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "SETTLED_NS", 0)
    for number in range(2):
        safetensors(tmp_path / "data", number, values(number))
    read: list[str] = []

    def counted(file: BinaryIO) -> str:
        read.append(file.name)
        return open_sha256(file)

    monkeypatch.setattr(seals, "open_sha256", counted)
    dataset = opened(tmp_path, safetensors)
    for _ in range(3):
        assert sum(batch.count for batch in dataset) == 8
    assert len(read) == 2
    assert opened(tmp_path, safetensors).identity == dataset.identity
    assert len(read) == 2


def test_a_change_while_it_is_opened_is_told(tmp_path: Path) -> None:
    path = npz(tmp_path / "data", 0, values(0))
    seal = Seal.of(path, "0.npz of the dataset d/")
    with path.open("r+b") as file:
        file.write(b"PK")
    os.utime(path, ns=(0, 0))
    with pytest.raises(InvalidInput, match=r"0\.npz of the dataset d/ was written to or replaced"):
        seal.read()


@pytest.mark.parametrize("change", ["pipe", "folder", "loop"])
def test_what_takes_the_place_of_a_shard_and_is_no_file_is_told(change: str, tmp_path: Path) -> None:
    path = npz(tmp_path / "data", 0, values(0))
    dataset = opened(tmp_path, npz)
    path.unlink()
    if change == "pipe":
        os.mkfifo(path)
    elif change == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    with pytest.raises(AuditError, match=r"0\.npz"):
        list(dataset)
