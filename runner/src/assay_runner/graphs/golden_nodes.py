"""Which tensors of a candidate are golden's own once its nodes are fed with golden's: their nodes need not be run.

A node that reads what golden's reads, and does the same, makes what golden's made. So a product of rounded weights has
to be run on golden's tensors, and what only moves elements, or applies a function to them, has not.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import onnx

from assay_runner.graphs.documents import DEFAULT_DOMAINS, subgraphs
from assay_runner.graphs.taps import RANDOM_OPS
from assay_runner.graphs.weights import is_outside
from assay_runner.models.outline import FEW

Key = tuple[str, tuple[str, ...], tuple[bytes, ...], tuple[bool, ...]]


def golden_made(
    model: onnx.ModelProto, golden: onnx.ModelProto, shared: Collection[str], same_weights: bool
) -> dict[str, str]:
    """By tensor of a candidate that equals one of golden's, bit by bit, if its node reads golden's tensors: that one.

    Both graphs must hold no floats but FP32, and their nodes be run in the same way.

    Args:
        model: the candidate's, of which the values of large weights may be left out.
        golden: golden's, likewise; the same object where the candidate is golden's own model.
        shared: tensors that are the same in both by name: golden's of that name is what a node is fed.
        same_weights: whether weights of one name are the same in both; else only small ones are looked at.
    """
    if _opsets(model) != _opsets(golden):
        return {}
    weights = {t.name: t for t in golden.graph.initializer}
    known = {t.name for t in model.graph.initializer if _equal(t, weights.get(t.name), same_weights)}
    inputs = {value.name: value for value in golden.graph.input}
    known |= {value.name for value in model.graph.input if value == inputs.get(value.name)}
    known |= {*shared, ""}
    made = {} if model is golden else {_key(node): node for node in golden.graph.node if _steady(node)}
    found: dict[str, str] = {}
    for node in model.graph.node:
        if not known.issuperset(node.input) or not _steady(node):
            continue
        twin = node if model is golden else made.get(_key(node))
        for output, theirs in zip(node.output, twin.output, strict=True) if twin else ():
            if output:
                found[output] = theirs
            if output == theirs:
                known.add(output)
    return found


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    return {"" if i.domain in DEFAULT_DOMAINS else i.domain: i.version for i in model.opset_import}


def _equal(tensor: onnx.TensorProto, other: onnx.TensorProto | None, same: bool) -> bool:
    """Whether two weights of one name are known to hold the same."""
    if other is None or tensor.data_type != other.data_type or tensor.dims != other.dims:
        return False
    return same or (_there(tensor) and _there(other) and tensor == other)


def _there(tensor: onnx.TensorProto) -> bool:
    """Whether the values stand in the model, though those of large tensors may have been left out."""
    return not is_outside(tensor) and math.prod(tensor.dims) <= FEW


def _steady(node: onnx.NodeProto) -> bool:
    """Whether a node is one of ONNX's own operators, makes the same of the same, and holds nothing that is left out."""
    if node.domain not in DEFAULT_DOMAINS or node.op_type in RANDOM_OPS:
        return False
    if node.op_type == "Dropout":  # It may train, and then it draws.
        return False
    if not node.attribute:
        return True
    return all(_there(each.t) for each in node.attribute if each.HasField("t")) and not any(subgraphs(node))


def _key(node: onnx.NodeProto) -> Key:
    """What a node does to what: the same of two nodes that make the same."""
    told = sorted(each.SerializeToString(deterministic=True) for each in node.attribute)
    return node.op_type, tuple(node.input), tuple(told), tuple(map(bool, node.output))
