"""Inputs in the shapes that models take them in: feeds, other axes of samples, constants; or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_runner.data.datasets import Source
from assay_runner.errors import InvalidInput
from assay_runner.models.feeding import Feeding, feeding_of
from assay_runner.tensors import Array, Batch
from tests.runner.io.made import info, normal, opened, save, shard, stateful
from tests.unit.api.audits import audit

FEEDS = Feeding(feeds=True)
AS_SHIPPED = Feeding(axes=(("state", 1),), constants=(("sr", 16_000),))


def stored(folder: Path, counts: tuple[int, ...] = (5, 7)) -> tuple[Array, Array]:
    """Shards of so many samples, column-ordered every second time; all of input and state."""
    x, state = normal(sum(counts), 16), normal(2, sum(counts), 8, seed=1)
    start = 0
    for number, count in enumerate(counts):
        some = slice(start, start + count)
        states = np.asfortranarray(state[:, some]) if number % 2 else state[:, some]
        labels = np.arange(some.start, some.stop)
        shard(folder / "data" / f"{number}.npz", bool(number % 3), input=x[some], state=states, label=labels)
        start += count
    return x, state


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=4).filter(sum),
    batch=st.integers(1, 9),
    fixed=st.sampled_from([None, 1, 3]),
    limit=st.one_of(st.none(), st.integers(1, 20)),
)
def test_samples_along_another_axis_come_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], batch: int, fixed: int | None, limit: int | None
) -> None:
    folder = tmp_path_factory.mktemp("axis")
    x, state = stored(folder, tuple(counts))
    source = Source("file://./data", batch, "label", limit)
    dataset = opened(folder, stateful(folder / "m.onnx", fixed), source, AS_SHIPPED)
    total = min(sum(counts), limit or 1000)
    found = list(dataset)
    assert np.array_equal(np.concatenate([b.inputs["input"][: b.count] for b in found]), x[:total])
    assert np.array_equal(np.concatenate([b.inputs["state"][:, : b.count] for b in found], 1), state[:, :total])
    assert [label for b in found if b.labels is not None for label in b.labels] == list(range(total))
    for one in found:
        size = fixed or one.count
        assert one.fed == size
        assert {name: array.shape for name, array in one.inputs.items()} == {
            "input": (size, 16), "state": (2, size, 8), "sr": (),
        }  # fmt: skip
        assert one.inputs["sr"] == 16_000
        assert one.inputs["sr"].dtype == np.int64
        assert one.inputs["state"].flags.c_contiguous
        extents = dataset.extents()
        assert extents["state"].opt == (2, dataset.batch, 8)
        assert extents["sr"].opt == extents["sr"].min == ()


def test_a_batch_is_taken_apart_along_its_axes(tmp_path: Path) -> None:
    x, state = stored(tmp_path)
    (batch,) = opened(tmp_path, stateful(tmp_path / "m.onnx"), Source("file://./data", 32), AS_SHIPPED)
    chosen = batch.take(np.array([3, 0]))
    assert np.array_equal(chosen["input"], x[[3, 0]])
    assert np.array_equal(chosen["state"], state[:, [3, 0]])
    assert chosen["sr"] == 16_000
    assert (batch.row("state"), batch.row("sr"), batch.row("input")) == ((2, 8), (), (16,))


def constants(tmp_path: Path, shape: list[Any], elem: int, value: Any, **more: Any) -> Array:
    """What an input of this shape is fed, when a spec makes it constant, beside x (N, 3), batches of 2."""
    model = save(
        tmp_path / "m.onnx",
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["c"], ["d"])],
        [info("x", ["N", 3]), info("c", shape, elem)],
        [info("y", ["N", 3]), info("d", shape, elem)],
    )
    shard(tmp_path / "data" / "a.npz", x=normal(4, 3))
    spec = parse(
        AuditSpec, audit(dataset={"uri": "s3://data/", "inputs": {"c": {"constant": value, **more}}}, checks=[])["spec"]
    )
    first = next(iter(opened(tmp_path, model, Source("file://./data", 2), feeding_of(spec.dataset))))
    return first.inputs["c"]


@pytest.mark.parametrize(
    ("shape", "elem", "value", "more", "expected"),
    [
        ([], TensorProto.INT64, 16_000, {}, np.int64(16_000)),
        ([], TensorProto.INT64, 16_000.0, {}, np.int64(16_000)),
        ([], TensorProto.BOOL, True, {}, np.True_),
        ([1], TensorProto.FLOAT, 0.5, {}, np.array([0.5], np.float32)),
        ([2, 2], TensorProto.INT32, [1, 2, 3, 4], {}, np.array([[1, 2], [3, 4]], np.int32)),
        (["k"], TensorProto.INT64, [1, 2, 3], {}, np.array([1, 2, 3])),
        (["k", 2], TensorProto.FLOAT, [1, 2, 3, 4], {}, np.array([[1, 2], [3, 4]], np.float32)),
        ([0, 4], TensorProto.FLOAT, [], {}, np.zeros((0, 4), np.float32)),
        (["N"], TensorProto.INT64, 7, {}, np.array([7, 7])),
        (["N", 2], TensorProto.INT64, [1, 2], {}, np.array([[1, 2], [1, 2]])),
        ([3, "N"], TensorProto.FLOAT, 0, {}, np.zeros((3, 2), np.float32)),
        ([3, None], TensorProto.FLOAT, 0, {"axis": 1}, np.zeros((3, 2), np.float32)),
        ([], TensorProto.BFLOAT16, 1.5, {}, 1.5),
    ],
)
def test_a_constant_fills_its_input(
    tmp_path: Path, shape: list[Any], elem: int, value: Any, more: dict[str, Any], expected: Any
) -> None:
    found = constants(tmp_path, shape, elem, value, **more)
    assert found.shape == np.shape(expected)
    assert np.array_equal(found.astype(np.float64), np.asarray(expected, np.float64))


@pytest.mark.parametrize(
    ("shape", "elem", "value", "more", "sentence"),
    [
        ([], TensorProto.INT64, 0.5, {}, "gives input 'c' a value that int64 does not hold"),
        ([], TensorProto.UINT8, 256, {}, "gives input 'c' a value that uint8 does not hold"),
        ([], TensorProto.UINT8, -1, {}, "gives input 'c' a value that uint8 does not hold"),
        ([], TensorProto.FLOAT16, 1e6, {}, "gives input 'c' a value that float16 does not hold"),
        ([], TensorProto.BOOL, 2, {}, "gives input 'c' a value that bool does not hold"),
        ([2], TensorProto.FLOAT, [1, 2, 3], {}, "gives 3 values for input 'c', and they do not fill its shape [2]"),
        ([3, None], TensorProto.FLOAT, 0, {}, "makes input 'c' constant, and its shape is free: [3, ?]"),
        ([2], TensorProto.FLOAT, 0, {"axis": 1}, "along axis 1, and the input of the model"),
    ],
)
def test_a_constant_that_does_not_fit_is_refused(
    tmp_path: Path, shape: list[Any], elem: int, value: Any, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        constants(tmp_path, shape, elem, value, **more)
    assert sentence in str(caught.value)


def feeds(folder: Path, counts: tuple[int, ...]) -> list[dict[str, Array]]:
    made = []
    for number, count in enumerate(counts):
        arrays: dict[str, Array] = {
            "input": normal(count, 16, seed=number),
            "state": np.asfortranarray(normal(2, count, 8, seed=number)),
            "sr": np.asarray(8000 if number % 2 else 16_000),
        }
        shard(folder / "data" / f"{number}.npz", bool(number % 2), **arrays, label=np.asarray(number))
        made.append(arrays)
    return made


def test_each_file_is_a_feed_in_the_shapes_of_the_model(tmp_path: Path) -> None:
    """A feed without a single row is one too, as an empty key-value cache is."""
    made = feeds(tmp_path, (3, 1, 0, 4))
    source = Source("file://./data", labels="label", batch=32)
    dataset = opened(tmp_path, stateful(tmp_path / "m.onnx", None), source, FEEDS)
    found = list(dataset)
    assert [(b.start, b.count, b.fed) for b in found] == [(i, 1, 1) for i in range(4)]
    assert [list(b.labels if b.labels is not None else ()) for b in found] == [[0], [1], [2], [3]]
    for given_, one in zip(made, found, strict=True):
        assert {n: a.shape for n, a in one.inputs.items()} == {n: a.shape for n, a in given_.items()}
        assert all(np.array_equal(one.inputs[n], a) for n, a in given_.items())
    assert (dataset.samples, dataset.batch, dataset.notes) == (4, 1, ())
    extents = dataset.extents()["state"]
    assert (extents.min, extents.opt, extents.max) == ((2, 0, 8), (2, 3, 8), (2, 4, 8))
    assert opened(tmp_path, stateful(tmp_path / "m.onnx", None), Source("file://./data", samples=2), FEEDS).samples == 2


def refused(folder: Path, model: Path, feeding: Feeding, **source: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        list(opened(folder, model, Source("file://./data", **source), feeding))
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"state": normal(3, 1, 8)}, "array 'state' of 0.npz has shape (3, 1, 8), and the model's input takes (2, "),
        ({"sr": np.array([1])}, "array 'sr' of 0.npz has shape (1,), and the model's input takes ()"),
        ({"sr": np.float32(1)}, "array 'sr' of 0.npz is float32, and the model's input takes int64"),
        ({"label": np.arange(2)}, "the labels 'label' of 0.npz have shape (2,), and a feed has one label"),
        ({"input": np.full((1, 16), np.nan, np.float32)}, "array 'input' of 0.npz holds NaN in sample 0"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Array], sentence: str) -> None:
    arrays: dict[str, Array] = {
        "input": normal(1, 16),
        "state": normal(2, 1, 8),
        "sr": np.asarray(1),
        "label": np.asarray(0),
    }
    shard(tmp_path / "data" / "0.npz", False, **{**arrays, **change})
    assert sentence in refused(tmp_path, stateful(tmp_path / "m.onnx"), FEEDS, labels="label")


@pytest.mark.parametrize(
    ("feeding", "sentence"),
    [
        (Feeding(), "is a scalar, and has no axis for samples: give its value in dataset.inputs (sr: {constant: …})"),
        (Feeding(axes=(("statе", 1),)), "dataset.inputs names 'statе', which is no input of the model"),
        (Feeding(axes=(("stat", 1),), constants=(("sr", 1),)), "did you mean 'state'?"),
        (Feeding(axes=(("state", 3),), constants=(("sr", 1),)), "has axes 0 to 2: name one of them"),
        (Feeding(constants=(("sr", 1), ("state", 0), ("input", 0))), "makes every input of the model"),
        (Feeding(constants=(("sr", 1),)), "disagree on the number of samples"),
    ],
)
def test_what_a_spec_says_of_inputs_must_fit_the_model(tmp_path: Path, feeding: Feeding, sentence: str) -> None:
    stored(tmp_path)
    assert sentence in refused(tmp_path, stateful(tmp_path / "m.onnx"), feeding)


def test_a_missing_input_may_be_made_constant(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "0.npz", input=normal(3, 16))
    told = refused(tmp_path, stateful(tmp_path / "m.onnx"), AS_SHIPPED)
    assert told.endswith("one that is the same for every sample can be given in dataset.inputs")


def test_an_array_beside_a_constant_is_told(tmp_path: Path) -> None:
    stored(tmp_path)
    feeding = Feeding(constants=(("sr", 1), ("state", 0)))
    dataset = opened(tmp_path, stateful(tmp_path / "m.onnx"), Source("file://./data", 4), feeding)
    assert "arrays ignored, for dataset.inputs makes them constant: state" in dataset.notes
    assert not next(iter(dataset)).inputs["state"].any()


def test_what_is_fed_is_part_of_the_identity(tmp_path: Path) -> None:
    stored(tmp_path, (4,))
    model = stateful(tmp_path / "m.onnx")

    def identity(feeding: Feeding) -> str:
        return opened(tmp_path, model, Source("file://./data", 4), feeding).identity

    other = Feeding(axes=(("state", 1),), constants=(("sr", 8_000),))
    zeros = Feeding(axes=(("state", 1),), constants=(("sr", 16_000), ("state", 0)))
    assert len({identity(feeding) for feeding in (AS_SHIPPED, other, zeros)}) == 3
    assert Feeding().meaning == "", "what was kept of datasets of old is found again"


def test_of_a_feed_a_batch_takes_all() -> None:
    feed = Batch(0, 1, {"a": np.ones((), np.float32), "b": normal(3, 2)}, axes={"a": None, "b": None})
    assert feed.fed == 1
    assert feed.take(slice(0, 1))["b"] is feed.inputs["b"]
