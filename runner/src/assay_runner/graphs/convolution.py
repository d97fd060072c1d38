"""Convolution and global pooling in double precision, for which ONNX Runtime has no kernels.

A convolution is a sum over kernel positions: shift the padded input by the position, take every stride-th element, and
multiply by that position's matrix of weights. Each part has a kernel for double, and the sum is exact up to the
rounding of double precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from assay_runner.graphs.documents import attributes
from assay_runner.tensors import Array

# Slice took its bounds as attributes, and no steps, before opset 10; Pad its widths before 11.
FIRST_OPSET = 11
ENDLESS = np.iinfo(np.int64).max


@dataclass
class Rewrite:
    """Nodes and constants that take a node's place.

    Attributes:
        name: makes names that the model does not use yet.
        constant: adds a constant to the model and gives its name.
        nodes: the nodes so far.
    """

    name: Callable[[str], str]
    constant: Callable[[Array], str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        made = output or self.name(f"{inputs[0]}__{kind.lower()}")
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=self.name(f"{made}_node"), **attributes))
        return made

    def ints(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.constant(np.array(values, np.int64))


def convolution(node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]], rewrite: Rewrite) -> bool:
    """Rewrite a Conv whose weight is an initialiser; False where its padding follows the size of its input.

    Args:
        node: the Conv; the shape of its weight is (M, C / groups, k1, ..., kn).
        weights: shapes of the initialisers.
        rewrite: takes the new nodes.
    """
    shape = weights.get(node.input[1])
    given = attributes(node)
    if shape is None or given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    kernel, rank, groups = shape[2:], len(shape) - 2, given.get("group", 1)
    strides, dilations = (list(given.get(k, [1] * rank)) for k in ("strides", "dilations"))
    source = _padded(node.input[0], list(given.get("pads", [])), rank, rewrite)
    filters = _filters(node.input[1], shape, groups, rewrite)
    total = ""
    for number, position in enumerate(itertools.product(*map(range, kernel))):
        window = _window(source, position, kernel, strides, dilations, rewrite)
        split = rewrite.op("Reshape", window, rewrite.ints(0, groups, shape[1], -1))
        part = rewrite.op("MatMul", _nth(filters, number, rewrite), split)
        total = rewrite.op("Add", total, part) if total else part
    size = rewrite.op("Slice", rewrite.op("Shape", window), rewrite.ints(2), rewrite.ints(2 + rank))
    target = rewrite.op("Concat", rewrite.ints(0, shape[0]), size, axis=0)
    if len(node.input) > 2 and node.input[2]:
        shaped = rewrite.op("Reshape", total, target)
        bias = rewrite.op("Reshape", node.input[2], rewrite.ints(1, shape[0], *[1] * rank))
        rewrite.op("Add", shaped, bias, output=node.output[0])
    else:
        rewrite.op("Reshape", total, target, output=node.output[0])
    return True


def global_average(node: onnx.NodeProto, rank: int, opset: int, rewrite: Rewrite) -> None:
    """Rewrite a GlobalAveragePool of an input of `rank` axes as a mean over all but the first two."""
    axes = list(range(2, rank))
    if opset >= 18:
        rewrite.op("ReduceMean", node.input[0], rewrite.ints(*axes), output=node.output[0], keepdims=1)
    else:
        rewrite.op("ReduceMean", node.input[0], output=node.output[0], axes=axes, keepdims=1)


def _padded(source: str, pads: list[int], rank: int, rewrite: Rewrite) -> str:
    if not any(pads):
        return source
    widths = rewrite.ints(0, 0, *pads[:rank], 0, 0, *pads[rank:])
    return rewrite.op("Pad", source, widths, rewrite.constant(np.array(0, np.float64)), mode="constant")


def _filters(name: str, shape: tuple[int, ...], groups: int, rewrite: Rewrite) -> str:
    """(M, C/g, k...) as (positions, g, M/g, C/g)."""
    flat = rewrite.op("Reshape", name, rewrite.ints(groups, shape[0] // groups, shape[1], -1))
    return rewrite.op("Transpose", flat, perm=[3, 0, 1, 2])


def _nth(filters: str, number: int, rewrite: Rewrite) -> str:
    return rewrite.op("Gather", filters, rewrite.constant(np.array(number, np.int64)), axis=0)


def _window(
    source: str,
    position: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: list[int],
    dilations: list[int],
    rewrite: Rewrite,
) -> str:
    starts = [p * d for p, d in zip(position, dilations, strict=True)]
    beyond = [(k - 1 - p) * d for k, p, d in zip(kernel, position, dilations, strict=True)]
    ends = [-b if b else ENDLESS for b in beyond]
    axes = range(2, 2 + len(kernel))
    return rewrite.op("Slice", source, *(rewrite.ints(*v) for v in (starts, ends, axes, strides)))


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the initialisers of the outer graph."""
    return {t.name: tuple(t.dims) for t in model.graph.initializer}


def constant_adder(model: onnx.ModelProto, name: Callable[[str], str]) -> Callable[[Array], str]:
    """A function that adds constants to the model, equal ones once."""
    known: dict[tuple[str, bytes, tuple[int, ...]], str] = {}

    def add(value: Array) -> str:
        key = (value.dtype.str, value.tobytes(), value.shape)
        if key not in known:
            known[key] = name("assay__constant")
            model.graph.initializer.append(numpy_helper.from_array(value, known[key]))
        return known[key]

    return add
