"""ONNX Runtime on CPU: the reference itself, and an emulation of the precisions that a CPU lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from assay_api.audit import Candidate
from assay_runner.backends.backend import NOTHING, Built, Capability, Piece, Session
from assay_runner.backends.emulation import Emulation, fp32_model, localised, rounded_model
from assay_runner.backends.inspection import inspect
from assay_runner.backends.layer_precisions import held_nodes
from assay_runner.backends.quantisation import own_pairs, quantised_model
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.evidence.reruns import Condition
from assay_runner.graphs.control_flow import hidden
from assay_runner.graphs.documents import load_outline, save
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.pieces import cut
from assay_runner.graphs.taps import random_sites, sites, tapped
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress, Site

OPTIMISED = ("fp32", "fp64")


class OnnxRuntime:
    """Runs fp32 as it is, rounds fp16, bf16 and tf32 explicitly, and runs int8 and fp8 as Q/DQ."""

    name: ClassVar[str] = "onnxruntime"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"sameSession", "newSession", "newProcess", "underLoad"})

    def available(self) -> None:
        """It is a dependency of the runner: always there."""

    def can(self, capability: Capability) -> bool:
        """All of it."""
        return capability in (Capability.TENSORS, Capability.PIECES)

    def build(
        self,
        model: LoadedModel,
        candidate: Candidate,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """An ONNX model in `workdir` that computes in the candidate's precision.

        Raises:
            InvalidInput: ONNX Runtime refuses the model, or it cannot be quantised.
            Unsupported: an existing plan.
        """
        progress.stage("build")
        workdir.mkdir(parents=True, exist_ok=True)
        precision = candidate.precision
        notes: tuple[str, ...] = ()
        emulation: Emulation | None = None
        path = model.path
        match precision:
            case "fp32":
                path = fp32_model(model.path, workdir)
            case "fp16" | "bf16" | "tf32":
                emulation = rounded_model(model.path, precision, workdir)
                path, notes = emulation.path, emulation.notes
            case "int8" | "fp8":
                path, notes = _quantised(precision, model, candidate, calibration, workdir, progress)
            case None:
                raise Unsupported("an existing plan runs on backend tensorrt only")
        if held_nodes(model.path, candidate):
            notes = (*notes, "layers: no node is held to another precision here, as an engine would hold it")
        return Built(
            backend=self.name,
            precision=precision,
            path=path,
            source=model.path,
            folder=workdir,
            emulated=precision != "fp32" or candidate.backend != self.name,
            notes=notes,
            unrounded=emulation.unrounded if emulation else (),
            hidden=hidden(load_outline(model.path)),
            overflows=emulation.overflows if emulation else (),
        )

    def sites(self, built: Built) -> tuple[Site, ...]:
        """Tensors of the source model that the built one still has, in topological order."""
        there = {site.tensor for site in sites(load_outline(built.path))}
        return tuple(site for site in sites(load_outline(built.source)) if site.tensor in there)

    def random(self, built: Built) -> tuple[Site, ...]:
        """Nodes that draw random numbers, in subgraphs too."""
        return random_sites(load_outline(built.source))

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        """The model as built."""
        yield OrtSession(built.path, purpose(built.precision))

    @contextmanager
    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> Iterator[Session]:
        """The model without optimisation, so that every tensor is made as the graph says."""
        with TemporaryDirectory(dir=built.folder) as scratch:
            folder = _home(built, Path(scratch))
            model = localised(built.path, folder)
            shown = {site.tensor for site in self.sites(built)} if tensors is None else set(tensors)
            # Named apart: golden's and a candidate's may lie in one folder and be open at once.
            path = save(tapped(model, shown), folder / f"{Path(scratch).name}.onnx")
            outputs = {output.name for output in model.graph.output}
            yield OrtSession(path, Purpose.EXACT, shown | outputs)
            path.unlink()

    @contextmanager
    def open_with_output(self, built: Built, tensor: str) -> Iterator[Session]:
        """The model as built, optimised as `open` does, with one tensor more among its outputs.

        Raises:
            InvalidInput: ONNX Runtime refuses it.
        """
        with TemporaryDirectory(dir=built.folder) as scratch:
            folder = _home(built, Path(scratch))
            path = save(tapped(localised(built.path, folder), {tensor}), folder / f"{Path(scratch).name}.onnx")
            yield OrtSession(path, purpose(built.precision))
            path.unlink()

    @contextmanager
    def pieces(self, built: Built, shared: Mapping[str, int], limit: int) -> Iterator[tuple[Piece, ...]]:
        """The model as built, cut at the shared tensors."""
        with TemporaryDirectory(dir=built.folder) as scratch:
            folder = _home(built, Path(scratch))
            model = localised(built.path, folder)
            types = inspect(model, folder).types
            pieces = []
            for number, piece in enumerate(cut(model, types, shared, shared, limit)):
                path = save(piece.model, folder / f"piece-{number}.onnx")
                session = OrtSession(path, Purpose.EXACT)
                path.unlink()
                results = {target: result for target, result in piece.results.items() if result in session.types}
                pieces.append(Piece(frozenset(session.inputs), results, session))
            yield tuple(pieces)


def _quantised(
    kind: EightBit,
    model: LoadedModel,
    candidate: Candidate,
    calibration: Batches | None,
    workdir: Path,
    progress: Progress,
) -> tuple[Path, tuple[str, ...]]:
    how = f"{kind}: run in floating point between its Q/DQ pairs by ONNX Runtime"
    if candidate.calibration is None:
        own_pairs(model.path, kind)
        return model.path, (f"{kind}: Q/DQ as in the candidate's own model", how)
    if calibration is None:
        raise InvalidInput("the candidate needs its calibration inputs to be built")
    path, notes = quantised_model(model.path, candidate.calibration, calibration, workdir, progress, kind)
    return path, (*notes, how)


def purpose(precision: str) -> Purpose:
    """How a model of this precision is run for its outputs."""
    return Purpose.PLAIN if precision in OPTIMISED else Purpose.EXACT


def _home(built: Built, scratch: Path) -> Path:
    """Where models derived from the built one are written: beside its weights, if those are ours."""
    return built.folder if built.path.parent == built.folder else scratch
