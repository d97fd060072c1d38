"""TensorRT's names as far as `polygraphy debug precision`, `peer_layers` and `tests.gpu.bare` ask for them."""

from __future__ import annotations

import ctypes
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import onnx

__version__ = "10.6.0"
float32, float16, int8, int32, int64, bool = "float32", "float16", "int8", "int32", "int64", "bool"  # noqa: A001
LayerType = SimpleNamespace(CONSTANT="CONSTANT", CONVOLUTION="CONVOLUTION")
TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
LayerInformationFormat = SimpleNamespace(JSON="JSON")


class Whatever:
    """Whatever else is asked for: it is there, is nothing, and does nothing."""

    def __init__(self, *words: Any, **named: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name == "__members__":
            return {}
        if name.startswith("__"):
            raise AttributeError(name)
        return Whatever()

    def __call__(self, *words: Any, **named: Any) -> Any:
        return Whatever()

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __bool__(self) -> Any:
        return True

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __ge__(self, other: Any) -> Any:
        return False

    __gt__ = __ge__

    def __enter__(self) -> bytes:
        return b""

    def __exit__(self, *told: object) -> None:
        pass

    def __or__(self, other: Any) -> Any:
        return self


class Logger(Whatever):
    """Says nothing."""

    ERROR, WARNING, INFO, VERBOSE, INTERNAL_ERROR = range(5)
    Severity = SimpleNamespace(VERBOSE=4, INFO=3, WARNING=2, ERROR=1, INTERNAL_ERROR=0)


class Layer:
    """A layer of one output, of no precision until it is told one."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.type, self.precision, self.num_outputs, self.num_inputs = name, kind, "", 1, 0

    @property
    def precision_is_set(self) -> Any:
        return self.precision != ""

    def reset_precision(self) -> None:
        self.precision = ""

    def get_output(self, at: int) -> Any:
        return SimpleNamespace(is_execution_tensor=True, dtype=float32, name=f"{self.name}{at}", shape=(1,))


class Network(Whatever):
    """Layers of a model: of each weight a constant before the first node that reads it."""

    def read(self, path: str) -> None:
        graph, seen = onnx.load(path).graph, set()
        weights = {each.name for each in graph.initializer}
        self.layers: list[Layer] = []
        for node in graph.node:
            for name in node.input:
                if name in weights and name not in seen:
                    seen.add(name)
                    self.layers.append(Layer(name, LayerType.CONSTANT))
            self.layers.append(Layer(node.name, LayerType.CONVOLUTION))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Any:
        return iter(self.layers)

    def get_layer(self, at: int) -> Layer:
        return self.layers[at]

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    num_inputs, num_outputs = 0, 0


class Plan(bytes):
    """A serialised engine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: object) -> None:
        pass


class Builder(Whatever):
    """Builds at once."""

    def create_network(self, flags: int = 0) -> Network:
        return Network()

    def build_serialized_network(self, network: Network, config: Any) -> Plan:
        told = {layer.name: layer.precision for layer in network.layers if layer.precision_is_set}
        return Plan(
            json.dumps({"wide": [name for name, kind in told.items() if kind == float32], "told": len(told)}).encode()
        )


class OnnxParser(Whatever):
    """Reads the file."""

    num_errors = 0

    def __init__(self, network: Network | None = None, logger: Any = None, **more: Any) -> None:
        self.network = network

    def parse_from_file(self, path: str) -> Any:
        assert self.network is not None
        self.network.read(path)
        return True

    def parse(self, model: Any, path: str | None = None) -> Any:
        return self.parse_from_file(path or "model.onnx")


class Engine:
    """Of the network whose folder is STANDIN_FOLDER."""

    def __init__(self, plan: bytes) -> None:
        # An engine of Assay's own is another file here; it is taken for one with all that is needed in FP32.
        self.wide = set(json.loads(plan)["wide"]) if plan[:1] == b"{" else None
        folder = Path(os.environ["STANDIN_FOLDER"])
        with np.load(folder / "golden.npz") as golden, np.load(folder / "data" / "part-0.npz") as given:
            self.golden, self.given = dict(golden), dict(given)
        graph = onnx.load(str(folder / "model.onnx")).graph
        self.batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value
        self.names = [*self.given, *self.golden]
        self.num_io_tensors, self.device_memory_size_v2 = len(self.names), 0

    def get_tensor_name(self, at: int) -> Any:
        return self.names[at]

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name in self.given else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.batch, *(self.given | self.golden)[name].shape[1:])

    def get_tensor_dtype(self, name: str) -> str:
        return float32

    def create_execution_context(self, *how: Any) -> Context:
        return Context(self)

    def create_engine_inspector(self) -> Any:
        layers = [{"Name": "a", "Outputs": [{"Format/Datatype": "Row major linear FP16"}]}]
        return SimpleNamespace(get_engine_information=lambda how: json.dumps({"Layers": layers}))


class Context:
    """Runs: finds the batch by its numbers, and gives golden's outputs or NaN."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.at: dict[str, int] = {}
        self.set_input_shape = lambda name, shape: True
        self.get_tensor_shape = engine.get_tensor_shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.at[name] = address

    def execute_async_v3(self, stream: int) -> Any:
        engine = self.engine
        good = engine.wide is None or set(re.split(",", os.environ["STANDIN_NEEDS"])) <= engine.wide
        [name] = engine.given
        first = _seen(self.at[name], engine.get_tensor_shape(name))
        batches = engine.given[name].reshape(-1, *first.shape)
        [at] = [at for at, batch in enumerate(batches) if np.array_equal(batch, first)]
        for output, golden in engine.golden.items():
            shape = engine.get_tensor_shape(output)
            _seen(self.at[output], shape)[...] = golden.reshape(-1, *shape)[at] if good else np.nan
        return True


def _seen(address: int, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address)).reshape(shape)


class Runtime(Whatever):
    """Opens what the builder here made."""

    def deserialize_cuda_engine(self, plan: bytes) -> Engine:
        return Engine(plan)


def init_libnvinfer_plugins(*words: Any) -> None:
    """There are none."""


def nptype(kind: str) -> Any:
    """NumPy's type of that name."""
    return np.dtype(kind)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Whatever,), {}) if name[:1] == "I" else Whatever()
