"""What TensorRT's backend keeps to look into a build goes with it, and nothing of another build."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_runner.backends import Built
from assay_runner.backends.seams import KEPT
from assay_runner.backends.tensorrt import TensorRT
from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.plans import PLAN, RECORD
from assay_runner.backends.tensorrt.probes import SEGMENTS, Probes, marked_plan
from assay_runner.errors import Unsupported
from tests.models import Heard, loaded, mlp
from tests.orders import ordered
from tests.runner.engines.versions import TEN


def made(backend: TensorRT, folder: Path) -> Built:
    """A build as it stands after it was looked into."""
    source = loaded(mlp(), folder).path
    recipe = Recipe(source, settings(ordered("fp16"), TEN), {})
    backend._probes[folder] = Probes(recipe, (), folder, Heard())
    (folder / KEPT).mkdir()
    (folder / SEGMENTS).mkdir()
    kept = (folder / KEPT / PLAN, folder / KEPT / RECORD)
    derived = (
        marked_plan(folder, {"h1"}),
        folder / KEPT / "segments-0123.plan",
        folder / KEPT / "output-0123.plan",
        folder / SEGMENTS / "model.onnx",
    )
    for path in (*kept, *derived):
        path.write_bytes(path.name.encode())
    return Built("tensorrt", "fp16", folder / KEPT / PLAN, source, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_release_takes_what_was_derived_and_leaves_all_else(tmp_path: Path) -> None:
    backend = TensorRT()
    first, second = made(backend, tmp_path / "a"), made(backend, tmp_path / "b")
    other = files(second.folder)
    for _ in range(2):
        backend.release(first)
    assert list(backend._probes) == [second.folder]
    assert files(second.folder) == other
    assert {name for name in files(first.folder) if name.startswith((KEPT, SEGMENTS))} == {
        f"{KEPT}/{PLAN}",
        f"{KEPT}/{RECORD}",
    }
    with pytest.raises(Unsupported, match="it was released"):
        backend._probes_of(first)
