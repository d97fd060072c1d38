"""Every sample is in exactly one part, golden's rows with it; what was not to be seen changes nothing of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_runner.data.datasets import Dataset, Source
from assay_runner.golden.run import golden_outputs
from assay_runner.models.feeding import Feeding
from assay_runner.remedies.splits import HALVES, LEAST, TURNS, Outputs, Part, Split
from assay_runner.tensors import Array
from tests.models import Heard, load
from tests.runner.io.made import linear, loaded, opened, rows, shard, stateful
from tests.runner.remedies.repairs import Repaired, repaired, staged
from tests.runner.remedies.transformers import sentences, transformer

AS_SHIPPED = Feeding(axes=(("state", 1),), constants=(("sr", 16_000),))
WITHOUT_EDITS = {"precision": {"to": ["fp32"], "rewrite": False}}


class Counted:
    """A dataset of batches of so many samples, numbered."""

    def __init__(self, counts: list[int], fixed: bool) -> None:
        self._counts, self.fixed = counts, fixed

    def counts(self) -> list[int]:
        """Samples of each batch."""
        return self._counts


@settings(max_examples=300, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=120),
    share=st.floats(0.001, 0.999),
    fixed=st.booleans(),
)
def test_every_sample_is_in_exactly_one_part(counts: list[int], share: float, fixed: bool) -> None:
    split = Split(Counted(counts, fixed), share)  # type: ignore[arg-type]
    for number, count in enumerate(counts):
        spans = [span for part in HALVES for span in split._rows(part, number, count)]
        assert sorted(row for first, end in spans for row in range(first, end)) == list(range(count))
        assert not fixed or len(spans) == 1
    assert split.samples("search") >= 1
    held_back = split.samples("unseen")
    assert (held_back == 0) is split.whole
    assert (held_back == 0) is (len(counts) == 1 and (fixed or counts[0] == 1))


@settings(max_examples=300, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    share=st.floats(0.001, 0.999),
    fixed=st.booleans(),
)
def test_what_searches_are_told_of_and_what_is_left_make_up_the_unseen_samples(
    counts: list[int], share: float, fixed: bool
) -> None:
    split = Split(Counted(counts, fixed), share)  # type: ignore[arg-type]
    sizes = {(part.kind, part.turn): samples.samples for part, samples in split.parts.items()}
    left, telling = sizes["unseen", 0], len(split.telling)
    assert sizes["search", 0] + left == sum(counts)
    assert telling <= TURNS
    assert split.telling == tuple(Part("told", turn) for turn in range(telling))
    for turn in range(telling):
        assert min(sizes["told", turn], sizes["last", turn]) >= (LEAST if turn else 1)
        assert sizes["told", turn] + sizes["last", turn] == left
        left = sizes["last", turn]
    assert len(sizes) == 2 + 2 * telling
    # Nothing is held back for a second verdict only where nothing can be.
    assert telling or left <= 1 or fixed


@pytest.mark.parametrize(
    ("counts", "told", "last"),
    [([4] * 8, [8, 4, 2], 2), ([16], [4, 2], 2), ([8], [2], 2), ([2], [], 1), ([100] * 4, [100, 50, 25], 25)],
)
def test_half_tells_then_half_of_what_is_left(counts: list[int], told: list[int], last: int) -> None:
    split = Split(Counted(counts, False), 0.5)  # type: ignore[arg-type]
    assert [split.parts[part].samples for part in split.telling] == told
    assert list(split.parts.values())[-1].samples == last


@pytest.mark.parametrize("batches", [49, 98, 161])
def test_a_share_so_small_that_no_batch_is_due_gets_one(batches: int) -> None:
    """1/49 taken 49 times is less than 1 to a computer."""
    split = Split(Counted([4] * batches, True), 1e-6)  # type: ignore[arg-type]
    assert (split.samples("search"), split.whole) == (4, False)


def test_batches_are_dealt_by_turns() -> None:
    split = Split(Counted([4] * 8, True), 0.25)  # type: ignore[arg-type]
    searched = [number for number in range(8) if split._rows("search", number, 4)]
    assert searched == [3, 7]


@pytest.mark.parametrize("counts", [[32, 1], [32, 32, 3]])
def test_few_batches_of_different_sizes_are_cut(counts: list[int]) -> None:
    split = Split(Counted(counts, False), 0.5)  # type: ignore[arg-type]
    assert abs(split.samples("search") - sum(counts) / 2) <= 0.25 * sum(counts)


def checked(dataset: Dataset, golden: list[Mapping[str, Array]], share: float) -> Split:
    """A split whose parts hold each sample of the dataset once, and golden's rows of it."""
    split = Split(dataset, share)
    seen: dict[int, dict[str, Array]] = {}
    for part in HALVES:
        for batch, outputs in zip(split.batches(part), Outputs(split, part, golden), strict=True):
            for place in range(batch.count):
                number = batch.start + place
                assert number not in seen
                fed = batch.take(np.array([place]))
                label = {"label": batch.labels[place : place + 1]} if batch.labels is not None else {}
                seen[number] = {**fed, **label, **{name: out[place] for name, out in outputs.items()}}
        assert split.batches(part).samples == sum(batch.count for batch in split.batches(part))
    whole = zip(dataset, golden, strict=True)
    for batch, outputs in whole:
        for place in range(batch.count):
            found = seen.pop(batch.start + place)
            for name, array in batch.take(np.array([place])).items():
                assert np.array_equal(found[name], array)
            for name, array in outputs.items():
                assert np.array_equal(found[name], array[place])
            if batch.labels is not None:
                assert found["label"] == batch.labels[place]
    assert not seen
    return split


def golden_of(dataset: Dataset, model: Path, folder: Path) -> list[Mapping[str, Array]]:
    given = load(model, folder)
    return [kept for _, kept in golden_outputs(given, dataset, "fp32", folder / "golden", Heard())]


@pytest.mark.parametrize(("batch", "share"), [(4, 0.5), (4, 0.2), (24, 0.5), (23, 0.5), (1, 0.7)])
def test_golden_rows_and_labels_stay_with_their_samples(batch: int, share: float, tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")
    for number in range(2):
        shard(tmp_path / "data" / f"{number}.npz", x=rows(12, seed=number), label=np.arange(12) % 4)
    dataset = opened(tmp_path, path, Source("file://./data", batch, "label"))
    split = checked(dataset, golden_of(dataset, path, tmp_path), share)
    assert (split.samples("search") + split.samples("unseen"), split.whole) == (24, False)


def test_samples_along_another_axis_are_cut_along_it(tmp_path: Path) -> None:
    """Of outputs too, golden's samples come first."""
    path = stateful(tmp_path / "model.onnx")
    x, state = rows(6, 16), np.moveaxis(rows(6, 16).reshape(6, 2, 8), 0, 1)
    shard(tmp_path / "data" / "0.npz", input=x, state=state)
    dataset = opened(tmp_path, path, Source("file://./data", 32), AS_SHIPPED)
    given = loaded(path, tmp_path / "scratch", AS_SHIPPED)
    golden = [kept for _, kept in golden_outputs(given, dataset, "fp32", tmp_path / "golden", Heard())]
    split = Split(dataset, 0.5)
    for part, some in zip(HALVES, (slice(0, 3), slice(3, 6)), strict=True):
        [batch], [outputs] = list(split.batches(part)), list(Outputs(split, part, golden))
        assert batch.inputs["state"].shape == (2, 3, 8)
        assert np.array_equal(batch.inputs["input"], x[some])
        assert np.array_equal(batch.inputs["state"], state[:, some])
        assert batch.inputs["sr"] == 16_000
        assert all(np.array_equal(outputs[name], golden[0][name][some]) for name in golden[0])


def test_a_batch_that_the_model_fixes_is_never_cut(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx", batch=5)
    shard(tmp_path / "data" / "0.npz", x=rows(12))
    dataset = opened(tmp_path, path, Source("file://./data"))
    split = checked(dataset, golden_of(dataset, path, tmp_path), 0.5)
    assert [batch.fed for part in HALVES for batch in split.batches(part)] == [5, 5, 5]
    # The padded one is the last.
    assert sorted(batch.count for part in HALVES for batch in split.batches(part)) == [2, 5, 5]


def test_feeds_are_dealt_one_by_one(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")
    for number in range(5):
        shard(tmp_path / "data" / f"{number}.npz", x=rows(3, seed=number))
    feeding = Feeding(feeds=True)
    dataset = opened(tmp_path, path, Source("file://./data"), feeding)
    split = Split(dataset, 0.5)
    dealt = {part: [batch.start for batch in split.batches(part)] for part in HALVES}
    assert sorted(dealt["search"] + dealt["unseen"]) == list(range(5))
    assert len(dealt["search"]) == 2


def trials(found: Repaired) -> list[tuple[object, ...]]:
    """What a search tried and was told."""
    return [(t.words, t.verdict, t.because, t.value) for t in found.trials if t.split == "search"]


@pytest.mark.parametrize("batch", [4, 16])
def test_a_search_sees_nothing_of_what_it_is_judged_on(batch: int, tmp_path: Path) -> None:
    """With samples that break everything in its place, the search is the same, and the verdict is not."""
    inputs = sentences(16)
    # By turns, the second batch of four first; of a single batch the latter half.
    unseen = np.arange(16) // 4 % 2 == 0 if batch == 4 else np.arange(16) >= 8
    poisoned = {"x": np.where(unseen[:, None, None], np.float32(3e4) * np.sign(inputs["x"]), inputs["x"])}
    found = {}
    for name, data in (("clean", inputs), ("poisoned", poisoned)):
        staged(tmp_path / name, transformer(loud=(1,), blocks=2), data)
        dataset = {"uri": "file://./data/", "batch": batch}
        found[name] = repaired(tmp_path / name, dataset=dataset, remedies=WITHOUT_EDITS)
    assert trials(found["clean"]) == trials(found["poisoned"])
    assert [each.remedy.outcome for each in found.values()] == ["Cured", "SearchOnly"]
    assert found["clean"].remedy.wide == found["poisoned"].remedy.wide
    assert "fails on 8 samples that it had not seen" in found["poisoned"].remedy.message


@pytest.mark.parametrize("fixed", [False, True])
def test_of_a_single_sample_or_fixed_batch_nothing_can_be_confirmed(fixed: bool, tmp_path: Path) -> None:
    proto = transformer(loud=(1,), blocks=2)
    if fixed:
        for each in (*proto.graph.input, *proto.graph.output):
            each.type.tensor_type.shape.dim[0].dim_value = 4
    staged(tmp_path, proto, sentences(4 if fixed else 1))
    told = repaired(tmp_path, remedies=WITHOUT_EDITS)
    assert told.remedy.outcome == "SearchOnly"
    assert told.remedy.message.endswith(
        "all samples were needed to search, so none is left to confirm it: give the dataset more"
    )
    assert told.report.candidates == ()
    assert onnx.load(str(tmp_path / "model.onnx"))
