"""TensorRT engines on an NVIDIA GPU: built from ONNX, or taken as they are."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from assay_api.audit import BuildOptions, Candidate
from assay_api.model import to_wire
from assay_runner.backends.backend import NOTHING, Built, Capability, Piece, Session
from assay_runner.backends.held import held_nodes
from assay_runner.backends.seams import KEPT, SHARED, Comparison
from assay_runner.backends.tensorrt import timing
from assay_runner.backends.tensorrt.building import Product, Recipe, build
from assay_runner.backends.tensorrt.calibrator import calibrator
from assay_runner.backends.tensorrt.configuration import Offered, Settings, extents, settings
from assay_runner.backends.tensorrt.description import engine_facts, inspected
from assay_runner.backends.tensorrt.device import device, stream
from assay_runner.backends.tensorrt.interface import check_layouts
from assay_runner.backends.tensorrt.library import (
    check_available,
    implicit_calibration,
    load_plugins,
    tensorrt,
    weak_typing,
)
from assay_runner.backends.tensorrt.probes import Probes, marked_plan
from assay_runner.backends.tensorrt.session import EngineSession, dtypes, opened
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.behaviour_evidence import Condition
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.evidence import FusedLayer, Site
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.inside import hidden
from assay_runner.graphs.strong import wide_nodes
from assay_runner.graphs.taps import random_sites, sites
from assay_runner.model_files import file_sha256
from assay_runner.models import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress, names

PLAN = "engine.plan"
RECORD = "engine.json"
INSPECTED = "inspected.json"
RANGES = "calibration.cache"


class TensorRT:
    """Builds engines and runs them."""

    name: ClassVar[str] = "tensorrt"
    conditions: ClassVar[frozenset[Condition]] = frozenset(
        {"sameSession", "newSession", "newProcess", "otherStream", "underLoad"}
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
        """All of it, by further engines; of an existing plan only what its outputs are."""
        return capability in (Capability.TENSORS, Capability.PIECES)

    def identity(self) -> str:
        """TensorRT, driver and GPU."""
        gpu = device()
        version, (major, minor) = tensorrt().__version__, gpu.capability
        return f"tensorrt {version} driver {gpu.driver} {gpu.name} sm_{major}{minor}"

    def merge(self, ours: Path, theirs: Path) -> None:
        """Two timing caches in one."""
        timing.merge(ours, theirs)

    def build(
        self,
        model: LoadedModel,
        candidate: Candidate,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """An engine in `workdir`, taken from `workdir / KEPT` where it lies there already; see `Keeping`.

        Raises:
            InvalidInput: the model cannot be parsed or built so, or shapes do not fit.
            Unsupported: this version or GPU does not have what is asked for.
            Unavailable: device memory ran out.
        """
        kept = workdir / KEPT
        kept.mkdir(parents=True, exist_ok=True)
        chosen = settings(candidate, offered())
        load_plugins(chosen.options.plugins)
        source, notes = source_model(model, candidate, chosen, calibration, workdir / "source", progress)
        profile = (candidate.build or BuildOptions()).profile
        recipe = Recipe(
            source=source,
            settings=chosen,
            extents=extents(model.inputs, profile, shapes),
            held=held_nodes(model.path, candidate) if chosen.obeys else {},
            timing_cache=workdir / SHARED / timing.file_name(chosen.options),
        )
        if chosen.implicit and candidate.calibration and calibration is not None:
            recipe = replace(recipe, calibrator=_calibrated(candidate, calibration, kept / RANGES, progress))
        record = _made(recipe, kept, progress, self._fingerprint(model, candidate, recipe))
        facts = engine_facts(inspected(kept / PLAN, kept / INSPECTED), chosen, record, model)
        if chosen.typing == "strong":
            facts = replace(facts, wide=wide_nodes(load_outline(source)))
        self._probes[workdir] = Probes(recipe, facts.layers, workdir, progress)
        return Built(
            backend=self.name,
            precision=candidate.precision or "",
            path=kept / PLAN,
            source=model.path,
            folder=workdir,
            emulated=False,
            notes=(*notes, *_how(chosen, candidate)),
            hidden=hidden(load_outline(model.path)),
            engine=facts,
        )

    def adopt(self, plan: Path, model: LoadedModel, workdir: Path) -> Built:
        """An existing plan as it is.

        Raises:
            InvalidInput: it cannot be loaded on this version and GPU, or its inputs or outputs are not the model's.
        """
        load_plugins(())
        with stream() as handle:
            session = EngineSession(plan, handle)
            missing = [name for name in names(model.outputs) if name not in session.outputs]
            extra = [name for name in session.inputs if name not in names(model.inputs)]
            try:
                check_layouts(tensorrt(), session.engine, (*session.inputs, *session.outputs))
            finally:
                session.close()
        if missing or extra:
            what = f"lacks output {missing[0]!r}" if missing else f"takes input {extra[0]!r}"
            raise InvalidInput(
                f"plan {plan.name} {what}, unlike the audit's model: give the model that the plan was built from"
            )
        facts = engine_facts(inspected(plan), None, {"taken": "as it is"}, model)
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
        return opened(self._probes_of(built).marked({tensor}))

    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> AbstractContextManager[Comparison]:
        """A second engine that shows what the engine keeps between its layers, reduced to figures on the device.

        `whole`: one that shows every tensor instead, and fuses less for that.

        Raises:
            Unsupported: an existing plan, or CUDA's compiler is missing.
        """
        return self._probes_of(built).comparison(self.sites(built), _outputs(built), local, whole)

    def fused_layer(self, built: Built, tensor: str) -> FusedLayer | None:
        """The engine's layers that make a tensor, where there are others inside; None of an existing plan."""
        probes = self._probes.get(built.folder)
        return probes.fused_layer(tensor) if probes else None

    def open_inside(self, built: Built, tensor: str) -> AbstractContextManager[Comparison]:
        """A second engine in which the layers that make a tensor are split.

        Raises:
            Unsupported: an existing plan, or CUDA's compiler is missing.
        """
        return self._probes_of(built).inside(tensor, _outputs(built))

    @contextmanager
    def pieces(self, built: Built, shared: Mapping[str, int], limit: int) -> Iterator[tuple[Piece, ...]]:
        """The engine's layers as one more engine, each on tensors from elsewhere: all at once, whatever the limit."""
        probes = self._probes_of(built)
        with stream() as handle:
            session = probes.pieces(shared.keys() & set(probes.fusion.kept), handle)
            try:
                cut = session.cut(shared)
                yield (Piece(cut.needs, {name: name for name in cut.results}, session),)
            finally:
                session.close()

    def _fingerprint(self, model: LoadedModel, candidate: Candidate, recipe: Recipe) -> str:
        """Of all that a plan is made from, so that none is taken for another's; calibration inputs are the caller's."""
        wire = {key: value for key, value in to_wire(candidate).items() if key != "name"}
        parts = (model.identity, json.dumps(wire, sort_keys=True), sorted(recipe.extents.items()), self.identity())
        # An image may bring another library by the same name.
        plugins = tuple(file_sha256(Path(plugin)) for plugin in recipe.settings.options.plugins)
        return hashlib.sha256(repr(parts + plugins).encode()).hexdigest()

    def _probes_of(self, built: Built) -> Probes:
        if found := self._probes.get(built.folder):
            return found
        raise Unsupported(
            "an existing plan shows its inputs and outputs only: build the model here too, as another candidate, "
            "to see its tensors"
        )


def offered() -> Offered:
    """What is here."""
    return Offered(weak_typing(), implicit_calibration(), device().capability, str(tensorrt().__version__))


def _runnable(built: Built) -> Path:
    """The plan, with its plugins loaded: where another process built it, this one has none yet."""
    load_plugins(built.engine.facts.get("plugins", ()) if built.engine else ())
    return built.path


def _made(recipe: Recipe, kept: Path, progress: Progress, fingerprint: str) -> dict[str, Any]:
    """Build unless the plan is there; how it was built."""
    if (kept / PLAN).is_file() and (kept / RECORD).is_file():
        record = json.loads((kept / RECORD).read_text())
        if record.pop("fingerprint", "") == fingerprint:
            progress.note("engine taken from the cache")
            return {**record, "cached": True}
    for old in (*kept.glob("*.plan"), kept / INSPECTED, kept / RANGES):
        old.unlink(missing_ok=True)
    product: Product = build(recipe, progress)
    (kept / PLAN).write_bytes(product.plan)
    record = {
        "buildSeconds": round(product.seconds, 3),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "warnings": list(product.warnings),
    }
    (kept / RECORD).write_text(json.dumps({**record, "fingerprint": fingerprint}))
    return {**record, "cached": False}


def _outputs(built: Built) -> tuple[str, ...]:
    return tuple(output.name for output in load_outline(built.source).graph.output)


def _calibrated(candidate: Candidate, batches: Batches, cache: Path, progress: Progress) -> Any:
    calibration = candidate.calibration

    def make(network: Any) -> Any:
        kinds = dtypes()
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        method = calibration.method if calibration else "entropy"
        return calibrator(method, batches, {i.name: kinds[i.dtype] for i in inputs}, cache, progress)

    return make


def _how(chosen: Settings, candidate: Candidate) -> tuple[str, ...]:
    if chosen.implicit and candidate.calibration:
        return (f"int8: ranges by TensorRT's own calibrator ({candidate.calibration.method}), typing weak",)
    return ()
