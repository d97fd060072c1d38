"""TensorRT engines on an NVIDIA GPU: built from ONNX, or taken as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from assay_api.entries import BuildEntry
from assay_runner.backends.backend import NOTHING, Built, Capability, Segment, Session
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.routes import Knob, knobs_in
from assay_runner.backends.seams import KEPT, Comparison
from assay_runner.backends.tensorrt import timing
from assay_runner.backends.tensorrt.description import engine_facts, inspected
from assay_runner.backends.tensorrt.device import stream
from assay_runner.backends.tensorrt.hold_layers import slips
from assay_runner.backends.tensorrt.library import (
    build_routes,
    check_available,
    has_flag,
    load_plugins,
    selects_tactics,
)
from assay_runner.backends.tensorrt.plans import INSPECTED, PLAN, TIMED, build_or_reuse, check_plan, tactics_of
from assay_runner.backends.tensorrt.probes import Probes, forget, marked_plan
from assay_runner.backends.tensorrt.recipes import fingerprint, identity, recipe_of
from assay_runner.backends.tensorrt.session import opened
from assay_runner.errors import Unsupported
from assay_runner.evidence import FusedLayer
from assay_runner.evidence.reruns import Condition
from assay_runner.graphs.control_flow import hidden
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.strong import wide_nodes
from assay_runner.graphs.taps import random_sites, sites
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress, Site


class TensorRT:
    """Builds engines and runs them."""

    name: ClassVar[str] = "tensorrt"
    conditions: ClassVar[frozenset[Condition]] = frozenset(
        {"sameSession", "newSession", "newProcess", "otherStream", "usedMemory", "underLoad"}
    )

    def __init__(self) -> None:
        """Nothing is loaded before it is asked for."""
        self._probes: dict[Path, Probes] = {}

    def available(self) -> None:
        """Do nothing where there is a GPU, its driver, TensorRT and cuda-python.

        Raises:
            Unsupported: something of it is missing; one sentence says what.
        """
        check_available()

    def can(self, capability: Capability) -> bool:
        """Tensors and segments by further engines, of an existing plan only outputs; tactics where its version can."""
        if capability is Capability.TACTICS:
            return find_spec("tensorrt") is not None and selects_tactics()
        if capability is Capability.TIMINGS:
            return find_spec("tensorrt") is not None and has_flag(timing.EDITABLE)
        return capability in (Capability.TENSORS, Capability.SEGMENTS)

    def identity(self) -> str:
        """TensorRT, driver and GPU."""
        return identity()

    def merge(self, ours: Path, theirs: Path) -> None:
        """Two timing caches in one."""
        timing.merge(ours, theirs)

    def knobs(self) -> tuple[Knob, ...]:
        """The knobs of its build routes, where its version has them."""
        return knobs_in(build_routes())

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """An engine in `workdir`, taken from `workdir / KEPT` where it lies there already; see `Keeping`.

        Raises:
            InvalidInput: the model cannot be parsed or built so, shapes do not fit, or a node that is held, or a
                layer's tactic, is not there.
            Unsupported: this version or GPU does not have what is asked for.
            Unavailable: device memory ran out.
        """
        kept = workdir / KEPT
        kept.mkdir(parents=True, exist_ok=True)
        recipe, notes = recipe_of(model, order, calibration, workdir, progress, shapes)
        record = build_or_reuse(recipe, kept, progress, fingerprint(model, order, recipe))
        facts = engine_facts(inspected(kept / PLAN, kept / INSPECTED), recipe.settings, record, model)
        if recipe.settings.typing == "strong":
            facts = replace(facts, wide=wide_nodes(load_outline(recipe.source), order.precision))
        self._probes[workdir] = Probes(replace(recipe, tactics=None, forbidden={}), facts.layers, workdir, progress)
        return Built(
            backend=self.name,
            precision=order.precision,
            path=kept / PLAN,
            source=model.path,
            folder=workdir,
            emulated=False,
            notes=(*notes, *_slipped(slips(facts.layers, recipe.held))),
            hidden=hidden(load_outline(model.path)),
            engine=facts,
            tactics=tactics_of(kept),
            timed=tactics_of(kept, TIMED),
        )

    def made(self, built: Built) -> tuple[BuildEntry, ...]:
        """What was built to look into it; nothing of an existing plan."""
        probes = self._probes.get(built.folder)
        return tuple(probes.made) if probes else ()

    def release(self, built: Built) -> None:
        """Forget recipe and inspected layers, and delete the plans that were built to look into this one."""
        if self._probes.pop(built.folder, None) is not None:
            forget(built.folder)

    def adopt(self, plan: Path, model: LoadedModel, workdir: Path, plugins: Sequence[str] = ()) -> Built:
        """An existing plan as it is.

        Raises:
            InvalidInput: it cannot be loaded on this version and GPU, or its inputs or outputs are not the model's.
        """
        load_plugins(plugins)
        check_plan(plan, model)
        facts = engine_facts(
            inspected(plan), None, {"taken": "as it is", **({"plugins": list(plugins)} if plugins else {})}, model
        )
        note = "an existing plan, audited as it is"
        if not any(layer.type for layer in facts.layers):
            note += "; it was built without detailed profiling verbosity, so its layers show names only"
        return Built(
            backend=self.name,
            precision="",
            path=plan,
            source=model.path,
            folder=workdir,
            notes=(note,),
            hidden=hidden(load_outline(model.path)),
            engine=facts,
        )

    def sites(self, built: Built) -> tuple[Site, ...]:
        """Tensors of the model, in topological order; an engine shows those that its network still has."""
        return sites(load_outline(built.source))

    def random(self, built: Built) -> tuple[Site, ...]:
        """Nodes that draw random numbers, in subgraphs too."""
        return random_sites(load_outline(built.source))

    def open(self, built: Built) -> AbstractContextManager[Session]:
        """The engine, on a stream of its own."""
        return opened(_runnable(built))

    def open_on_other_stream(self, built: Built) -> AbstractContextManager[Session]:
        """The engine on another stream; every session has one of its own."""
        return opened(_runnable(built))

    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> AbstractContextManager[Session]:
        """A second engine from the same source, with tensors as further outputs.

        Outputs keep layers from being fused, so this engine is not the one that is served: callers compare the outputs.

        Raises:
            Unsupported: the plan was not built here, so that there is no source to build another from.
        """
        _runnable(built)
        wanted = {site.tensor for site in self.sites(built)} if tensors is None else set(tensors)
        made = marked_plan(built.folder, wanted)  # By this process, or by the one that asks this one to show them too.
        return opened(made if made.is_file() else self._probes_of(built).marked(wanted))

    def open_with_output(self, built: Built, tensor: str) -> AbstractContextManager[Session]:
        """A second engine with one tensor more among its outputs."""
        return opened(self._probes_of(built).with_output(tensor))

    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> AbstractContextManager[Comparison]:
        """A second engine that shows what the engine keeps between its layers, reduced to figures on the device.

        `whole`: one that shows every tensor instead, and fuses less for that.

        Raises:
            Unsupported: an existing plan, or CUDA's compiler is missing.
        """
        return self._probes_of(built).comparison(self.sites(built), _outputs(built), built.axes, local, whole)

    def fused_layer(self, built: Built, tensor: str) -> FusedLayer | None:
        """The engine's layers that make a tensor, where there are others inside; None of an existing plan."""
        probes = self._probes.get(built.folder)
        return probes.fused_layer(tensor) if probes else None

    def open_inside(self, built: Built, tensor: str) -> AbstractContextManager[Comparison]:
        """A second engine in which the layers that make a tensor are split.

        Raises:
            Unsupported: an existing plan, or CUDA's compiler is missing.
        """
        return self._probes_of(built).inside(tensor, _outputs(built), built.axes)

    @contextmanager
    def segments(
        self, built: Built, shared: Mapping[str, int], limit: int, golden: Built | None = None
    ) -> Iterator[tuple[Segment, ...]]:
        """The engine's layers as one more engine, each on tensors from elsewhere: all at once, whatever the limit."""
        probes = self._probes_of(built)
        with stream() as handle:
            session = probes.segments(shared.keys() & set(probes.fusion.kept), handle)
            try:
                cut = session.cut(shared)
                yield (Segment(cut.needs, {name: name for name in cut.results}, session),)
            finally:
                session.close()

    def _probes_of(self, built: Built) -> Probes:
        if found := self._probes.get(built.folder):
            return found
        if built.path == built.folder / KEPT / PLAN:
            raise Unsupported("only its outputs can be seen here: it was released, or built by another process")
        raise Unsupported(
            "an existing plan shows its inputs and outputs only: build the model here too, as another candidate, "
            "to see its tensors"
        )


def _runnable(built: Built) -> Path:
    """The plan, with its plugins loaded: where another process built it, this one has none yet."""
    load_plugins(built.engine.facts.plugins or () if built.engine else ())
    return built.path


def _slipped(slipped: Sequence[str]) -> tuple[str, ...]:
    """One note of all of them."""
    if not slipped:
        return ()
    more = f" ({len(slipped) - 1} more nodes likewise)" if slipped[1:] else ""
    return (f"TensorRT does not keep to layers: {slipped[0]}{more}; typing: strong writes precisions into the graph",)


def _outputs(built: Built) -> tuple[str, ...]:
    return tuple(output.name for output in load_outline(built.source).graph.output)
