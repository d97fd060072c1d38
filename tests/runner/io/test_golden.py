"""Golden outputs, computed or stored, come back batch by batch as they went in, or one sentence says why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.digests import cache_key
from assay_runner.errors import InvalidInput
from assay_runner.golden import members
from assay_runner.golden.cache import INDEX, SHARD_BYTES, Aligned, GoldenWriter, open_cached, read_index
from assay_runner.golden.stored import open_stored_outputs
from assay_runner.models.loading import LoadedModel
from assay_runner.stores.memory import MemoryStore
from assay_runner.stores.sealed import put_record
from assay_runner.tensors import Array
from tests.models import constant, node, value
from tests.runner.io.made import linear, loaded, rows, save, shard, store

FOLDER = "memory://cache/golden"


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return loaded(linear(tmp_path / "m.onnx"), tmp_path / "scratch")


def dataset(tmp_path: Path, model: LoadedModel, samples: int | None = None) -> Dataset:
    for number, count in enumerate((5, 3, 4)):
        shard(tmp_path / "data" / f"{number}.npz", x=rows(count, seed=number))
    source = Source("file://./data", batch=4, samples=samples)
    return open_dataset(store(tmp_path), source, model, tmp_path / "scratch")


def filled(memory: MemoryStore, scratch: Path, batches: list[dict[str, Array]], shard_bytes: int = SHARD_BYTES) -> None:
    writer = GoldenWriter(memory, FOLDER, scratch, shard_bytes)
    for batch in batches:
        writer.add(len(batch["y"]), batch)
    writer.finish(("a note",), {"backend": "x"})


@pytest.mark.parametrize("shard_bytes", [1, 60, 1 << 20])
def test_what_was_cached_comes_back(tmp_path: Path, shard_bytes: int) -> None:
    memory = MemoryStore()
    batches: list[dict[str, Array]] = [
        {"y": rows(4, width, seed=width), "odd/name": rows(4, 2).astype(dtype)}
        for width, dtype in ((3, ml_dtypes.bfloat16), (5, ml_dtypes.bfloat16))
    ]
    filled(memory, tmp_path, batches, shard_bytes)
    index = read_index(memory, FOLDER)
    assert index is not None
    assert (index.samples, index.notes, sum(index.shards)) == (8, ("a note",), 2)
    assert len(index.shards) == (1 if shard_bytes > 1000 else 2)
    for _ in range(2):
        back = list(open_cached(memory, FOLDER, index, tmp_path / "scratch"))
        for was, now in zip(batches, back, strict=True):
            assert list(was) == list(now)
            for name in was:
                assert was[name].dtype == now[name].dtype
                np.testing.assert_array_equal(was[name], now[name])


def test_small_batches_lie_in_one_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as they are of one shape, and small; whoever made them may write over them."""
    monkeypatch.setattr(members, "STACKED", 200)
    memory = MemoryStore()
    writer = GoldenWriter(memory, FOLDER, tmp_path)
    given, buffer = [], np.empty((4, 3), np.float32)
    for number, (count, width) in enumerate([(4, 3)] * 6 + [(2, 3), (4, 5), (4, 3), (4, 60), (4, 60), (4, 3)]):
        given.append(rows(count, width, seed=number))
        if (count, width) == buffer.shape:
            np.copyto(buffer, given[-1])
        writer.add(count, {"y": buffer if (count, width) == buffer.shape else given[-1]})
    index = writer.finish((), {})
    (uri,) = (stat.uri for stat in memory.list(f"{FOLDER}/part-"))
    with np.load(io.BytesIO(memory.read(uri))) as stored:
        lengths = {name: len(stored[name]) for name in stored.files}
    # Five of 48 bytes are enough, one of 960 is alone.
    assert lengths == {"0.0": 5, "5.0": 1, "6.0": 1, "7.0": 1, "8.0": 1, "9.0": 1, "10.0": 1, "11.0": 1}
    back = [batch["y"] for batch in open_cached(memory, FOLDER, index, tmp_path / "scratch")]
    for was, now in zip(given, back, strict=True):
        np.testing.assert_array_equal(was, now, strict=True)


def test_outputs_of_an_older_layout_are_made_anew(tmp_path: Path) -> None:
    memory = MemoryStore()
    filled(memory, tmp_path, [{"y": rows(4)}])
    index = read_index(memory, FOLDER)
    assert index is not None
    put_record(memory, f"{FOLDER}/{INDEX}", index.model_copy(update={"format": 2}))
    assert read_index(memory, FOLDER) is None


def test_rows_of_every_number_come_back(tmp_path: Path) -> None:
    """As many as the data decide, one and none among them, in any order."""
    memory = MemoryStore()
    writer = GoldenWriter(memory, FOLDER, tmp_path, shard_bytes=40)
    shapes = [(1, 3), (1, 0, 3), (1, 2, 3), (1, 3), (1, 5, 3), (1, 0, 3)]
    given = [np.arange(np.prod(shape)).reshape(shape) for shape in shapes]
    for array in given:
        writer.add(1, {"chosen": array, "score": array.astype(np.float32)})
    index = writer.finish((), {})
    back = list(open_cached(memory, FOLDER, index, tmp_path / "scratch"))
    for was, now in zip(given, back, strict=True):
        np.testing.assert_array_equal(was, now["chosen"], strict=True)
        np.testing.assert_array_equal(was.astype(np.float32), now["score"], strict=True)


def test_an_unfinished_folder_is_no_result(tmp_path: Path) -> None:
    memory = MemoryStore()
    writer = GoldenWriter(memory, FOLDER, tmp_path)
    writer.add(4, {"y": rows(4)})
    assert read_index(memory, FOLDER) is None
    memory.put(f"{FOLDER}/{INDEX}", b'{"format": 1, "samples": 1, "outputs": [], "dtypes": [], "shards": []}')
    assert read_index(memory, FOLDER) is None


@pytest.mark.parametrize("counts", [[4, 4], [4, 4, 3], [4, 5, 3]])
def test_outputs_that_do_not_follow_the_batches_are_refused(
    tmp_path: Path, model: LoadedModel, counts: list[int]
) -> None:
    outputs = [{"y": rows(n, 4)} for n in counts]
    with pytest.raises(InvalidInput, match="the dataset changed"):
        list(Aligned(dataset(tmp_path, model), outputs))


def test_an_output_that_a_batch_lacks_is_not_read(tmp_path: Path) -> None:
    memory = MemoryStore()
    filled(
        memory, tmp_path, [{"z": rows(4, 3), "y": rows(4, 2)}, {"y": rows(4, 2)}, {"z": rows(4, 3), "y": rows(4, 2)}]
    )
    index = read_index(memory, FOLDER)
    assert index is not None
    back = list(open_cached(memory, FOLDER, index, tmp_path / "scratch"))
    assert [list(batch) for batch in back] == [["y"]] * 3
    np.testing.assert_array_equal(back[2]["y"], rows(4, 2))


def test_the_key_follows_every_part() -> None:
    assert cache_key(a="1", b="2") == cache_key(b="2", a="1")
    assert len({cache_key(a="1", b="2"), cache_key(a="12", b=""), cache_key(a="1", b="3")}) == 3


def test_stored_outputs_follow_the_datasets_batches(tmp_path: Path, model: LoadedModel) -> None:
    golden = rows(12, 4, seed=9)
    shard(tmp_path / "golden" / "a.npz", y=golden[:7], extra=golden[:1])
    shard(tmp_path / "golden" / "b.npz", y=golden[7:])
    data = dataset(tmp_path, model)
    stored = open_stored_outputs(store(tmp_path), "file://./golden", model, data, tmp_path / "scratch")
    assert stored.ignored == ("extra",)
    for _ in range(2):
        found = list(stored)
        assert [len(b["y"]) for b in found] == [b.count for b in data] == [4, 4, 4]
        np.testing.assert_array_equal(np.concatenate([b["y"] for b in found]), golden)


def test_stored_outputs_may_go_on_after_the_samples_asked_for(tmp_path: Path, model: LoadedModel) -> None:
    shard(tmp_path / "golden.npz", y=rows(12, 4))
    data = dataset(tmp_path, model, samples=6)
    stored = open_stored_outputs(store(tmp_path), "file://./golden.npz", model, data, tmp_path / "scratch")
    assert [len(b["y"]) for b in stored] == [4, 2]


def test_stored_outputs_have_their_samples_first_wherever_the_model_has_them(tmp_path: Path) -> None:
    """And none for what all samples share."""
    nodes = [
        node("MatMul", "x w", "t"),
        node("Transpose", "t", "y", perm=[1, 0]),
        node("Identity", "w", "priors"),
    ]
    outputs, weight = [value("y", 8, "N"), value("priors", 3, 8)], constant("w", rows(3, 8))
    made = loaded(save(tmp_path / "t.onnx", nodes, [value("x", "N", 3)], outputs, initializer=[weight]), tmp_path)
    golden = rows(12, 8, seed=9)
    shard(tmp_path / "golden.npz", y=golden)
    stored = open_stored_outputs(store(tmp_path), "file://./golden.npz", made, dataset(tmp_path, made), tmp_path)
    np.testing.assert_array_equal(np.concatenate([b["y"] for b in stored]), golden)
    shard(tmp_path / "golden.npz", y=golden.T)
    with pytest.raises(InvalidInput, match=r"shape \(8, 12\), and the model's output has \(samples, 8\)"):
        open_stored_outputs(store(tmp_path), "file://./golden.npz", made, dataset(tmp_path, made), tmp_path)


def test_stored_outputs_need_not_hold_strings(tmp_path: Path) -> None:
    nodes = [node("Add", "x x", "y"), node("Cast", "x", "names", to=TensorProto.STRING)]
    outputs = [value("names", "N", 3, kind=TensorProto.STRING), value("y", "N", 3)]
    made = loaded(save(tmp_path / "s.onnx", nodes, [value("x", "N", 3)], outputs), tmp_path)
    shard(tmp_path / "golden.npz", y=rows(12, 3))
    stored = open_stored_outputs(store(tmp_path), "file://./golden.npz", made, dataset(tmp_path, made), tmp_path)
    assert [sorted(batch) for batch in stored] == [["y"]] * 3


def stores(**arrays: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        shard(folder / "golden" / "a.npz", **arrays)

    return build


BAD: list[tuple[str, Callable[[Path], None], str]] = [
    ("missing", lambda folder: None, "the stored golden outputs file://./golden is missing or empty"),
    ("name", stores(Y=rows(12, 4)), "no array for the model's output 'y': it holds 'Y'"),
    ("few", stores(y=rows(11, 4)), "hold 11 samples, and the dataset file://./data has 12"),
    ("many", stores(y=rows(13, 4)), "hold 13 samples, and the dataset file://./data has 12"),
    ("shape", stores(y=rows(12, 5)), "has shape (12, 5), and the model's output has (samples, 4)"),
    ("type", stores(y=np.zeros((12, 4), np.int64)), "is int64, and the model's output is float32"),
]


@pytest.mark.parametrize(("build", "sentence"), [(b, s) for _, b, s in BAD], ids=[n for n, _, _ in BAD])
def test_stored_outputs_that_do_not_fit_are_refused(
    tmp_path: Path, model: LoadedModel, build: Callable[[Path], None], sentence: str
) -> None:
    build(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        open_stored_outputs(store(tmp_path), "file://./golden", model, dataset(tmp_path, model), tmp_path / "scratch")
    assert sentence in str(caught.value)


def test_what_the_data_do_not_decide_is_the_models_own(tmp_path: Path) -> None:
    """A store has a row per sample, and may have none or any of a constant."""
    nodes = [node("MatMul", "x w", "y"), node("Identity", "w", "priors"), node("ReduceMean", "y", "mean", axes=[0])]
    outputs, weight = [value("y", "N", 8), value("priors", 3, 8), value("mean", 1, 8)], constant("w", rows(3, 8))
    made = loaded(save(tmp_path / "t.onnx", nodes, [value("x", "N", 3)], outputs, initializer=[weight]), tmp_path)
    stored_too: list[dict[str, Any]] = [{}, {"priors": rows(3, 8), "mean": rows(1, 8)}]
    for others in stored_too:
        shard(tmp_path / "golden.npz", y=rows(12, 8), **others)
        stored = open_stored_outputs(store(tmp_path), "file://./golden.npz", made, dataset(tmp_path, made), tmp_path)
        assert (stored.constant, stored.ignored) == (("priors",), ())
        for batch in stored:
            assert batch.keys() == {"y", "priors"}
            np.testing.assert_array_equal(batch["priors"], rows(3, 8)[None])
