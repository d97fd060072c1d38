"""A deserialised engine, run on batches that lie in host memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from assay_runner.backends.tensorrt.device import (
    Buffer,
    Buffers,
    DeviceArray,
    Timer,
    fill,
    stream,
    synchronize,
    to_device,
    to_host,
)
from assay_runner.backends.tensorrt.interface import check_places
from assay_runner.backends.tensorrt.library import logger, mark, reason, tensorrt
from assay_runner.backends.tensorrt.sayings import Mark
from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.tensors import Array, Arrays

WARM_UP = 3
BYTES = (0xFF, 0x00, 0x7E, 0x3C)
"""Bytes to fill memory with: NaN in every floating-point type, zeros, large numbers (NaN in FP16), numbers near one."""


def dtypes() -> dict[Any, np.dtype[Any]]:
    """Numpy's element type by TensorRT's, as far as numpy can hold it."""
    kinds = tensorrt().DataType
    named = {
        "FLOAT": np.float32,
        "HALF": np.float16,
        "BF16": ml_dtypes.bfloat16,
        "FP8": ml_dtypes.float8_e4m3fn,
        "INT8": np.int8,
        "UINT8": np.uint8,
        "INT32": np.int32,
        "INT64": np.int64,
        "BOOL": np.bool_,
    }
    return {getattr(kinds, name): np.dtype(dtype) for name, dtype in named.items() if hasattr(kinds, name)}


def load(plan: Path) -> tuple[Any, Any]:
    """Runtime (which must outlive the engine) and engine.

    Raises:
        InvalidInput: the plan is of another TensorRT version or GPU, is damaged, or has plugins that are not here.
    """
    trt, since = tensorrt(), mark()
    runtime = trt.Runtime(logger())
    # A version-compatible plan carries code of its own, without which it is not loaded.
    runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan.read_bytes())
    if engine is None:
        raise InvalidInput(unloadable(plan.name, str(trt.__version__), reason(since)))
    return runtime, engine


def unloadable(plan: str, version: str, why: str) -> str:
    """The sentence for a plan that TensorRT does not load; `why` is what it said."""
    way = (
        "a plan runs on the version and the GPU it was built for, so use an image and a node like those, or build it "
        "again"
    )
    if "magic" in why.lower():
        way = "it is no plan, or a damaged one: give the file that TensorRT's builder serialised"
    if "plugin" in why.lower():
        way = (
            "the plan has plugins that are not TensorRT's own: name their libraries (plugins, or --plugin), or "
            "serialize them into it"
        )
    return f"plan {plan} cannot be loaded by TensorRT {version} on this GPU: {why}; {way}"


class EngineSession:
    """One execution context with memory of its own, on one stream.

    Outputs whose shapes only the run knows are not supported; TensorRT names such an output when it is opened.
    """

    def __init__(self, plan: Path, stream: int) -> None:
        """Load a plan.

        Raises:
            InvalidInput: the plan cannot be loaded, or takes or gives shapes.
            Unavailable: device memory ran out.
        """
        self._runtime, self._engine = load(plan)
        self._stream, self._buffers, self._types = stream, Buffers(), dtypes()
        self._scratch, self._filling = Buffer(), -1
        self._context = self._new_context()
        mode = tensorrt().TensorIOMode
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        check_places(tensorrt(), self._engine, names)
        self.inputs = [name for name in names if self._engine.get_tensor_mode(name) == mode.INPUT]
        self.outputs = [name for name in names if self._engine.get_tensor_mode(name) == mode.OUTPUT]

    @property
    def engine(self) -> Any:
        """The engine."""
        return self._engine

    @property
    def device_memory(self) -> int:
        """Bytes of device memory: activations, and weights as the plan's size tells them."""
        if hasattr(self._engine, "device_memory_size_v2"):
            return int(self._engine.device_memory_size_v2)
        return int(self._engine.device_memory_size)

    @property
    def shown(self) -> frozenset[str]:
        """Tensors that a launch gives."""
        return frozenset(self.outputs)

    @property
    def stream(self) -> int:
        """The stream that everything runs on."""
        return self._stream

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs of one batch, halves widened to float32.

        Raises:
            InvalidInput: a shape does not fit the engine.
            Unavailable: device memory ran out, or the device failed.
        """
        return self.fetch(self.launch(inputs))

    def launch(self, inputs: Mapping[str, Array | DeviceArray]) -> dict[str, DeviceArray]:
        """Outputs of one batch in device memory, there once the stream has passed this point, until the next launch.

        Args:
            inputs: by name, on the host or on the device; the latter in the engine's own element type.

        Raises:
            InvalidInput: a shape does not fit the engine.
            Unavailable: device memory ran out, or the device failed.
        """
        kept = self._feed(inputs)
        shapes = self._shapes()
        self._execute()
        if kept:
            synchronize(self._stream)
        return {
            name: DeviceArray(self._buffers[name].pointer, self._dtype(name), shape) for name, shape in shapes.items()
        }

    def fetch(self, arrays: Mapping[str, DeviceArray]) -> dict[str, Array]:
        """Copies on the host, halves widened to float32."""
        return {name: _wide(array) for name, array in self._brought(arrays).items()}

    def bits(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs of one batch in the engine's own element types.

        Raises:
            InvalidInput: a shape does not fit the engine.
            Unavailable: device memory ran out, or the device failed.
        """
        return self._brought(self.launch(inputs))

    def time(self, inputs: Arrays, runs: int) -> tuple[float, ...]:
        """Milliseconds of device time of each run on one batch, copies excluded; warmed up before."""
        kept = self._feed(inputs)
        self._shapes()
        timer = Timer()
        try:
            for _ in range(WARM_UP):
                self._execute()
            found = []
            for _ in range(runs):
                timer.start(self._stream)
                self._execute()
                timer.stop(self._stream)
                found.append(timer.milliseconds())
        finally:
            synchronize(self._stream)
            timer.close()
        del kept
        return tuple(found)

    def spoil(self, filling: int) -> None:
        """Fill the memory that the next run computes in, and that of its outputs, with bits that no run left there.

        From the first time on the engine computes in memory of this session, where TensorRT itself would take some.

        Raises:
            Unavailable: device memory ran out.
        """
        if not self._scratch.pointer:
            self._compute_in_own_memory()
        self._filling = filling % len(BYTES)

    def close(self) -> None:
        """Give device memory back."""
        synchronize(self._stream)
        self._buffers.free()
        del self._context, self._engine, self._runtime
        self._scratch.free()

    def _brought(self, arrays: Mapping[str, DeviceArray]) -> dict[str, Array]:
        found = {name: to_host(array.pointer, array.shape, array.dtype, self._stream) for name, array in arrays.items()}
        synchronize(self._stream)
        return found

    def _compute_in_own_memory(self) -> None:
        synchronize(self._stream)
        # Before the other context is made: memory need not hold both.
        self._context = None
        try:
            self._context = self._new_context(own=True)
        except AuditError:
            self._scratch.free()
            self._context = self._new_context()
            raise

    def _new_context(self, own: bool = False) -> Any:
        """A context; `own`: that computes in memory of this session."""
        since, strategies = mark(), tensorrt().ExecutionContextAllocationStrategy
        context = self._engine.create_execution_context(strategies.USER_MANAGED if own else strategies.STATIC)
        if context is None:
            raise Unavailable(f"the engine's context cannot be made: {reason(since)}")
        if own:
            pointer = self._scratch.reserve(self.device_memory)
            if hasattr(context, "set_device_memory"):
                context.set_device_memory(pointer, self._scratch.size)
            else:
                context.device_memory = pointer
        if self._engine.num_optimization_profiles > 0:
            context.set_optimization_profile_async(0, self._stream)
        return context

    def _feed(self, inputs: Mapping[str, Array | DeviceArray]) -> list[Array]:
        """Put the inputs on the device; what is returned must live until the stream is synchronised."""
        kept = []
        if self._context is None:
            raise Unavailable("the engine has no context any more: device memory ran out when it was made again")
        for name in self.inputs:
            if name not in inputs:
                raise InvalidInput(f"the engine takes an input {name!r}, which the dataset does not have")
            given = inputs[name]
            since = mark()
            if not self._context.set_input_shape(name, given.shape):
                raise InvalidInput(
                    f"input {name!r} of shape {list(given.shape)} does not fit: {self._range(name, since)}"
                )
            if isinstance(given, DeviceArray):
                self._context.set_tensor_address(name, given.pointer)
                continue
            array = np.ascontiguousarray(given, self._dtype(name))
            pointer = self._buffers[name].reserve(array.nbytes)
            to_device(array, pointer, self._stream)
            self._context.set_tensor_address(name, pointer)
            kept.append(array)
        return kept

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        since = mark()
        if unknown := self._context.infer_shapes():
            raise InvalidInput(f"the engine's shapes cannot be inferred from input {unknown[0]!r}: {reason(since)}")
        shapes = {name: tuple(self._context.get_tensor_shape(name)) for name in self.outputs}
        for name, shape in shapes.items():
            if min(shape, default=0) < 0:
                raise InvalidInput(
                    f"output {name!r} has a shape that only its data decide ({list(shape)}), which cannot be audited: "
                    "export the model without it"
                )
            size = int(np.prod(shape, dtype=np.int64)) * self._dtype(name).itemsize
            self._context.set_tensor_address(name, self._buffers[name].reserve(size))
        return shapes

    def _execute(self) -> None:
        since = mark()
        if self._filling >= 0:
            for memory in (self._scratch, *(self._buffers[name] for name in self.outputs)):
                fill(memory.pointer, BYTES[self._filling], memory.size, self._stream)
            self._filling = -1
        if not self._context.execute_async_v3(self._stream):
            raise Unavailable(f"the engine did not run: {reason(since)}")

    def _dtype(self, name: str) -> np.dtype[Any]:
        kind = self._engine.get_tensor_dtype(name)
        if kind not in self._types:
            raise InvalidInput(f"tensor {name!r} has an element type that cannot be read ({kind})")
        return self._types[kind]

    def _range(self, name: str, since: Mark) -> str:
        try:
            low, _, high = self._engine.get_tensor_profile_shape(name, 0)
            return f"the engine takes {list(low)} to {list(high)}"
        except Exception:  # Of a plan without profiles there is only what TensorRT said.
            return reason(since)


@contextmanager
def opened(plan: Path) -> Iterator[EngineSession]:
    """A plan on a stream of its own."""
    with stream() as handle:
        session = EngineSession(plan, handle)
        try:
            yield session
        finally:
            session.close()


def _wide(array: Array) -> Array:
    """Halves and narrower floats as float32, exactly; everything else as it is."""
    narrow: Mapping[str, Any] = {"float16": np.float32, "bfloat16": np.float32, "float8_e4m3fn": np.float32}
    return array.astype(narrow[array.dtype.name]) if array.dtype.name in narrow else array
