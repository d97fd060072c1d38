"""What an engine is made of, as its inspector tells it: layers, the precision each ran in, how it was built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        """Whether it is more than a movement of data."""
        return not self.type.lower().startswith(MOVEMENT)


@dataclass(frozen=True)
class EngineFacts:
    """An engine, looked into.

    Attributes:
        layers: as far as its profiling verbosity shows them.
        facts: how it was made: versions, GPU, seconds, warnings; values as JSON has them.
        memory: bytes of device memory it needs to run.
        typing: "weak" or "strong".
    """

    layers: tuple[EngineLayer, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    memory: int | None = None
    typing: str | None = None

    def achieved(self) -> dict[str, int]:
        """Layers that compute, by precision, most first; "unknown" where it is not told."""
        counts: dict[str, int] = {}
        for layer in self.layers:
            if layer.computes:
                name = layer.precision.upper() or UNKNOWN
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))
