"""Backends that misbehave as an engine might: each is ONNX Runtime behind the seam, with whims of its own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper

from assay_api.model import parse
from assay_api.report import Finding
from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.seams import FILLINGS
from assay_runner.checks import CHECKS
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.tensors import Array, Arrays
from tests.fusing import Fusing
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import ORT, measured

LAYERS: Mapping[str, tuple[str, ...]] = MappingProxyType({"y": ("moved",)})
"""Of the model that `stateful` makes."""


class Altering(OnnxRuntime):
    """Answers change with the circumstances named, by so much; its clock is made up."""

    def __init__(self, circumstance: str, by: float) -> None:
        self.circumstance, self.by, self.opened = circumstance, by, 0

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        self.opened += 1
        with super().open(built) as session:
            yield Altered(session, self.by if self.circumstance == "newSession" and self.opened > 2 else 0)

    @contextmanager
    def open_with_output(self, built: Built, tensor: str) -> Iterator[Session]:
        with super().open_with_output(built, tensor) as session:
            yield Altered(session, self.by if self.circumstance == "extra output" else 0)


class Altered:
    def __init__(self, session: Session, by: float) -> None:
        self._session, self._by, self.ran = session, by, 0

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.ran += 1
        return {name: a + np.asarray(self._by, a.dtype) for name, a in self._session.run(inputs).items()}

    def time(self, inputs: Arrays, runs: int) -> tuple[float, ...]:
        return tuple(float(run) for run in range(1, runs + 1))

    @property
    def device_memory(self) -> int:
        return 123_000_000


@dataclass(frozen=True)
class Moment:
    """A run of a session: of which kind, the how many-th session of that kind, its run, and sessions open beside it.

    `filling`: what its memory was filled with, -1 where it was not.
    """

    kind: Literal["plain", "shown"]
    session: int
    run: int
    beside: int
    filling: int = -1


Whim = Callable[[Moment], float]


class Wavering(OnnxRuntime):
    """An engine with state: what is fed to `state` is its own whim and not the data's; the rest follows from it."""

    def __init__(self, whim: Whim) -> None:
        self._whim, self._sessions, self._open = whim, {"plain": 0, "shown": 0}, 0
        self.held = self.most = 0

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        with super().open(built) as session, self._counted("plain", session) as counted:
            yield counted

    @contextmanager
    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> Iterator[Session]:
        with super().open_tapped(built, tensors) as session, self._counted("shown", session) as counted:
            yield counted

    @contextmanager
    def _counted(self, kind: Literal["plain", "shown"], session: Session) -> Iterator[Session]:
        self._sessions[kind] += 1
        self._open += 1
        number, run = self._sessions[kind], 0

        def state(kept: bool, filling: int) -> float:
            nonlocal run
            run += kept
            return self._whim(Moment(kind, number, run, self._open - 1, filling))

        try:
            yield self._made(session, state)
        finally:
            self._open -= 1

    def _made(self, session: Session, state: Callable[[bool, int], float]) -> Session:
        return Stateful(session, state, self._lent)

    def _lent(self, array: Array) -> None:
        """Count bytes that were handed out and are still held."""
        self.held += array.nbytes
        self.most = max(self.most, self.held)
        weakref.finalize(array, self._back, array.nbytes)

    def _back(self, size: int) -> None:
        self.held -= size


class Forgetful(Wavering):
    """Reads memory that it has not written: what it gives follows what its session was spoilt with."""

    conditions = OnnxRuntime.conditions | {"usedMemory"}

    def _made(self, session: Session, state: Callable[[bool, int], float]) -> Session:
        return Spoilable(session, state, self._lent)


class Served(Wavering, Fusing):
    """Computes some tensors as one layer, and can show the others without taking that apart."""

    def __init__(self, whim: Whim, layers: Mapping[str, tuple[str, ...]] = LAYERS) -> None:
        Wavering.__init__(self, whim)
        Fusing.__init__(self, layers)


class Stateful:
    def __init__(self, session: Session, state: Callable[[bool, int], float], lent: Callable[[Array], None]) -> None:
        self._session, self._state, self._lent, self._filling = session, state, lent, -1

    def run(self, inputs: Arrays) -> dict[str, Array]:
        # Runs of one sample, by which the size of a run is found out, do not count.
        state, self._filling = self._state(len(inputs["x"]) > 1, self._filling), -1
        found = self._session.run({n: np.full_like(a, state) if n == "state" else a for n, a in inputs.items()})
        for array in found.values():
            self._lent(array)
        return found


class Spoilable(Stateful):
    def spoil(self, filling: int) -> None:
        self._filling = filling % FILLINGS


def stateful(noise: bool = False) -> onnx.ModelProto:
    """x (N, 8) to y (N, 4) and to places (2, M), which of y are positive; `moved` is the first that `state` reaches.

    With noise, random numbers are drawn for an output of their own.
    """
    nodes = [
        node("Relu", "x", "steady"),
        node("Add", "steady state", "moved"),
        node("MatMul", "moved w", "y"),
        node("Greater", "y zero", "positive"),
        node("NonZero", "positive", "places"),
        *([node("RandomNormalLike", "x", "noise")] if noise else []),
    ]
    outputs = [value("y", "N", 4), value("places", 2, "M", kind=onnx.TensorProto.INT64)]
    return model(
        nodes,
        [value("x", "N", 8), value("state", "N", 1)],
        [*outputs, *([value("noise", "N", 8)] if noise else [])],
        [constant("w", random(8, 4, seed=3)), constant("zero", np.float32(0))],
    )


def plugged() -> onnx.ModelProto:
    """The same, its first node an operator that is none of ONNX's own."""
    proto = stateful()
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.graph.node[0].CopyFrom(helper.make_node("Gelu", ["x"], ["steady"], name="mine", domain="com.microsoft"))
    return proto


DATA = Samples({"x": random(8, 8), "state": np.zeros((8, 1), np.float32)})


def judged(
    proto: onnx.ModelProto,
    data: Samples,
    folder: Path,
    backend: Backend = ORT,
    budgets: Budgets = DEFAULT,
    **given: Any,
) -> Finding:
    """What `runToRun` finds, with the parameters given."""
    check = parse(CHECKS["runToRun"], given)
    [found] = measured(proto, "fp32", data, folder, check, backend=backend, budgets=budgets).findings
    assert ". " not in found.message, "one sentence"
    assert Finding.model_validate_json(found.model_dump_json(by_alias=True)).message == found.message
    return found
