"""The ONNX model that is handed to TensorRT's parser: precision and Q/DQ written into it where typing is strong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto

from assay_runner.backends.conversion import fp32_model, listed, localised, upgraded
from assay_runner.backends.inspection import Inspection, inspect
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.quantisation import quantised_model
from assay_runner.backends.schemes import no_pairs, own_pairs, paired
from assay_runner.backends.tensorrt.configuration import Settings
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.graphs.dimension_names import forget_names
from assay_runner.graphs.documents import save
from assay_runner.graphs.element_types import FLOAT_TYPES
from assay_runner.graphs.retype import converter
from assay_runner.graphs.strong import HALVES, followed_types, joined, other_half, strong
from assay_runner.graphs.taps import name_of
from assay_runner.graphs.weights import localise
from assay_runner.models.loading import LoadedModel
from assay_runner.models.outline import read_outline
from assay_runner.tensors import Batches, Extents, Progress, Site, TensorSpec


def source_model(
    model: LoadedModel,
    order: BuildOrder,
    settings: Settings,
    calibration: Batches | None,
    folder: Path,
    progress: Progress,
) -> tuple[Path, tuple[str, ...]]:
    """The model to parse, written into `folder` unless it is the given one; and what to know about it.

    Raises:
        InvalidInput: it cannot be quantised, or lacks the Q/DQ pairs it should bring.
        Unsupported: what is asked for cannot be said in a strongly typed graph here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if settings.typing == "strong":
        _check_strong(order)
    match order.precision:
        case "int8" | "fp8" as kind:
            if order.quantisation is None:
                own_pairs(model.path, kind)
                own = (f"{kind}: Q/DQ as in the candidate's own model", *paired(model.path, order.held))
                return _with_halves(model.path, order, settings, own, folder)
            if calibration is None and order.quantisation.reads:
                raise InvalidInput("the candidate needs its calibration inputs to be built")
            if settings.implicit:
                no_pairs(model.path)
                return model.path, ()
            quantised = quantised_model(
                model.path, order.quantisation, calibration, folder, progress, kind, order.held, model.axes
            )
            return _with_halves(quantised.path, order, settings, (*quantised.notes, *_bodies(model.path)), folder)
        case "fp16" | "bf16" as half if settings.typing == "strong":
            path, notes = strong_model(model.path, half, order.held, folder)
            return path, (*notes, *_bodies(model.path))
        case "fp32" | "tf32":
            made = fp32_model(model.path, folder)
            return made.path, made.notes
        case _:
            return model.path, ()


def truly_named(
    source: Path, inputs: Sequence[TensorSpec], shapes: Mapping[str, Extents], folder: Path
) -> tuple[Path, tuple[str, ...]]:
    """The model without the names of dimensions that the data contradict, written into `folder`; and a note of them.

    TensorRT holds axes of one name to one size, and refuses a profile that says otherwise.

    Args:
        source: the model to parse; returned as it is where every name is true.
        inputs: of the model.
        shapes: in which they are fed.
        folder: where another one may be written.
    """
    wrong = {
        (str(spec.shape[axis]), f"{spec.name!r} axis {axis}")
        for spec in inputs
        if spec.name in shapes
        for axis in shapes[spec.name].misnamed
    }
    if not wrong:
        return source, ()
    names = sorted({name for name, _ in wrong})
    with TemporaryDirectory(dir=folder) as scratch:
        model = localised(source, Path(scratch))
        forget_names(model, names)
        path = save(localise(model, Path(scratch), folder), folder / "named.onnx")
    told = listed(sorted(where for _, where in wrong))
    return path, (
        f"dimension names that the data contradict, dropped for TensorRT: {', '.join(map(repr, names))} (input {told})",
    )


def _check_strong(order: BuildOrder) -> None:
    """Do nothing where a strongly typed graph can say what nodes are held to."""
    kind = order.precision
    if order.held and kind in ("fp32", "tf32"):
        raise Unsupported(
            f"layers hold nodes wider than the candidate; with precision {kind} and typing strong there is nothing "
            "wider: set typing: weak, or remove layers"
        )
    if kind in ("int8", "fp8") and len(other := set(order.held.values()) - {"fp32"}) > 1:
        raise Unsupported(
            f"with typing strong, layers of a {kind} candidate may be fp32 and one of {', '.join(sorted(other))}, not "
            "both of them"
        )


def _with_halves(
    path: Path, order: BuildOrder, settings: Settings, notes: tuple[str, ...], folder: Path
) -> tuple[Path, tuple[str, ...]]:
    """A model with Q/DQ pairs and, where types are to stand in it, what it holds in a half between casts."""
    halves = {name: kind for name, kind in order.held.items() if kind in HALVES}
    if settings.typing != "strong" or not halves:
        return path, notes
    told = [f"held in {kind.upper()} as asked: {listed(_of(halves, kind))}" for kind in sorted({*halves.values()})]
    made = half_inside(path, halves, _made(folder / "halves"))
    return made, (*notes, *told)


def _of(held: Mapping[str, str], kind: str) -> list[str]:
    return sorted(name for name in held if held[name] == kind)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def half_inside(path: Path, held: Mapping[str, str], folder: Path) -> Path:
    """The model with some nodes in a half type between casts; all else stays as it is.

    Args:
        path: of the model.
        held: fp16 or bf16 by node, the same for all.
        folder: where it is written; empty.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
        CannotBuild: its operator set is too old to say the type, and cannot be upgraded.
    """
    (kind,) = set(held.values())
    with TemporaryDirectory(dir=folder) as scratch:
        newer = upgraded(path, kind, Path(scratch), path.name)
        home = _made(Path(scratch) / "own")
        model = localised(newer, home)
        found = inspect(model, home)
        made = other_half(model, kind, found.types, found.ranks, held.keys())
        localise(model, home, folder, converter(HALVES[kind], made.wide))
    return save(model, folder / "model.onnx")


def strong_model(path: Path, kind: str, held: Mapping[str, str], folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The model with a half type written into it, as `graphs.strong` does; and what to know about it.

    Args:
        path: of the model.
        kind: fp16 or bf16.
        held: by name, nodes that stay in FP32, or are in the other half type.
        folder: where it is written.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
        CannotBuild: its operator set is too old to say BF16 beside FP16, and cannot be upgraded.
    """
    wide = {name for name, precision in held.items() if precision == "fp32"}
    others = {name: precision for name, precision in held.items() if precision not in ("fp32", kind)}
    with TemporaryDirectory(dir=folder) as scratch:
        home = Path(scratch) / "own"
        home.mkdir()
        given = fp32_model(path, Path(scratch))
        newer = upgraded(given.path, "bf16", Path(scratch), path.name) if "bf16" in others.values() else given.path
        model = localised(newer, home)
        found, own = inspect(model, home), _casts(model)
        if others:
            model, home, found, left = _in_other_half(model, home, found, others, Path(scratch) / "other")
            wide |= left
        between = _casts(model) - own
        changed = FLOAT_TYPES if not others else (TensorProto.FLOAT, TensorProto.DOUBLE)
        made = strong(model, kind, found.types, found.ranks, wide | between, changed)
        if others:
            joined(model, own)
        localise(model, home, folder, converter(HALVES[kind], made.wide, changed))
    islands = [site for site in made.islands if site.node not in between]
    return save(model, folder / "model.onnx"), (*given.notes, *_notes(kind, islands, held))


def _casts(model: onnx.ModelProto) -> frozenset[str]:
    return frozenset(name_of(node) for node in model.graph.node if node.op_type == "Cast")


def _in_other_half(
    model: onnx.ModelProto, home: Path, found: Inspection, held: Mapping[str, str], folder: Path
) -> tuple[onnx.ModelProto, Path, Inspection, frozenset[str]]:
    """The model with some nodes in another half type, the folder where its weights lie now, and its types.

    Last, which of the nodes have no such type in its operator set and stay in FP32.
    """
    folder.mkdir()
    (kind,) = set(held.values())
    made = other_half(model, kind, found.types, found.ranks, held.keys())
    localised_ = localise(model, home, folder, converter(HALVES[kind], made.wide))
    # ONNX Runtime cannot tell them: it has no kernels for most of what is in BF16 now.
    types = followed_types(localised_, found.types, held.keys(), HALVES[kind])
    left = held.keys() & {site.node for site in made.islands}
    return localised_, folder, replace(found, types=types), frozenset(left)


def _bodies(path: Path) -> tuple[str, ...]:
    """What to know where the model has functions of its own, which a graph that is written anew has no more."""
    found = sorted({f"{function.domain}:{function.name}" for function in read_outline(path).functions})
    if not found:
        return ()
    what = "operators that are functions inside the model are in the engine as their bodies, not as plugins"
    return (f"{what}: {listed(found)}",)


def _notes(kind: str, islands: Sequence[Site], held: Mapping[str, str]) -> tuple[str, ...]:
    others = [site.node or site.tensor for site in islands if site.node not in held]
    notes = [f"{kind}: written into the graph as types, which a strongly typed engine keeps to"]
    for precision in sorted(set(held.values()) - {kind}):
        names = sorted(name for name in held if held[name] == precision)
        notes.append(f"held in {precision.upper()} as asked: {listed(names)}")
    if others:
        notes.append(f"{kind}: these nodes have no {kind} in ONNX and stay in FP32 between casts: {listed(others)}")
    return tuple(notes)
