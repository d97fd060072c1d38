"""Reductions on the GPU say what the passes of the host say; here the kernel runs on the CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay_runner import errors
from assay_runner.backends.tensorrt import kernels
from assay_runner.backends.tensorrt.reductions import PACK, TYPES, Reductions
from assay_runner.errors import Internal
from assay_runner.statistics.figures import Figures
from tests.lab import Unavailable
from tests.runner.numerics.host_machine import HostMachine
from tests.runner.numerics.pairs_of_tensors import Pair, batch, cases, check, expected, pair

CASES = dict(cases())


def reduce(pairs: Sequence[Pair], shift: int = 0, formats: bool = False) -> Figures:
    machine = HostMachine()
    with Reductions(machine, formats) as reductions:
        for one in pairs:
            golden = None if one.golden is None else machine.place(one.golden, shift)
            candidate = machine.place(one.candidate, shift)
            rows = one.rows
            reductions.add("t", golden, candidate, rows, one.batch.count, one.batch.start, stream=7)
        return reductions.result()["t"]


@pytest.mark.parametrize("name", CASES)
def test_says_what_the_host_says(name: str) -> None:
    check(reduce([CASES[name]]), expected([CASES[name]]))


@pytest.mark.parametrize("shift", [1, 3])
def test_tensors_that_are_not_aligned(shift: int) -> None:
    one = pair(1, ("fp32", "fp16"), (5, 77), 5, 5, 0.05)
    check(reduce([one], shift), expected([one]))


def test_batches_add_up() -> None:
    shapes = [(4, 129)] * 5
    pairs = [pair(i, ("fp32", "fp16"), s, 4, 4, 0.002 * (i > 1)) for i, s in enumerate(shapes)]
    pairs = [replace(one, batch=batch(4 * i, 4, 4 if i < 4 else 1)) for i, one in enumerate(pairs)]
    found = reduce(pairs)
    assert found.first >= 8
    check(found, expected(pairs))


def test_more_elements_than_blocks_take_at_once_and_bits_that_repeat() -> None:
    one = pair(1, ("fp16", "fp16"), (3, 1_000_003), 3, 3, 1e-5)
    first, second = reduce([one]), reduce([one])
    check(first, expected([one]))
    assert first == second


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_throughout_does_not_wait_per_thread(value: float) -> None:
    """A block says once of each row that it is not finite: on a GPU, one word for all threads takes milliseconds."""
    machine = HostMachine()
    rows, elements = 16, 16 << 12
    blocks = elements // (kernels.THREADS * PACK)
    array = machine.place(np.full((rows, elements // rows), value, np.float16))
    with Reductions(machine) as reductions:
        reductions.add("t", None, array, rows, rows, 0, stream=0)
        assert reductions.result()["t"].samples == rows
    assert machine.waits <= blocks * rows


def test_many_tensors_and_batches_move_only_records() -> None:
    machine = HostMachine()
    pairs = {f"t{i}": pair(i, ("fp32", "fp16"), (2, 7 + i), 2, 2, 0.1 * (i % 7 == 0)) for i in range(300)}
    with Reductions(machine) as reductions:
        for name, one in pairs.items():
            reductions.add(name, machine.place(one.golden), machine.place(one.candidate), 2, 2, 0, 0)  # type: ignore[arg-type]
        fine = machine.place(np.ones((2, 9), np.float32))
        reductions.add("fine", fine, fine, 2, 2, 2, stream=5)
        assert machine.downloaded == 0
        assert machine.launches == 301
        result = reductions.result()
        assert machine.downloaded <= 2 * 256 * 8 * 21
        assert reductions.batches == {0}
    assert list(result) == [*pairs, "fine"]
    for name, one in pairs.items():
        check(result[name], expected([one]))


def test_memory_is_given_back() -> None:
    machine = HostMachine()
    arrays = machine.place(np.ones((5000, 1), np.float32)), machine.place(np.ones((5000, 1), np.float16))
    held = set(machine.held)
    with Reductions(machine) as reductions:
        reductions.add("few rows", *arrays, rows=2, count=2, start=0, stream=0)
        reductions.add("many rows", *arrays, rows=5000, count=5000, start=0, stream=0)
        assert set(machine.held) > held
    assert set(machine.held) == held


def test_every_number_of_the_small_formats() -> None:
    for name, kind in (("float16", np.uint16), ("bfloat16", np.uint16), ("float8_e4m3fn", np.uint8)):
        numbers = np.arange(np.iinfo(kind).max + 1).astype(kind)
        golden = numbers.view(_dtype(name))
        wide = golden.astype(np.float32)
        found = reduce([Pair(wide, golden.reshape(-1), batch(0, 1, 1))])
        # Widened as numpy does: nothing differs, NaN and infinities among it.
        assert found.sums.elements == golden.size
        assert (found.sums.bad, found.sums.largest, found.own) == (False, 0.0, 0)
        finite = wide[np.isfinite(wide)]
        assert (found.low, found.high) == (float(finite.min()), float(finite.max()))


def _dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, None) or name)


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16"])
def test_what_fp16_cannot_hold(name: str) -> None:
    random = np.random.default_rng(0)
    edges = [65503.9, 65504, 65519.99, 65520, 65536, 2.0**-25, 2.0**-25 * 1.001, 2.0**-14, 2.0**-14 - 2.0**-25]
    edges += [2.0**-14 - 2.0**-24, 2.0**-14 * (1 - 2.0**-20), 0.0, -0.0, np.inf, np.nan]
    drawn = 2.0 ** random.uniform(-30, 20, 5000)
    golden = np.concatenate([edges, np.negative(edges), drawn, -drawn]).astype(_dtype(name))
    wide = golden.astype(np.float64)
    finite = wide[np.isfinite(wide) & (wide != 0)]
    with np.errstate(over="ignore"):
        half = np.abs(finite.astype(np.float16))
    found = reduce([Pair(golden, golden, batch(0, 1, 1))], formats=True)
    assert found.overflow == int(np.isinf(half).sum()) > 0
    assert found.underflow == int((half == 0).sum()) > 0
    assert found.subnormal == int(((half > 0) & (half < np.finfo(np.float16).tiny)).sum()) > 0
    assert found.golden_least == float(np.abs(finite).min())


def test_golden_alone() -> None:
    machine = HostMachine()
    golden = np.array([[1.0, -70000.0, np.nan, 1e-9]], np.float32)
    with Reductions(machine, formats=True) as reductions:
        reductions.add("t", machine.place(golden), None, 1, 1, 0, 0)
        found = reductions.result()["t"]
    assert (found.golden_low, found.golden_high, found.overflow, found.underflow) == (-70000.0, 1.0, 1, 1)
    assert (found.sums.elements, found.samples, found.own) == (0, 0, None)


def test_integers_are_left_out_and_unknown_types_named() -> None:
    import ml_dtypes

    machine = HostMachine()
    with Reductions(machine) as reductions:
        integers = machine.place(np.ones((2, 3), np.int64))
        reductions.add("indices", integers, integers, 2, 2, 0, 0)
        assert not reductions.result()
        odd = machine.place(np.ones((2, 3), ml_dtypes.float8_e5m2))
        with pytest.raises(Internal, match=r"tensor odd is float8_e5m2"):
            reductions.add("odd", None, odd, 2, 2, 0, 0)


PAIRS = [(0, 1), (0, 0), (0, 2), (0, 4), (3, 1), (1, 1), (-1, 1), (0, -1)]


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0), (99, 0)])
def test_compiles_for_gpus(capability: tuple[int, int]) -> None:
    if importlib.util.find_spec("cuda") is None:
        raise Unavailable("CUDA's compiler is not here: pip install cuda-bindings nvidia-cuda-nvrtc")
    for golden, candidate in PAIRS:
        options = {"GOLDEN": golden, "CANDIDATE": candidate, "FORMATS": 1, "THREADS": kernels.THREADS}
        code = _compiled(options, capability)
        assert b"reduce" in code
        assert code.startswith(b"\x7fELF") == (capability != (99, 0))


def test_a_source_that_does_not_compile_is_named() -> None:
    if importlib.util.find_spec("cuda") is None:
        raise Unavailable("CUDA's compiler is not here: pip install cuda-bindings nvidia-cuda-nvrtc")
    with pytest.raises(Internal, match=r"reductions.cu does not compile for sm_90: .*error"):
        _compiled({"GOLDEN": max(TYPES.values()) + 1, "CANDIDATE": 0, "FORMATS": 0, "THREADS": 256}, (9, 0))


def _compiled(options: Mapping[str, int], capability: tuple[int, int]) -> bytes:
    try:
        return kernels.compiled(options, capability)
    except errors.Unsupported as error:
        raise Unavailable(str(error)) from error


def test_the_source_is_packaged() -> None:
    assert b'extern "C" __global__ void reduce' in kernels.source()


class Failing:
    """A code of CUDA's, as its bindings give it."""

    def __init__(self, value: int, name: str) -> None:
        self.value, self.name = value, name

    def __int__(self) -> int:
        return self.value


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("CUDA_ERROR_OUT_OF_MEMORY", errors.Unavailable, "memory ran out"),
        ("CUDA_ERROR_NO_DEVICE", errors.Unsupported, "no usable GPU"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS", Internal, "cuLaunchKernel failed with CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_errors_are_sentences(monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception], says: str) -> None:
    class Api:
        @staticmethod
        def cuLaunchKernel() -> tuple[Failing]:  # noqa: N802
            return (Failing(2, name),)

    monkeypatch.setattr(kernels, "_module", lambda _: Api)
    with pytest.raises(kind, match=says):
        kernels.call("driver", "cuLaunchKernel")
