"""Every layer of an engine on golden's inputs: one engine more, whose layers do not feed one another.

The graph is cut at the tensors that the engine keeps between its layers: each segment is fused as it is in the engine.
Golden's tensors are its inputs, and what each layer makes of them its outputs; where golden has no such tensor, as with
a candidate's own model, nothing is cut. It is built for the shapes of the first batch: a builder that knows all shapes
needs no profile of a hundred inputs, and a last, shorter batch is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto

from assay_runner.backends.conversion import localised
from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.device import DeviceArray
from assay_runner.backends.tensorrt.partial import in_parts
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.graphs.documents import captured, save
from assay_runner.graphs.fed import element_types, fed_in_fp32, typed_outputs
from assay_runner.graphs.segments import Segments, cut
from assay_runner.tensors import Array, Arrays

FLOATS: Final = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
UNLIMITED: Final = 1 << 62

Shapes = Mapping[str, tuple[int, ...]]


class CutGraph:
    """The graph that an engine was built from, cut at some of its tensors.

    Attributes:
        needs: tensors and graph inputs that the segments take.
        results: output of the segments by the tensor it is to be compared with.
    """

    def __init__(self, recipe: Recipe, shared: Collection[str], folder: Path) -> None:
        """Cut the recipe's source at the shared tensors it has; `folder` is where the segments may be written."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        model = localised(recipe.source, folder)
        types = element_types(model)
        made = {output for node in model.graph.node for output in node.output if output}
        # What inference does not know, behind an operator of a plugin, is FP32 as nearly everything is.
        self._types = {
            name: types.get(name, TensorProto.FLOAT)
            for name in shared
            if name in made and types.get(name, TensorProto.FLOAT) in FLOATS
        }
        self._given = {value.name: types[value.name] for value in model.graph.input if value.name in types}
        taken = self._types.keys()
        segments = list(cut(model, self._types, taken, {}, UNLIMITED)) if taken else []
        self._segments: Segments | None = segments[0] if segments else None
        self.results: Mapping[str, str] = self._segments.results if self._segments else {}
        self.needs = (
            frozenset(value.name for value in self._segments.model.graph.input) if self._segments else frozenset()
        )

    def write(self, shapes: Shapes, wanted: Collection[str] | None = None) -> Path:
        """The segments as one model for inputs of these shapes; `wanted`: those of these tensors alone."""
        model = onnx.ModelProto()
        if self._segments:
            model.CopyFrom(self._segments.model)
        fed_in_fp32(model, self._given | self._types, shapes)
        typed_outputs(model, {result: self._types[name] for name, result in self.results.items()})
        if wanted is not None:
            _keep(model.graph, {self.results[name] for name in wanted})
        return save(model, self._folder / "segments.onnx")


def _keep(graph: onnx.GraphProto, wanted: Collection[str]) -> None:
    """Take out of the graph, in place, what these outputs do not need."""
    used, nodes = set(wanted), []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            nodes.append(node)
            used.update(node.input, captured(node))
    values = [value for value in graph.input if value.name in used], [o for o in graph.output if o.name in wanted]
    for field, kept in zip((graph.node, graph.input, graph.output), (nodes[::-1], *values), strict=True):
        copies = [type(each).FromString(each.SerializeToString()) for each in kept]
        del field[:]
        field.extend(copies)


class SegmentsSession:
    """Runs the segments; cuts and builds them when the tensors and shapes of the first batch are known."""

    def __init__(
        self, recipe: Recipe, shared: Collection[str], folder: Path, build: Callable[[Recipe], Path], stream: int
    ) -> None:
        """Nothing is built yet.

        Args:
            recipe: of the engine.
            shared: tensors that it keeps between its layers.
            folder: where the segments may be written.
            build: builds an engine.
            stream: what they run on.
        """
        self._recipe, self._shared, self._folder, self._build = recipe, frozenset(shared), folder, build
        self._stream = stream
        self._graph: CutGraph | None = None
        self._sessions: list[EngineSession] = []
        self.notes: tuple[str, ...] = ()
        self._shapes: Shapes = {}

    def cut(self, there: Collection[str]) -> CutGraph:
        """The segments, cut at those of their tensors that are there when they are first asked for."""
        if self._graph is None:
            self._graph = CutGraph(self._recipe, self._shared.intersection(there), self._folder)
        return self._graph

    @property
    def built(self) -> bool:
        """Whether the shapes of a first batch have come."""
        return bool(self._sessions)

    def launch(self, inputs: Mapping[str, Array | DeviceArray]) -> dict[str, DeviceArray]:
        """What each layer makes of golden's tensors, by the tensor's name; nothing for shapes unlike the first ones.

        Raises:
            InvalidInput: the segments cannot be built.
            Unavailable: device memory ran out.
        """
        graph = self.cut(inputs)
        given = {name: inputs[name] for name in graph.needs if name in inputs}
        if not graph.results or len(given) < len(graph.needs):
            return {}
        shapes = {name: tuple(array.shape) for name, array in given.items()}
        if not self._sessions:
            self._open(graph, shapes)
        if shapes != self._shapes:
            return {}
        found = {name: array for session in self._sessions for name, array in session.launch(given).items()}
        return {name: found[result] for name, result in graph.results.items() if result in found}

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """The same on the host."""
        found = self.launch(inputs)
        return self._sessions[0].fetch(found) if self._sessions else {}

    def close(self) -> None:
        """Give device memory back."""
        for session in self._sessions:
            session.close()
        self._sessions = []

    def _open(self, graph: CutGraph, shapes: Shapes) -> None:
        def build(part: Collection[str]) -> Path:
            return self._build(replace(self._recipe, source=graph.write(shapes, part), extents={}, outputs=()))

        parts = in_parts(list(graph.results), build)
        self.notes = parts.notes("local errors are measured", "tensors whose local error could not be measured")
        for plan in parts.plans:
            self._sessions.append(EngineSession(plan, self._stream))
        self._shapes = shapes
