"""Device memory, streams and events by cuda-python: no framework holds memory that the engine needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from assay_runner.errors import Internal, Unavailable, Unsupported
from assay_runner.tensors import Array

ROOM = 256
"""Smallest allocation; an empty tensor needs an address too."""


@cache
def runtime() -> Any:
    """CUDA's runtime API; where it lies depends on the version of cuda-python.

    Raises:
        Unsupported: it cannot be loaded.
    """
    try:
        try:
            from cuda.bindings import runtime as api
        except ImportError:
            from cuda import cudart as api
    except (ImportError, OSError, RuntimeError) as error:
        raise Unsupported(f"cuda-python cannot be loaded: {' '.join(str(error).split())[:200]}") from error
    return api


def call(name: str, *arguments: Any) -> Any:
    """Call a function of the runtime; its results without the error code.

    Raises:
        Unavailable: device memory ran out.
        Unsupported: there is no device, or the driver is too old.
        Internal: any other error.
    """
    code, *results = getattr(runtime(), name)(*arguments)
    if int(code) != 0:
        raise _error(name, code)
    return results[0] if len(results) == 1 else tuple(results) or None


def _error(name: str, code: Any) -> Exception:
    text = str(getattr(code, "name", code))
    if "MemoryAllocation" in text:
        return Unavailable("the GPU's memory ran out: lower dataset.batch, or use a GPU with more memory")
    if any(word in text for word in ("NoDevice", "InsufficientDriver", "SystemDriverMismatch", "SystemNotReady")):
        return Unsupported(f"there is no usable GPU ({text}): give the task one, with a driver for this CUDA")
    return Internal(f"{name} failed with {text}: the GPU or its driver may be broken, see the node's log")


def check_device() -> None:
    """Do nothing where there is a GPU.

    Raises:
        Unsupported: there is none, or its driver does not answer.
    """
    if call("cudaGetDeviceCount") < 1:
        raise Unsupported("there is no GPU here: give the task one (nvidia.com/gpu: 1)")
    # Freeing nothing makes the device's context: it takes longest of all, and is needed by whoever asks.
    call("cudaFree", 0)


@dataclass(frozen=True)
class Device:
    """The GPU in use.

    Attributes:
        name: as the driver calls it.
        capability: compute capability, (9, 0) for sm_90.
        driver: newest CUDA version the driver knows, for example 13000.
        memory: bytes of its memory.
    """

    name: str
    capability: tuple[int, int]
    driver: int
    memory: int


@cache
def device() -> Device:
    """The GPU in use."""
    properties = call("cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    capability = (int(properties.major), int(properties.minor))
    driver = int(call("cudaDriverGetVersion"))
    return Device(name.strip("\0 "), capability, driver, int(properties.totalGlobalMem))


@contextmanager
def stream() -> Iterator[int]:
    """A stream of its own, by its handle."""
    made = call("cudaStreamCreate")
    try:
        yield int(made)
    finally:
        call("cudaStreamSynchronize", made)
        call("cudaStreamDestroy", made)


def synchronize(handle: int) -> None:
    """Wait until a stream has done all it was given."""
    call("cudaStreamSynchronize", handle)


@dataclass(frozen=True)
class DeviceArray:
    """A contiguous tensor in device memory: address, numpy element type (`ml_dtypes` for BF16 and FP8), shape."""

    pointer: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass
class Buffer:
    """Device memory that grows when more is asked for, and is never smaller than ROOM.

    Attributes:
        pointer: its address; 0 before the first `reserve` and after `free`.
        size: bytes.
    """

    pointer: int = 0
    size: int = 0

    def reserve(self, size: int) -> int:
        """At least so many bytes; returns the address. What was in it is lost when it grows.

        Raises:
            Unavailable: device memory ran out.
        """
        if size > self.size or not self.pointer:
            self.free()
            wanted = max(size, ROOM)
            self.pointer, self.size = int(call("cudaMalloc", wanted)), wanted
        return self.pointer

    def free(self) -> None:
        """Give the memory back."""
        if self.pointer:
            call("cudaFree", self.pointer)
        self.pointer = self.size = 0


@dataclass
class Buffers:
    """One buffer per name."""

    _held: dict[str, Buffer] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Buffer:
        """The buffer of a name, made when it is first asked for."""
        return self._held.setdefault(name, Buffer())

    def free(self) -> None:
        """Give all memory back."""
        for buffer in self._held.values():
            buffer.free()
        self._held.clear()


def to_device(array: Array, pointer: int, handle: int) -> None:
    """Copy a contiguous array to device memory; the host memory must live until the stream is synchronised."""
    if array.nbytes:
        kind = runtime().cudaMemcpyKind.cudaMemcpyHostToDevice
        call("cudaMemcpyAsync", pointer, array.ctypes.data, array.nbytes, kind, handle)


def to_host(pointer: int, shape: tuple[int, ...], dtype: np.dtype[Any], handle: int) -> Array:
    """Copy device memory into a new array; filled once the stream is synchronised."""
    array = np.empty(shape, dtype)
    if array.nbytes:
        kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost
        call("cudaMemcpyAsync", array.ctypes.data, pointer, array.nbytes, kind, handle)
    return array


def on_device(source: int, target: int, size: int, handle: int) -> None:
    """Copy device memory to device memory."""
    if size:
        call("cudaMemcpyAsync", target, source, size, runtime().cudaMemcpyKind.cudaMemcpyDeviceToDevice, handle)


def fill(pointer: int, byte: int, size: int, handle: int) -> None:
    """Set every byte of device memory."""
    if size:
        call("cudaMemsetAsync", pointer, byte, size, handle)


class Timer:
    """Device time between two points of a stream."""

    def __init__(self) -> None:
        """Two events."""
        self._events = (call("cudaEventCreate"), call("cudaEventCreate"))

    def start(self, handle: int) -> None:
        """From here."""
        call("cudaEventRecord", self._events[0], handle)

    def stop(self, handle: int) -> None:
        """To here."""
        call("cudaEventRecord", self._events[1], handle)

    def milliseconds(self) -> float:
        """Time between the points; waits for the second."""
        call("cudaEventSynchronize", self._events[1])
        return float(call("cudaEventElapsedTime", *self._events))

    def close(self) -> None:
        """Give the events back."""
        for event in self._events:
            call("cudaEventDestroy", event)
