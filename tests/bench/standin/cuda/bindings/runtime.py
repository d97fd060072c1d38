"""CUDA's calls, on the host's memory."""

# ruff: noqa: N802, N816

from __future__ import annotations

import ctypes
import time
from types import SimpleNamespace
from typing import Any

cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
_memory: dict[int, Any] = {}
_moments: list[float] = []


def cudaMalloc(size: int) -> tuple[int, int]:
    held = ctypes.create_string_buffer(size)
    _memory[ctypes.addressof(held)] = held
    return 0, ctypes.addressof(held)


def cudaFree(address: int) -> tuple[int]:
    del _memory[address]
    return (0,)


def cudaMemcpy(to: int, source: int, size: int, kind: int) -> tuple[int]:
    ctypes.memmove(to, source, size)
    return (0,)


def cudaStreamCreate() -> tuple[int, int]:
    return 0, 1


def cudaStreamSynchronize(stream: int) -> tuple[int]:
    return (0,)


def cudaStreamDestroy(stream: int) -> tuple[int]:
    return (0,)


def cudaEventCreate() -> tuple[int, int]:
    _moments.append(0.0)
    return 0, len(_moments) - 1


def cudaEventRecord(event: int, stream: int) -> tuple[int]:
    _moments[event] = time.perf_counter()
    return (0,)


def cudaEventSynchronize(event: int) -> tuple[int]:
    return (0,)


def cudaEventElapsedTime(begin: int, end: int) -> tuple[int, float]:
    return 0, 1000 * (_moments[end] - _moments[begin])


def cudaEventDestroy(event: int) -> tuple[int]:
    return (0,)
