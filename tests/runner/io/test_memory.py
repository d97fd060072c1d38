"""Memory holds a batch, whatever the size of the dataset: measured, not promised."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from assay_runner.data.datasets import Source, open_dataset
from assay_runner.stores import Store
from assay_runner.stores.memory import MemoryStore
from tests.runner.io.made import linear, loaded, shard, store

BATCH = 4096
MIB = 1 << 20


def peak_of_a_pass(where: Store, uri: str, model: Path, scratch: Path) -> int:
    dataset = open_dataset(where, Source(uri, batch=BATCH), loaded(model, scratch), scratch)
    tracemalloc.start()
    try:
        for _ in dataset:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_one_giant_file_streams(tmp_path: Path, compressed: bool, order: str) -> None:
    model = linear(tmp_path / "m.onnx")
    array = np.zeros((4 * MIB, 3), np.float32, order="F" if order == "F" else "C")
    shard(tmp_path / "giant.npz", compressed, x=array)
    assert array.nbytes == 48 * MIB
    assert peak_of_a_pass(store(tmp_path), "file://./giant.npz", *paths(model, tmp_path)) < 4 * MIB


def test_one_giant_safetensors_file_streams(tmp_path: Path) -> None:
    model = linear(tmp_path / "m.onnx")
    save_file({"x": np.zeros((4 * MIB, 3), np.float32)}, tmp_path / "giant.safetensors")
    assert peak_of_a_pass(store(tmp_path), "file://./giant.safetensors", *paths(model, tmp_path)) < 4 * MIB


def test_of_what_is_rewritten_one_part_is_held(tmp_path: Path) -> None:
    """Sixty iterations of half a megabyte each, as Polygraphy saves them: 42 MB of text."""
    part = np.zeros((MIB // 24, 3), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from polygraphy.json import save_json

        save_json([{"x": part}] * 60, str(tmp_path / "inputs.json"))
    assert (tmp_path / "inputs.json").stat().st_size > 40 * MIB
    model = loaded(linear(tmp_path / "m.onnx"), tmp_path / "scratch")
    tracemalloc.start()
    try:
        dataset = open_dataset(store(tmp_path), Source("file://./inputs.json", BATCH), model, tmp_path / "scratch")
        assert sum(batch.count for batch in dataset) == 60 * len(part)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def paths(model: Path, folder: Path) -> tuple[Path, Path]:
    return model, folder / "scratch"


def test_fetched_shards_are_not_held(tmp_path: Path) -> None:
    model = linear(tmp_path / "m.onnx")
    memory = MemoryStore()
    for number in range(8):
        path = shard(tmp_path / f"{number}.npz", x=np.zeros((MIB, 3), np.float32))
        memory.put(f"memory://d/{number}.npz", path)
        path.unlink()
    assert peak_of_a_pass(memory, "memory://d/", *paths(model, tmp_path)) < 4 * MIB
