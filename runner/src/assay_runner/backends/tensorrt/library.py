"""TensorRT's Python package and what this version of it can do: asked by name, never by version number."""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from assay_runner.backends.backend import EMULATED_INSTEAD
from assay_runner.backends.tensorrt.sayings import Mark, Sayings
from assay_runner.errors import InvalidInput, Unsupported

WAY_OUT: Final = EMULATED_INSTEAD
DRIVER: Final = Path("/dev/nvidiactl")
LEAN: Final = "libnvinfer_lean"
_MISSING: Final = re.compile(r"Unable to load library: (\S+?\.so[.\d]*)")
_SAYINGS: Final = Sayings()


def check_available() -> None:
    """Do nothing where engines can be built and run.

    Raises:
        Unsupported: no driver, no device, no bindings, or bindings without their library; one sentence says which.
    """
    if not DRIVER.exists():
        raise Unsupported(f"backend tensorrt needs an NVIDIA GPU and its driver, and finds neither; {WAY_OUT}")
    if importlib.util.find_spec("tensorrt") is None:
        raise Unsupported(f"backend tensorrt needs the TensorRT Python package in the runner's image; {WAY_OUT}")
    if importlib.util.find_spec("cuda") is None:
        raise Unsupported(
            f"backend tensorrt needs cuda-python: install assay-runner with its extra gpu in the image; {WAY_OUT}"
        )
    tensorrt()
    from assay_runner.backends.tensorrt.device import check_device

    check_device()


def tensorrt() -> Any:
    """The module.

    Raises:
        Unsupported: it cannot be loaded: its library is missing, or is another version.
    """
    try:
        import tensorrt as module
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Unsupported(f"the TensorRT Python package cannot load its library ({reason}); {WAY_OUT}") from error
    return module


@cache
def logger() -> Any:
    """The one logger of this process: TensorRT keeps the first it is given."""
    base: Any = tensorrt().ILogger

    class Log(base):  # type: ignore[misc]
        """Remembers warnings and errors, so that they reach the report and not the terminal."""

        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            _SAYINGS.say(int(severity), msg)

    return Log()


@cache
def _resident() -> Any:
    made = tensorrt().Builder(logger())
    # Before Python takes modules apart, and CUDA its context.
    atexit.register(_resident.cache_clear)
    return made


def new_builder() -> Any:
    """A builder for one network.

    Another one stays as long as the process does: TensorRT loads its kernels, which takes seconds, whenever it makes a
    builder and there is no other, and an audit builds several engines.
    """
    _resident()
    return tensorrt().Builder(logger())


def mark() -> Mark:
    """Now, for `said` and its like; to be held only as long as it is needed, for what is said since is kept."""
    return _SAYINGS.mark()


def said(since: Mark) -> tuple[str, ...]:
    """Warnings and errors since a mark, each once, errors first."""
    return _SAYINGS.since(since)


def reason(since: Mark) -> str:
    """The first error since a mark, for a sentence; what TensorRT calls an internal error is its word, not ours."""
    return next(iter(said(since)), "TensorRT gives no reason")[:400].rstrip(" .")


def excuse(since: Mark, what: str) -> None:
    """Make one warning of all that was said since a mark: errors that did no harm must not explain a later failure."""
    _SAYINGS.replace(since, f"{what}: {reason(since)}")


def missing_library(text: str) -> str:
    """What to do about a library that TensorRT says it cannot load; empty where it says none."""
    found = _MISSING.search(text)
    if found is None:
        return ""
    if LEAN in found[1]:
        return (
            f"a version-compatible plan carries TensorRT's lean runtime, and {found[1]} is not in this image: use an "
            "image with it, or leave it out of the plan with build.flags: [EXCLUDE_LEAN_RUNTIME] and ship it beside"
        )
    return f"TensorRT needs its library {found[1]}, which is not in this image: use an image with all of TensorRT"


def has_flag(name: str) -> bool:
    """Whether BuilderFlag has this member."""
    return hasattr(tensorrt().BuilderFlag, name)


def weak_typing() -> bool:
    """Whether precision may be left to the builder: FP16 is a builder flag then."""
    return has_flag("FP16")


def implicit_calibration() -> bool:
    """Whether TensorRT brings calibrators of its own."""
    return hasattr(tensorrt(), "IInt8EntropyCalibrator2")


def shows_unfused() -> bool:
    """Whether the tensors that survive fusion can be listened to."""
    return hasattr(tensorrt().INetworkDefinition, "mark_unfused_tensors_as_debug_tensors")


def selects_tactics() -> bool:
    """Whether the tactics of a build can be recorded and held: gone with TensorRT 11."""
    return hasattr(tensorrt(), "IAlgorithmSelector") and hasattr(tensorrt().IBuilderConfig, "algorithm_selector")


def build_routes() -> str:
    """The knobs of the builder's compiler as JSON; empty where this version or platform has none."""
    return str(getattr(new_builder().create_builder_config(), "all_build_routes", "") or "")


def load_plugins(paths: Sequence[str]) -> None:
    """Register TensorRT's own plugins and those of the given libraries.

    Raises:
        InvalidInput: a library is not in the image, or cannot be loaded.
    """
    trt = tensorrt()
    trt.init_libnvinfer_plugins(logger(), "")
    for path in paths:
        if not Path(path).is_file():
            raise InvalidInput(f"plugin {path} is not in the runner's image: build an image that holds it")
        _load(trt, path)


@cache
def _load(trt: Any, path: str) -> None:
    start = mark()
    try:
        if trt.get_plugin_registry().load_library(path) is None:
            ctypes.CDLL(path)
    except OSError as error:
        raise InvalidInput(f"plugin {path} cannot be loaded: {' '.join(str(error).split())[:200]}") from error
    except Exception as error:  # The registry has no exception class of its own.
        raise InvalidInput(f"plugin {path} cannot be loaded: {reason(start)}") from error
