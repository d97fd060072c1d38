"""The second opinion: the same candidate computed by bare ONNX Runtime and numpy, without any code of Assay.

golden       the model in one session, optimised as it would be served, but for fusions of Q/DQ pairs
fp32         the same with every optimisation off: how far sums in another order alone lead
fp16, bf16   every node run alone in a session of its own, and what it makes rounded by numpy before the next one reads
             it; weights and inputs rounded too. No Cast, no other graph, no operator set is involved
int8         the very model file that the audit built, as its cache keeps it
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

__all__ = ["Opinion", "bare_session", "batches", "golden", "of_file", "rounded"]

Arrays = dict[str, NDArray[Any]]
SUMS: Final = {"Conv", "Gemm", "MatMul", "LSTM", "GRU", "RNN"}
FORMATS: Final = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}


@dataclass
class Opinion:
    """How far a candidate is from golden.

    Attributes:
        snr: of the worst sample in dB, by output.
        of_parts: the same of the channels of `parts`.
        max_abs: largest absolute difference, by output.
        unlike: outputs of other types than floats that differ anywhere.
        not_finite: first tensor that is NaN or infinite where golden's is not, in the order of the graph; empty where
            none is, or where tensors were not looked at.
        parts: channels of an output, the second axis, that have a scale of their own: first and last.
    """

    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    snr: dict[str, float] = field(default_factory=dict)
    of_parts: dict[str, float] = field(default_factory=dict)
    max_abs: dict[str, float] = field(default_factory=dict)
    unlike: set[str] = field(default_factory=set)
    not_finite: str = ""

    def add(self, reference: Arrays, found: Arrays, samples: int) -> None:
        """Take the outputs of a batch in: each sample's along the first axis, or another of that length, or as one."""
        for name, expected in reference.items():
            given = found[name]
            if expected.dtype.kind != "f":
                self.unlike |= {name} if not np.array_equal(expected, given) else set()
                continue
            expected, given, rows = _by_sample(expected, given, samples)
            self.snr[name] = min(self.snr.get(name, np.inf), _worst(expected, given, rows))
            if name in self.parts:
                own = slice(self.parts[name][0], self.parts[name][1] + 1)
                worst = _worst(expected[:, own], given[:, own], rows)
                self.of_parts[name] = min(self.of_parts.get(name, np.inf), worst)
            largest = np.abs(given.astype(np.float64) - expected).max()
            self.max_abs[name] = float(np.maximum(self.max_abs.get(name, 0.0), largest))


def _by_sample(expected: NDArray[Any], given: NDArray[Any], samples: int) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Both with their samples first, and how many there are; one, where no axis or several are of that length."""
    places = [axis for axis, size in enumerate(expected.shape) if size == samples]
    if not places or (places[0] and len(places) > 1):
        return expected, given, 1
    return np.moveaxis(expected, places[0], 0), np.moveaxis(given, places[0], 0), samples


def _worst(expected: NDArray[Any], given: NDArray[Any], rows: int) -> float:
    """dB of the worst sample."""
    first, second = (each.astype(np.float64).reshape(rows, -1) for each in (expected, given))
    with np.errstate(all="ignore"):
        noise = ((second - first) ** 2).sum(1)
        ratios = np.where(noise == 0, np.inf, 10 * np.log10((first**2).sum(1) / noise))
    return float(np.where(np.isnan(ratios), -np.inf, ratios).min())


def batches(data: Path, size: int, inputs: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Arrays]:
    """The samples of the one shard in batches.

    Args:
        data: folder of the shard.
        size: samples of a batch.
        inputs: an audit's `dataset.inputs`: `axis` of the samples, where it is not the first, or a `constant`.
    """
    told = inputs or {}
    axes = {name: int(each.get("axis", 0)) for name, each in told.items()}
    constants = {name: np.asarray(each["constant"]) for name, each in told.items() if "constant" in each}
    with np.load(data / "part-0000.npz") as shard:
        arrays = {name: shard[name] for name in shard.files}
    samples = min(array.shape[axes.get(name, 0)] for name, array in arrays.items())
    for start in range(0, samples, size):
        rows = range(start, min(start + size, samples))
        yield {**{name: array.take(rows, axes.get(name, 0)) for name, array in arrays.items()}, **constants}


def bare_session(model: str | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """Every node as it stands; 0: as many threads as ONNX Runtime likes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    feeds = {each.name: arrays[each.name] for each in session.get_inputs()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def golden(model: Path) -> Callable[[Arrays], Arrays]:
    """The model's own outputs for a batch."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return partial(run, onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"]))


def of_file(opinion: Opinion, reference: Callable[[Arrays], Arrays], model: Path, fed: Iterable[Arrays]) -> Opinion:
    """Of a candidate that is a file: another ONNX model with the same inputs and outputs."""
    session = bare_session(str(model))
    for arrays in fed:
        opinion.add(reference(arrays), run(session, arrays), len(next(iter(arrays.values()))))
    return opinion


def rounded(
    opinion: Opinion, reference: Callable[[Arrays], Arrays], model: Path, fed: Iterable[Arrays], precision: str
) -> Opinion | None:
    """Of a candidate that rounds every tensor; None where sums are taken inside a Loop or a Scan, which run whole."""
    graph = onnx.load(str(model))
    if any(_hidden(node, ("If",)) & SUMS for node in graph.graph.node):
        return None
    nodes = Nodes(graph, precision)
    for arrays in fed:
        found, outputs = nodes.run(arrays, True), reference(arrays)
        opinion.add(outputs, {name: found[name] for name in outputs}, len(next(iter(arrays.values()))))
        odd = [name for name in nodes.order if found[name].dtype.kind == "f" and not np.isfinite(found[name]).all()]
        plain = nodes.run(arrays, False) if odd and not opinion.not_finite else found
        own = (name for name in odd if np.isfinite(plain[name]).all())
        opinion.not_finite = opinion.not_finite or next(own, "")
    return opinion


class Nodes:
    """A graph run node by node."""

    def __init__(self, model: onnx.ModelProto, precision: str) -> None:
        self._model, self._format = model, FORMATS[precision]
        self._weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        pairs = (node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear"))
        self._scales = {node.input[1] for node in pairs}
        self._sessions: dict[tuple[int, ...], onnxruntime.InferenceSession] = {}
        self.order: list[str] = []
        """Names of all that nodes computed in the last run, in the order in which they were made."""

    def run(self, inputs: Arrays, rounding: bool) -> Arrays:
        """Every tensor of the graph by name."""
        round_ = self._rounded if rounding else (lambda array: array)
        given = {**self._weights, **inputs}
        # The scale of a pair is what says what its 8 bits mean, no number that is computed with.
        known = {name: array if name in self._scales else round_(array) for name, array in given.items()}
        self.order = []
        self._nodes(self._model.graph, known, round_, ())
        return known

    def _nodes(
        self,
        graph: onnx.GraphProto,
        known: Arrays,
        round_: Callable[[NDArray[Any]], NDArray[Any]],
        path: tuple[int, ...],
    ) -> None:
        """Run a graph's nodes; of an If with sums inside those of the branch that is taken, one by one as well."""
        for number, node in enumerate(graph.node):
            here = (*path, number)
            if node.op_type == "If" and _hidden(node) & SUMS:
                taken = "then_branch" if bool(np.all(known[node.input[0]])) else "else_branch"
                [branch] = [each.g for each in node.attribute if each.name == taken]
                known |= {each.name: round_(numpy_helper.to_array(each)) for each in branch.initializer}
                self._nodes(branch, known, round_, (*here, len(taken)))
                known |= {made: known[inner.name] for made, inner in zip(node.output, branch.output, strict=True)}
                continue
            session = self._sessions.get(here) or self._session(here, node, known)
            feeds = {each.name: known[each.name] for each in session.get_inputs()}
            names = [output.name for output in session.get_outputs()]
            for name, array in zip(names, session.run(names, feeds), strict=True):
                known[name] = np.asarray(array) if name in self._scales else round_(np.asarray(array))
            self.order += names if node.op_type != "Constant" else []

    def _rounded(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind != "f":
            return array
        with np.errstate(over="ignore"):
            return np.asarray(array.astype(self._format).astype(array.dtype))

    def _session(self, index: tuple[int, ...], node: onnx.NodeProto, known: Arrays) -> onnxruntime.InferenceSession:
        graph = onnx.GraphProto(name="one")
        graph.node.add().CopyFrom(node)
        for name in sorted({*node.input, *_captured(node)} & known.keys()):
            kind = onnx.helper.np_dtype_to_tensor_dtype(known[name].dtype)
            graph.input.append(onnx.helper.make_tensor_value_info(name, kind, None))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
        alone = onnx.ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import, graph=graph)
        self._sessions[index] = bare_session(alone.SerializeToString(), 1)
        return self._sessions[index]


def _hidden(node: onnx.NodeProto, through: Collection[str] = ()) -> set[str]:
    """Kinds of the nodes in graphs inside a node; where it is one to look `through`, only those hidden deeper still."""
    inner = [graph for each in node.attribute for graph in (each.g, *each.graphs)]
    found = {kind for graph in inner for each in graph.node for kind in _hidden(each, through)}
    return found if node.op_type in through else found | {each.op_type for graph in inner for each in graph.node}


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names that graphs inside a node read, of whatever place."""
    inner = [graph for each in node.attribute for graph in (each.g, *each.graphs)]
    return {name for graph in inner for each in graph.node for name in (*each.input, *_captured(each))}
