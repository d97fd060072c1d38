"""From an order to the recipe of its engine, and what tells one recipe from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay_runner.backends.order import BuildOrder, Quantisation
from assay_runner.backends.seams import GIVEN, KEPT, SHARED
from assay_runner.backends.tensorrt import timing
from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.calibrator import calibrator
from assay_runner.backends.tensorrt.configuration import Offered, extents, settings
from assay_runner.backends.tensorrt.device import device
from assay_runner.backends.tensorrt.library import (
    implicit_calibration,
    load_plugins,
    selects_tactics,
    tensorrt,
    weak_typing,
)
from assay_runner.backends.tensorrt.plans import RANGES
from assay_runner.backends.tensorrt.session import dtypes
from assay_runner.backends.tensorrt.source import source_model, truly_named
from assay_runner.digests import file_sha256
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress


def offered() -> Offered:
    """What is here."""
    return Offered(
        weak_typing(), implicit_calibration(), device().capability, str(tensorrt().__version__), selects_tactics()
    )


def identity() -> str:
    """TensorRT, driver and GPU."""
    gpu = device()
    version, (major, minor) = tensorrt().__version__, gpu.capability
    return f"tensorrt {version} driver {gpu.driver} {gpu.name} sm_{major}{minor}"


def recipe_of(
    model: LoadedModel,
    order: BuildOrder,
    calibration: Batches | None,
    workdir: Path,
    progress: Progress,
    shapes: Mapping[str, Extents],
) -> tuple[Recipe, tuple[str, ...]]:
    """What the order's engine is made from, its plugins loaded; and what a reader must know of it.

    Raises:
        InvalidInput: the model cannot be read or quantised so, it has no node of a name that is held, shapes do not
            fit, a plugin cannot be loaded.
        Unsupported: this version or GPU does not have what is asked for.
    """
    order.check(model.path)
    chosen = settings(order, offered())
    load_plugins(chosen.options.plugins)
    source, notes = source_model(model, order, chosen, calibration, workdir / "source", progress)
    allowed = extents(model.inputs, order.options.profile, shapes)
    source, told = truly_named(source, model.inputs, allowed, workdir / "source")
    notes = (*notes, *told)
    shared = workdir / SHARED / timing.file_name(chosen.options)
    if order.timings:
        notes = (*notes, f"built with the timing cache of build.timingCache, SHA-256 {order.timings}")
    recipe = Recipe(
        source=source,
        settings=chosen,
        extents=allowed,
        held=order.held if chosen.obeys else {},
        timing_cache=workdir / GIVEN / timing.NAME if order.timings else shared,
        given=bool(order.timings),
        tactics={} if order.forbidden and order.tactics is None else order.tactics,
        forbidden=order.forbidden,
        most_tactics=order.most_tactics,
        route=order.route,
    )
    if chosen.implicit and order.quantisation and calibration is not None:
        ranges = workdir / KEPT / RANGES
        recipe = replace(recipe, calibrator=_calibrated(order.quantisation, calibration, ranges, progress))
        how = f"int8: ranges by TensorRT's own calibrator ({order.quantisation.method}), typing weak"
        notes = (*notes, how)
    return recipe, notes


def fingerprint(model: LoadedModel, order: BuildOrder, recipe: Recipe) -> str:
    """Of all that a plan is made from, so that none is taken for another's; calibration inputs are the caller's."""
    parts = (model.identity, order.canonical(), sorted(recipe.extents.items()), identity())
    # An image may bring another library by the same name.
    plugins = tuple(file_sha256(Path(plugin)) for plugin in recipe.settings.options.plugins)
    return hashlib.sha256(repr(parts + plugins).encode()).hexdigest()


def _calibrated(how: Quantisation, batches: Batches, cache: Path, progress: Progress) -> Any:
    def make(network: Any) -> Any:
        kinds = dtypes()
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        return calibrator(how.method, batches, {i.name: kinds[i.dtype] for i in inputs}, cache, progress)

    return make
