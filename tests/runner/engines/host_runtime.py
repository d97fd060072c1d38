"""CUDA's runtime on host memory: copies are done when the stream is synchronised, and no sooner."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from assay_runner.tensors import Array

OK: Final = 0


@dataclass
class HostRuntime:
    """What of `cuda.bindings.runtime` sessions and comparisons use.

    Attributes:
        held: memory that is allocated, by address.
        waiting: copies that the stream has yet to do: target, source, bytes.
    """

    held: dict[int, Array] = field(default_factory=dict)
    waiting: list[tuple[int, int, int]] = field(default_factory=list)
    cudaMemcpyKind: Any = field(  # noqa: N815 as CUDA has it
        default_factory=lambda: SimpleNamespace(
            cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2, cudaMemcpyDeviceToDevice=3
        )
    )

    def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        memory = np.zeros(size, np.uint8)
        self.held[memory.ctypes.data] = memory
        return OK, memory.ctypes.data

    def cudaFree(self, pointer: int) -> tuple[int]:  # noqa: N802
        self.cudaStreamSynchronize(0)
        del self.held[pointer]
        return (OK,)

    def cudaMemcpyAsync(  # noqa: N802
        self, target: int, source: int, size: int, kind: int, stream: int
    ) -> tuple[int]:
        self.waiting.append((target, source, size))
        return (OK,)

    def cudaMemsetAsync(self, pointer: int, byte: int, size: int, stream: int) -> tuple[int]:  # noqa: N802
        self.cudaStreamSynchronize(stream)
        ctypes.memset(pointer, byte, size)
        return (OK,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:  # noqa: N802
        for target, source, size in self.waiting:
            ctypes.memmove(target, source, size)
        self.waiting.clear()
        return (OK,)
