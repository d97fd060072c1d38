"""Small models and shards made in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assay_api.audit import ModelRef, Storage
from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.models.feeding import AS_EVER, Feeding
from assay_runner.models.loading import LoadedModel, load_model
from assay_runner.stores import Store, open_store
from assay_runner.tensors import Array

Shape = list[int | str | None]


def info(name: str, shape: Shape, elem: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, elem, shape)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **more: Any) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs, more.pop("initializer", []))
    opsets = more.pop("opsets", [helper.make_opsetid("", 17)])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=more.pop("ir_version", 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path), **more)
    return path


def linear(path: Path, batch: int | str = "batch", classes: int = 4, **more: Any) -> Path:
    """x (batch, 3) → y (batch, classes), weights of an initializer that is also a graph input."""
    weight = np.random.default_rng(0).standard_normal((3, classes)).astype(np.float32)
    return save(
        path,
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="matmul")],
        [info("x", [batch, 3]), info("w", [3, classes])],
        [info("y", [batch, classes])],
        initializer=[numpy_helper.from_array(weight, "w")],
        **more,
    )


def pooled(path: Path) -> Path:
    """x (batch, length) → y (batch,): the rows' length is free."""
    return save(
        path,
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)],
        [info("x", ["batch", "length"])],
        [info("y", ["batch"])],
    )


def store(base: Path) -> Store:
    return open_store(Storage(), base)


def loaded(path: Path, scratch: Path, feeding: Feeding = AS_EVER) -> LoadedModel:
    return load_model(store(path.parent), ModelRef(uri=f"file://{path}"), scratch, feeding)


def shard(path: Path, compressed: bool = False, **arrays: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


def rows(count: int, width: int = 3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def opened(folder: Path, model: Path, source: Source | None = None, feeding: Feeding = AS_EVER) -> Dataset:
    scratch = folder / "scratch"
    return open_dataset(store(folder), source or Source("file://./data"), loaded(model, scratch, feeding), scratch)


def stateful(path: Path, batch: str | int | None = "batch") -> Path:
    """A voice detector's interface: input (batch, 16), state (2, batch, 8) and a scalar, sr, to output and stateN.

    Inside are squares, which are beyond FP16 where an input is beyond some hundreds.
    """
    random = np.random.default_rng(0)
    weights = {
        "wx": random.standard_normal((16, 8)).astype(np.float32),
        "wh": random.standard_normal((8, 8)).astype(np.float32) / 4,
        "wo": random.standard_normal((8, 1)).astype(np.float32),
        "zero": np.int64(0), "one": np.int64(1), "rate": np.float32(16_000), "first": np.array([0], np.int64),
    }  # fmt: skip
    nodes: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Cast", "sr", "hertz", {"to": TensorProto.FLOAT}), ("Div", "hertz rate", "scale", {}),
        ("Mul", "input scale", "x", {}), ("MatMul", "x wx", "px", {}), ("Gather", "state zero", "h", {"axis": 0}),
        ("MatMul", "h wh", "ph", {}), ("Add", "px ph", "sum", {}), ("Mul", "sum sum", "square", {}),
        ("Sqrt", "square", "next", {}), ("Gather", "state one", "c", {"axis": 0}),
        ("Add", "c next", "cell", {}), ("Unsqueeze", "next first", "u0", {}), ("Unsqueeze", "cell first", "u1", {}),
        ("Concat", "u0 u1", "stateN", {"axis": 0}), ("MatMul", "next wo", "o", {}), ("Sigmoid", "o", "output", {}),
    ]  # fmt: skip
    return save(
        path,
        [helper.make_node(op, given.split(), [made], name=made, **more) for op, given, made, more in nodes],
        [info("input", [batch, 16]), info("state", [2, batch, 8]), info("sr", [], TensorProto.INT64)],
        [info("output", [batch, 1]), info("stateN", [None, None, None])],
        initializer=[numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
