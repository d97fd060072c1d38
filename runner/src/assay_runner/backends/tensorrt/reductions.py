"""Statistics of tensors that stay on the GPU: an all-layer comparison moves a few hundred bytes per tensor to the host.

One launch takes a pair of tensors, golden and candidate, and adds what `statistics.blocks.Sums`, the ranges of the
layers' pass and the counts of the faults' pass say of them to one record in device memory; records are read once, at
the end. Sums are in float64, in an order that follows from the number of elements and their alignment, never from which
thread is first: every run gives the same bits.

What it costs: each element is read once, so a pair takes at least bytes / bandwidth of the GPU's memory; FP32 against
FP16 on an H200 (4.8 TB/s): 6 bytes per element, 1.3 ms for a thousand million. To that come some microseconds per
launch, which is what small tensors wait for. By the data sheets, about ten float64 operations per element hide behind
the memory on GPUs made for computing (A100, H100, H200); on those with one float64 unit per 32 or 64 float32 units (T4,
L4, L40S) they, and not the memory, can be what is waited for, about twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from assay_runner.backends.tensorrt.device import DeviceArray
from assay_runner.backends.tensorrt.figures import EMPTY, TOTAL, figures
from assay_runner.backends.tensorrt.kernels import THREADS, Gpu, Machine
from assay_runner.errors import Internal
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array

TYPES: Final[Mapping[str, int]] = {"float32": 0, "float16": 1, "bfloat16": 2, "float64": 3, "float8_e4m3fn": 4}
"""Element types by numpy's name, as reductions.cu numbers them."""
ABSENT: Final = -1
PACK: Final = 8
BLOCKS: Final = 1024
"""Most blocks of a launch, enough for an H200; the same on every GPU, for they set the order of summing."""
PARTIAL_BYTES: Final = 13 * 8
RECORDS, STARTS = 256, 4096
"""How many records, and marks of batches, are allocated at once."""


class Reductions:
    """Gathers the figures of any number of tensors; use as a context, or `close` it."""

    def __init__(self, machine: Machine | None = None, formats: bool = False) -> None:
        """Reduce on the current GPU, or another machine; `formats`: also count what of golden FP16 cannot hold."""
        self._machine = machine or Gpu()
        self._formats = formats
        self._tensors: dict[str, int] = {}
        self._starts: dict[int, int] = {}
        template = np.array([tuple(EMPTY.values())], TOTAL)
        self._totals = _Slots(self._machine, np.repeat(template, RECORDS))
        self._hits = _Slots(self._machine, np.zeros(STARTS, np.uint32))
        # The first word is the ticket; the marks of the rows follow.
        self._flags: _Slots | None = None
        self._partials = 0
        self._stream = 0

    def __enter__(self) -> Reductions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self,
        name: str,
        golden: DeviceArray | None,
        candidate: DeviceArray | None,
        rows: int,
        count: int,
        start: int,
        stream: int,
    ) -> None:
        """Take one tensor of a batch in; returns before it is reduced. Integers are left out.

        Args:
            name: the tensor.
            golden: golden's, where it is at hand; in another shape, all that is not finite is the candidate's own.
            candidate: the candidate's; None to look at golden alone.
            rows: samples the model was fed, padding included; 0: they are not along the tensor's first axis, so that
                the batch is taken as a whole, padding too.
            count: samples that are judged.
            start: index of the first of them.
            stream: where both were computed; they must stay as they are until it has passed this point.

        Raises:
            Unavailable: device memory ran out.
            Unsupported: no kernel can be compiled here.
            Internal: an element type without a kernel, or an error of the device.
        """
        first = golden if golden is not None and _reducible(name, golden) else None
        second = candidate if candidate is not None and _reducible(name, candidate) else None
        if second is None and (candidate is not None or first is None):
            return
        shapes = [_judged(array.shape, rows, count) for array in (first, second) if array is not None]
        mismatch = len(set(shapes)) > 1
        total = self._totals.pointer(self._tensors.setdefault(name, len(self._tensors)), stream)
        shape = shapes[-1]
        if math.prod(shape):
            self._order(stream)
            split = bool(rows and shape) and shape[0] == count
            self._launch(None if mismatch else first, second, shape, count, start, mismatch, total, split)

    @property
    def batches(self) -> frozenset[int]:
        """First samples of the batches in which a candidate's tensor was not finite; waits for the stream."""
        marks = self._hits.read(len(self._starts), self._stream)
        return frozenset(start for start, index in self._starts.items() if marks[index])

    def result(self) -> Mapping[str, Figures]:
        """Figures of all tensors, in the order in which they were first seen; waits for the stream."""
        records = self._totals.read(len(self._tensors), self._stream)
        return {name: figures(records[index], self._formats) for name, index in self._tensors.items()}

    def close(self) -> None:
        """Give the device memory back."""
        for slots in (self._totals, self._hits, self._flags):
            if slots is not None:
                slots.free()
        if self._partials:
            self._machine.free(self._partials)
        self._flags, self._partials = None, 0

    def _order(self, stream: int) -> None:
        if stream != self._stream:
            self._machine.synchronize(self._stream)
            self._stream = stream

    def _launch(
        self,
        golden: DeviceArray | None,
        candidate: DeviceArray | None,
        shape: tuple[int, ...],
        count: int,
        start: int,
        mismatch: bool,
        total: int,
        split: bool,
    ) -> None:
        elements = math.prod(shape)
        rows, weight = (count, 1) if split else (1, count)
        options = {"GOLDEN": _type(golden), "CANDIDATE": _type(candidate), "FORMATS": int(self._formats)}
        blocks = min(BLOCKS, -(-elements // (THREADS * PACK)))
        flags = self._scratch(rows)
        hit = self._hits.pointer(self._starts.setdefault(start, len(self._starts)), self._stream)
        addresses = [array.pointer if array else 0 for array in (golden, candidate)]
        sizes = [elements, elements // rows, rows, weight, start, int(mismatch)]
        values = [*addresses, *sizes, self._partials, flags + 4, flags, total, hit]
        self._machine.launch(options, blocks, values, self._stream)

    def _scratch(self, rows: int) -> int:
        self._partials = self._partials or self._machine.allocate(BLOCKS * PARTIAL_BYTES)
        if self._flags is None or self._flags.size <= rows:
            if self._flags is not None:
                self._machine.synchronize(self._stream)
                self._flags.free()
            self._flags = _Slots(self._machine, np.zeros(max(1024, 2 * rows), np.uint32))
        return self._flags.pointer(0, self._stream)


class _Slots:
    """Records on the device, allocated many at a time, that never move."""

    def __init__(self, machine: Machine, fresh: Array) -> None:
        """So many records at a time, with these values at first."""
        self._machine, self._fresh = machine, fresh
        self._blocks: list[int] = []

    @property
    def size(self) -> int:
        """Records that are allocated at a time."""
        return len(self._fresh)

    def pointer(self, index: int, stream: int) -> int:
        block, place = divmod(index, self.size)
        while block >= len(self._blocks):
            self._blocks.append(self._machine.allocate(self._fresh.nbytes))
            self._machine.upload(self._fresh, self._blocks[-1], stream)
        return self._blocks[block] + place * self._fresh.itemsize

    def read(self, count: int, stream: int) -> Array:
        shape, dtype = self._fresh.shape, self._fresh.dtype
        parts = [self._machine.download(block, shape, dtype, stream) for block in self._blocks]
        return np.concatenate([self._fresh[:0], *parts])[:count]

    def free(self) -> None:
        for block in self._blocks:
            self._machine.free(block)
        self._blocks.clear()


def _judged(shape: tuple[int, ...], rows: int, count: int) -> tuple[int, ...]:
    """The shape without rows of padding, where the first axis is the samples'."""
    return (count, *shape[1:]) if rows and shape and shape[0] == rows else shape


def _type(array: DeviceArray | None) -> int:
    return ABSENT if array is None else TYPES[array.dtype.name]


def _reducible(name: str, array: DeviceArray) -> bool:
    if array.dtype.name in TYPES:
        return True
    if array.dtype.kind in "biu":
        return False
    raise Internal(
        f"tensor {name} is {array.dtype.name}, for which Assay has no reduction on the GPU: please report it"
    )
