"""A probe that cannot be built is built in parts: as many tensors as possible, in few builds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_runner.backends.tensorrt.comparison import DeviceComparison
from assay_runner.backends.tensorrt.device import Buffers, DeviceArray, synchronize, to_device, to_host
from assay_runner.backends.tensorrt.partial import MOST_BUILDS, Parts, PartsSession, in_parts
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Batch
from tests.models import Heard, random
from tests.runner.engines.host_runtime import HostRuntime
from tests.runner.numerics.host_machine import HostMachine

X = random(4, 3)


def tensors(count: int) -> list[str]:
    return [f"t{index}" for index in range(count)]


def refusing(*bad: str) -> Any:
    """A builder that refuses whatever shows one of these; a plan's name is what it shows."""

    def build(part: Collection[str]) -> Path:
        build.builds += 1  # type: ignore[attr-defined]
        if set(bad) & set(part):
            raise CannotBuild(f"TensorRT cannot build the engine: Myelin asserts, with {len(part)} tensors")
        return Path(",".join(part))

    build.builds = 0  # type: ignore[attr-defined]
    return build


def shown(parts: Parts) -> list[str]:
    return [name for plan in parts.plans for name in str(plan).split(",")]


def test_what_can_be_built_whole_is_built_once() -> None:
    build = refusing()
    assert in_parts(tensors(9), build) == Parts((Path(",".join(tensors(9))),))
    assert build.builds == 1
    assert in_parts(tensors(9), build).notes() == ()


@pytest.mark.parametrize("bad", [0, 1, 7, 8, 15])
def test_all_but_the_refused_tensor_are_shown_where_builds_suffice(bad: int) -> None:
    build = refusing(f"t{bad}")
    parts = in_parts(tensors(16), build)
    assert parts.left == (f"t{bad}",)
    assert sorted((*shown(parts), *parts.left)) == sorted(tensors(16))
    assert build.builds <= MOST_BUILDS
    assert parts.why == "TensorRT cannot build the engine: Myelin asserts, with 16 tensors"
    assert parts.notes()[1] == f"tensors that no engine shows (1): 't{bad}'"


@pytest.mark.parametrize("bad", range(0, 400, 57))
def test_of_many_tensors_a_sixteenth_is_lost_at_most(bad: int) -> None:
    build = refusing(f"t{bad}")
    parts = in_parts(tensors(400), build)
    assert build.builds <= MOST_BUILDS
    assert len(parts.left) <= 400 / 16
    assert not set(parts.left) & set(shown(parts))
    assert len(parts.left) + len(shown(parts)) == 400


def test_where_nothing_can_be_built_the_first_words_stand() -> None:
    with pytest.raises(CannotBuild, match="with 8 tensors"):
        in_parts(tensors(8), refusing(*tensors(8)))


def test_other_errors_are_not_split() -> None:
    def build(part: Collection[str]) -> Path:
        raise InvalidInput("plugin cannot be loaded")

    with pytest.raises(InvalidInput):
        in_parts(tensors(8), build)


PROGRAM = """
import ctypes, json, sys
from pathlib import Path
from assay_runner.journal import step
from assay_runner.watcher import watched

def build(part):
    with step("-".join(part), f"building a probe that shows {len(part)} tensors"):
        if "t5" in part:
            ctypes.string_at(0)
    return Path(",".join(part))

def work():
    # Not before: what is forked would lack ONNX Runtime's threads, wait for them at its end, and be killed in a minute.
    from assay_runner.backends.tensorrt.partial import in_parts

    with step("fp16", "auditing fp16"), step("TappedPass", "showing tensors"):
        parts = in_parts([f"t{index}" for index in range(16)], build)
    print(json.dumps([[str(plan) for plan in parts.plans], parts.left, parts.why]))
    return 0

raise SystemExit(watched(work))
"""


def test_a_build_that_crashes_is_split_like_one_that_is_refused() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plans, left, why = json.loads(done.stdout)
    assert left == ["t5"]
    assert sorted(",".join(plans).split(",")) == sorted(set(tensors(16)) - {"t5"})
    crashed = "ended the process by SIGSEGV, a crash in a library's own code"
    assert why == f"building a probe that shows 16 tensors {crashed}"
    assert done.stderr.count(crashed) == 5


class Engine:
    """Gives `y`, and one more tensor, from its input."""

    stream = 0

    def __init__(self, name: str, factor: float, y: float = 2) -> None:
        self._factors, self._memory = {name: factor, "y": y}, Buffers()
        self.shown = frozenset(self._factors)

    def launch(self, inputs: Mapping[str, Array]) -> dict[str, DeviceArray]:
        found = {}
        for name, factor in self._factors.items():
            made = (factor * inputs["x"]).astype(np.float32)
            pointer = self._memory[name].reserve(made.nbytes)
            to_device(made, pointer, 0)
            synchronize(0)
            found[name] = DeviceArray(pointer, made.dtype, made.shape)
        return found

    def fetch(self, arrays: Mapping[str, DeviceArray]) -> dict[str, Array]:
        found = {name: to_host(a.pointer, a.shape, a.dtype, 0) for name, a in arrays.items()}
        synchronize(0)
        return found

    def close(self) -> None:
        self._memory.free()


def test_parts_are_compared_as_one_and_each_tells_its_outputs(runtime: HostRuntime) -> None:
    """An engine that computes otherwise than the others must not hide behind the first one's outputs."""
    engines: Any = [Engine("a", 3), Engine("b", 5, y=2.5)]
    probe = PartsSession(engines)
    assert probe.shown == {"a", "b", "y"}
    axes = SampleAxes({"a": 0, "b": 0, "y": 0})
    comparison = DeviceComparison(probe, None, {"a", "b", "y"}, ("y",), (), axes, Heard(), HostMachine())
    golden = {"a": 3 * X, "b": 5 * X, "y": 2 * X}
    outputs = comparison.add(Batch(0, 4, {"x": X}), golden)
    assert np.array_equal(outputs["y"], 2 * X)
    [other] = comparison.others
    assert np.array_equal(other["y"], (2.5 * X).astype(np.float32))
    assert {name: figures.sums.noise for name, figures in comparison.accumulated().items()} == {"a": 0, "b": 0, "y": 0}
    for each in (comparison, probe):
        each.close()
