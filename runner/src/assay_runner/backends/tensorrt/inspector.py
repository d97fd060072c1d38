"""What TensorRT's engine inspector says of an engine, put into values.

The JSON differs by version: up to 10.x formats stand as one sentence ("Row major linear FP16 format"), from 11 on the
element type stands apart; a layer is a bare name where the plan was built without detailed profiling verbosity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from assay_runner.engine_evidence import EngineLayer, EngineTensor

_TYPES: Final = {
    "FLOAT": "FP32",
    "FP32": "FP32",
    "HALF": "FP16",
    "FP16": "FP16",
    "BF16": "BF16",
    "BFLOAT16": "BF16",
    "INT8": "INT8",
    "FP8": "FP8",
    "FLOAT8E4M3FN": "FP8",
    "E4M3": "FP8",
    "INT4": "INT4",
    "FP4": "FP4",
}
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_NARROW: Final = ("FP4", "INT4", "FP8", "INT8", "BF16", "FP16", "FP32")
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


def element_type(text: str) -> str:
    """FP32, FP16, BF16, INT8, FP8 … in a format's words; empty where none is."""
    for word in _WORD.findall(text.upper()):
        if word in _TYPES:
            return _TYPES[word]
    return ""


def _precision(entry: Mapping[str, Any], inputs: Sequence[EngineTensor], outputs: Sequence[EngineTensor]) -> str:
    """What the layer computes in: as the inspector says it, else the narrowest type it reads, else what it makes.

    A convolution in INT8 reads INT8 and may give out FP32; a layer that only reads FP32 computes in it.
    """
    if said := element_type(str(entry.get("Precision") or entry.get("ComputePrecision") or "")):
        return said
    if kernel := _kernel_type(str(entry.get("TacticName") or "")):
        return kernel
    for tensors in (inputs, outputs):
        kinds = {element_type(tensor.format) for tensor in tensors} - {""}
        if kinds:
            return min(kinds, key=_NARROW.index)
    return ""


def _kernel_type(tactic: str) -> str:
    """The operand type that NVIDIA's kernel names carry, for example sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_…."""
    match = re.search(r"(?:^|_)(i8i8|s8s8|e4m3e4m3|bf16bf16|f16f16|tf32f32|f32f32)(?:_|$)", tactic.lower())
    kinds = {
        "i8i8": "INT8",
        "s8s8": "INT8",
        "e4m3e4m3": "FP8",
        "bf16bf16": "BF16",
        "f16f16": "FP16",
        "tf32f32": "TF32",
        "f32f32": "FP32",
    }
    return kinds[match[1]] if match else ""


def _nodes(name: str, metadata: str, nodes: frozenset[str]) -> tuple[str, ...]:
    """ONNX nodes in a layer: the parser leaves their names in the metadata, older plans in the layer's name."""
    said = [part.strip() for group in _ONNX.findall(metadata) for part in group.split("\x1e")]
    if said:
        return tuple(dict.fromkeys(part for part in said if part))
    parts = re.split(r" \+ |,|\[|\]|\{|\}|\.\.\.|\s", name)
    return tuple(dict.fromkeys(part for part in parts if part in nodes))
