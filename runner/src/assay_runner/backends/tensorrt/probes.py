"""Engines built beside the one that is served, to look into it: as like it as the question allows.

Three of them, from the same recipe and with the same timing cache, so that layers that stay alike run the same kernels:
one that shows what the engine keeps between its layers, one with a fused layer split to see inside it, and one of the
layers alone, each on golden's tensors.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Final

from assay_api.entries import BuildEntry
from assay_runner import journal
from assay_runner.backends.seams import KEPT
from assay_runner.backends.tensorrt.building import Recipe, build
from assay_runner.backends.tensorrt.comparison import DeviceComparison
from assay_runner.backends.tensorrt.description import inspected
from assay_runner.backends.tensorrt.device import stream
from assay_runner.backends.tensorrt.fusion import Fusion, fusion
from assay_runner.backends.tensorrt.hold_layers import slips
from assay_runner.backends.tensorrt.inspector import engine_layers
from assay_runner.backends.tensorrt.kernels import check_compiler
from assay_runner.backends.tensorrt.library import shows_unfused
from assay_runner.backends.tensorrt.listening import ListeningSession
from assay_runner.backends.tensorrt.partial import PartsSession, in_parts
from assay_runner.backends.tensorrt.pinned import by_first_kernels, pinned
from assay_runner.backends.tensorrt.segments import SegmentsSession
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.digests import file_sha256
from assay_runner.errors import AuditError, CannotBuild, Died
from assay_runner.evidence import EngineLayer, FusedLayer
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.taps import sites
from assay_runner.tensors import Progress, Site

Probe = EngineSession | PartsSession

SEGMENTS: Final = "segments"
"""Folder below a build's working folder for the graphs that segments are built from."""


def marked_plan(folder: Path, wanted: Collection[str]) -> Path:
    """Where the plan with these tensors among its outputs lies, once it was built, below a build's working folder."""
    digest = hashlib.sha256("\0".join(sorted(wanted)).encode()).hexdigest()[:12]
    return folder / KEPT / f"probe-{digest}.plan"


def forget(folder: Path) -> None:
    """Delete the plans that were built to look into the one of a build's working folder."""
    for pattern in ("probe-*.plan", "output-*.plan", "segments-*.plan"):
        for plan in (folder / KEPT).glob(pattern):
            plan.unlink(missing_ok=True)
    rmtree(folder / SEGMENTS, ignore_errors=True)


@dataclass(frozen=True)
class Probes:
    """Looks into one engine.

    Attributes:
        recipe: what it was made from.
        layers: what its inspector tells.
        folder: its build's working folder.
        progress: told what is built.
        made: what was built so far; grows.
    """

    recipe: Recipe
    layers: Sequence[EngineLayer]
    folder: Path
    progress: Progress
    made: list[BuildEntry] = field(default_factory=list)
    _taken: set[Path] = field(default_factory=set)
    _free: list[str] = field(default_factory=list)

    @cached_property
    def _nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site.node for site in sites(load_outline(self.recipe.source)) if site.node))

    @cached_property
    def fusion(self) -> Fusion:
        """Which tensors the engine keeps."""
        return fusion(load_outline(self.recipe.source), self.layers)

    def marked(self, wanted: Collection[str]) -> Path:
        """A plan with these tensors among its outputs."""
        recipe = replace(self.recipe, outputs=frozenset(wanted))
        what = f"{len(wanted)} tensors" if len(wanted) != 1 else f"tensor {min(wanted)!r}"
        return self._typed_plan(marked_plan(self.folder, wanted), recipe, f"a probe that shows {what}")

    def with_output(self, tensor: str) -> Path:
        """A plan with one tensor more among its outputs, and all else left to the builder once more."""
        digest = hashlib.sha256(tensor.encode()).hexdigest()[:12]
        recipe = replace(self.recipe, outputs=frozenset({tensor}))
        return self._plan(self.folder / KEPT / f"output-{digest}.plan", recipe, f"a probe that shows tensor {tensor!r}")

    def fused_layer(self, tensor: str) -> FusedLayer | None:
        """The layers that make a tensor, where there are tensors inside them."""
        inside = self.fusion.inside.get(tensor, ())
        return FusedLayer(self.fusion.layers.get(tensor, ()), inside) if inside else None

    @contextmanager
    def comparison(
        self, sites: Sequence[Site], outputs: Collection[str], axes: SampleAxes, local: bool, whole: bool
    ) -> Iterator[DeviceComparison]:
        """Compares what the engine keeps between its layers; local errors where they are wanted and can be had.

        `whole`: compares every tensor instead, in an engine that fuses less.

        Raises:
            Unsupported: nothing can be reduced on the device.
        """
        check_compiler()
        names = {site.tensor for site in sites}
        kept = names if whole else names.intersection(self.fusion.kept)
        with ExitStack() as stack:
            handle = stack.enter_context(stream())
            ordered = [site.tensor for site in sites if site.tensor in kept]
            probe, notes = self._in_parts(ordered, handle, stack) if whole else self._shown(ordered, handle, stack)
            segments = self.segments(probe.shown & kept, handle) if local else None
            if segments:
                stack.callback(segments.close)
            # What the engine keeps and the probe does not show is not inside a layer: it was not looked at.
            fused = names - kept - probe.shown
            comparison = DeviceComparison(probe, segments, names, outputs, fused, axes, self.progress)
            comparison.notes += (*notes, *self._free)
            stack.callback(comparison.close)
            yield comparison

    @contextmanager
    def inside(self, tensor: str, outputs: Collection[str], axes: SampleAxes) -> Iterator[DeviceComparison]:
        """Compares the tensors inside the layers that make one, in an engine in which they are kept apart."""
        check_compiler()
        wanted = {tensor, *self.fusion.inside.get(tensor, ())}
        with ExitStack() as stack:
            probe = EngineSession(self.marked(wanted), stack.enter_context(stream()))
            stack.callback(probe.close)
            comparison = DeviceComparison(probe, None, wanted, outputs, (), axes, self.progress)
            stack.callback(comparison.close)
            yield comparison

    def segments(self, shared: Collection[str], handle: int) -> SegmentsSession:
        """What lies between these tensors, on tensors from elsewhere: the engine's layers, where it keeps them."""
        return SegmentsSession(self.recipe, shared, self.folder / SEGMENTS, self._segments_plan, handle)

    def _in_parts(self, kept: Sequence[str], handle: int, stack: ExitStack) -> tuple[Probe, tuple[str, ...]]:
        """What shows as many of these tensors as possible, closed by the stack; and what to know of it."""
        parts = in_parts(kept, self.marked)
        notes = parts.notes()
        for note in notes:
            self.progress.note(note)
        sessions = []
        for plan in parts.plans:
            sessions.append(EngineSession(plan, handle))
            stack.callback(sessions[-1].close)
        return sessions[0] if len(sessions) == 1 else PartsSession(sessions), notes

    def _shown(self, kept: Sequence[str], handle: int, stack: ExitStack) -> tuple[Probe, tuple[str, ...]]:
        if not shows_unfused():
            return self._in_parts(kept, handle, stack)
        session: ListeningSession | None = None
        try:
            plan = self._plan(
                self.folder / KEPT / "probe-unfused.plan",
                replace(self.recipe, unfused=True),
                "a probe that tells its unfused tensors",
            )
            session = ListeningSession(plan, handle)
            session.rehearse({name: extents.opt for name, extents in self.recipe.extents.items()})
        except AuditError as error:
            if session:
                session.close()
            self.progress.note(f"unfused tensors are shown as outputs instead: {error}")
            return self._in_parts(kept, handle, stack)
        stack.callback(session.close)
        return session, ()

    def _typed(self, recipe: Recipe) -> Recipe:
        """The recipe in the engine's own types, where they can be written into it."""
        return (pinned(recipe, self.layers, self._nodes) if not self._free else None) or recipe

    def _typed_plan(self, path: Path, recipe: Recipe, what: str) -> Path:
        """In the engine's own types; where TensorRT refuses that or dies of it, as the builder chooses anew."""
        typed = self._typed(recipe)
        if typed == recipe:
            return self._plan(path, recipe, what)
        try:
            return self._plan(path, typed, what, step=f"{path.stem}-typed")
        except (CannotBuild, Died) as error:
            plan = self._plan(path, recipe, what)
            self._free.append(f"{what} is built in types that the builder chooses anew: {error}")
            self.progress.note(self._free[-1])
            return plan

    def _segments_plan(self, recipe: Recipe) -> Path:
        """The layers alone: in the engine's types and by the first kernels, where they keep to these types."""
        digest, what = file_sha256(recipe.source)[:12], "the layers alone"
        typed = self._typed(recipe)
        if typed != recipe or typed.settings.typing == "strong":
            try:
                plan = self._plan(self.folder / KEPT / f"segments-typed-{digest}.plan", by_first_kernels(typed), what)
                slipped = slips(engine_layers(inspected(plan)["layers"]), typed.held)
                if not slipped:
                    return plan
                self.progress.note(f"{what} are built again, as the builder chooses: {slipped[0]}")
            except (CannotBuild, Died) as error:
                self.progress.note(f"{what} are built again, as the builder chooses: {error}")
        return self._plan(self.folder / KEPT / f"segments-{digest}.plan", recipe, what)

    def _plan(self, path: Path, recipe: Recipe, what: str, step: str = "") -> Path:
        entry = BuildEntry(what=what, checks=tuple(filter(None, journal.purpose().split(", "))))
        if path.is_file():
            if path not in self._taken:
                self.made.append(entry.model_copy(update={"cached": True}))
                self._taken.add(path)
            return path
        with journal.step(step or path.stem, f"building {what}"):
            plan = self._built(recipe, entry)
        self._taken.add(path)
        # Whole or not at all: who comes after a death takes what is there.
        written = path.with_suffix(".new")
        written.write_bytes(plan)
        written.replace(path)
        return path

    def _built(self, recipe: Recipe, entry: BuildEntry) -> bytes:
        start, told = time.monotonic(), entry.what + (f" for {', '.join(entry.checks)}" if entry.checks else "")
        try:
            product = build(recipe, self.progress, f"build {told}")
        except AuditError:
            seconds = round(time.monotonic() - start, 3)
            self.made.append(entry.model_copy(update={"seconds": seconds, "refused": True}))
            raise
        self.made.append(entry.model_copy(update={"seconds": round(product.seconds, 3)}))
        self.progress.note(f"built in {product.seconds:.0f} s")
        return product.plan
