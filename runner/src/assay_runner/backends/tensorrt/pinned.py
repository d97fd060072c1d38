"""An engine's own choice of types, written into the recipes of the engines that look into it.

Where the builder may choose (weak typing), a tensor more among the outputs or a graph cut in pieces makes it choose
anew, and often wider: a probe in FP32 of an engine in FP16 would show what nobody serves. So each node is held to what
the engine's layers say they run in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.configuration import FLAGS
from assay_runner.backends.tensorrt.fusion import COPY
from assay_runner.backends.tensorrt.hold_layers import KINDS
from assay_runner.evidence.engine import EngineLayer

FIRST_KERNEL: Final = 0
"""The level at which TensorRT times nothing: it takes the first kernel that works."""
_KIND: Final[Mapping[str, str]] = {kind.upper(): kind for kind in KINDS} | {"TF32": "fp32"}


def pinned(recipe: Recipe, layers: Sequence[EngineLayer], nodes: Collection[str]) -> Recipe | None:
    """The recipe with the precision of each node that the engine chose; None where that cannot be written.

    Args:
        recipe: the engine's; strongly typed it is as it was, for its graph has its types.
        layers: of the engine, as its inspector tells them.
        nodes: names of the nodes of its graph.
    """
    if recipe.settings.typing == "strong":
        return recipe
    if recipe.calibrator is not None or not (kinds := precisions(layers)):
        return None
    chosen = set(kinds.values())
    # Nodes that no layer names, as a Concat that is done by writing side by side, are not narrower than all others.
    rest = dict.fromkeys(nodes, *chosen) if len(chosen) == 1 else {}
    held = {**rest, **kinds, **recipe.held}
    # Of a format that no layer took, nothing is left to choose: else a reformat between two FP32 layers may round.
    unused = {flag for kind in KINDS if kind not in held.values() for flag in FLAGS[kind]}
    flags = tuple(flag for flag in recipe.settings.flags if flag not in unused)
    return replace(recipe, settings=replace(recipe.settings, flags=flags, obeys=True), held=held)


def by_first_kernels(recipe: Recipe) -> Recipe:
    """The recipe with no kernel timed, which is most of what a build takes and tells nothing of layers cut apart.

    Their kernels are others than the engine's either way, for other layers are fused where a graph is cut.
    """
    options = recipe.settings.options.model_copy(update={"optimization_level": FIRST_KERNEL})
    return replace(recipe, settings=replace(recipe.settings, options=options))


def precisions(layers: Sequence[EngineLayer]) -> dict[str, str]:
    """The precision that each node runs in, as `layers` of a candidate names it.

    A node that only moves numbers has the type that it makes. Empty where a layer that computes runs in a type that no
    layer can be held to, or where none tells its nodes. A node with parts in layers of several precisions is left out:
    it is one that the builder splits.
    """
    computed: dict[str, set[str]] = {}
    moved: dict[str, set[str]] = {}
    for layer in layers:
        if layer.name.startswith(COPY):
            continue
        if layer.computes and layer.precision and layer.precision not in _KIND:
            return {}
        told = {layer.precision} if layer.computes else {tensor.type for tensor in layer.outputs}
        for node in layer.nodes:
            kinds = {_KIND[kind] for kind in told if kind in _KIND}
            (computed if layer.computes else moved).setdefault(node, set()).update(kinds)
    found = {**moved, **{node: kinds for node, kinds in computed.items() if kinds}}
    return {node: next(iter(kinds)) for node, kinds in found.items() if len(kinds) == 1}
