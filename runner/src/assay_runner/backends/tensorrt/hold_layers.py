"""Which layers of TensorRT's network an ONNX node became, so that a node held to a precision is held whole.

The parser makes several layers of one node, and names only the main one after it: the bias of a Gemm is an unnamed
ElementWise, and it is that one which makes the node's output. So a node's layers are those that its outputs are made
by, walking back until a tensor that bears another ONNX name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from assay_runner.evidence.engine import EngineLayer, kernel_steps
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import sites

KINDS: Final[Mapping[str, str]] = MappingProxyType({"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"})
WIDE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "FP32": frozenset({"FP32"}),
        "FP16": frozenset({"FP16", "TF32", "FP32"}),
        "BF16": frozenset({"BF16", "TF32", "FP32"}),
    }
)
"""What loses nothing that a precision would keep."""
REFORMAT: Final = "reformat"
NEVER: Final = frozenset({"SHAPE"})
"""Layers that have no precision of their own."""
FIXED: Final = frozenset({"CAST", "CONSTANT"})
"""Layers that are held to the type they make, or not at all: TensorRT refuses another type of a cast's output, and a
constant that is left free may be stored rounded, though what reads it computes wider."""


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of the network.

    Attributes:
        name: as the parser names it.
        type: member of `LayerType`.
        inputs: names of the tensors it reads.
        outputs: names of the tensors it makes.
        says: the ONNX node that its metadata name; empty where they name none.
        makes: members of `DataType`, of each output.
    """

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    says: str = ""
    makes: tuple[str, ...] = ("FLOAT",)

    @property
    def holdable(self) -> bool:
        """Whether it computes floating point numbers."""
        return self.type not in NEVER and self.makes[:1] != () and self.makes[0] in KINDS.values()

    def held(self, kind: str) -> tuple[int, ...]:
        """Which outputs become `kind` where the layer is held to it; none where it cannot be."""
        if self.type in FIXED and self.makes[:1] != (kind,):
            return ()
        return tuple(number for number, made in enumerate(self.makes) if made in KINDS.values())


def owners(layers: Sequence[NetworkLayer], made: Mapping[str, str]) -> dict[int, str]:
    """The ONNX node of each layer that can be held, by the layer's index.

    Args:
        layers: of the whole network.
        made: the node that makes a tensor, of every tensor that a node of the model makes.
    """
    nodes = frozenset(made.values())
    found = {index: node for index, layer in enumerate(layers) if (node := _named(layer, made, nodes))}
    maker = {name: index for index, layer in enumerate(layers) for name in layer.outputs}
    for start, node in tuple(found.items()):
        waiting = [start]
        while waiting:
            for name in layers[waiting.pop()].inputs:
                index = maker.get(name)
                # A shape reaches further back than its node does, and is no number that a precision could change.
                if index is None or name in made or index in found or not layers[index].holdable:
                    continue
                found[index] = node
                waiting.append(index)
    return {index: node for index, node in found.items() if layers[index].holdable}


def _named(layer: NetworkLayer, made: Mapping[str, str], nodes: Collection[str]) -> str:
    """The node that a layer belongs to by its own account, else by a tensor that it makes."""
    by_tensor = (made[name] for name in layer.outputs if name in made)
    return next((name for name in (layer.says, layer.name) if name in nodes), "") or next(by_tensor, "")


def hold(trt: Any, network: Any, held: Mapping[str, str], source: Path) -> None:
    """Hold every layer of the nodes to a precision.

    Args:
        trt: TensorRT's module.
        network: parsed from `source`.
        held: precision by node name.
        source: the ONNX model.
    """
    if not held:
        return
    made = {site.tensor: site.node for site in sites(load_outline(source)) if site.node}
    layers = [_described(network.get_layer(index)) for index in range(network.num_layers)]
    for index, node in owners(layers, made).items():
        if node not in held:
            continue
        name = KINDS[held[node]]
        layer, kind = network.get_layer(index), getattr(trt.DataType, name)
        for number in (outputs := layers[index].held(name)):
            layer.set_output_type(number, kind)
        if outputs:
            layer.precision = kind


def slips(layers: Sequence[EngineLayer], held: Mapping[str, str], *, wider: bool = False) -> tuple[str, ...]:
    """Where an engine does not keep to what its nodes are held to, a sentence per node.

    TensorRT obeys what is set of a layer, and may all the same round the tensor between two of them: a fused kernel
    that computes in FP32 reads its input from a reformat to FP16 where that is faster.

    Args:
        layers: of the engine.
        held: precision by node name.
        wider: whether a layer may run in what loses nothing of it.
    """
    maker = {tensor.name: layer for layer in layers for tensor in layer.outputs}
    found: dict[str, str] = {}
    for layer in layers:
        kinds = {node: held[node].upper() for node in layer.nodes if node in held}
        if not kinds or layer.type.lower().startswith(REFORMAT):
            continue
        whole = all(node in kinds for node in layer.nodes)
        rounded = next((name for tensor in layer.inputs if (name := _rounded(tensor.name, maker))), "")
        for node, kind in kinds.items():
            # A generated kernel casts inside, and may well compute each of its nodes in another precision.
            told = layer.computes and layer.precision and (whole or not kernel_steps(layer.tactic))
            kept = layer.precision in kinds.values() or (wider and layer.precision in WIDE[kind])
            if told and not kept:
                found.setdefault(node, f"node {node!r} is held to {kind}, and its layer runs in {layer.precision}")
            elif rounded and whole and set(kinds.values()) == {"FP32"}:
                found.setdefault(node, f"node {node!r} is held to {kind}, and reads its input rounded to {rounded}")
    return tuple(found.values())


def _rounded(tensor: str, maker: Mapping[str, EngineLayer]) -> str:
    """The type to which a reformat rounds FP32 on the way to a tensor; empty where none does."""
    before = maker.get(tensor)
    if before is None or not before.type.lower().startswith(REFORMAT):
        return ""
    made = next((output.type for output in before.outputs if output.name == tensor), "")
    return made if made in ("FP16", "BF16") and any(read.type == "FP32" for read in before.inputs) else ""


def _described(layer: Any) -> NetworkLayer:
    inputs = [layer.get_input(number) for number in range(layer.num_inputs)]
    outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
    return NetworkLayer(
        name=layer.name,
        type=str(layer.type.name),
        inputs=tuple(tensor.name for tensor in inputs if tensor is not None),
        outputs=tuple(tensor.name for tensor in outputs if tensor is not None),
        says=said_node(str(getattr(layer, "metadata", ""))),
        makes=tuple("" if tensor is None else str(tensor.dtype.name) for tensor in outputs),
    )


def said_node(metadata: str) -> str:
    """The ONNX node in the metadata that the parser leaves at a layer; empty where there is none."""
    _head, _, rest = metadata.partition("[ONNX Layer: ")
    return rest.partition("]")[0] if rest else ""
