"""Writes reader.onnx and its data: rows of five digits, read as words, drawn as a mask and detected, by a trained CNN.

python -m examples.metrics.make
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

HERE = Path(__file__).parent
DIGITS = HERE.parent / "digits"
WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
LONG, SIDE, INK = 5, 8, 0.5
TRACE, ONE = np.array(0.3, np.float32), np.array(1, np.float32)
PLACES = np.zeros((1, LONG, 6), np.float32)
"""What is added to a row: how far right its digit stands."""
PLACES[0, :, 0] = PLACES[0, :, 2] = SIDE * np.arange(LONG)


def model() -> onnx.ModelProto:
    """The digits CNN on each fifth of an image.

    `text` has its scores, `classes` those of every pixel, paper last; `detections` a row per digit: its box in pixels
    (x1, y1, x2, y2), its score and its class.
    """
    read = onnx.load(DIGITS / "digits-cnn.onnx")
    constants = {
        "cut": [-1, 1, SIDE, LONG, SIDE], "each": [-1, 1, SIDE, SIDE], "words": [-1, LONG, 10],
        "cells": [-1, 10, 1, LONG, 1], "wide": [1, 1, SIDE, 1, SIDE], "joined": [-1, 10, SIDE, LONG * SIDE],
        "rows6": [-1, LONG, 6],
    }  # fmt: skip
    whole = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]
    whole += [numpy_helper.from_array(np.array(value, np.float32), n) for n, value in (("ink", INK), ("far", 200))]
    whole += [
        numpy_helper.from_array(array, name) for name, array in (("trace", TRACE), ("one", ONE), ("places", PLACES))
    ]
    before = [
        helper.make_node("Reshape", ["line", "cut"], ["columns"], "columns"),
        helper.make_node("Transpose", ["columns"], ["apart"], "apart", perm=[0, 3, 1, 2, 4]),
        helper.make_node("Reshape", ["apart", "each"], ["image"], "image"),
    ]
    after = [
        helper.make_node("Reshape", ["logits", "words"], ["text"], "text"),
        helper.make_node("Transpose", ["text"], ["by_class"], "by_class", perm=[0, 2, 1]),
        helper.make_node("Reshape", ["by_class", "cells"], ["cell"], "cell"),
        helper.make_node("Expand", ["cell", "wide"], ["spread"], "spread"),
        helper.make_node("Reshape", ["spread", "joined"], ["digits"], "digits"),
        helper.make_node("Sub", ["ink", "line"], ["lack"], "lack"),
        helper.make_node("Mul", ["lack", "far"], ["paper"], "paper"),
        helper.make_node("Concat", ["digits", "paper"], ["classes"], "classes", axis=1),
        *detections(),
    ]
    info = helper.make_tensor_value_info
    shapes = {
        "text": ["batch", LONG, 10],
        "classes": ["batch", 11, SIDE, LONG * SIDE],
        "detections": ["batch", LONG, 6],
    }
    graph = helper.make_graph(
        [*before, *read.graph.node, *after],
        "reader",
        [info("line", onnx.TensorProto.FLOAT, ["batch", 1, SIDE, LONG * SIDE])],
        [info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [*read.graph.initializer, *whole],
    )
    return helper.make_model(graph, opset_imports=read.opset_import, ir_version=read.ir_version)


def detections() -> list[onnx.NodeProto]:
    """Nodes that make the rows: the box around what has a trace of ink, the best score and its class."""

    def made(op: str, inputs: str, output: str, **more: object) -> onnx.NodeProto:
        return helper.make_node(op, inputs.split(), [output], output, **more)

    nodes = [made("Greater", "image trace", "traced"), made("Cast", "traced", "trace_of", to=onnx.TensorProto.FLOAT)]
    for name, axes in (("x", [1, 2]), ("y", [1, 3])):
        nodes += [
            made("ReduceMax", "trace_of", f"{name}_ink", axes=axes, keepdims=0),
            made("ArgMax", f"{name}_ink", f"{name}_first", axis=1, keepdims=1),
            made("ArgMax", f"{name}_ink", f"{name}_last", axis=1, keepdims=1, select_last_index=1),
            made("Cast", f"{name}_first", f"{name}_from", to=onnx.TensorProto.FLOAT),
            made("Cast", f"{name}_last", f"{name}_till", to=onnx.TensorProto.FLOAT),
            made("Add", f"{name}_till one", f"{name}_end"),
        ]
    return [
        *nodes,
        made("Softmax", "logits", "shares", axis=1),
        made("ReduceMax", "shares", "score", axes=[1], keepdims=1),
        made("ArgMax", "shares", "best", axis=1, keepdims=1),
        made("Cast", "best", "class_of", to=onnx.TensorProto.FLOAT),
        made("Concat", "x_from y_from x_end y_end score class_of", "single", axis=1),
        made("Reshape", "single rows6", "in_cells"),
        made("Add", "in_cells places", "detections"),
    ]


def boxes(image: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """What is to be detected, (samples, 5, 5): boxes around ink in pixels, as x1, y1, x2, y2, and the digit."""
    ink = image > INK
    found = np.zeros((*digits.shape, 5), np.float32)
    for sample, cell in np.ndindex(digits.shape):
        y, x = np.nonzero(ink[sample, cell, 0])
        left = SIDE * cell
        found[sample, cell] = left + x.min(), y.min(), left + x.max() + 1, y.max() + 1, digits[sample, cell]
    return found


def rows(folder: Path, name: str, samples: int) -> np.ndarray:
    """The first arrays of a name, five to a sample."""
    found = np.concatenate([np.load(path)[name] for path in sorted(folder.glob("*.npz"))])
    return found[: samples * LONG].reshape(samples, LONG, *found.shape[1:])


def lines(folder: Path, samples: int) -> np.ndarray:
    """Images of five digits each, (samples, 1, 8, 40)."""
    images = rows(folder, "image", samples)[:, :, 0]
    return np.ascontiguousarray(images.transpose(0, 2, 1, 3).reshape(samples, 1, SIDE, LONG * SIDE), np.float32)


def targets(folder: Path, line: np.ndarray) -> dict[str, np.ndarray]:
    """What the images say, and which digit each pixel with ink belongs to (10: none)."""
    digits = rows(folder, "label", len(line))
    owner = np.repeat(digits, SIDE, axis=1)[:, None, :]
    mask = np.where(line[:, 0] > INK, owner, 10).astype(np.int8)
    return {
        "transcript": np.array([" ".join(WORDS[row]) for row in digits]),
        "mask": mask,
        "boxes": boxes(rows(folder, "image", len(line)), digits),
    }


def main() -> None:
    """Write them all."""
    onnx.save(model(), HERE / "reader.onnx")
    line = lines(DIGITS / "data", 159)
    kept = {"data": {"line": line, **targets(DIGITS / "data", line)}, "calib": {"line": lines(DIGITS / "calib", 40)}}
    for name, arrays in kept.items():
        (HERE / name).mkdir(exist_ok=True)
        np.savez_compressed(HERE / name / "part-000.npz", **arrays)


if __name__ == "__main__":
    main()
