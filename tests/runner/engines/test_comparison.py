"""What is compared on a device, on host memory in its place: what outlives a copy, and what a failure costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from assay_runner.backends.tensorrt.comparison import DeviceComparison
from assay_runner.backends.tensorrt.device import Buffers, DeviceArray, synchronize, to_device, to_host
from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Batch
from tests.models import Heard, random
from tests.runner.engines.host_runtime import HostRuntime
from tests.runner.numerics.host_machine import HostMachine

X = random(4, 3)
BATCH = Batch(0, 4, {"x": X})


class Doubling:
    """An engine whose one tensor is twice its input; as segments, what it makes of golden's."""

    stream = 0
    shown = frozenset({"y"})
    needs = frozenset({"y"})
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        runtime: HostRuntime,
        fails: AuditError | None = None,
        at: int = 0,
        flat: bool = False,
        integers: bool = False,
    ) -> None:
        self._dtype = np.int32 if integers else np.float32
        self._runtime, self._fails, self._at, self._memory = runtime, fails, at, Buffers()
        self._flat = flat
        self.runs, self.closed = 0, False
        self.built = False

    def launch(self, inputs: Mapping[str, Array | DeviceArray]) -> dict[str, DeviceArray]:
        given = inputs.get("y", inputs["x"])
        if isinstance(given, DeviceArray):
            assert not self._runtime.waiting, "a copy whose source may be gone is still to be done"
            assert given.dtype == np.float32
            given = to_host(given.pointer, given.shape, given.dtype, 0)
            synchronize(0)
        if self._fails and self.runs == self._at:
            raise self._fails
        self.runs, self.built = self.runs + 1, True
        made = (given if "y" in inputs else 2 * given).astype(self._dtype)
        pointer = self._memory["y"].reserve(made.nbytes)
        to_device(made, pointer, 0)
        synchronize(0)
        return {"y": DeviceArray(pointer, made.dtype, (made.size,) if self._flat else made.shape)}

    def fetch(self, arrays: Mapping[str, DeviceArray]) -> dict[str, Array]:
        found = {name: to_host(a.pointer, a.shape, a.dtype, 0) for name, a in arrays.items()}
        synchronize(0)
        return found

    def close(self) -> None:
        self._memory.free()
        self.closed = True


def compared(probe: Doubling, segments: Doubling | None) -> DeviceComparison:
    engine: Any = probe
    alone: Any = segments
    return DeviceComparison(engine, alone, {"y"}, ("y",), (), SampleAxes({"y": 0}), Heard(), HostMachine())


@pytest.mark.parametrize("golden", [np.float32, np.float64])
def test_golden_of_any_width_is_compared_and_fed_in_fp32(golden: type[np.floating[Any]], runtime: HostRuntime) -> None:
    probe, segments = Doubling(runtime), Doubling(runtime)
    comparison = compared(probe, segments)
    for start in (0, 4):
        outputs = comparison.add(Batch(start, 4, {"x": X}), {"y": (2 * X).astype(golden)})
        assert np.array_equal(outputs["y"], 2 * X)
    assert comparison.accumulated()["y"].sums.elements == comparison.local()["y"].elements == 2 * X.size
    assert comparison.local()["y"].noise == 0
    for each in (comparison, probe, segments):
        each.close()


def test_a_segment_of_another_shape_is_not_measured(runtime: HostRuntime) -> None:
    probe, segments = Doubling(runtime), Doubling(runtime, flat=True)
    comparison = compared(probe, segments)
    comparison.add(BATCH, {"y": 2 * X})
    assert comparison.accumulated()["y"].sums.elements == X.size
    assert not comparison.local()
    for each in (comparison, probe, segments):
        each.close()


@pytest.mark.parametrize(
    "error", [InvalidInput("cannot be built"), Unavailable("the GPU's memory ran out")], ids=["input", "memory"]
)
@pytest.mark.parametrize(("at", "told"), [(0, "are not measured"), (1, "are measured before sample 4 only")])
def test_failing_segments_cost_local_errors_alone(error: AuditError, at: int, told: str, runtime: HostRuntime) -> None:
    probe, segments = Doubling(runtime), Doubling(runtime, error, at)
    comparison = compared(probe, segments)
    for start in (0, 4):
        comparison.add(Batch(start, 4, {"x": X}), {"y": 2 * X})
    assert comparison.notes == (f"local errors {told}: {error}",)
    assert comparison.accumulated()["y"].sums.elements == 2 * X.size
    assert comparison.local().keys() == ({"y"} if at else set())
    assert segments.closed
    for each in (comparison, probe):
        each.close()


def test_integers_are_compared_where_the_device_has_them_in_another_type(runtime: HostRuntime) -> None:
    probe = Doubling(runtime, integers=True)
    comparison = compared(probe, None)
    golden = (2 * X).astype(np.int64)
    golden[1, 2] += 1
    comparison.add(BATCH, {"y": golden})
    found = comparison.exact()["y"]
    assert (found.elements, found.different, found.local) == (X.size, 1, None)
    assert not comparison.accumulated()
    for each in (comparison, probe):
        each.close()
