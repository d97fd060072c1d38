"""What is screened with, loaded on a device: a plan on a GPU, or an ONNX model on the CPU as a stand-in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from assay_runner.errors import InvalidInput
from assay_runner.screening import smi
from assay_runner.screening.orders import Order
from assay_runner.screening.scanning import Subject
from assay_runner.tensors import Array, Arrays, TensorSpec

ONNX: Final = ".onnx"
CLOCK_SECONDS: Final = 10.0


def is_onnx(path: Path) -> bool:
    """Whether a file is run on the CPU, by its name."""
    return path.suffix.lower() == ONNX


@contextmanager
def opened(order: Order) -> Iterator[Subject]:
    """The subject of an order on the one device that this process sees.

    Raises:
        InvalidInput: it cannot be loaded here, or takes what cannot be made up.
        Unavailable: memory ran out.
        Unsupported: there is no device or no library for it.
    """
    path = Path(order.subject)
    if is_onnx(path):
        yield _OnCpu(path)
        return
    from assay_runner.backends.tensorrt.device import check_device
    from assay_runner.backends.tensorrt.interface import check_layouts
    from assay_runner.backends.tensorrt.library import load_plugins, tensorrt
    from assay_runner.backends.tensorrt.session import EngineSession, opened

    check_device()
    load_plugins(order.plugins)
    with opened(path) as session:
        assert isinstance(session, EngineSession), "another session"
        # What pads an output leaves there whatever was in memory before.
        check_layouts(tensorrt(), session.engine, (*session.inputs, *session.outputs))
        yield _OnGpu(session, order.device)


class _OnCpu:
    """An ONNX model by ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        from assay_runner.backends.sessions import DTYPES, OrtSession, Purpose

        self._session = OrtSession(path, Purpose.PLAIN)
        shapes = self._session.shapes
        unknown = next((name for name, kind in self._session.inputs.items() if kind not in DTYPES), None)
        if unknown:
            raise InvalidInput(f"input {unknown!r} is of type {self._session.inputs[unknown]}, which cannot be made up")
        kinds = self._session.inputs.items()
        self.specs: Sequence[TensorSpec] = [TensorSpec(name, DTYPES[kind], shapes[name]) for name, kind in kinds]

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Its outputs."""
        return self._session.run(inputs)

    def clock(self) -> int | None:
        """Of a stand-in it says nothing."""
        return None


class _OnGpu:
    """A plan by TensorRT."""

    def __init__(self, session: object, device: str) -> None:
        from assay_runner.backends.tensorrt.session import EngineSession, dtypes

        assert isinstance(session, EngineSession), "another session"
        self._session, self._device, kinds = session, device, dtypes()
        engine = session.engine
        specs = []
        for name in session.inputs:
            shape = tuple(engine.get_tensor_shape(name))
            if min(shape, default=0) < 0:
                # What the plan is best at stands in the middle of its first profile.
                shape = tuple(engine.get_tensor_profile_shape(name, 0)[1])
            kind = engine.get_tensor_dtype(name)
            if kind not in kinds:
                raise InvalidInput(f"input {name!r} is of type {kind}, which cannot be made up")
            specs.append(TensorSpec(name, kinds[kind], shape))
        self.specs: Sequence[TensorSpec] = specs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Its outputs as they are: widened, a half with one wrong bit would have others."""
        return self._session.bits(inputs)

    def clock(self) -> int | None:
        """SM clock, as nvidia-smi has it."""
        asked = [f"--id={self._device}", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
        try:
            told = smi.run(asked, CLOCK_SECONDS).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return None
        return int(told) if told.isdecimal() else None
