"""What an engine is made of, as its inspector tells it: layers, the precision each ran in, how it was built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from assay_api.entries import EngineEntry

UNKNOWN = "unknown"

MOVEMENT = (
    "reformat",
    "shuffle",
    "constant",
    "noop",
    "copy",
    "reshape",
    "shape",
    "signal",
    "wait",
    "identity",
    "cast",
    "slice",
    "concat",
    "gather",
    "transpose",
    "padding",
)
"""How the type of a layer begins, without case, that moves or reformats data and computes nothing."""

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
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
)
"""Words for the types that layers compute in, upper case, and what we call them."""
EIGHT_BITS: Final = frozenset({"INT8", "FP8", "INT4", "FP4"})
INTEGERS: Final = frozenset({"INT32", "INT64", "UINT8", "BOOL"})
"""Words for the types of shapes, indices and masks."""
_WORD: Final = re.compile(r"[A-Z0-9]+")
_KERNEL: Final = re.compile(r"__myl_((?:[A-Z][a-z]+)+)_")
_STEP: Final = re.compile(r"[A-Z][a-z]+")
_MOVES: Final = frozenset({"Cas", "Res", "Tra", "Sli", "Mov", "Rep", "Bro", "Gat", "Pad", "Cop"})
_QUANTISES: Final = frozenset({"Mul", "Div", "Min", "Max", "Rou"})


def element_type(text: str) -> str:
    """FP32, FP16, BF16, INT8, FP8 … in a format's words; empty where none is."""
    return next((TYPES[word] for word in _WORD.findall(text.upper()) if word in TYPES), "")


def kernel_steps(tactic: str) -> frozenset[str]:
    """First letters of the steps of a kernel that TensorRT generated: __myl_CasMul_0x9c… casts and multiplies."""
    found = _KERNEL.match(tactic)
    return frozenset(step[:3] for step in _STEP.findall(found[1])) if found else frozenset()


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of a layer.

    Attributes:
        name: as the engine names it.
        format: element type and layout, for example "FP16 NHWC8".
        shape: its axes; -1 where one is dynamic.
    """

    name: str
    format: str = ""
    shape: tuple[int, ...] = ()

    @property
    def type(self) -> str:
        """Its element type, as layers compute in it; empty for others and where none is told."""
        return element_type(self.format)

    @property
    def integer(self) -> bool:
        """Whether it is known to hold a shape, indices or a mask."""
        return not INTEGERS.isdisjoint(_WORD.findall(self.format.upper()))


@dataclass(frozen=True)
class EngineLayer:
    """A layer of the engine, in the order they run.

    Attributes:
        name: as the engine names it.
        type: as the inspector has it, for example "CaskConvolution" or "Reformat".
        precision: "FP32", "FP16", "BF16", "INT8", "FP8"; empty where the inspector does not tell.
        inputs: what it reads.
        outputs: what it makes.
        tactic: the kernel chosen.
        nodes: names of the ONNX nodes in it.
    """

    name: str
    type: str = ""
    precision: str = ""
    inputs: tuple[EngineTensor, ...] = ()
    outputs: tuple[EngineTensor, ...] = ()
    tactic: str = ""
    nodes: tuple[str, ...] = ()

    @property
    def computes(self) -> bool:
        """Whether it is more than a movement, a conversion, or the arithmetic of shapes."""
        if self.type.lower().startswith(MOVEMENT):
            return False
        tensors = (*self.inputs, *self.outputs)
        if tensors and all(tensor.integer for tensor in tensors):
            return False
        steps = kernel_steps(self.tactic) - _MOVES
        if not steps and _KERNEL.match(self.tactic):
            return False
        return not (steps and steps <= _QUANTISES and self._into_eight_bits)

    @property
    def _into_eight_bits(self) -> bool:
        """Whether wider numbers become 8-bit ones, as in a QuantizeLinear."""
        made = {tensor.type for tensor in self.outputs}
        return bool(made) and made <= EIGHT_BITS and EIGHT_BITS.isdisjoint(tensor.type for tensor in self.inputs)


@dataclass(frozen=True)
class EngineFacts:
    """An engine, looked into.

    Attributes:
        layers: as far as its profiling verbosity shows them.
        facts: how it was made: versions, GPU, seconds, warnings.
        memory: bytes of device memory it needs to run.
        typing: "weak" or "strong".
        wide: under strong typing, nodes that the graph's own types keep wider than the candidate's precision; None
            where the builder chose. A kernel that reads and makes FP32 may convert inside, so its tensors do not tell.
    """

    layers: tuple[EngineLayer, ...] = ()
    facts: EngineEntry = field(default_factory=EngineEntry)
    memory: int | None = None
    typing: str | None = None
    wide: frozenset[str] | None = None

    def achieved(self) -> dict[str, int]:
        """Layers that compute, by precision, most first; "unknown" where it is not told."""
        counts: dict[str, int] = {}
        for layer in self.layers:
            if layer.computes:
                name = layer.precision.upper() or UNKNOWN
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))
