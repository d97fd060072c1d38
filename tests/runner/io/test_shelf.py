"""Files of dear builds lie in the store by what they were made from, and come back whole; timings are everybody's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from assay_api.audit import Candidate, Storage
from assay_api.model import parse
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.order import order_of
from assay_runner.backends.seams import KEPT, SHARED, Keeping
from assay_runner.builds import shelves as shelf_module
from assay_runner.builds.cache import BuildRequest, build_or_take, shared_uri
from assay_runner.builds.shelves import Shelf
from assay_runner.data.datasets import Source, open_dataset
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.models.loading import LoadedModel
from assay_runner.stores import Stat, Store, open_store
from assay_runner.stores.sealed import sealed, unsealed
from assay_runner.tensors import Extents
from tests.cli.audits import good, report_of, run
from tests.dear import FILE, Dear, Growing
from tests.models import Heard, branching, constant, convolutions, loaded, node, random, value
from tests.orders import ordered
from tests.runner.io.made import shard
from tests.timings import STAYS, shared_by_audits, shared_by_builds

CACHE = "memory://cache"


@pytest.fixture
def store() -> Store:
    return open_store(Storage())


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return loaded(convolutions(), tmp_path)


def timings_in(store: Store, backend: Keeping) -> bytes | None:
    uri = f"{shared_uri(CACHE, backend)}/{FILE}"
    return unsealed(store.read(uri), uri)


def order(backend: OnnxRuntime, model: LoadedModel, precision: str = "fp16", name: str = "a") -> BuildRequest:
    return BuildRequest(backend, model, ordered(precision, backend="onnxruntime", name=name), None, "versions", {})


def test_what_is_kept_is_fetched_again_and_only_changes_are_stored(store: Store, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/store/engines/key"
    first = Shelf(store, uri, tmp_path / "a")
    first.fetch()
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "a" / "engine.plan").write_bytes(b"plan")
    (tmp_path / "a" / "engine.json").write_text("{}")
    first.keep()
    before = {stat.uri: stat.version for stat in store.list(f"{uri}/engine-")}
    assert len(before) == 2
    (tmp_path / "a" / "calibration.cache").write_bytes(b"t")
    first.keep()
    assert {stat.uri: stat.version for stat in store.list(f"{uri}/engine-")} == before

    second = Shelf(store, uri, tmp_path / "b")
    second.fetch()
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == {
        "engine.plan": b"plan",
        "engine.json": b"{}",
        "calibration.cache": b"t",
    }


def test_cheap_builds_have_no_shelf(store: Store, model: LoadedModel, tmp_path: Path) -> None:
    built, shelves = build_or_take(order(OnnxRuntime(), model), tmp_path / "work", Heard(), store, CACHE)
    assert built.path.is_file()
    assert shelves == ()
    assert list(store.list("memory://")) == []


def test_a_second_audit_takes_the_build_and_stores_nothing(store: Store, model: LoadedModel, tmp_path: Path) -> None:
    backend = Dear()
    assert isinstance(backend, Keeping)
    build_or_take(order(backend, model), tmp_path / "a", Heard(), store, CACHE)
    before = list(store.list(CACHE))
    for number, name in enumerate(("fp16", "renamed")):
        _, shelves = build_or_take(order(backend, model, name=name), tmp_path / f"b{number}", Heard(), store, CACHE)
        for shelf in shelves:
            shelf.keep()
    assert backend.built == ["fp16"]
    assert list(store.list(CACHE)) == before


def test_candidates_share_the_timings_of_one_device(store: Store, model: LoadedModel, tmp_path: Path) -> None:
    backend = Dear()
    for number, precision in enumerate(("fp16", "bf16", "fp32")):
        build_or_take(order(backend, model, precision), tmp_path / str(number), Heard(), store, CACHE)
    assert timings_in(store, backend) == b"fp16\nbf16\nfp32\n"

    # The engine is gone, its timings are not; what is grown while measuring is kept at the end.
    other = Dear()
    _, shelves = build_or_take(order(other, model, "fp16"), tmp_path / "new", Heard(), store, f"{CACHE}/")
    other.time(tmp_path / "new" / SHARED / FILE, "probe")
    for shelf in shelves:
        shelf.keep()
    assert (other.built, other.timed) == ([], ["probe"])
    assert timings_in(store, backend) == b"fp16\nbf16\nfp32\nprobe\n"

    elsewhere = Dear("another gpu")
    build_or_take(order(elsewhere, model), tmp_path / "elsewhere", Heard(), store, CACHE)
    assert (elsewhere.built, elsewhere.timed) == (["fp16"], ["fp16"])
    assert timings_in(store, backend) == b"fp16\nbf16\nfp32\nprobe\n"


@pytest.mark.parametrize("damage", [b"", b"no timings", bytes(range(256))])
def test_damaged_timings_break_no_build(store: Store, model: LoadedModel, damage: bytes, tmp_path: Path) -> None:
    backend = Dear()
    uri = f"{shared_uri(CACHE, backend)}/{FILE}"
    store.put(uri, sealed(damage, uri))
    build_or_take(order(backend, model), tmp_path / "work", Heard(), store, CACHE)
    assert timings_in(store, backend) == b"fp16\n"


def test_timings_that_are_no_file_are_replaced(model: LoadedModel, tmp_path: Path) -> None:
    cache, backend, store = f"file://{tmp_path}/cache", Dear(), open_store(Storage())
    path = Path(f"{shared_uri(cache, backend)}/{FILE}".removeprefix("file://"))
    path.parent.mkdir(parents=True)
    for number, made in enumerate(("a pipe", "a link that leads nowhere")):
        os.mkfifo(path) if made == "a pipe" else path.symlink_to(tmp_path / "gone")
        backend.built, heard = [], Heard()
        wanted = replace(order(backend, model), versions=str(number))
        built, _ = build_or_take(wanted, tmp_path / f"a{number}", heard, store, cache)
        assert backend.built == ["fp16"]
        assert [note.partition(" (")[0] for note in built.notes if "cached" in note] == [
            "the cached timing cache did not match its digest"
        ]
        assert unsealed(path.read_bytes(), f"file://{path}") == b"fp16\n"
        path.unlink()
    _, shelves = build_or_take(replace(order(backend, model), versions="2"), tmp_path / "b", Heard(), store, cache)
    path.unlink()
    os.mkfifo(path)
    backend.time(tmp_path / "b" / SHARED / FILE, "another")
    for shelf in shelves:
        shelf.keep()
    assert unsealed(path.read_bytes(), f"file://{path}") == b"fp16\nanother\n"


def test_timings_stored_meanwhile_are_taken_in(store: Store, model: LoadedModel, tmp_path: Path) -> None:
    backend = Dear()
    _, shelves = build_or_take(order(backend, model, "fp16"), tmp_path / "a", Heard(), store, CACHE)
    build_or_take(order(Dear(), model, "bf16"), tmp_path / "b", Heard(), store, CACHE)
    backend.time(tmp_path / "a" / SHARED / FILE, "probe")
    for shelf in shelves:
        shelf.keep()
    assert timings_in(store, backend) == b"fp16\nprobe\nbf16\n"
    backend.time(tmp_path / "a" / SHARED / FILE, "another")
    for shelf in shelves:
        shelf.keep()
    assert timings_in(store, backend) == b"fp16\nprobe\nbf16\nanother\n"
    assert {path.name for path in (tmp_path / "a" / SHARED).iterdir()} == {FILE}


class Leaving:
    """A store out of which whatever a verb asks for is deleted in that moment."""

    def __init__(self, store: Store, verb: str) -> None:
        self.store = store
        self.verb = verb
        self.gone: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return self.leave if name == self.verb else getattr(self.store, name)

    def stat(self, uri: str) -> Stat | None:
        return None if uri in self.gone else self.store.stat(uri)

    def leave(self, uri: str, *_: Path) -> None:
        self.gone.add(uri)
        raise InvalidInput(f"{uri} does not exist")


@pytest.mark.parametrize(("verb", "timed"), [("get", ["fp16"]), ("read", ["fp16", "fp16"])])
def test_what_is_deleted_meanwhile_is_built_anew(
    store: Store, model: LoadedModel, verb: str, timed: list[str], tmp_path: Path
) -> None:
    backend = Dear()
    build_or_take(order(backend, model), tmp_path / "a", Heard(), store, CACHE)
    build_or_take(order(backend, model), tmp_path / "b", Heard(), cast(Store, Leaving(store, verb)), CACHE)
    assert (backend.built, backend.timed) == (["fp16", "fp16"], timed)
    assert timings_in(store, backend) == b"fp16\n"


def test_a_damaged_engine_is_built_again_with_the_timings_there_are(
    store: Store, model: LoadedModel, tmp_path: Path
) -> None:
    backend = Dear()
    build_or_take(order(backend, model), tmp_path / "a", Heard(), store, CACHE)
    folder = f"{CACHE}/engines/{order(backend, model).key()}"
    (plan,) = store.list(f"{folder}/engine-")
    store.put(plan.uri, b"another")
    plain, _ = build_or_take(order(OnnxRuntime(), model), tmp_path / "plain", Heard(), store, CACHE)
    built, _ = build_or_take(order(backend, model), tmp_path / "b", Heard(), store, CACHE)
    note = (
        f"the cached engine did not match its digest (engine.plan has 7 bytes and not 4) and was made again: {plan.uri}"
    )
    assert built.notes == (*plain.notes, note)
    assert (backend.built, backend.timed) == (["fp16", "fp16"], ["fp16"])
    again, _ = build_or_take(order(backend, model), tmp_path / "c", Heard(), store, CACHE)
    assert (again.notes, backend.built) == (plain.notes, ["fp16", "fp16"])


class Stopped:
    """A store that takes so many objects, and then no more: as if the pod had been killed meanwhile."""

    def __init__(self, store: Store, takes: int) -> None:
        self.store, self.takes = store, takes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def put(self, uri: str, content: bytes | Path, content_type: str = "") -> None:
        if not self.takes:
            raise Unavailable("stopped")
        self.takes -= 1
        self.store.put(uri, content)


@pytest.mark.parametrize("takes", [0, 1, 2, 3, 4])
def test_a_record_is_never_there_without_what_it_speaks_of(takes: int, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    shelf = Shelf(cast(Store, Stopped(store, takes)), f"{CACHE}/engines/key", folder)
    shelf.fetch()
    for name in ("engine.json", "engine.plan", "weights.bin"):
        (folder / name).write_text(name)
    try:
        shelf.keep()
    except Unavailable:
        assert takes < 4
    there = {Path(stat.uri).name for stat in store.list(f"{CACHE}/")}
    assert len(there) == takes
    assert (shelf_module.RECORD in there) == (takes == 4)


def test_what_grows_while_an_audit_measures_is_kept_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layers that checks build and time to look into an engine; every audit would time them again."""
    backend = Growing()
    monkeypatch.setattr("assay_runner.tasks.candidate.BACKENDS", {"onnxruntime": backend})
    good(tmp_path)
    assert run(tmp_path, capsys).code == 0
    assert report_of(tmp_path).verdict == "Passed"
    [kept] = (tmp_path / "out").rglob(FILE)
    assert unsealed(kept.read_bytes(), kept.as_uri()) == b"fp32\nprobe\n"


def test_timings_that_grew_too_large_are_begun_anew(
    store: Store, model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Dear()
    uri = f"{shared_uri(CACHE, backend)}/{FILE}"
    content = sealed(b"fp32\nbf16\n", uri)
    store.put(uri, content)
    monkeypatch.setattr(shelf_module, "MOST_SHARED", len(content) - 1)
    build_or_take(order(backend, model), tmp_path / "work", Heard(), store, CACHE)
    assert timings_in(store, backend) == b"fp16\n"


def test_audits_of_a_test_session_share_timings_and_nothing_else(
    store: Store, model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STAYS, str(tmp_path / "timings"))
    backend = Dear()
    for name in ("a", "b"):
        shared_by_audits(tmp_path / name / "cache")
        build_or_take(
            order(backend, model), tmp_path / name / "work", Heard(), store, f"file://{tmp_path}/{name}/cache"
        )
    workdir = shared_by_builds(backend, tmp_path / "c")
    (workdir / KEPT).mkdir()
    order(backend, model).build(workdir, Heard())
    assert (backend.built, backend.timed) == (["fp16", "fp16", "fp16"], ["fp16"])


def test_the_key_is_of_what_a_build_depends_on(model: LoadedModel) -> None:
    same = {order(Dear(), model, name=name).key() for name in ("a", "b")}
    others = {order(Dear("another gpu"), model).key(), order(Dear(), model, "bf16").key()}
    assert len(same) == 1
    assert len(same | others) == 3
    shapes = {"x": Extents((1, 4), (2, 4), (2, 4))}
    first = order(Dear(), model)
    assert BuildRequest(first.backend, model, first.order, None, "versions", shapes).key() not in same
    plain = order(OnnxRuntime(), model)
    assert BuildRequest(plain.backend, model, plain.order, None, "versions", shapes).key() == plain.key()


@pytest.mark.parametrize("layers", [(), ({"nodes": "Exp", "precision": "fp32"},)], ids=["plain", "held"])
def test_a_build_of_the_cache_tells_what_the_one_that_was_made_told(
    layers: tuple[dict[str, str], ...], store: Store, tmp_path: Path
) -> None:
    """What control flow hides, and what is held wider: `finite` and `fp16Range` would pass without it."""
    product = [node("MatMul", "z w", "logits")]
    proto = branching()
    proto.graph.node.extend(product)
    proto.graph.initializer.append(constant("w", random(4, 3)))
    proto.graph.output[0].CopyFrom(value("logits", "N", 3))
    shard(tmp_path / "calib" / "part.npz", x=random(8, 4))
    made = loaded(proto, tmp_path)
    calibration = open_dataset(store, Source(uri=f"file://{tmp_path}/calib/"), made, tmp_path / "scratch")
    backend = {"backend": "tensorrt", "layers": list(layers)} if layers else {"backend": "onnxruntime"}
    fields = {"name": "int8", "precision": "int8", **backend}
    asked = parse(Candidate, fields | {"calibration": {"uri": "file:///c/"}})
    request = BuildRequest(OnnxRuntime(), made, order_of(asked, made.path), calibration, "versions", {})
    heard = {name: Heard() for name in ("a", "b", "c")}
    first, second = (build_or_take(request, tmp_path / name, heard[name], store, CACHE)[0] for name in ("a", "b"))
    assert first.hidden
    assert second.cached
    assert replace(second, path=first.path, folder=first.folder, cached=False) == first
    taken = "build taken from the cache"
    assert (taken in heard["a"].notes, taken in heard["b"].notes) == (False, True)

    [file] = [stat for stat in store.list(f"{CACHE}/build/") if stat.uri.endswith(".onnx")]
    store.put(file.uri, b"another")
    third, _ = build_or_take(request, tmp_path / "c", heard["c"], store, CACHE)
    [note] = third.notes[len(first.notes) :]
    assert "the cached build did not match its digest" in note
    assert note in heard["c"].notes
    assert replace(third, path=first.path, folder=first.folder, notes=first.notes) == first
