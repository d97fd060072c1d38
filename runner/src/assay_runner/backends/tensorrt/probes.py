"""Engines built beside the one that is served, to look into it: as like it as the question allows.

Three of them, from the same recipe and with the same timing cache, so that layers that stay alike run the same kernels:
one that shows what the engine keeps between its layers, one with a fused layer split to see inside it, and one of the
layers alone, each on golden's tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from assay_runner.backends.seams import KEPT
from assay_runner.backends.tensorrt.building import Recipe, build
from assay_runner.backends.tensorrt.comparison import DeviceComparison
from assay_runner.backends.tensorrt.device import stream
from assay_runner.backends.tensorrt.fusion import Fusion, fusion
from assay_runner.backends.tensorrt.kernels import check_compiler
from assay_runner.backends.tensorrt.library import shows_unfused
from assay_runner.backends.tensorrt.listening import ListeningSession
from assay_runner.backends.tensorrt.pieces import PiecesSession
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.errors import AuditError
from assay_runner.evidence import EngineLayer, FusedLayer, Site
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.model_files import file_sha256
from assay_runner.tensors import Progress


def marked_plan(folder: Path, wanted: Collection[str]) -> Path:
    """Where the plan with these tensors among its outputs lies, once it was built, below a build's working folder."""
    digest = hashlib.sha256("\0".join(sorted(wanted)).encode()).hexdigest()[:12]
    return folder / KEPT / f"probe-{digest}.plan"


@dataclass(frozen=True)
class Probes:
    """Looks into one engine.

    Attributes:
        recipe: what it was made from.
        layers: what its inspector tells.
        folder: its build's working folder.
        progress: told what is built.
    """

    recipe: Recipe
    layers: Sequence[EngineLayer]
    folder: Path
    progress: Progress

    @cached_property
    def fusion(self) -> Fusion:
        """Which tensors the engine keeps."""
        return fusion(load_outline(self.recipe.source), self.layers)

    def marked(self, wanted: Collection[str]) -> Path:
        """A plan with these tensors among its outputs."""
        recipe = replace(self.recipe, outputs=frozenset(wanted))
        return self._plan(marked_plan(self.folder, wanted), recipe, "build probe")

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
            probe = EngineSession(self.marked(kept), handle) if whole else self._shown(kept, handle)
            stack.callback(probe.close)
            pieces = self.pieces(probe.shown & kept, handle) if local else None
            if pieces:
                stack.callback(pieces.close)
            # What the engine keeps and the probe does not show is not inside a layer: it was not looked at.
            fused = names - kept - probe.shown
            comparison = DeviceComparison(probe, pieces, names, outputs, fused, axes, self.progress)
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

    def pieces(self, shared: Collection[str], handle: int) -> PiecesSession:
        """What lies between these tensors, on tensors from elsewhere: the engine's layers, where it keeps them."""
        return PiecesSession(self.recipe, shared, self.folder / "pieces", self._pieces_plan, handle)

    def _shown(self, kept: Collection[str], handle: int) -> EngineSession:
        if not shows_unfused():
            return EngineSession(self.marked(kept), handle)
        session: ListeningSession | None = None
        try:
            plan = self._plan(
                self.folder / KEPT / "probe-unfused.plan", replace(self.recipe, unfused=True), "build probe"
            )
            session = ListeningSession(plan, handle)
            session.rehearse({name: extents.opt for name, extents in self.recipe.extents.items()})
            return session
        except AuditError as error:
            if session:
                session.close()
            self.progress.note(f"unfused tensors are shown as outputs instead: {error}")
            return EngineSession(self.marked(kept), handle)

    def _pieces_plan(self, recipe: Recipe) -> Path:
        path = self.folder / KEPT / f"pieces-{file_sha256(recipe.source)[:12]}.plan"
        return self._plan(path, recipe, "build pieces")

    def _plan(self, path: Path, recipe: Recipe, what: str) -> Path:
        if not path.is_file():
            path.write_bytes(build(recipe, self.progress, what).plan)
        return path
