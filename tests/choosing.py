"""A backend that chooses a tactic for each layer as a builder does, on ONNX Runtime: each computes other bits."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from assay_runner.backends import Built, Capability
from assay_runner.backends.backend import NOTHING
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.routes import Knob
from assay_runner.backends.seams import KEPT, SHARED
from assay_runner.errors import InvalidInput
from assay_runner.evidence import EngineFacts
from assay_runner.evidence.engine import EngineLayer
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress
from tests.dear import FILE, Dear, lines

LAYERS = ("MatMul", "Gemm", "Conv", "Add")
"""Operators whose nodes are layers with tactics."""
WRONG = 1.5
"""What a bad tactic multiplies its result by."""


@dataclass(frozen=True)
class Library:
    """What a builder may choose from, and how it does.

    Attributes:
        tactics: of every layer: 0x0 is the first that works.
        bad: sets of (layer, tactic) that make the first of these layers wrong where an engine has all of a set.
        compiled: layers that are compiled as a whole: what runs in them is not told and cannot be held.
        favoured: share of builds in which a layer gets 0x0 whatever else there is.
        selects: whether builds can be held to tactics; else the engine alone tells them.
        knobs: of its build routes.
        mends: the route with which no tactic is bad.
    """

    tactics: tuple[str, ...] = ("0x0", "0x1", "0x2")
    bad: Sequence[Mapping[str, str]] = ()
    compiled: frozenset[str] = frozenset()
    favoured: float = 0.0
    selects: bool = True
    knobs: tuple[Knob, ...] = ()
    mends: str = ""


class Choosing(Dear):
    """Chooses with a seeded generator, another time otherwise, but for layers that SHARED has the timing of."""

    def __init__(self, library: Library = Library(), seed: int = 0) -> None:
        super().__init__()
        self.library = library
        self.routes: list[str] = []
        self._random = random.Random(seed)

    def can(self, capability: Capability) -> bool:
        return self.library.selects if capability is Capability.TACTICS else super().can(capability)

    def knobs(self) -> tuple[Knob, ...]:
        return self.library.knobs

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        kept = workdir / KEPT / "tactics.json"
        known = json.loads(kept.read_text()) if kept.is_file() else None
        built = super().build(model, order.choosing, calibration, workdir, progress, shapes)
        proto = onnx.load(str(built.path))
        layers = [node.name for node in proto.graph.node if node.op_type in LAYERS]
        if missing := (order.tactics or {}).keys() - {self._named(layer) for layer in layers}:
            raise InvalidInput(f"layer {min(missing)!r} is held to a tactic, and this engine has no such layer")
        chosen = known or {layer: self._choice(layer, order, workdir / SHARED / FILE) for layer in layers}
        kept.write_text(json.dumps(chosen))
        self.routes.append(order.route)
        _run(proto, chosen, [] if self.library.mends and order.route == self.library.mends else self.library.bad)
        onnx.save(proto, str(workdir / "chosen.onnx"))
        told = {self._named(layer): "0x0" if layer in self.library.compiled else chosen[layer] for layer in layers}
        return replace(
            built,
            path=workdir / "chosen.onnx",
            engine=EngineFacts(layers=tuple(self._layer(layer, chosen[layer]) for layer in layers)),
            tactics=told if order.tactics is not None else None,
        )

    def _choice(self, layer: str, order: BuildOrder, timings: Path) -> str:
        if order.options.optimization_level == 0:
            return self.library.tactics[0]
        held = (order.tactics or {}).get(layer) if layer not in self.library.compiled else None
        if held is not None and held not in self.library.tactics:
            raise InvalidInput(f"layer {layer!r} is held to tactic {held}, which is not offered for it here")
        timed = dict(line.split("\t") for line in lines(timings) if "\t" in line)
        left = [each for each in self.library.tactics if each not in order.forbidden.get(layer, ())]
        if held or timed.get(layer) in left:
            return held or timed[layer]
        first = left and self._random.random() < self.library.favoured
        found = left[0] if first else self._random.choice(left or self.library.tactics)
        self.time(timings, f"{layer}\t{found}")
        return found

    def _named(self, layer: str) -> str:
        return f"{{ForeignNode[{layer}]}}" if layer in self.library.compiled else layer

    def _layer(self, layer: str, tactic: str) -> EngineLayer:
        told = "" if layer in self.library.compiled else tactic
        return EngineLayer(self._named(layer), "CaskGemm", "FP32", tactic=told, nodes=(layer,))


def _run(proto: onnx.ModelProto, chosen: Mapping[str, str], bad: Sequence[Mapping[str, str]]) -> None:
    """Let every layer compute what its tactic does: the same but for the last bits, or something wrong."""
    wrong = {next(iter(each)) for each in bad if each.items() <= chosen.items()}
    for place, node in reversed(list(enumerate(proto.graph.node))):
        if node.name not in chosen:
            continue
        made = node.output[0]
        factor = (1 + 1e-6 * int(chosen[node.name], 16)) * (WRONG if node.name in wrong else 1)
        node.output[0] = f"{made}.unscaled"
        scale = numpy_helper.from_array(np.array(factor, np.float32), f"{made}.scale")
        proto.graph.initializer.append(scale)
        proto.graph.node.insert(place + 1, helper.make_node("Mul", [node.output[0], scale.name], [made]))
