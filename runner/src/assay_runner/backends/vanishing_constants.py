"""What nodes make of constants alone, a ConstantOfShape's fill among it, where a precision makes zero of all of it.

An exporter may write an epsilon so. It is computed here, for a builder folds it: what it becomes is known before
anything runs. One whose shape the data decide is looked at by its fill alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.backends.constants import Constants
from assay_runner.errors import AuditError
from assay_runner.evidence import Guard
from assay_runner.graphs.batch_shapes import inferred
from assay_runner.graphs.constants import FILL, made_of_constants
from assay_runner.graphs.documents import attributes
from assay_runner.graphs.endings import Downstream
from assay_runner.graphs.formats import HALVES, Formats
from assay_runner.graphs.rounding import rounder
from assay_runner.graphs.taps import name_of
from assay_runner.tensors import Array


def vanishing_constants(
    model: onnx.ModelProto, source: Path, formats: Formats, downstream: Downstream
) -> Iterator[Guard]:
    """Those that should keep a divisor from zero and are zero themselves, in order.

    Args:
        model: localised, not rounded yet.
        source: folder in which its weights lie.
        formats: what each node computes in.
        downstream: of the same graph.
    """
    kinds = {name_of(node): formats.of(node) for node in model.graph.node}
    found = {
        name: made
        for name, made in made_of_constants(model).items()
        if kinds[made.through[-1]] in HALVES and downstream.guard(name, "", 0.0, made)
    }
    values = Constants(_filled(model), source) if found else None
    for name, made in found.items():
        array, kind = _value(values, name), kinds[made.through[-1]]
        if array is not None and array.all() and not rounder(kind)(array).any():
            largest = float(array.flat[int(np.abs(array).argmax())])
            if guard := downstream.guard(name, kind, largest, made):
                yield guard


def _filled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, what is filled of a shape a single number of as many axes, where inference finds those."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    fills = [node for node in copy.graph.node if node.op_type == FILL]
    shapes = inferred(copy) if fills else {}
    for node in fills:
        fill = numpy_helper.to_array(value) if (value := attributes(node).get("value")) else np.zeros(1, np.float32)
        fill = fill.reshape((1,) * len(shapes.get(node.output[0]) or (1,)))
        copy.graph.initializer.append(numpy_helper.from_array(fill, node.output[0]))
    kept = [node for node in copy.graph.node if node.op_type != FILL]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


def _value(values: Constants | None, name: str) -> Array | None:
    """Its numbers, where it has some of floating point and they can be computed."""
    try:
        array = None if values is None else np.asarray(values.value(name))
    except AuditError:
        return None
    return array if array is not None and array.size and array.dtype.kind == "f" else None
