"""In every store: what the cache holds is taken where it is what was stored, and made again where it is not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from assay_runner.builds.shelves import SharedShelf, Shelf
from assay_runner.data.datasets import Dataset, Source
from assay_runner.golden.cache import GoldenIndex
from assay_runner.models.loading import LoadedModel
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores import Store, join
from assay_runner.tasks.context import Context
from assay_runner.tasks.golden_entry import GoldenEntry
from tests.contract.test_stores import Place, place
from tests.runner.io.made import linear, loaded, opened, rows, shard

__all__ = ["place"]

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "replaced": lambda content: bytes(len(content)),
    "one bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
}


def damage(store: Store, prefix: str, how: Damage) -> None:
    """The only object that begins so."""
    (stat,) = store.list(prefix)
    store.put(stat.uri, how(store.read(stat.uri)))


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return loaded(linear(tmp_path / "m.onnx"), tmp_path / "scratch")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    linear(tmp_path / "m.onnx")
    shard(tmp_path / "data" / "0.npz", x=rows(20))
    return opened(tmp_path, tmp_path / "m.onnx", Source("file://./data", batch=4))


@pytest.fixture
def entry(place: Place, tmp_path: Path, model: LoadedModel, dataset: Dataset) -> Callable[[str], GoldenEntry]:
    """Golden outputs of five batches, a shard for each; the argument names a process that knows them."""

    def known_to(process: str) -> GoldenEntry:
        context = Context(place.store, tmp_path / process, Tracker(PlainView(io.StringIO())))
        folder = join(place.prefix, "golden", "key")
        return GoldenEntry(folder, model, dataset, "fp32", context, tmp_path / process / "work", shard_bytes=1)

    return known_to


def outputs(entry: GoldenEntry) -> list[bytes]:
    return [batch["y"].tobytes() for batch in entry]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("what", ["part-00000-", "part-00003-", "index.json"])
def test_damaged_golden_outputs_are_made_again(
    place: Place, entry: Callable[[str], GoldenEntry], what: str, how: str
) -> None:
    index = entry("first").taken_or_made()
    right = outputs(entry("first"))
    assert len(right) == len(index.files) == 5

    damage(place.store, join(entry("first").folder, what), DAMAGES[how])
    task = entry("task")
    assert task.taken_or_made() == index
    assert [note.partition(" (")[0] for note in task.notes] == ["the cached golden run did not match its digest"]

    damage(place.store, join(task.folder, what), DAMAGES[how])
    candidate = entry("candidate")
    assert outputs(candidate) == right
    assert len(candidate.notes) == 1

    other = entry("other")
    assert (other.taken_or_made(), outputs(other), other.notes) == (index, right, [])


def test_golden_outputs_that_are_damaged_while_they_are_read_decide_nothing(
    place: Place, entry: Callable[[str], GoldenEntry]
) -> None:
    entry("first").taken_or_made()
    right = outputs(entry("first"))
    candidate = entry("candidate")
    found = []
    for number, batch in enumerate(candidate):
        found.append(batch["y"].tobytes())
        if number == 1:
            damage(place.store, join(candidate.folder, "part-00004-"), DAMAGES["replaced"])
    assert (found, len(candidate.notes)) == (right, 1)


def test_golden_outputs_may_be_replaced_while_they_are_read(place: Place, entry: Callable[[str], GoldenEntry]) -> None:
    """By other bits too, as another processor gives them."""
    entry("first").taken_or_made()
    right = outputs(entry("first"))
    reader = entry("reader")
    found = []
    for number, batch in enumerate(reader):
        found.append(batch["y"].tobytes())
        if number == 0:
            other = entry("writer")
            index = _written(other, offset=1e-6)
            assert outputs(other) != right
            assert entry("third").taken_or_made() == index
    assert (found, reader.notes) == (right, [])


def _written(entry: GoldenEntry, offset: float) -> GoldenIndex:
    from assay_runner.golden.cache import GoldenWriter

    writer = GoldenWriter(entry.context.store, entry.folder, entry.workdir, entry.shard_bytes)
    for batch in list(entry):
        writer.add(len(batch["y"]), {"y": np.asarray(batch["y"] + np.float32(offset))})
    return writer.finish((), {})


def engine(place: Place, folder: Path) -> Shelf:
    return Shelf(place.store, join(place.prefix, "engines", "key"), folder)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("what", ["engine-", "calibration-", "index.json"])
def test_of_a_damaged_engine_nothing_is_taken(place: Place, tmp_path: Path, what: str, how: str) -> None:
    first = engine(place, tmp_path / "a")
    assert first.fetch() == ()
    for name in ("calibration.cache", "engine.plan"):
        (tmp_path / "a" / name).write_text(name)
    first.keep()
    damage(place.store, join(place.prefix, "engines", "key", what), DAMAGES[how])

    second = engine(place, tmp_path / "b")
    (note,) = second.fetch()
    assert "the cached engine did not match its digest (" in note
    assert ") and was made again: " in note
    assert list((tmp_path / "b").iterdir()) == []
    for name in ("calibration.cache", "engine.plan"):
        (tmp_path / "b" / name).write_text(name)
    second.keep()

    assert engine(place, tmp_path / "c").fetch() == ()
    assert sorted(path.read_text() for path in (tmp_path / "c").iterdir()) == ["calibration.cache", "engine.plan"]


def test_tasks_that_store_one_engine_at_once_never_mix_theirs(place: Place, tmp_path: Path) -> None:
    def write(number: int) -> None:
        shelf = engine(place, tmp_path / f"w{number}")
        (tmp_path / f"w{number}").mkdir()
        for turn in range(5):
            for name in ("engine.plan", "engine.json"):
                (tmp_path / f"w{number}" / name).write_text(json.dumps([number, turn] * 1000))
            shelf.keep()

    def read(number: int) -> tuple[tuple[str, ...], set[str]]:
        folder = tmp_path / f"r{number}"
        notes = engine(place, folder).fetch()
        return notes, {path.read_text() for path in folder.iterdir()}

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(write, number) for number in range(4)]
        found = [*pool.map(read, range(40))]
        for each in writes:
            each.result()
    found.append(read(40))
    assert {notes for notes, _ in found} == {()}
    assert {len(contents) for _, contents in found} <= {0, 1}
    assert len(found[-1][1]) == 1


def timings(place: Place, folder: Path) -> SharedShelf:
    def merge(ours: Path, theirs: Path) -> None:
        ours.write_bytes(ours.read_bytes() + theirs.read_bytes())

    return SharedShelf(place.store, join(place.prefix, "timing", "key"), folder, merge)


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_timings_are_begun_anew(place: Place, tmp_path: Path, how: str) -> None:
    first = timings(place, tmp_path / "a")
    first.fetch()
    (tmp_path / "a" / "timing.cache").write_bytes(b"first")
    first.keep()
    meanwhile = timings(place, tmp_path / "meanwhile")
    assert meanwhile.fetch() == ()
    damage(place.store, join(place.prefix, "timing", "key") + "/", DAMAGES[how])

    second = timings(place, tmp_path / "b")
    (note,) = second.fetch()
    assert "the cached timing cache did not match its digest (timing.cache has other content)" in note
    assert list((tmp_path / "b").iterdir()) == []
    (tmp_path / "b" / "timing.cache").write_bytes(b"second")
    second.keep()
    third = timings(place, tmp_path / "c")
    assert third.fetch() == ()
    assert (tmp_path / "c" / "timing.cache").read_bytes() == b"second"

    damage(place.store, join(place.prefix, "timing", "key") + "/", DAMAGES[how])
    (tmp_path / "meanwhile" / "timing.cache").write_bytes(b"grown")
    meanwhile.keep()
    assert timings(place, tmp_path / "d").fetch() == ()
    assert (tmp_path / "d" / "timing.cache").read_bytes() == b"grown"


def test_timings_are_added_to_by_what_others_wrote_meanwhile_and_by_nothing_else(place: Place, tmp_path: Path) -> None:
    def written(name: str, content: bytes) -> None:
        (tmp_path / name / "timing.cache").write_bytes(content)

    def stored() -> bytes:
        shelf = timings(place, tmp_path / "reader")
        assert shelf.fetch() == ()
        return (tmp_path / "reader" / "timing.cache").read_bytes()

    ours, theirs = (timings(place, tmp_path / name) for name in ("ours", "theirs"))
    ours.fetch()
    written("ours", b"a")
    ours.keep()
    written("ours", b"ab")
    ours.keep()
    assert stored() == b"ab"
    theirs.fetch()
    written("theirs", b"abc")
    theirs.keep()
    assert stored() == b"abc"
    written("ours", b"abd")
    ours.keep()
    assert stored() == b"abdabc"
