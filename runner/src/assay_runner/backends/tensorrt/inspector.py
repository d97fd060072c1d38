"""What TensorRT's engine inspector says of an engine, put into values.

The JSON differs by version: up to 10.x formats stand as one sentence ("Row major linear FP16 format"), from 11 on the
element type stands apart; a layer is a bare name where the plan was built without detailed profiling verbosity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from assay_runner.evidence.engine import EIGHT_BITS, EngineLayer, EngineTensor, element_type, kernel_steps

_NARROW: Final = ("FP4", "INT4", "FP8", "INT8", "BF16", "FP16", "FP32")
_OPERANDS: Final = {
    "i8": "INT8",
    "s8": "INT8",
    "int8": "INT8",
    "e4m3": "FP8",
    "e5m2": "FP8",
    "bf16": "BF16",
    "f16": "FP16",
    "tf32": "TF32",
    "f32": "FP32",
}
_TYPE: Final = f"({'|'.join((*_OPERANDS, 'i32', 's32', 'int32'))})"
_PAIRS: Final = re.compile(f"_{_TYPE}{_TYPE}(?:_{_TYPE}{_TYPE})?(?:_|$)")
_ONNX: Final = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


def engine_layers(text: str, nodes: Collection[str] = ()) -> tuple[EngineLayer, ...]:
    """The layers of `IEngineInspector.get_engine_information(JSON)`, in the order they run; none where it is empty.

    Args:
        text: the JSON.
        nodes: names of the ONNX nodes, to be found again in layer names.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return ()
    layers = found.get("Layers", []) if isinstance(found, dict) else []
    known = frozenset(nodes)
    return tuple(_layer(entry, known) for entry in layers)


def _layer(entry: Any, nodes: frozenset[str]) -> EngineLayer:
    if not isinstance(entry, Mapping):
        return EngineLayer(name=str(entry), nodes=_nodes(str(entry), "", nodes))
    name = str(entry.get("Name", ""))
    inputs, outputs = _tensors(entry.get("Inputs", ())), _tensors(entry.get("Outputs", ()))
    return EngineLayer(
        name=name,
        type=str(entry.get("LayerType", "")),
        precision=_precision(entry, inputs, outputs),
        inputs=inputs,
        outputs=outputs,
        tactic=str(entry.get("TacticName") or entry.get("TacticValue") or ""),
        nodes=_nodes(name, str(entry.get("Metadata", "")), nodes),
    )


def _tensors(entries: Any) -> tuple[EngineTensor, ...]:
    return tuple(
        EngineTensor(
            name=str(entry.get("Name", "")),
            format=_format(entry),
            shape=tuple(int(size) for size in entry.get("Dimensions", ()) if isinstance(size, int | float)),
        )
        for entry in (entries if isinstance(entries, Sequence) else ())
        if isinstance(entry, Mapping)
    )


def _format(entry: Mapping[str, Any]) -> str:
    layout = str(entry.get("Format/Datatype") or entry.get("Format") or "")
    kind = str(entry.get("Datatype") or entry.get("DataType") or "")
    return f"{kind} {layout}".strip()


def _precision(entry: Mapping[str, Any], inputs: Sequence[EngineTensor], outputs: Sequence[EngineTensor]) -> str:
    """What the layer computes in: as the inspector says it, else the narrowest type it reads, else what it makes.

    A convolution in INT8 reads INT8 and may give out FP32; a layer that only reads FP32 computes in it.
    """
    if said := element_type(str(entry.get("Precision") or entry.get("ComputePrecision") or "")):
        return said
    tactic = str(entry.get("TacticName") or "")
    if kernel := _kernel_type(tactic):
        return kernel
    if tactic.startswith("__myl_"):
        # A generated kernel of single steps: it converts 8 bits before it computes, and a scale says nothing of it.
        if _converts_inside(tactic, inputs, outputs):
            return ""
        given = [tensor for tensor in inputs if tensor.shape not in ((), (1,))]
        if kind := _narrowest(given, without=EIGHT_BITS) or _narrowest(outputs, without=EIGHT_BITS):
            return kind
    return _narrowest(inputs) or _narrowest(outputs)


def _converts_inside(tactic: str, inputs: Sequence[EngineTensor], outputs: Sequence[EngineTensor]) -> bool:
    """Whether a kernel reads and makes FP32 alone and casts all the same: what it computes in is not to be seen."""
    tensors = (*inputs, *outputs)
    return "Cas" in kernel_steps(tactic) and bool(tensors) and {tensor.type for tensor in tensors} == {"FP32"}


def _narrowest(tensors: Sequence[EngineTensor], without: Collection[str] = ()) -> str:
    kinds = {tensor.type for tensor in tensors} - {"", *without}
    return min(kinds, key=_NARROW.index) if kinds else ""


def _kernel_type(tactic: str) -> str:
    """The type of the operands that NVIDIA's kernel names carry.

    Pairs of types stand in them: first what is read and made, then what is multiplied and summed in. In
    sm80_xmma_gemm_i8f16_i8i32_f32_… INT8 is multiplied and FP16 made, f32f32_tf32f32 is FP32 rounded to TF32.
    """
    match = _PAIRS.search(tactic.lower())
    return _OPERANDS.get(match[3] or match[1], "") if match else ""


def _nodes(name: str, metadata: str, nodes: frozenset[str]) -> tuple[str, ...]:
    """ONNX nodes in a layer: the parser leaves their names in the metadata, older plans in the layer's name."""
    said = [part.strip() for group in _ONNX.findall(metadata) for part in group.split("\x1e")]
    if said:
        return tuple(dict.fromkeys(part for part in said if part))
    parts = re.split(r" \+ |,|\[|\]|\{|\}|\.\.\.|\s", name)
    return tuple(dict.fromkeys(part for part in parts if part in nodes))
