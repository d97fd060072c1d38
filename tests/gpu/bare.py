"""The second opinion: an engine run by TensorRT's own calls and plain copies, without any code of Assay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bare", "inputs_and_outputs", "opened"]

Arrays = Mapping[str, NDArray[Any]]


def check(result: tuple[Any, ...]) -> Any:
    """The value of a CUDA call, which comes with an error code."""
    error, *values = result
    if int(error):
        raise RuntimeError(f"CUDA error {error!r}")
    return values[0] if values else None


class Bare:
    """An engine with one context and one stream."""

    def __init__(self, plan: Path) -> None:
        import tensorrt as trt

        self.trt = trt
        self.logger = trt.Logger(trt.Logger.ERROR)
        trt.init_libnvinfer_plugins(self.logger, "")
        self.runtime = trt.Runtime(self.logger)
        self.engine = self.runtime.deserialize_cuda_engine(plan.read_bytes())
        if self.engine is None:
            raise RuntimeError(f"{plan} cannot be deserialised")
        self.context = self.engine.create_execution_context()
        self.names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]

    def of_mode(self, mode: str) -> list[str]:
        """Names of the INPUT or OUTPUT tensors."""
        wanted = getattr(self.trt.TensorIOMode, mode)
        return [name for name in self.names if self.engine.get_tensor_mode(name) == wanted]

    def run(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs for one batch."""
        (found,) = self.each([arrays])
        return found

    def each(self, batches: Iterable[Arrays]) -> Iterator[dict[str, NDArray[Any]]]:
        """The outputs for each of several batches of one shape, in device memory that is allocated once."""
        with contextlib.ExitStack() as stack:
            addresses: dict[str, int] = {}
            for arrays in batches:
                given, host = self._shaped(arrays)
                addresses = addresses or stack.enter_context(device_memory({**given, **host}))
                self._execute(given, host, addresses)
                yield host

    def _shaped(self, arrays: Arrays) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        for name in self.of_mode("INPUT"):
            if not self.context.set_input_shape(name, arrays[name].shape):
                raise RuntimeError(f"the engine does not take {name} of shape {arrays[name].shape}")
        host = {
            name: np.empty(
                tuple(self.context.get_tensor_shape(name)), self.trt.nptype(self.engine.get_tensor_dtype(name))
            )
            for name in self.of_mode("OUTPUT")
        }
        given = {
            name: np.ascontiguousarray(arrays[name], self.trt.nptype(self.engine.get_tensor_dtype(name)))
            for name in self.of_mode("INPUT")
        }
        return given, host

    def _execute(self, given: Arrays, host: Arrays, addresses: Mapping[str, int]) -> None:
        from cuda.bindings import runtime as cuda

        for name, array in given.items():
            kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
            check(cuda.cudaMemcpy(addresses[name], array.ctypes.data, array.nbytes, kind))
        for name, address in addresses.items():
            self.context.set_tensor_address(name, address)
        stream = check(cuda.cudaStreamCreate())
        try:
            if not self.context.execute_async_v3(int(stream)):
                raise RuntimeError("TensorRT refused to run")
            check(cuda.cudaStreamSynchronize(stream))
        finally:
            check(cuda.cudaStreamDestroy(stream))
        for name, array in host.items():
            kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
            check(cuda.cudaMemcpy(array.ctypes.data, addresses[name], array.nbytes, kind))

    @contextlib.contextmanager
    def in_own_memory(self) -> Iterator[int]:
        """Another context, which computes in memory of ours: its address, of `device_memory_size_v2` bytes."""
        from cuda.bindings import runtime as cuda

        before, size = self.context, self.engine.device_memory_size_v2
        self.context = self.engine.create_execution_context(self.trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        address = int(check(cuda.cudaMalloc(max(size, 1))))
        try:
            self.context.set_device_memory(address, size)
            yield address
        finally:
            self.context = before
            check(cuda.cudaFree(address))

    def over(self, arrays: Arrays, batch: int) -> dict[str, NDArray[Any]]:
        """The outputs of all samples, run in batches; the last one is filled up with the last sample."""
        samples = len(next(iter(arrays.values())))
        rows = [np.arange(start, start + batch).clip(max=samples - 1) for start in range(0, samples, batch)]
        parts = [self.run({name: array[these] for name, array in arrays.items()}) for these in rows]
        return {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0]}

    def inspected(self) -> str:
        """What the engine says about its layers, as JSON."""
        inspector = self.engine.create_engine_inspector()
        return str(inspector.get_engine_information(self.trt.LayerInformationFormat.JSON))


@contextlib.contextmanager
def device_memory(arrays: Arrays) -> Iterator[dict[str, int]]:
    """Device memory of the arrays' sizes, by name; never of no size."""
    from cuda.bindings import runtime as cuda

    addresses: dict[str, int] = {}
    try:
        for name, array in arrays.items():
            addresses[name] = int(check(cuda.cudaMalloc(max(array.nbytes, 1))))
        yield addresses
    finally:
        for address in addresses.values():
            check(cuda.cudaFree(address))


def opened(plans: list[Path], inputs: set[str], outputs: set[str]) -> Bare:
    """The one engine with just these inputs and outputs: those that show more are probes.

    Raises:
        LookupError: the audit left none.
    """
    for plan in plans:
        bare = Bare(plan)
        if set(bare.of_mode("INPUT")) == inputs and set(bare.of_mode("OUTPUT")) == outputs:
            return bare
    raise LookupError(f"none of {len(plans)} engines in the audit's cache takes {inputs} and gives just {outputs}")


def inputs_and_outputs(model: Path) -> tuple[set[str], set[str]]:
    """Names of an ONNX model's inputs and outputs."""
    import onnx

    graph = onnx.load(str(model), load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    return {i.name for i in graph.input} - weights, {o.name for o in graph.output}
