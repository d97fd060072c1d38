"""Our own CUDA kernels, compiled where they run.

A binary for every GPU and every pair of element types would have to be built, shipped and kept fit for new GPUs; NVRTC,
which CUDA brings, compiles the one pair that is asked for in a fraction of a second.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, Protocol

import numpy as np

from assay_runner.backends.tensorrt.device import call as call_runtime
from assay_runner.backends.tensorrt.device import device, synchronize, to_device, to_host
from assay_runner.errors import Internal, Unavailable, Unsupported
from assay_runner.tensors import Array

Api = Literal["driver", "nvrtc"]
THREADS: Final = 256
_OLD_NAMES: Final[Mapping[Api, str]] = {"driver": "cuda.cuda", "nvrtc": "cuda.nvrtc"}
_NO_DEVICE: Final = ("NO_DEVICE", "SYSTEM_DRIVER_MISMATCH", "SYSTEM_NOT_READY")


class Machine(Protocol):
    """Memory, and a function that is run on it by many threads."""

    def allocate(self, size: int) -> int:
        """Address of so many bytes, aligned to 16.

        Raises:
            Unavailable: there are none left.
        """
        ...

    def free(self, pointer: int) -> None:
        """Give them back."""
        ...

    def upload(self, array: Array, pointer: int, stream: int) -> None:
        """Copy a contiguous array there, after what the stream was given before; done on return."""
        ...

    def download(self, pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int) -> Array:
        """Copy from there, after what the stream was given before; done on return."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until the stream has done all it was given."""
        ...

    def launch(self, options: Mapping[str, int], blocks: int, values: Sequence[int], stream: int) -> None:
        """Run `reduce` of reductions.cu, compiled with `options` as its macros; returns at once."""
        ...


class Gpu:
    """The current CUDA device."""

    def allocate(self, size: int) -> int:
        """See `Machine`."""
        return int(call_runtime("cudaMalloc", size))

    def free(self, pointer: int) -> None:
        """See `Machine`."""
        call_runtime("cudaFree", pointer)

    def upload(self, array: Array, pointer: int, stream: int) -> None:
        """See `Machine`."""
        to_device(array, pointer, stream)
        synchronize(stream)

    def download(self, pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int) -> Array:
        """See `Machine`."""
        array = to_host(pointer, shape, dtype, stream)
        synchronize(stream)
        return array

    def synchronize(self, stream: int) -> None:
        """See `Machine`."""
        synchronize(stream)

    def launch(self, options: Mapping[str, int], blocks: int, values: Sequence[int], stream: int) -> None:
        """See `Machine`."""
        function = _function(tuple(sorted({**options, "THREADS": THREADS}.items())))
        arguments = (tuple(values), SIGNATURE)
        call("driver", "cuLaunchKernel", function, blocks, 1, 1, THREADS, 1, 1, 0, stream, arguments, 0)


SIGNATURE: Final = (
    *(ctypes.c_void_p,) * 2,
    *(ctypes.c_uint64,) * 5,
    ctypes.c_uint32,
    *(ctypes.c_void_p,) * 5,
)
"""Types of the arguments of `reduce`."""


def check_compiler() -> None:
    """Do nothing where kernels can be compiled.

    Raises:
        Unsupported: CUDA's compiler is not in the image.
    """
    call("nvrtc", "nvrtcVersion")


def source() -> bytes:
    """Text of reductions.cu."""
    return files("assay_runner.backends.tensorrt").joinpath("reductions.cu").read_bytes()


def compiled(options: Mapping[str, int], capability: tuple[int, int]) -> bytes:
    """Code of reductions.cu for a device of this compute capability: (9, 0) is sm_90.

    Raises:
        Unsupported: NVRTC cannot be loaded, or knows no such device.
        Internal: the source does not compile.
    """
    architecture, binary = _architecture(capability)
    flags = [f"--gpu-architecture={architecture}", "--std=c++17", *(f"-D{k}={v}" for k, v in options.items())]
    program = call("nvrtc", "nvrtcCreateProgram", source(), b"reductions.cu", 0, [], [])
    try:
        code = _raw("nvrtc", "nvrtcCompileProgram", program, len(flags), [flag.encode() for flag in flags])[0]
        if int(code) != 0:
            log = bytearray(call("nvrtc", "nvrtcGetProgramLogSize", program))
            call("nvrtc", "nvrtcGetProgramLog", program, log)
            text = " ".join(log.decode(errors="replace").rstrip("\0").split())[:400]
            raise Internal(f"reductions.cu does not compile for {architecture}: {text or code.name}")
        what = "CUBIN" if binary else "PTX"
        result = bytearray(call("nvrtc", f"nvrtcGet{what}Size", program))
        call("nvrtc", f"nvrtcGet{what}", program, result)
        return bytes(result)
    finally:
        call("nvrtc", "nvrtcDestroyProgram", program)


def _architecture(capability: tuple[int, int]) -> tuple[str, bool]:
    """What to compile for, and whether that is machine code; a newer device is given PTX, which its driver compiles."""
    wanted = capability[0] * 10 + capability[1]
    known = [int(number) for number in call("nvrtc", "nvrtcGetSupportedArchs") if int(number) <= wanted]
    if not known:
        raise Unsupported(
            f"this image's CUDA no longer knows GPUs of compute capability {wanted / 10}: use an older one"
        )
    binary = max(known) // 10 == capability[0]
    return f"{'sm' if binary else 'compute'}_{max(known)}", binary


@cache
def _function(options: tuple[tuple[str, int], ...]) -> Any:
    call_runtime("cudaFree", 0)  # Makes the runtime's context the current one.
    code = compiled(dict(options), device().capability)
    module = call("driver", "cuModuleLoadData", code)
    return call("driver", "cuModuleGetFunction", module, b"reduce")


def call(api: Api, name: str, *arguments: Any) -> Any:
    """Call a function of the driver or of NVRTC; its results without the error code.

    Raises:
        Unavailable: device memory ran out.
        Unsupported: the library cannot be loaded, or there is no device.
        Internal: any other error.
    """
    code, *results = _raw(api, name, *arguments)
    if int(code) != 0:
        raise _error(name, str(getattr(code, "name", code)))
    return results[0] if len(results) == 1 else tuple(results) or None


def _raw(api: Api, name: str, *arguments: Any) -> Any:
    try:
        return getattr(_module(api), name)(*arguments)
    except (ImportError, OSError, RuntimeError) as error:
        # The bindings load their library at the first call.
        reason = " ".join(str(error).split())[:200]
        raise Unsupported(
            f"CUDA's {api} cannot be loaded ({reason}): use an image with all of CUDA's runtime"
        ) from error


@cache
def _module(api: Api) -> Any:
    try:
        return importlib.import_module(f"cuda.bindings.{api}")
    except ImportError:
        return importlib.import_module(_OLD_NAMES[api])


def _error(name: str, text: str) -> Exception:
    if "OUT_OF_MEMORY" in text:
        return Unavailable("the GPU's memory ran out: lower dataset.batch, or use a GPU with more memory")
    if any(word in text for word in _NO_DEVICE):
        return Unsupported(f"there is no usable GPU ({text}): give the task one, with a driver for this CUDA")
    return Internal(f"{name} failed with {text}: the GPU or its driver may be broken, see the node's log")
