"""ONNX Runtime on CPU: the reference itself, and an emulation of the precisions that a CPU lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from assay_runner.backends.backend import NOTHING, Built, Capability, Segment, Session
from assay_runner.backends.conversion import DOUBLE, HALVES, InFp32, fp32_model, localised
from assay_runner.backends.emulation import rounded_model
from assay_runner.backends.found import Range
from assay_runner.backends.inspection import Inspection, inspection_of
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.quantisation import Quantised, quantised_model
from assay_runner.backends.schemes import own_pairs, paired, scheme_notes
from assay_runner.backends.segments import open_segments
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import Unsupported
from assay_runner.evidence import Cut
from assay_runner.evidence.reruns import Condition
from assay_runner.graphs.control_flow import hidden
from assay_runner.graphs.documents import load_outline, save
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.element_types import written
from assay_runner.graphs.golden_nodes import golden_made
from assay_runner.graphs.taps import random_sites, sites_in, tapped
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress, Site

OPTIMISED = ("fp32", "fp64")
SHOWN = 4
"""Models of whose tensors is remembered what a session that showed them told: to open another for it takes as long."""
_SHOWN: dict[tuple[Path, int, int], Inspection] = {}


class OnnxRuntime:
    """Runs fp32 as it is, rounds fp16, bf16 and tf32 explicitly, and runs int8 and fp8 as Q/DQ."""

    name: ClassVar[str] = "onnxruntime"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"sameSession", "newSession", "newProcess", "underLoad"})

    def available(self) -> None:
        """It is a dependency of the runner: always there."""

    def can(self, capability: Capability) -> bool:
        """All of it."""
        return capability in (Capability.TENSORS, Capability.SEGMENTS)

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """An ONNX model in `workdir` that computes in the order's precision, nodes held to another one in that.

        Raises:
            InvalidInput: ONNX Runtime refuses the model, it has no node of a name that is held, or it cannot be
                quantised.
            Unsupported: tactics are asked for.
        """
        progress.stage("build")
        order.check(model.path)
        if order.tactics is not None:
            raise Unsupported(f"a record of tactics is asked for, and backend {self.name} chooses none")
        workdir.mkdir(parents=True, exist_ok=True)
        precision = order.precision
        outline = load_outline(model.path)
        notes = [*scheme_notes(model.path.name, outline)]
        cut: Cut | None = None
        seen: Mapping[str, Range] = {}
        path, base, held = model.path, str(precision), dict(order.held)
        if precision in ("int8", "fp8"):
            quantised = _quantised(model, order, calibration, workdir, progress)
            path, cut, seen = quantised.path, quantised.cut, quantised.seen
            notes += quantised.notes
            # What stands between pairs runs in floating point here, and so does what has none.
            base, held = "fp32", {name: kind for name, kind in held.items() if kind != "fp32"}
        emulation, own = None, InFp32(path)
        if base != "fp32" or any(kind != "fp32" for kind in held.values()):
            emulation = rounded_model(path, base, _rounded_in(workdir, path), held, model.path.name)
        elif precision == "fp32":
            own = fp32_model(path, workdir)
        made = emulation or own
        return Built(
            backend=self.name,
            precision=precision,
            path=made.path,
            source=model.path,
            folder=workdir,
            emulated=precision != "fp32" or emulation is not None or order.backend != self.name,
            literal=emulation is not None,
            notes=(*notes, *made.notes),
            unrounded=made.unrounded,
            hidden=hidden(outline),
            overflows=emulation.overflows if emulation else (),
            vanished=emulation.vanished if emulation else (),
            cut=cut,
            seen=seen,
            wide=emulation.wide if emulation else frozenset(),
        )

    def release(self, built: Built) -> None:
        """Nothing is kept but the files of the build: sessions end with those who opened them."""

    def sites(self, built: Built) -> tuple[Site, ...]:
        """Tensors of the source model that the built one still has, in topological order."""
        there = {site.tensor for site in sites_in(built.path)}
        return tuple(site for site in sites_in(built.source) if site.tensor in there)

    def random(self, built: Built) -> tuple[Site, ...]:
        """Nodes that draw random numbers, in subgraphs too."""
        return random_sites(load_outline(built.source))

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        """The model as built."""
        yield OrtSession(built.path, purpose(built))

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
            session = OrtSession(path, _looked_into(built), shown | outputs)
            _SHOWN[_state(built)] = inspection_of(session, model)
            while len(_SHOWN) > SHOWN:
                del _SHOWN[next(iter(_SHOWN))]
            yield session
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
            yield OrtSession(path, purpose(built))
            path.unlink()

    @contextmanager
    def segments(
        self, built: Built, shared: Mapping[str, int], limit: int, golden: Built | None = None
    ) -> Iterator[tuple[Segment, ...]]:
        """The model as built, cut at the shared tensors; nodes that are golden's are not run."""
        with TemporaryDirectory(dir=built.folder) as scratch:
            folder = _home(built, Path(scratch))
            found = _SHOWN.get(_state(built))
            known = found if found and shared.keys() <= {*found.types, *found.texts} else None
            own = _golden_made(built, golden, shared, known) if golden and known else {}
            model = localised(built.path, folder)
            yield open_segments(model, folder, shared, limit, known, own, purpose=_looked_into(built))


def _golden_made(built: Built, golden: Built, shared: Collection[str], found: Inspection) -> dict[str, str]:
    """What of the candidate is golden's own on golden's tensors; nothing where either has other floats than FP32."""
    theirs = load_outline(golden.path)
    floats = written(theirs) | {found.types[name] for name in shared if name in found.types}
    if built.source != golden.source or floats & (HALVES | DOUBLE):
        return {}
    same = built.path == golden.path
    return golden_made(theirs if same else load_outline(built.path), theirs, shared, same)


def _state(built: Built) -> tuple[Path, int, int]:
    """What tells a build from one that took its place."""
    status = built.path.stat()
    return built.path, status.st_size, status.st_mtime_ns


def _quantised(
    model: LoadedModel, order: BuildOrder, calibration: Batches | None, workdir: Path, progress: Progress
) -> Quantised:
    kind: EightBit = "fp8" if order.precision == "fp8" else "int8"
    how = f"{kind}: run in floating point between its Q/DQ pairs by ONNX Runtime"
    if order.quantisation is None:
        own_pairs(model.path, kind)
        folder = workdir / "fp32"
        folder.mkdir(exist_ok=True)
        own = fp32_model(model.path, folder, DOUBLE)
        told = (f"{kind}: Q/DQ as in the candidate's own model", how, *own.notes)
        return Quantised(own.path, (*told, *paired(model.path, order.held)), None)
    made = quantised_model(
        model.path, order.quantisation, calibration, workdir, progress, kind, order.held, model.axes, zeros=False
    )
    return replace(made, notes=(*made.notes, how))


def _rounded_in(workdir: Path, path: Path) -> Path:
    """Where a model is rounded: not where it lies itself."""
    folder = workdir / "rounded" if path.parent == workdir else workdir
    folder.mkdir(exist_ok=True)
    return folder


def purpose(built: Built) -> Purpose:
    """How a model is run for its outputs."""
    return Purpose.PLAIN if built.precision in OPTIMISED and not built.literal else _looked_into(built)


def _looked_into(built: Built) -> Purpose:
    """How a model is run to show its tensors."""
    return Purpose.DOUBLE if built.precision == "fp64" else Purpose.EXACT


def _home(built: Built, scratch: Path) -> Path:
    """Where models derived from the built one are written: beside its weights, if those are ours."""
    return built.folder if built.path.parent == built.folder else scratch
