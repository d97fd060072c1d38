"""What looks into an engine is built in its own types; where that cannot be, as the builder chooses, and it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay_runner.backends.seams import KEPT
from assay_runner.backends.tensorrt import probes
from assay_runner.backends.tensorrt.building import Product, Recipe
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.probes import Probes, marked_plan
from assay_runner.errors import AuditError, CannotBuild, Died
from assay_runner.evidence.engine import EngineLayer
from tests.models import Heard, loaded, mlp
from tests.orders import ordered
from tests.runner.engines.versions import TEN


def looking(folder: Path, monkeypatch: pytest.MonkeyPatch, refused: AuditError | None) -> tuple[Probes, list[Recipe]]:
    """Probes into an engine whose layers ran in FP16, and the recipes that were built; `refused`: in those types."""
    asked: list[Recipe] = []

    def build(recipe: Recipe, *_: Any) -> Product:
        asked.append(recipe)
        if refused and recipe.settings.obeys:
            raise refused
        return Product(b"obeys" if recipe.settings.obeys else b"free", 1.0, ())

    monkeypatch.setattr(probes, "build", build)
    source = loaded(mlp(), folder).path
    (folder / KEPT).mkdir()
    layers = (EngineLayer(name="fc", type="CaskConvolution", precision="FP16", nodes=("fc1",)),)
    return Probes(Recipe(source, settings(ordered("fp16"), TEN), {}), layers, folder, Heard()), asked


def test_a_probe_is_built_in_the_engines_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = looking(tmp_path, monkeypatch, None)
    assert found.marked({"h1"}).read_bytes() == b"obeys"
    assert asked[0].held["fc1"] == "fp16"
    assert not found._free


@pytest.mark.parametrize(
    "refused", [CannotBuild("no implementation"), Died("it ended by SIGSEGV")], ids=lambda e: type(e).__name__
)
def test_where_that_cannot_be_the_builder_chooses_and_it_is_told_once(
    refused: AuditError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = looking(tmp_path, monkeypatch, refused)
    assert found.marked({"h1"}).read_bytes() == b"free"
    assert found.marked({"h2"}).read_bytes() == b"free"
    assert [recipe.settings.obeys for recipe in asked] == [True, False, False]
    (told,) = found._free
    assert str(refused) in told


def test_one_output_more_is_left_to_the_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = looking(tmp_path, monkeypatch, None)
    plan = found.with_output("h1")
    assert plan.read_bytes() == b"free"
    assert plan != marked_plan(tmp_path, {"h1"})
