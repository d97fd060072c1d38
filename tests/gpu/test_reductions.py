"""Reductions on a GPU say what the passes of the host say, and take little longer than reading the tensors does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from assay_runner.backends.tensorrt.device import (
    Buffer,
    DeviceArray,
    Timer,
    call,
    runtime,
    stream,
    synchronize,
    to_device,
)
from assay_runner.backends.tensorrt.reductions import Reductions
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array
from tests.runner.numerics.pairs_of_tensors import Pair, cases, check, expected, pair

pytestmark = pytest.mark.usefixtures("gpu")
NAMES = [name for name, _ in cases()]
LARGE = (16, 1 << 22)
SLACK = 3
"""Times the floor, bytes over a device-to-device copy's bandwidth, that a reduction may take on any GPU."""


@contextmanager
def placed(array: Array, handle: int) -> Iterator[DeviceArray]:
    buffer = Buffer()
    contiguous = np.ascontiguousarray(array)
    try:
        to_device(contiguous, buffer.reserve(array.nbytes), handle)
        synchronize(handle)
        yield DeviceArray(buffer.pointer, array.dtype, array.shape)
    finally:
        buffer.free()


def reduce(pairs: Sequence[Pair], formats: bool = False) -> Figures:
    with ExitStack() as stack:
        handle = stack.enter_context(stream())
        reductions = stack.enter_context(Reductions(formats=formats))
        for one in pairs:
            golden = None if one.golden is None else stack.enter_context(placed(one.golden, handle))
            candidate = stack.enter_context(placed(one.candidate, handle))
            rows = one.rows
            reductions.add("t", golden, candidate, rows, one.batch.count, one.batch.start, handle)
        return reductions.result()["t"]


@pytest.mark.parametrize("name", NAMES)
def test_says_what_the_host_says(name: str) -> None:
    one = dict(cases())[name]
    check(reduce([one]), expected([one]))


def test_large_tensors_and_bits_that_repeat() -> None:
    one = pair(1, ("fp32", "fp16"), (5, 1_000_003), 5, 4, 1e-5)
    first = reduce([one, one])
    check(first, expected([one, one]))
    assert reduce([one, one]) == first


@pytest.mark.parametrize("every", [1, 2, 61], ids=["all", "half", "few"])
def test_what_is_not_finite_costs_little_more_than_numbers(every: int) -> None:
    broken = np.ones(LARGE, np.float16)
    broken.reshape(-1)[::every] = np.nan
    broken.reshape(-1)[:: 3 * every] = np.inf
    fine, taken = milliseconds(np.ones(LARGE, np.float16)), milliseconds(broken)
    assert taken < 3 * fine + 0.05


def test_waits_for_memory_not_for_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    array = np.ones(LARGE, np.float16)
    moved = array.nbytes * 3
    taken, floor = milliseconds(array), moved / bandwidth() / 1e6
    with capsys.disabled():
        print(f"\n{moved / 1e6:.0f} MB reduced in {taken:.3f} ms, {moved / taken / 1e6:.0f} GB/s; floor {floor:.3f} ms")
    assert taken < SLACK * floor + 0.05


def milliseconds(candidate: Array) -> float:
    """Device time of the fastest of some reductions of FP32 ones against this."""
    with ExitStack() as stack:
        handle = stack.enter_context(stream())
        reductions = stack.enter_context(Reductions())
        arrays = [stack.enter_context(placed(a, handle)) for a in (np.ones(candidate.shape, np.float32), candidate)]
        timer = Timer()
        stack.callback(timer.close)
        times = []
        for _ in range(8):
            timer.start(handle)
            reductions.add("t", arrays[0], arrays[1], len(candidate), len(candidate), 0, handle)
            timer.stop(handle)
            times.append(timer.milliseconds())
        return min(times)


def bandwidth() -> float:
    """Bytes per nanosecond that a copy on the device reads and writes."""
    size = 256 << 20
    with ExitStack() as stack:
        handle = stack.enter_context(stream())
        buffers = Buffer(), Buffer()
        for buffer in buffers:
            stack.callback(buffer.free)
        addresses = [buffer.reserve(size) for buffer in buffers]
        timer = Timer()
        stack.callback(timer.close)
        kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToDevice
        times = []
        for _ in range(5):
            timer.start(handle)
            call("cudaMemcpyAsync", addresses[1], addresses[0], size, kind, handle)
            timer.stop(handle)
            times.append(timer.milliseconds())
        return 2 * size / (min(times) * 1e6)
