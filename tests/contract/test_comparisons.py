"""What every comparison must do, wherever its tensors lie: say of each what counting them in host memory says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_runner import errors
from assay_runner.backends import Backend, Built
from assay_runner.backends.seams import Comparing, Opening
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.passes.comparing import comparison
from assay_runner.passes.counts import Counts
from assay_runner.tensors import Array, Batch, Extents
from tests.contract.offered import OFFERED
from tests.lab import Unavailable
from tests.models import Heard, Samples, convolutions, loaded, random
from tests.orders import ordered
from tests.timings import shared_by_builds

X = random(10, 4, 9, 9, seed=1)
# One sample that overflows FP16 in the first convolution already.
X[6] *= 3e5
DATA = Samples({"x": X}, batch=4)
PADDED = Samples({"x": X}, batch=4, fixed=True)
SHAPES = {"x": Extents((1, 4, 9, 9), (4, 4, 9, 9), (4, 4, 9, 9))}


@pytest.fixture(scope="module", params=sorted(OFFERED))
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen = OFFERED[request.param]
    try:
        chosen.available()
    except errors.Unavailable as error:
        raise Unavailable(str(error)) from error
    return chosen


@pytest.fixture(scope="module")
def built(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """In FP16, whatever a builder would rather take."""
    fields: dict[str, Any] = {"typing": "strong", "build": {"optimizationLevel": 0}}
    order = ordered("fp16", backend=backend.name, **(fields if backend.name == "tensorrt" else {}))
    folder = tmp_path_factory.mktemp("built")
    workdir = shared_by_builds(backend, folder / "built")
    return backend.build(loaded(convolutions(), folder), order, None, workdir, Heard(), SHAPES)


@contextmanager
def golden_runs(folder: Path) -> Iterator[list[tuple[Batch, dict[str, Array]]]]:
    made, _ = golden_model(loaded(convolutions(), folder / "golden"), "fp32", folder / "golden")
    with BACKEND.open_tapped(made) as session:
        yield [
            (batch, {name: np.array(array) for name, array in session.run(batch.inputs).items()}) for batch in PADDED
        ]


def test_figures_are_those_of_the_tensors_it_shows(backend: Backend, built: Built, tmp_path: Path) -> None:
    counts: dict[str, Counts] = {}
    with golden_runs(tmp_path) as runs, comparison(backend, built, local=False) as compared:
        for batch, golden in runs:
            compared.add(batch, dict(golden))
            for name, array in compared.show(batch, compared.shown).items():
                counts.setdefault(name, Counts()).add(
                    array, batch, golden[name], built.axes.of(name, array.shape, batch.fed)
                )
        found = compared.accumulated()
        assert found.keys() == counts.keys() == compared.shown
        for name, one in counts.items():
            wanted, seen = one.figures(), found[name]
            assert (seen.samples, seen.first, seen.own) == (wanted.samples, wanted.first, wanted.own), name
            assert (seen.low, seen.high, seen.golden_low) == (wanted.low, wanted.high, wanted.golden_low), name
            assert (seen.sums.elements, seen.sums.bad) == (wanted.sums.elements, wanted.sums.bad), name
            assert seen.sums.noise == pytest.approx(wanted.sums.noise, rel=1e-9), name
        assert found["logits"].samples == found["logits"].own == 1
        assert compared.batches == {4}


def test_outputs_are_the_models_own_and_golden_is_given_back(backend: Backend, built: Built, tmp_path: Path) -> None:
    with golden_runs(tmp_path) as runs, comparison(backend, built, local=False) as compared:
        batch, golden = runs[0]
        reference = golden["logits"]
        outputs = compared.add(batch, golden)
        compared.accumulated()
        assert not golden
    assert outputs.keys() == {"logits"}
    assert np.abs(outputs["logits"] - reference).max() < 0.05 * np.abs(reference).max()


def test_without_golden_only_what_is_not_finite_is_counted(backend: Backend, built: Built) -> None:
    with comparison(backend, built, local=False) as compared:
        for batch in DATA:
            compared.add(batch, {})
        found, local = compared.accumulated(), compared.local()
    assert not local
    assert all((figures.sums.elements, figures.own) == (0, None) for figures in found.values())
    assert (found["logits"].samples, found["logits"].first) == (1, 6)


def test_showing_counts_nothing(backend: Backend, built: Built) -> None:
    batch = next(iter(DATA))
    with comparison(backend, built, local=False) as compared:
        compared.add(batch, {})
        before = compared.accumulated()
        assert compared.show(batch, {"logits", "nowhere"}).keys() == {"logits"}
        assert compared.accumulated() == before


def test_a_part_that_fits_can_be_run(backend: Backend, built: Built) -> None:
    batch = next(iter(DATA))
    with comparison(backend, built, local=False) as compared:
        assert compared.fits(batch, 1) in (0, 1)
        assert compared.fits(batch, 1 << 40) == 0 or compared.fits(batch, 1 << 40) > batch.count


def test_local_errors_are_of_one_layer_alone(backend: Backend, built: Built, tmp_path: Path) -> None:
    with golden_runs(tmp_path) as runs, comparison(backend, built, local=True) as compared:
        batch, golden = runs[0]
        compared.add(batch, {name: golden[name] for name in compared.shown or golden})
        local, found = compared.local(), compared.accumulated()
    if not local:
        raise Unavailable(f"{backend.name} runs no segments here")
    assert local.keys() <= found.keys()
    assert local["logits"].elements == found["logits"].sums.elements
    assert local["logits"].snr > max(40, found["logits"].sums.snr - 6)


def test_what_is_fused_is_not_shown_before_it_is_split(backend: Backend, built: Built, tmp_path: Path) -> None:
    sites = {site.tensor for site in backend.sites(built)}
    with comparison(backend, built, local=False) as compared:
        compared.add(next(iter(DATA)), {})
        shown, fused = compared.shown, compared.fused
    assert shown <= sites
    assert not shown & fused
    if not isinstance(backend, Opening):
        assert not fused, "what is fused can be opened"
        return
    if not fused:
        raise Unavailable(f"{backend.name} fuses nothing of the small model here")
    layers = {name: layer for name in shown if (layer := backend.fused_layer(built, name))}
    assert layers
    for tensor, layer in layers.items():
        assert set(layer.tensors) <= fused
        with golden_runs(tmp_path) as runs, backend.open_inside(built, tensor) as split:
            split.add(*runs[0])
            assert {tensor, *layer.tensors} <= split.accumulated().keys()


def test_the_whole_graph_is_shown_where_that_is_asked_for(backend: Backend, built: Built) -> None:
    with comparison(backend, built, local=False, whole=True) as compared:
        compared.add(next(iter(DATA)), {})
        assert compared.shown == {site.tensor for site in backend.sites(built)}
        assert not compared.fused


def test_the_seams_are_told_apart() -> None:
    assert isinstance(OFFERED["fusing"], Comparing)
    assert isinstance(OFFERED["fusing"], Opening)
    assert not isinstance(OFFERED["onnxruntime"], Comparing)
