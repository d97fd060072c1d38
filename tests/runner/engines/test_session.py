"""A session that computes in memory of its own: on host memory, with an engine in TensorRT's place."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assay_runner.backends.seams import FILLINGS
from assay_runner.backends.tensorrt import listening, session
from assay_runner.backends.tensorrt.listening import ListeningSession
from assay_runner.backends.tensorrt.session import BYTES, EngineSession
from assay_runner.errors import Unavailable
from tests.runner.engines.host_runtime import HostRuntime

X = np.arange(12, dtype=np.float32).reshape(3, 4)
SCRATCH = 1024


class Strategy(IntEnum):
    STATIC = 0
    USER_MANAGED = 2


class Context:
    """Gives the first row of its input, then what lay in its scratch memory, if it has any, and writes no third row."""

    unfused_tensors_debug_state = False

    def __init__(self, runtime: HostRuntime) -> None:
        self._runtime, self._addresses = runtime, dict[str, int]()
        self._shape: tuple[int, ...] = (0,)
        self.scratch = self.profile = -1
        self.listener: Any = None

    def set_device_memory(self, pointer: int, size: int) -> None:
        assert size >= SCRATCH
        self.scratch = pointer

    def set_optimization_profile_async(self, profile: int, stream: int) -> None:
        self.profile = profile

    def set_debug_listener(self, listener: Any) -> bool:
        self.listener = listener
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shape

    def set_tensor_address(self, name: str, pointer: int) -> None:
        self._addresses[name] = pointer

    def execute_async_v3(self, stream: int) -> bool:
        assert self.profile == 0
        self._runtime.cudaStreamSynchronize(stream)
        row = 4 * self._shape[-1]
        ctypes.memmove(self._addresses["y"], self._addresses["x"], row)
        if self.scratch > 0:
            ctypes.memmove(self._addresses["y"] + row, self.scratch, row)
        return True


class Engine:
    """Two floating-point tensors, and a context for each that asks, unless there is no more memory."""

    num_io_tensors, num_optimization_profiles, device_memory_size_v2 = 2, 1, SCRATCH

    def __init__(self, runtime: HostRuntime) -> None:
        self._runtime, self.full = runtime, False
        self.contexts: list[Context] = []

    def create_execution_context(self, strategy: Strategy) -> Context | None:
        if self.full and strategy is Strategy.USER_MANAGED:
            return None
        self.contexts.append(Context(self._runtime))
        return self.contexts[-1]

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> str:
        return name

    def get_tensor_dtype(self, name: str) -> str:
        return "FLOAT"

    def get_tensor_location(self, name: str) -> str:
        return "DEVICE"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 4)


@pytest.fixture
def engine(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(runtime)
    trt = SimpleNamespace(
        ExecutionContextAllocationStrategy=Strategy,
        TensorIOMode=SimpleNamespace(INPUT="x", OUTPUT="y"),
        TensorLocation=SimpleNamespace(HOST="HOST"),
        IDebugListener=type("IDebugListener", (), {"__init__": lambda self: None}),
    )
    for module in (session, listening):
        monkeypatch.setattr(module, "tensorrt", lambda: trt)
    monkeypatch.setattr(session, "load", lambda plan: (None, made))
    monkeypatch.setattr(session, "dtypes", lambda: {"FLOAT": np.dtype(np.float32)})
    monkeypatch.setattr(session, "reason", lambda mark: "no memory")
    return made


def test_there_are_as_many_fillings_as_the_seam_says() -> None:
    assert len(set(BYTES)) == len(BYTES) == FILLINGS


@pytest.mark.parametrize("kind", [EngineSession, ListeningSession])
def test_memory_is_filled_for_one_run_and_outputs_too(kind: type[EngineSession], engine: Engine) -> None:
    opened = kind(Path("plan"), 0)
    opened.run({"x": X})
    for filling in range(FILLINGS):
        opened.spoil(filling)
        found = opened.run({"x": X})["y"]
        np.testing.assert_array_equal(found[0], X[0])
        assert set(found[1:].view(np.uint8).flat) == {BYTES[filling]}
    scratch = engine.contexts[-1].scratch
    ctypes.memset(scratch, 1, SCRATCH)
    assert set(opened.run({"x": X})["y"][1].view(np.uint8)) == {1}
    assert len(engine.contexts) == 2
    assert (engine.contexts[-1].listener is not None) == isinstance(opened, ListeningSession)
    opened.close()


@pytest.mark.parametrize("kind", [EngineSession, ListeningSession])
def test_a_session_that_cannot_be_spoilt_runs_on(kind: type[EngineSession], engine: Engine) -> None:
    opened = kind(Path("plan"), 0)
    engine.full = True
    for _ in range(2):
        with pytest.raises(Unavailable, match="no memory"):
            opened.spoil(0)
        np.testing.assert_array_equal(opened.run({"x": X})["y"][0], X[0])
    engine.full = False
    opened.spoil(0)
    assert np.isnan(opened.run({"x": X})["y"][1]).all()
    opened.close()
