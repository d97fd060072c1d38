"""Small inputs of which all is well: what every case begins as."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper

from tests import models
from tests.cli.audits import INT8, document, spec
from tests.fuzz.case import AUDIT, Entry
from tests.models import constant, node, random, value
from tests.runner.io.made import linear

SAMPLES: Final = 6
FP16: Final = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
FP32: Final = {"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}
CHECKS: Final = [{"finite": {}}, {"outputDrift": {"cosine": 0.9}}, {"layerDrift": {}}, {"fp16Range": {}}]
WEIGHTS: Final = "weights.bin"


def functions() -> onnx.ModelProto:
    """One function that calls another."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    once = helper.make_function("own", "Once", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opset)
    body = [helper.make_node("Once", ["a"], ["c"], domain="own"), helper.make_node("Once", ["c"], ["b"], domain="own")]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], body, opset)
    made = models.model(
        [helper.make_node("Twice", ["x"], ["y"], domain="own")], [value("x", "N", 4)], [value("y", "N", 4)]
    )
    made.functions.extend([once, twice])
    made.opset_import.append(helper.make_opsetid("own", 1))
    return made


def looping() -> onnx.ModelProto:
    """A Loop of three turns around an outer tensor."""
    body = helper.make_graph(
        [node("Add", "before step", "after"), node("Identity", "go", "on")],
        "body",
        [value("turn", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("before", "N", 4)],
        [value("on", kind=TensorProto.BOOL), value("after", "N", 4)],
    )
    return models.model(
        [node("Mul", "x two", "step"), node("Loop", "trips true x", "y", body=body)],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("two", np.float32(2)), constant("trips", np.int64(3)), constant("true", np.bool_(True))],
    )


def quantised() -> onnx.ModelProto:
    """A product between Q/DQ pairs."""
    return models.model(
        [
            node("QuantizeLinear", "x scale zero", "q"),
            node("DequantizeLinear", "q scale zero", "d"),
            node("MatMul", "d w", "y"),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 3)],
        [constant("scale", np.float32(0.05)), constant("zero", np.int8(0)), constant("w", random(4, 3))],
    )


def sparse() -> onnx.ModelProto:
    """A weight that is stored by its few values."""
    made = models.model([node("MatMul", "x w", "y")], [value("x", "N", 4)], [value("y", "N", 3)])
    values, indices = constant("w", random(2)), constant("w_indices", np.array([1, 7], np.int64))
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 3]))
    return made


def recurrent() -> onnx.ModelProto:
    """An LSTM over a fixed number of steps, whose batch is its second axis."""
    return models.model(
        [
            node("Transpose", "x", "steps", perm=[1, 0, 2]),
            node("LSTM", "steps w r", "all last cell", hidden_size=3),
            node("Squeeze", "last axis", "y"),
        ],
        [value("x", "N", 5, 4)],
        [value("y", "N", 3)],
        [constant("w", random(1, 12, 4)), constant("r", random(1, 12, 3)), constant("axis", np.array([0], np.int64))],
    )


def double() -> onnx.ModelProto:
    """Float64 in, booleans and int32 out."""
    return models.model(
        [node("Greater", "x zero", "above"), node("Cast", "above", "y", to=TensorProto.INT32)],
        [value("x", "N", 4, kind=TensorProto.DOUBLE)],
        [value("above", "N", 4, kind=TensorProto.BOOL), value("y", "N", 4, kind=TensorProto.INT32)],
        [constant("zero", np.float64(0))],
    )


MODELS: Final[Mapping[str, Callable[[], onnx.ModelProto]]] = {
    "mlp": models.mlp,
    "norm": models.layer_norm,
    "convolutions": models.convolutions,
    "branching": models.branching,
    "masked": models.masked,
    "embedding": models.embedding,
    "functions": functions,
    "looping": looping,
    "quantised": quantised,
    "sparse": sparse,
    "recurrent": recurrent,
    "double": double,
}


@cache
def model_bytes(name: str) -> bytes:
    """One of `MODELS` as a file."""
    return bytes(MODELS[name]().SerializeToString())


@cache
def external(name: str = "mlp") -> tuple[bytes, bytes]:
    """One of `MODELS` with external data, and those data."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(MODELS[name](), str(path), save_as_external_data=True, location=WEIGHTS, size_threshold=0)
        Path(folder, WEIGHTS).touch()  # Some have nothing to put there.
        return path.read_bytes(), Path(folder, WEIGHTS).read_bytes()


@cache
def arrays_for(name: str) -> Mapping[str, Any]:
    """Inputs of one of `MODELS`."""
    made = {}
    for place, fed in enumerate(MODELS[name]().graph.input):
        shape = [SAMPLES, *(dim.dim_value for dim in fed.type.tensor_type.shape.dim[1:])]
        dtype = helper.tensor_dtype_to_np_dtype(fed.type.tensor_type.elem_type)
        numbers = np.random.default_rng(place).standard_normal(shape)
        made[fed.name] = (
            np.abs(numbers) if dtype.kind == "i" else numbers > 0 if dtype.kind == "b" else numbers
        ).astype(dtype)
    return made


def npz(arrays: Mapping[str, Any], compressed: bool = False) -> bytes:
    """An `.npz` file."""
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, **arrays)
    return content.getvalue()


@cache
def data_for(name: str) -> bytes:
    """A dataset for one of `MODELS`."""
    return npz(arrays_for(name))


@cache
def linear_bytes() -> bytes:
    """The smallest model: x (batch, 3) → y (batch, 4)."""
    with tempfile.TemporaryDirectory() as folder:
        return linear(Path(folder, "model.onnx")).read_bytes()


def audit(**changes: Any) -> dict[str, Any]:
    """A document for a model and a dataset as `around` lays them out."""
    asked = {"dataset": {"uri": "file://./data/", "batch": 4}, "candidates": [FP16], "checks": CHECKS}
    return document(spec(**{**asked, **changes}))


def around(model: bytes, data: Mapping[str, Entry], written: Any = None) -> dict[str, Entry]:
    """Files of a case: a model, the files below `data/`, and an audit of both."""
    said = written if isinstance(written, bytes) else yaml.safe_dump(written or audit(), sort_keys=False).encode()
    return {"model.onnx": model, AUDIT: said, **{f"data/{name}": entry for name, entry in data.items()}}


CALIBRATED: Final = INT8
