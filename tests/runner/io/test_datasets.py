"""Datasets: every sample once, in order, in batches that fit; or one sentence that says why not."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from assay_runner.data.arrays import ArrayHeader
from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.data.streams import Shard, batch_counts
from assay_runner.errors import InvalidInput
from assay_runner.stores.memory import MemoryStore
from assay_runner.tensors import Array, Batch
from tests.runner.io.made import info, linear, loaded, opened, pooled, rows, save, shard


def all_rows(dataset: Dataset) -> Array:
    return np.concatenate([b.inputs["x"][: b.count] for b in dataset])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int | None, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {None: linear(folder / "free.onnx"), **{n: linear(folder / f"{n}.onnx", batch=n) for n in (1, 3, 8)}}


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(sum),
    batch=st.integers(1, 12),
    fixed=st.sampled_from([None, 1, 3, 8]),
    limit=st.one_of(st.none(), st.integers(1, 50)),
    compressed=st.booleans(),
    fortran=st.booleans(),
)
def test_every_sample_comes_once_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    models: dict[int | None, Path],
    counts: list[int],
    batch: int,
    fixed: int | None,
    limit: int | None,
    compressed: bool,
    fortran: bool,
) -> None:
    folder = tmp_path_factory.mktemp("dataset")
    every = rows(sum(counts))
    labels = np.arange(sum(counts))
    start = 0
    for number, count in enumerate(counts):
        part = every[start : start + count]
        part = np.asfortranarray(part) if fortran else part
        shard(folder / "data" / f"part-{number}.npz", compressed, x=part, label=labels[start : start + count])
        start += count
    source = Source("file://./data", batch=batch, labels="label", samples=limit)
    dataset = opened(folder, models[fixed], source)
    wanted = min(sum(counts), limit or sum(counts))
    size = fixed or batch
    for _ in range(2):
        batches = list(dataset)
        assert dataset.samples == wanted == sum(b.count for b in batches)
        assert [b.count for b in batches] == list(dataset.counts())
        assert all(b.count == size for b in batches[:-1])
        assert all(len(b.inputs["x"]) == (size if fixed else b.count) for b in batches)
        assert [b.start for b in batches] == list(range(0, wanted, size))
        shapes = dataset.extents()["x"]
        assert [shape[0] for shape in (shapes.min, shapes.opt, shapes.max)] == [fixed or 1, size, size]
        assert shapes.least
        assert shapes.least[0] == min(len(b.inputs["x"]) for b in batches)
        np.testing.assert_array_equal(all_rows(dataset), every[:wanted])
        found = np.concatenate([b.labels for b in batches if b.labels is not None])
        np.testing.assert_array_equal(found, labels[:wanted])
    if fixed:
        last = batches[-1]
        np.testing.assert_array_equal(
            last.inputs["x"][last.count :],
            np.repeat(last.inputs["x"][last.count - 1 : last.count], size - last.count, 0),
        )


@settings(max_examples=100, deadline=None)
@given(
    shards=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 2)), max_size=8),
    batch=st.integers(1, 7),
)
def test_batches_cross_shards_but_never_mix_shapes(shards: list[tuple[int, int]], batch: int) -> None:
    made = tuple(
        Shard(str(i), n, {"x": ArrayHeader("x", np.dtype("float32"), (n, width), False)})
        for i, (n, width) in enumerate(shards)
    )
    shape_of = [width for n, width in shards for _ in range(n)]
    position = 0
    counts = list(batch_counts(made, batch))
    for index, count in enumerate(counts):
        assert 1 <= count <= batch
        group = shape_of[position : position + count]
        assert len(set(group)) == 1
        position += count
        if count < batch and index < len(counts) - 1:
            assert shape_of[position] != group[0]
    assert position == len(shape_of)


def test_trailing_shapes_may_differ_between_shards(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(5, 4))
    shard(tmp_path / "data" / "b.npz", x=rows(3, 7))
    dataset = opened(tmp_path, pooled(tmp_path / "m.onnx"), Source("file://./data", batch=4))
    assert [(b.start, b.inputs["x"].shape) for b in dataset] == [(0, (4, 4)), (4, (1, 4)), (5, (3, 7))]


def test_one_file_is_a_dataset_and_other_arrays_are_listed(tmp_path: Path) -> None:
    shard(tmp_path / "d.npz", x=rows(5), extra=np.zeros(2), names=np.array(["a"], dtype=object))
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./d.npz"))
    assert dataset.samples == 5
    assert dataset.ignored == ("extra", "names")
    assert "extra, names" in dataset.notes[0]
    np.testing.assert_array_equal(all_rows(dataset), rows(5))


def test_shards_are_read_in_name_order_and_only_npz(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "b.npz", x=rows(1, seed=2))
    shard(tmp_path / "data" / "a" / "z.npz", x=rows(1, seed=1))
    (tmp_path / "data" / "README.md").write_text("not a shard")
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(all_rows(dataset), np.concatenate([rows(1, seed=1), rows(1, seed=2)]))


def test_a_prefix_does_not_swallow_its_neighbour(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(2))
    shard(tmp_path / "data-calib" / "a.npz", x=rows(3))
    assert opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data")).samples == 2


def test_big_endian_rows_are_taken(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(4).astype(">f4"))
    np.testing.assert_array_equal(all_rows(opened(tmp_path, linear(tmp_path / "m.onnx"))), rows(4))


def test_remote_shards_are_fetched_and_small_ones_kept(tmp_path: Path) -> None:
    memory = MemoryStore()
    for number in range(3):
        path = shard(tmp_path / f"{number}.npz", x=rows(4, seed=number))
        memory.put(f"memory://d/{number}.npz", path)
    scratch = tmp_path / "scratch"
    model = loaded(linear(tmp_path / "m.onnx"), scratch)
    dataset = open_dataset(memory, Source("memory://d/", batch=3), model, scratch)
    expected = np.concatenate([rows(4, seed=n) for n in range(3)])
    np.testing.assert_array_equal(all_rows(dataset), expected)
    assert len(list((scratch / "shards").iterdir())) == 3
    np.testing.assert_array_equal(all_rows(dataset), expected)


def test_large_remote_shards_go_when_read(tmp_path: Path) -> None:
    memory = MemoryStore()
    for number in range(4):
        memory.put(f"memory://d/{number}.npz", shard(tmp_path / f"{number}.npz", x=rows(4, seed=number)))
    scratch = tmp_path / "scratch"
    model = loaded(linear(tmp_path / "m.onnx"), scratch)
    dataset = open_dataset(memory, Source("memory://d/"), model, scratch, keep=0)
    most = 0
    for _ in open_batches(dataset):
        most = max(most, len(list((scratch / "shards").iterdir())))
    assert most <= 2
    assert list((scratch / "shards").iterdir()) == []
    abandoned = open_batches(dataset)
    next(abandoned)
    abandoned.close()
    assert list((scratch / "shards").iterdir()) == []


def open_batches(dataset: Dataset) -> Generator[Batch, None, None]:
    small = Dataset(**{**dataset.__dict__, "batch": 2})
    yield from small


def test_the_identity_follows_content_limit_and_batch(tmp_path: Path) -> None:
    model = linear(tmp_path / "m.onnx")
    path = shard(tmp_path / "data" / "a.npz", x=rows(4))
    first = opened(tmp_path, model).identity
    assert opened(tmp_path, model).identity == first
    assert opened(tmp_path, model, Source("file://./data", samples=2)).identity != first
    assert opened(tmp_path, model, Source("file://./data", batch=2)).identity != first
    shard(path, x=rows(4, seed=1))
    assert opened(tmp_path, model).identity != first


def test_asking_for_more_samples_than_there_are_is_noted(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "a.npz", x=rows(4))
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", samples=100))
    assert dataset.notes == ("100 samples were asked for, the dataset holds 4",)


def test_infinities_are_fed_and_told_once(tmp_path: Path) -> None:
    """An additive attention mask is full of them."""
    first, second = rows(4), rows(4, seed=1)
    first[1, 0], second[0, 1], second[3] = -np.inf, np.inf, -np.inf
    shard(tmp_path / "data" / "a.npz", x=first)
    shard(tmp_path / "data" / "b.npz", x=second)
    dataset = opened(tmp_path, linear(tmp_path / "m.onnx"), Source("file://./data", batch=3))
    for _ in range(2):
        fed = np.concatenate([batch.inputs["x"] for batch in dataset])
    assert np.array_equal(fed, np.concatenate([first, second]))
    assert dataset.notes == ("array 'x' of the dataset holds infinities in 3 of 8 samples: fed as they are",)


def test_numbers_of_a_type_that_numpy_does_not_know_are_looked_at(tmp_path: Path) -> None:
    values = rows(4).astype(ml_dtypes.bfloat16)
    values[2, 0] = np.nan
    shard(tmp_path / "data" / "a.npz", x=values)
    same = helper.make_node("Identity", ["x"], ["y"])
    model = save(tmp_path / "m.onnx", [same], [info("x", ["b", 3], TensorProto.BFLOAT16)], [info("y", ["b", 3], 16)])
    with pytest.raises(InvalidInput, match=r"'x' of a\.npz holds NaN in sample 2"):
        list(opened(tmp_path, model))
