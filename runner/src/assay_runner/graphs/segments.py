"""The candidate's graph cut at the tensors it shares with the golden run, so that each segment runs on golden inputs.

A tensor's error has two parts: what its own operation adds, and what came in already. The first is measured by running
the operation alone on golden inputs. All segments of one model are independent of one another, so they are gathered
into few models: the inputs are golden tensors, the outputs are what the candidate makes of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import onnx

from assay_runner.graphs.documents import captured, fresh, rename_uses
from assay_runner.graphs.taps import site

NOTHING: Mapping[str, int] = MappingProxyType({})
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Segments:
    """Some segments of a graph as one model.

    Attributes:
        model: its weights lie where the whole model's do.
        results: output of the model by the tensor it is to be compared with.
    """

    model: onnx.ModelProto
    results: Mapping[str, str]


def cut(
    model: onnx.ModelProto,
    types: Mapping[str, int],
    shared: Collection[str],
    sizes: Mapping[str, int],
    limit: int,
    ranks: Mapping[str, int] = NOTHING,
    own: Mapping[str, str] = NONE,
) -> Iterator[Segments]:
    """Models that together make every shared tensor once, each from shared tensors and graph inputs alone.

    Shared tensors that are known to be golden's own are left out.

    Args:
        model: the candidate.
        types: element types of its node outputs and inputs.
        shared: tensors known from the golden run.
        sizes: bytes of the shared tensors.
        limit: a model's results take at most so many bytes, unless one tensor alone takes more.
        ranks: number of axes of its tensors, where known: some operators run on nothing else.
        own: tensors that, made of shared ones, are a shared one bit by bit (`golden_nodes.golden_made`): that one.
    """
    group: list[str] = []
    size = 0
    for node in model.graph.node:
        made = [output for output in node.output if output in shared and own.get(output) != output]
        needed = sum(sizes.get(name, 0) for name in made)
        if group and size + needed > limit:
            yield segment(model, types, shared, group, ranks, own)
            group, size = [], 0
        group, size = [*group, *made], size + needed
    if group:
        yield segment(model, types, shared, group, ranks, own)


def segment(
    model: onnx.ModelProto,
    types: Mapping[str, int],
    shared: Collection[str],
    targets: Sequence[str],
    ranks: Mapping[str, int] = NOTHING,
    own: Mapping[str, str] = NONE,
) -> Segments:
    """One model that makes these shared tensors from the others; the arguments are those of `cut`."""
    producers = {output: node for node in model.graph.node for output in node.output if output}
    given = {made: golden for made, golden in own.items() if golden in shared and made not in shared}
    wanted, inputs, leaves = _closure(shared, producers, targets, given)
    name = fresh(model)
    results = {target: name(f"{target}__local") for target in targets}
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "segments"
    for node in model.graph.node:
        if any(output in wanted for output in node.output):
            copy = part.graph.node.add()
            copy.CopyFrom(node)
            # Whatever its outputs are called here: by this name it is held to a precision.
            copy.name = site(node).node or ""
            if given:
                rename_uses(copy, given)
            for index, output in enumerate(copy.output):
                if output in shared:
                    copy.output[index] = results.get(output) or name(f"{output}__aside")
    known = {i.name: i for i in model.graph.input}
    for tensor in (t for t in model.graph.initializer if t.name in leaves):
        part.graph.initializer.add().CopyFrom(tensor)
    weights = {t.name for t in part.graph.initializer}
    for source in sorted((inputs | (leaves & known.keys())) - weights):
        if source in known:
            part.graph.input.add().CopyFrom(known[source])
        else:
            shape = [None] * ranks[source] if source in ranks else None
            part.graph.input.append(onnx.helper.make_tensor_value_info(source, types[source], shape))
    part.graph.output.extend(onnx.ValueInfoProto(name=results[target]) for target in targets)
    return Segments(part, results)


def _closure(
    shared: Collection[str],
    producers: Mapping[str, onnx.NodeProto],
    targets: Sequence[str],
    given: Mapping[str, str],
) -> tuple[set[str], set[str], set[str]]:
    """Outputs whose nodes are needed, shared tensors that feed them, and names made by no node."""
    wanted: set[str] = set()
    inputs: set[str] = set()
    leaves: set[str] = set()
    open_ends = list(targets)
    while open_ends:
        target = open_ends.pop()
        if target in wanted:
            continue
        wanted.add(target)
        node = producers[target]
        for source in {*node.input, *captured(node)} - {""}:
            if source in shared or source in given:
                inputs.add(given.get(source, source))
            elif source in producers:
                open_ends.append(source)
            else:
                leaves.add(source)
    return wanted, inputs, leaves
