"""From an ONNX model to a serialised engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assay_runner.backends.tensorrt.calibrator import raise_swallowed
from assay_runner.backends.tensorrt.configuration import Settings
from assay_runner.backends.tensorrt.holding import hold
from assay_runner.backends.tensorrt.library import has_flag, logger, reason, said, tensorrt
from assay_runner.backends.tensorrt.progress import monitor
from assay_runner.errors import AuditError, InvalidInput, Unavailable, Unsupported
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
        timing_cache: file of the timing cache, read where it is there, written after the build.
        outputs: tensors that become outputs besides the model's own.
        calibrator: makes the calibrator for a network, or None.
    """

    source: Path
    settings: Settings
    extents: Mapping[str, Extents]
    held: Mapping[str, str] = field(default_factory=dict)
    timing_cache: Path | None = None
    outputs: Collection[str] = ()
    calibrator: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Product:
    """A serialised engine.

    Attributes:
        plan: its bytes.
        seconds: the build took.
        warnings: what the builder had to say.
        shown: tensors that became outputs; those that TensorRT's network does not have are missing.
    """

    plan: bytes
    seconds: float
    warnings: tuple[str, ...]
    shown: tuple[str, ...] = ()


def build(recipe: Recipe, progress: Progress, what: str = "build") -> Product:
    """Build an engine.

    Raises:
        InvalidInput: the model cannot be parsed or built so.
        Unsupported: this TensorRT lacks an option that is asked for.
        Unavailable: device memory ran out.
    """
    trt = tensorrt()
    mark, start = len(logger().lines), time.monotonic()
    progress.stage(what)
    builder = trt.Builder(logger())
    network = builder.create_network(_creation_flags(trt, recipe.settings))
    _parse(trt, network, recipe.source, mark)
    shown = _show(trt, network, recipe.outputs)
    hold(trt, network, recipe.held, recipe.source)
    config = _config(trt, builder, network, recipe)
    config.progress_monitor = monitor(progress, what)
    plan = builder.build_serialized_network(network, config)
    if recipe.calibrator is not None:
        raise_swallowed(config.int8_calibrator)
    if plan is None:
        raise _failure(mark)
    if recipe.timing_cache is not None:
        recipe.timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return Product(bytes(plan), time.monotonic() - start, said(mark)[:MOST_WARNINGS], shown)


def _creation_flags(trt: Any, settings: Settings) -> int:
    names = {"EXPLICIT_BATCH"} if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") else set()
    if settings.typing == "strong":
        names.add("STRONGLY_TYPED")
    return sum(1 << int(getattr(trt.NetworkDefinitionCreationFlag, name)) for name in names)


def _parse(trt: Any, network: Any, source: Path, mark: int) -> None:
    parser = trt.OnnxParser(network, logger())
    # By path, not by bytes: external data are looked for beside the file.
    if parser.parse_from_file(str(source)):
        return
    if parser.num_errors == 0:
        raise InvalidInput(f"TensorRT's parser refuses {source.name}: {reason(mark)}")
    error = parser.get_error(0)
    node = getattr(error, "node_name", str)()
    operator = getattr(error, "node_operator", str)()
    where = f" at node {node!r} ({operator})" if node else f" at {operator}" if operator else ""
    text = " ".join(str(error.desc()).split())[:300].rstrip(" .")
    raise InvalidInput(f"TensorRT's parser refuses {source.name}{where}: {text}")


def _show(trt: Any, network: Any, wanted: Collection[str]) -> tuple[str, ...]:
    """Make tensors outputs, as far as the network has them; the model's own outputs stay the first."""
    if not wanted:
        return ()
    names = {network.get_output(index).name for index in range(network.num_outputs)}
    shown = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        for number in range(layer.num_outputs):
            tensor = layer.get_output(number)
            if tensor is None or tensor.name not in wanted:
                continue
            if tensor.name not in names and not tensor.is_shape_tensor:
                network.mark_output(tensor)
                names.add(tensor.name)
            if tensor.name in names:
                shown.append(tensor.name)
    return tuple(shown)


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
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _timing_cache(config, recipe.timing_cache)
    _profile(builder, network, config, recipe.extents, calibrates=recipe.calibrator is not None)
    if recipe.calibrator is not None:
        config.int8_calibrator = recipe.calibrator(network)
    return config


def _set_flag(trt: Any, config: Any, name: str) -> None:
    if not has_flag(name):
        raise Unsupported(f"TensorRT {trt.__version__} has no builder flag {name}: remove it from build.flags")
    config.set_flag(getattr(trt.BuilderFlag, name))


def _timing_cache(config: Any, path: Path | None) -> None:
    content = path.read_bytes() if path is not None and path.is_file() else b""
    cache = config.create_timing_cache(content)
    # One of another GPU or version is refused, not used: then an empty one takes its place.
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _profile(builder: Any, network: Any, config: Any, extents: Mapping[str, Extents], calibrates: bool) -> None:
    if not extents:
        return
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        if name in extents:
            shapes = extents[name]
            profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
    config.add_optimization_profile(profile)
    if calibrates:
        config.set_calibration_profile(profile)


def _failure(mark: int) -> AuditError:
    text = reason(mark)
    if "out of memory" in text.lower() or "OutOfMemory" in text:
        return Unavailable(f"building needs more device memory than there is: set build.workspace lower ({text})")
    return InvalidInput(f"TensorRT cannot build the engine: {text}")
