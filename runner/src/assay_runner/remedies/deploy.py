"""What goes into production of a repaired candidate: a model whose types say all, and what was built of it.

The model is written for builders that choose nothing: precision stands in its types and casts, ranges in its Q/DQ
pairs. So TensorRT 10 (strongly typed) and 11 build the same of it, and a script with plain trtexec does.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from assay_api.repair import Deployable
from assay_api.repair_tactics import TacticsRecord
from assay_runner.backends.chosen import chosen
from assay_runner.backends.conversion import fp32_model
from assay_runner.backends.quantisation import quantised_model
from assay_runner.backends.seams import SHARED
from assay_runner.backends.subject import Subject
from assay_runner.backends.tensorrt.source import half_inside, strong_model
from assay_runner.digests import file_sha256
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.graphs.weights import packed
from assay_runner.models.files import external_tensors
from assay_runner.remedies.aside import Aside
from assay_runner.remedies.case import Design
from assay_runner.stores import Store, join
from assay_runner.tensors import Extents, Progress

if TYPE_CHECKING:
    from assay_runner.data.datasets import Dataset

MODEL: Final = "model.onnx"
SCRIPT: Final = "reproduce.sh"
PLAN: Final = "model.plan"
TIMINGS: Final = "timing.cache"
TACTICS: Final = "tactics.json"
UNPINNED: Final = (
    "trtexec cannot hold a layer to a tactic, and is told no route here: what was audited is the plan beside this "
    "file; ship that."
)
UNFOUNDED: Final = "Not to be deployed, as it does not pass on samples that no search has seen"
UNJUDGED: Final = "Best so far, not yet judged on samples that no search has seen"


OF_BUILD: Final = ("plan", "timing_cache", "tactics")
"""What of `Deployable` a build alone makes; all else is written of the design."""


class Bench(Protocol):
    """What writing a model needs: a workshop is one."""

    @property
    def scratch(self) -> Path:
        """A folder to work in."""
        ...

    @property
    def progress(self) -> Progress:
        """Told how far it is."""
        ...

    @property
    def dataset(self) -> Dataset:
        """In whose shapes the model is fed."""
        ...


def deployed(
    design: Design,
    subject: Subject | None,
    folder: str,
    store: Store,
    workshop: Bench,
    kept: Deployable | None = None,
) -> Deployable:
    """Store what is to be deployed below `folder`; the URIs.

    Args:
        design: what was built.
        subject: the build; None where only an emulation of it ran.
        folder: URI.
        store: where it goes.
        workshop: whose scratch folder is used.
        kept: what a run before this one has stored of the build, where this one did not make it.
    """
    scratch = workshop.scratch / "deploy"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        model = explicit_model(design, scratch, workshop)
        found: dict[str, str] = {"model": _put(store, model, join(folder, MODEL))}
        for name in external_files(model):
            # Of a model of its own there may be many; those that are written here have one.
            found["weights"] = _put(store, model.parent / name, join(folder, name))
        found |= {name: uri for name in OF_BUILD if kept and (uri := getattr(kept, name))}
        if subject and subject.built.path.suffix == ".plan":
            found["plan"] = _put(store, subject.built.path, join(folder, PLAN))
            if cache := min((subject.built.folder / SHARED).glob("*cache*"), default=None):
                found["timing_cache"] = _put(store, cache, join(folder, TIMINGS))
        if subject and subject.built.tactics is not None:
            store.put(join(folder, TACTICS), _record(subject, design).file)
            found["tactics"] = join(folder, TACTICS)
        script = reproduction(design, workshop.dataset.extents(), "plan" in found, "timing_cache" in found).encode()
        store.put(join(folder, SCRIPT), script, "text/x-shellscript")
        return Deployable(**found, reproduce=join(folder, SCRIPT))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def build_digests(deploy: Deployable, store: Store, scratch: Path) -> dict[str, str]:
    """SHA-256 of what a build left, by its name in `deploy`; nothing of what is not there."""
    digests = {}
    for name in OF_BUILD:
        uri = getattr(deploy, name)
        if uri is None or store.stat(uri) is None:
            continue
        path, fetched = store.local_path(uri), scratch / f"kept-{name}"
        if path is None:
            store.get(uri, fetched)
        digests[name] = file_sha256(path or fetched)
        fetched.unlink(missing_ok=True)
    return digests


def explicit_model(design: Design, folder: Path, workshop: Bench) -> Path:
    """The model with every choice written into it, in `folder`.

    Raises:
        InvalidInput: ONNX Runtime refuses the model, or it cannot be quantised.
    """
    order, model = design.order, design.model
    if order.precision in ("fp16", "bf16"):
        return packed(strong_model(model.path, order.precision, order.held, _made(folder / "typed"))[0], folder)
    if order.precision in ("int8", "fp8") and order.quantisation is not None:
        kind: EightBit = "fp8" if order.precision == "fp8" else "int8"
        halves = {name: held for name, held in order.held.items() if held != "fp32"}
        path = quantised_model(
            model.path, order.quantisation, design.calibration, _made(folder / "quantised"), Aside(workshop.progress),
            kind, order.held, model.axes,
        ).path  # fmt: skip
        return packed(half_inside(path, halves, _made(folder / "typed")) if halves else path, folder)
    if order.precision in ("fp32", "tf32"):
        # As it was audited: the file itself may be stored in a half type, and would compute in that.
        made = fp32_model(model.path, _made(folder / "typed")).path
        return made if made == model.path else packed(made, folder)
    return model.path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def reproduction(design: Design, extents: Mapping[str, Extents], built: bool, timings: bool) -> str:
    """A shell script that builds the engine of `model.onnx`, beside it, with plain trtexec.

    Args:
        design: what was built.
        extents: in which shapes its inputs are fed.
        built: whether an engine of it lies beside it.
        timings: whether a timing cache lies beside it.
    """
    options = design.order.options
    words = ["trtexec", f"--onnx={MODEL}", "--stronglyTyped", f"--saveEngine={PLAN}", "--skipInference"]
    words += [] if design.order.precision == "tf32" else ["--noTF32"]
    if (level := options.optimization_level) is not None:
        words.append(f"--builderOptimizationLevel={level}")
    if timings:
        words.append(f"--timingCacheFile={TIMINGS}")
    words += _shapes(design, extents)
    free = design.order.choosing == design.order
    anew = "the engine that was audited anew" if free else "an engine of the same model that may fail"
    what = anew if built else "an engine of what only emulations were made of: audit it"
    lines = [
        "#!/bin/sh",
        f"# {design.words}.",
        *([] if free else [f"# {UNPINNED}"]),
        f"# Builds {what}. Types and ranges stand in {MODEL}.",
        "# TensorRT 10 needs --stronglyTyped; from TensorRT 11 on every network is, and the option may be left out.",
        'cd "$(dirname "$0")" || exit 1',
        f'exec {shlex.join(words)} "$@"',
        "",
    ]
    return "\n".join(lines)


def _shapes(design: Design, extents: Mapping[str, Extents]) -> list[str]:
    """Options with the shapes that the engine is built for; none where all of them stand in the model."""
    profile = {each.input: (each.min, each.opt, each.max) for each in design.order.options.profile}
    found = {name: profile.get(name, (each.min, each.opt, each.max)) for name, each in extents.items()}
    free = {each.name for each in design.model.inputs if not all(isinstance(axis, int) for axis in each.shape)}
    if not free:
        return []
    words = []
    for number, bound in enumerate(("min", "opt", "max")):
        shapes = (f"{name}:{'x'.join(map(str, found[name][number]))}" for name in found if name in free)
        words.append(f"--{bound}Shapes={','.join(shapes)}")
    return words


def _record(subject: Subject, design: Design) -> TacticsRecord:
    found = chosen(subject.built)
    return TacticsRecord(words=design.words, source=found.source, tactics=found.tactics, unseen=found.unseen)


def external_files(model: Path) -> list[str]:
    """Names of the files beside a model that hold its weights."""
    import onnx

    return sorted({name for name, _end in external_tensors(onnx.load(str(model), load_external_data=False))})


def _put(store: Store, path: Path, uri: str) -> str:
    store.put(uri, path)
    return uri
