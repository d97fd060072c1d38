"""From an ONNX model to a serialised engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay_runner import interruption
from assay_runner.backends.tensorrt import timing
from assay_runner.backends.tensorrt.calibrator import end
from assay_runner.backends.tensorrt.configuration import Settings
from assay_runner.backends.tensorrt.hold_layers import hold
from assay_runner.backends.tensorrt.library import (
    excuse,
    has_flag,
    logger,
    mark,
    missing_library,
    new_builder,
    reason,
    said,
    tensorrt,
)
from assay_runner.backends.tensorrt.progress import monitor
from assay_runner.backends.tensorrt.sayings import Mark
from assay_runner.backends.tensorrt.tactics import Record, selector
from assay_runner.errors import AuditError, CannotBuild, Unavailable, Unsupported
from assay_runner.tensors import Extents, Progress

HARDWARE: Final = {"amperePlus": "AMPERE_PLUS", "sameComputeCapability": "SAME_COMPUTE_CAPABILITY"}
MOST_WARNINGS: Final = 50


@dataclass(frozen=True)
class Recipe:
    """Everything an engine is made from.

    Attributes:
        source: the ONNX model.
        settings: how.
        extents: shapes of the inputs that have free axes.
        held: precision by node name.
        timing_cache: file of the timing cache, read where it is there, written when the build has grown it.
        given: whether the timing cache is one that the user brought: it must be taken.
        outputs: tensors that become outputs besides the model's own.
        unfused: whether tensors that survive fusion are marked for a listener.
        calibrator: makes the calibrator for a network, or None.
        tactics: what layers are held to, as `BuildOrder.tactics` has it; None: no record is kept.
        forbidden: what layers must not run where they have another; only where a record is kept.
        most_tactics: see `BuildOrder`.
        route: see `BuildOrder`.
    """

    source: Path
    settings: Settings
    extents: Mapping[str, Extents]
    held: Mapping[str, str] = field(default_factory=dict)
    timing_cache: Path | None = None
    given: bool = False
    outputs: Collection[str] = ()
    unfused: bool = False
    calibrator: Callable[[Any], Any] | None = None
    tactics: Mapping[str, str] | None = None
    forbidden: Mapping[str, Collection[str]] = field(default_factory=dict)
    most_tactics: int | None = None
    route: str = ""


@dataclass(frozen=True)
class Product:
    """A serialised engine.

    Attributes:
        plan: its bytes.
        seconds: the build took.
        warnings: what the builder had to say.
        tactics: of each layer, where the recipe asks for a record.
        timed: tactic of each key of the timing cache, where the recipe's flags ask for an editable one.
    """

    plan: bytes
    seconds: float
    warnings: tuple[str, ...]
    tactics: Mapping[str, str] | None = None
    timed: Mapping[str, str] | None = None


def build(recipe: Recipe, progress: Progress, what: str = "build") -> Product:
    """Build an engine.

    Raises:
        InvalidInput: a layer does not run the tactic it is held to.
        CannotBuild: TensorRT parses or builds the model not so.
        Unsupported: this TensorRT lacks an option that is asked for.
        Unavailable: device memory ran out.
    """
    trt = tensorrt()
    since, start = mark(), time.monotonic()
    progress.stage(what)
    builder = new_builder()
    network = builder.create_network(_creation_flags(trt, recipe.settings))
    _parse(trt, network, recipe.source, since)
    _show(network, recipe.outputs)
    if recipe.unfused and not network.mark_unfused_tensors_as_debug_tensors():
        raise Unsupported(f"TensorRT {trt.__version__} cannot mark unfused tensors")
    hold(trt, network, recipe.held, recipe.source)
    config = _config(trt, builder, network, recipe)
    config.progress_monitor = monitor(progress, what)
    record = None if recipe.tactics is None else Record(recipe.tactics, recipe.forbidden)
    if record is not None:
        config.algorithm_selector = selector(trt, record)
    # An exception in the monitor is printed by TensorRT, traceback and all; told to, it stops at its next step.
    with interruption.postponed():
        plan = builder.build_serialized_network(network, config)
    if recipe.calibrator is not None:
        end(config.int8_calibrator)
    if plan is None:
        raise _failure(since)
    if timings := _timing_cache(config, recipe):
        timing.keep(config, timings)
    if record is not None:
        record.check()
    tactics = record.chosen if record is not None else None
    timed = timing.entries(config) if timing.EDITABLE in recipe.settings.flags else None
    return Product(bytes(plan), time.monotonic() - start, said(since)[:MOST_WARNINGS], tactics, timed)


def _creation_flags(trt: Any, settings: Settings) -> int:
    names = {"EXPLICIT_BATCH"} if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") else set()
    if settings.typing == "strong":
        names.add("STRONGLY_TYPED")
    return sum(1 << int(getattr(trt.NetworkDefinitionCreationFlag, name)) for name in names)


def _parse(trt: Any, network: Any, source: Path, since: Mark) -> None:
    parser = trt.OnnxParser(network, logger())
    # By path, not by bytes: external data are looked for beside the file.
    if parser.parse_from_file(str(source)):
        return
    if parser.num_errors == 0:
        raise CannotBuild(f"TensorRT's parser refuses the model: {reason(since)}")
    error = parser.get_error(0)
    node = getattr(error, "node_name", str)()
    operator = getattr(error, "node_operator", str)()
    where = f" at node {node!r} ({operator})" if node else f" at {operator}" if operator else ""
    text = " ".join(str(error.desc()).split())[:300].rstrip(" .")
    raise CannotBuild(f"TensorRT's parser refuses the model{where}: {text}")


def _show(network: Any, wanted: Collection[str]) -> None:
    """Make tensors outputs, as far as the network has them; the model's own outputs stay the first."""
    names = {network.get_output(index).name for index in range(network.num_outputs)}
    for index in range(network.num_layers if wanted else 0):
        layer = network.get_layer(index)
        for number in range(layer.num_outputs):
            tensor = layer.get_output(number)
            if tensor is None or tensor.name not in wanted or tensor.name in names or tensor.is_shape_tensor:
                continue
            network.mark_output(tensor)
            names.add(tensor.name)


def _config(trt: Any, builder: Any, network: Any, recipe: Recipe) -> Any:
    settings, options = recipe.settings, recipe.settings.options
    config = builder.create_builder_config()
    for name in settings.flags:
        _set_flag(trt, config, name)
    if settings.tf32:
        _set_flag(trt, config, "TF32")
    else:
        config.clear_flag(trt.BuilderFlag.TF32)
    if settings.obeys:
        _set_flag(trt, config, "OBEY_PRECISION_CONSTRAINTS")
    if settings.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.hardware_compatibility != "none":
        name = HARDWARE[options.hardware_compatibility]
        if not hasattr(trt.HardwareCompatibilityLevel, name):
            raise Unsupported(f"TensorRT {trt.__version__} has no hardware compatibility level {name}")
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, name)
    if options.plugins:
        config.plugins_to_serialize = []
    _narrow(trt, config, recipe)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if timings := _timing_cache(config, recipe):
        since = mark()
        if recipe.given:
            _take(config, timings, since)
        elif not timing.lend(config, timings):
            excuse(since, "the timing cache is not used, so every layer is timed again")
    calibrator = recipe.calibrator(network) if recipe.calibrator is not None else None
    _profile(builder, network, config, recipe.extents, calibrator.shapes if calibrator is not None else {})
    if calibrator is not None:
        config.int8_calibrator = calibrator
    return config


def _take(config: Any, timings: Path, since: Mark) -> None:
    """Take a timing cache that was given, or tell why TensorRT does not, in its own words where it has some."""
    try:
        timing.take(config, timings)
    except CannotBuild as error:
        words = f" ({reason(since)})" if said(since) else ""
        raise CannotBuild(f"{error}{words}") from error


def _narrow(trt: Any, config: Any, recipe: Recipe) -> None:
    """Leave the builder fewer ways."""
    if recipe.most_tactics is not None and hasattr(config, "max_num_tactics"):
        config.max_num_tactics = recipe.most_tactics
    if recipe.route:
        if not hasattr(config, "build_route"):
            raise Unsupported(f"TensorRT {trt.__version__} has no build routes")
        config.build_route = recipe.route


def _set_flag(trt: Any, config: Any, name: str) -> None:
    if not has_flag(name):
        raise Unsupported(f"TensorRT {trt.__version__} has no builder flag {name}: remove it from build.flags")
    config.set_flag(getattr(trt.BuilderFlag, name))


def _timing_cache(config: Any, recipe: Recipe) -> Path | None:
    """None too where the candidate's flags say that every layer is to be timed anew."""
    return None if config.get_flag(tensorrt().BuilderFlag.DISABLE_TIMING_CACHE) else recipe.timing_cache


def _profile(
    builder: Any, network: Any, config: Any, extents: Mapping[str, Extents], calibrated: Mapping[str, tuple[int, ...]]
) -> None:
    if not extents:
        return
    profile, calibration = builder.create_optimization_profile(), builder.create_optimization_profile()
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        if name not in extents:
            continue
        shapes = extents[name]
        profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
        if name in calibrated:
            calibration.set_shape(name, *(calibrated[name],) * 3)
    config.add_optimization_profile(profile)
    if calibrated:
        # A calibrator reads as many bytes as this profile's shapes have, whatever it was given.
        config.set_calibration_profile(calibration)


def _failure(since: Mark) -> AuditError:
    text = reason(since)
    if "out of memory" in text.lower() or "OutOfMemory" in text:
        return Unavailable(f"building needs more device memory than there is: set build.workspace lower ({text})")
    if missing := missing_library(text):
        return Unsupported(missing)
    return CannotBuild(f"TensorRT cannot build the engine: {text}")
