"""Files of dear builds lie in the store by what they were made from, and come back whole; timings are everybody's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from assay_api.audit import Candidate, Storage
from assay_api.model import parse
from assay_runner import shelves as shelf_module
from assay_runner.backends.backend import NOTHING, Built
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.seams import KEPT, SHARED, Keeping
from assay_runner.build_cache import Order, build_or_take, shared_uri
from assay_runner.errors import InvalidInput
from assay_runner.models import LoadedModel
from assay_runner.sealed import sealed, unsealed
from assay_runner.shelves import Shelf
from assay_runner.stores import Stat, Store, open_store
from assay_runner.tensors import Batches, Extents, Progress
from tests.models import Heard, convolutions, loaded
from tests.timings import STAYS, shared_by_audits, shared_by_builds

CACHE = "memory://cache"
FILE = "timing.cache"


class Dear(OnnxRuntime):
    """ONNX Runtime as if its builds were dear: it counts them, and times a layer per precision unless SHARED knows it.

    Attributes:
        built: builds that found nothing kept.
        timed: layers that were timed.
    """

    def __init__(self, device: str = "gpu") -> None:
        self.device = device
        self.built: list[str] = []
        self.timed: list[str] = []

    def identity(self) -> str:
        return self.device

    def merge(self, ours: Path, theirs: Path) -> None:
        ours.write_text("".join(f"{line}\n" for line in dict.fromkeys((*lines(ours), *lines(theirs)))))

    def build(
        self,
        model: LoadedModel,
        candidate: Candidate,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        kept, timings = workdir / KEPT / "engine.plan", workdir / SHARED / FILE
        if not kept.is_file():
            self.built.append(str(candidate.precision))
            self.time(timings, str(candidate.precision))
            kept.write_text("plan")
        return super().build(model, candidate, calibration, workdir, progress, shapes)

    def time(self, timings: Path, layer: str) -> None:
        known = lines(timings)
        if layer not in known:
            self.timed.append(layer)
            timings.write_text("".join(f"{line}\n" for line in (*known, layer)))


def lines(path: Path) -> list[str]:
    """Layers that a file knows; none where the file is not there or not whole."""
    content = path.read_bytes() if path.is_file() else b""
    return content.decode(errors="replace").split("\n")[:-1] if content.endswith(b"\n") else []


@pytest.fixture
def store() -> Store:
    return open_store(Storage())


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return loaded(convolutions(), tmp_path)


def timings_in(store: Store, backend: Keeping) -> bytes | None:
    uri = f"{shared_uri(CACHE, backend)}/{FILE}"
    return unsealed(store.read(uri), uri)


def order(backend: OnnxRuntime, model: LoadedModel, precision: str = "fp16", name: str = "") -> Order:
    fields = {"name": name or precision, "backend": "onnxruntime", "precision": precision}
    return Order(backend, model, parse(Candidate, fields), None, "versions", {})


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
    assert Order(first.backend, model, first.candidate, None, "versions", shapes).key() not in same
    plain = order(OnnxRuntime(), model)
    assert Order(plain.backend, model, plain.candidate, None, "versions", shapes).key() == plain.key()
