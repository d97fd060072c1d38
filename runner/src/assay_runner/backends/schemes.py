"""How a model is quantised already, or why nothing in it can be: said of the model as people know it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import onnx
from onnx import TensorProto

from assay_runner.backends.conversion import listed
from assay_runner.errors import CannotBuild
from assay_runner.graphs.documents import all_graphs, all_nodes, load_outline
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.slots import Chosen, told
from assay_runner.graphs.taps import name_of
from assay_runner.models.outline import type_called
from assay_runner.tensors import Site

STORED = {
    "int8": frozenset({TensorProto.INT8, TensorProto.UINT8}),
    "fp8": frozenset({TensorProto.FLOAT8E4M3FN}),
}

DYNAMIC: Final = "is quantised dynamically, with scales that are found anew in every run"
INTEGER: Final = "has products of integers"
PACKED: Final = "has weights of a few bits in an operator of ONNX Runtime's own"

QOPERATORS: Final = ("QLinearConv", "QLinearMatMul", "QGemm", "QAttention")
"""Products of a model in ONNX Runtime's QOperator format."""
# Operators of ONNX and of ONNX Runtime that compute on quantised numbers, by what they make of a model.
SCHEMES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"), DYNAMIC)
    | dict.fromkeys(("MatMulInteger", "ConvInteger", "MatMulIntegerToFloat"), INTEGER)
    | dict.fromkeys(QOPERATORS, INTEGER)
    | dict.fromkeys(("MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"), PACKED)
)


def other_schemes(model: onnx.ModelProto) -> dict[str, list[str]]:
    """What other schemes than Q/DQ pairs make of a model, the most telling first, with the operators that show it."""
    operators = dict.fromkeys(node.op_type for node in all_nodes(model.graph))
    found = {scheme: [op for op in operators if SCHEMES.get(op) == scheme] for scheme in (DYNAMIC, PACKED, INTEGER)}
    return {scheme: operators for scheme, operators in found.items() if operators}


def scheme_notes(name: str, model: onnx.ModelProto) -> tuple[str, ...]:
    """What a reader must know of a model that is quantised otherwise than by Q/DQ pairs; nothing of any other."""
    schemes, notes = other_schemes(model), []
    if operators := schemes.get(DYNAMIC):
        notes.append(f"{name} {DYNAMIC} ({', '.join(operators)}): what else is in a batch decides them")
    if operators := [op for op in schemes.get(INTEGER, ()) if op in QOPERATORS]:
        notes.append(
            f"{name} computes in 8 bits by operators of their own ({', '.join(operators)}), which TensorRT does not "
            "have: for it quantise in Q/DQ pairs, in onnxruntime.quantization by QuantFormat.QDQ"
        )
    return tuple(notes)


def nothing_to_quantise(
    name: str, kind: EightBit, chosen: Chosen, inside: Sequence[Site], model: onnx.ModelProto
) -> str:
    """Why calibration finds nothing to put a Q/DQ pair in front of, and what to do, in one sentence.

    Args:
        name: what people call the model.
        kind: the format.
        chosen: what became of its products; none has a slot.
        inside: nodes inside whose control flow products stand.
        model: its graph.
    """
    form, stored, schemes = FORMATS[kind], _stored(model), other_schemes(model)
    if chosen.held:
        return (
            f"all of {name} that would run in {form.label} is held to another precision ({listed(chosen.held)}): "
            "hold fewer nodes, or choose that precision"
        )
    others = {why: [node for node, own in chosen.others.items() if own == why] for why in chosen.others.values()}
    if "pairs" in others and stored & STORED[kind]:
        return (
            f"{name} has Q/DQ pairs inside already, so calibration finds nothing to put any in front of: remove "
            "calibration and name the model in the candidate's model, and it is taken as it was trained"
        )
    if "pairs" in others:
        return (
            f"{name} has Q/DQ pairs of another format inside already ({_types(stored)}): choose the precision of those "
            f"pairs, without calibration, or give the model as it was before it was quantised"
        )
    nothing = f"there is nothing to run in {form.label} in {name}"
    if chosen.left:
        return f"{nothing}: {told(chosen.left)}; choose another precision"
    if schemes:
        scheme, operators = next(iter(schemes.items()))
        return f"{nothing}: it {scheme} ({', '.join(operators)}); {_instead(scheme)}"
    if inside:
        nodes = listed([site.node or site.tensor for site in inside])
        held = (
            "hold the input that decides it constant in dataset.inputs, " if any(s.op == "If" for s in inside) else ""
        )
        return (
            f"{nothing}: its products stand inside the control flow of {nodes}, where nothing is quantised; {held}"
            "export it without that control flow, or choose another precision"
        )
    if "other types" in others:
        return f"{nothing}: its products ({listed(others['other types'])}) are of no floating-point numbers"
    if "weights alone" in others:
        return f"{nothing}: its products ({listed(others['weights alone'])}) are of weights alone, which are folded"
    return f"{nothing}: it has none of {', '.join(form.operators)}; choose another precision"


def own_pairs(path: Path, kind: EightBit) -> None:
    """Do nothing if the model has Q/DQ pairs of this format inside.

    Raises:
        CannotBuild: it has none, so that building it would give no 8-bit engine.
    """
    model = load_outline(path)
    found, label = _stored(model), FORMATS[kind].label
    if found & STORED[kind]:
        return
    for scheme, operators in other_schemes(model).items():
        raise CannotBuild(
            f"{path.name} {scheme} ({', '.join(operators)}), which is another scheme than the {label} QuantizeLinear "
            f"and DequantizeLinear pairs that {kind} stands for: {_instead(scheme)}"
        )
    nothing = f"{path.name} has no {label} QuantizeLinear and DequantizeLinear pairs inside"
    if found:
        raise CannotBuild(
            f"{nothing} (only {_types(found)}): choose the precision of those pairs, or give the candidate calibration "
            "and the model as it was before it was quantised"
        )
    raise CannotBuild(
        f"{nothing} (none): give the candidate calibration to have them put in, or a model trained with them"
    )


def no_pairs(path: Path) -> None:
    """Do nothing if the model has no Q/DQ pairs inside.

    Raises:
        CannotBuild: it has some, so that the builder would take their scales and calibrate nothing.
    """
    if _stored(load_outline(path)):
        raise CannotBuild(
            f"{path.name} has Q/DQ pairs inside, beside which TensorRT's own calibrator does nothing: remove "
            "calibration, and the model is taken as it was trained, or set calibration.quantization: explicit"
        )


def paired(path: Path, held: Collection[str]) -> tuple[str, ...]:
    """A note on the nodes that are held and read what the model's own pairs have rounded; none where there are none."""
    graph = load_outline(path).graph
    rounded = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    found = [name for node in graph.node if (name := name_of(node)) in held and not rounded.isdisjoint(node.input)]
    return (f"held, but behind Q/DQ pairs of the model's own, which stay: {listed(found)}",) if found else ()


def _instead(scheme: str) -> str:
    """What to do about a model of another scheme."""
    plain = "give the model as it was before, with calibration"
    as_it_is = "audit it as ONNX Runtime runs it, with precision: fp32"
    return f"{plain}, or {as_it_is}" if scheme in (DYNAMIC, PACKED) else f"{as_it_is}, or {plain}"


def _stored(model: onnx.ModelProto) -> set[int]:
    """Element types that the model's own pairs hold."""
    return {kind for graph in all_graphs(model.graph) for kind in _stored_types(graph)}


def _types(kinds: Collection[int]) -> str:
    return ", ".join(sorted(map(type_called, kinds)))


def _stored_types(graph: onnx.GraphProto) -> set[int]:
    """Element types of what the graph's DequantizeLinear nodes read."""
    known = {tensor.name: tensor.data_type for tensor in graph.initializer}
    found = set()
    for node in graph.node:
        # What a Q makes, and a DQ reads, has the type of the zero point; without one it is said, or uint8.
        said = [known[name] for name in node.input[2:] if name in known]
        said += [a.i for a in node.attribute if a.name == "output_dtype" and a.i]
        match node.op_type:
            case "QuantizeLinear":
                known[node.output[0]] = next(iter(said), TensorProto.UINT8)
            case "DequantizeLinear":
                found.add(known.get(node.input[0], next(iter(said), TensorProto.UNDEFINED)))
            case "Constant":
                known.update((node.output[0], a.t.data_type) for a in node.attribute if a.name == "value")
    return found
