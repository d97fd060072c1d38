"""Files of dear builds lie in the store by what they were made from, and come back whole."""

from __future__ import annotations

from pathlib import Path

from assay_api.audit import Storage
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.build_cache import Shelf, shelf
from assay_runner.stores import open_store
from assay_runner.tensors import Extents, covering


def test_what_is_kept_is_fetched_again_and_only_changes_are_stored(tmp_path: Path) -> None:
    store, uri = open_store(Storage()), f"file://{tmp_path}/store/engines/key"
    first = Shelf(store, uri, tmp_path / "a")
    first.fetch()
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "a" / "engine.plan").write_bytes(b"plan")
    (tmp_path / "a" / "engine.json").write_text("{}")
    first.keep()
    before = store.stat(f"{uri}/engine.plan")
    (tmp_path / "a" / "timing.cache").write_bytes(b"t")
    first.keep()
    assert store.stat(f"{uri}/engine.plan") == before

    second = Shelf(store, uri, tmp_path / "b")
    second.fetch()
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == {
        "engine.plan": b"plan",
        "engine.json": b"{}",
        "timing.cache": b"t",
    }


def test_cheap_builds_have_no_shelf(tmp_path: Path) -> None:
    nothing: dict[str, Extents] = {}
    assert shelf(OnnxRuntime(), None, None, None, tmp_path, open_store(Storage()), "file:///c", "v", nothing) is None  # type: ignore[arg-type]


def test_a_profile_covers_data_and_calibration() -> None:
    data = {"x": Extents((1, 8), (4, 8), (4, 8))}
    calibration = {"x": Extents((1, 4), (16, 4), (16, 4))}
    assert covering(data, calibration) == {"x": Extents((1, 4), (4, 8), (16, 8))}
