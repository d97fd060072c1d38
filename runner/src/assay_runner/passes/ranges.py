"""Golden's tensors and weights against FP16: the values that a candidate would have to hold, over the whole dataset.

Golden's and not the candidate's: behind the first overflow a candidate shows only what follows from it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from onnx import TensorProto, numpy_helper

from assay_runner.evidence import Site
from assay_runner.golden import BACKEND, golden_model
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.taps import uses
from assay_runner.models import LoadedModel
from assay_runner.passes.accumulations import AccumulationsPass
from assay_runner.passes.host import affordable
from assay_runner.passes.rows import by_sample, is_float, parts
from assay_runner.range_evidence import Kind, Ranges, TensorRange
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.ranges import OVERFLOW, RangeCounts
from assay_runner.tensors import Array, Batch

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass
class _Seen:
    counts: RangeCounts = field(default_factory=RangeCounts)
    samples: int = 0
    first: int = -1


class RangesPass:
    """Runs golden with every tensor shown and counts."""

    def __init__(
        self,
        model: LoadedModel,
        precision: Literal["fp32", "fp64"],
        workdir: Path,
        splits: bool,
        stack: ExitStack,
        axes: SampleAxes | None = None,
    ) -> None:
        """Open the golden run; `stack` closes it.

        Args:
            model: the audit's model.
            precision: of the golden run.
            workdir: where its derived models lie.
            splits: whether the model takes batches of any size.
            stack: closes what is opened.
            axes: where the samples of its tensors are; None: where the model declares them.
        """
        built, _ = golden_model(model, precision, workdir)
        self._axes = axes or built.axes
        self._path = model.path
        self._graph = load_graph(model.path)
        self._users = uses(self._graph)
        self._sites = BACKEND.sites(built)
        self._session = stack.enter_context(BACKEND.open_tapped(built))
        self._order = {site.node: index for index, site in reversed(list(enumerate(self._sites)))}
        self._sums = AccumulationsPass(self._graph, self._axes)
        self._seen: dict[str, _Seen] = {}
        self._size: int | None = None if splits else 0

    def add(self, batch: Batch) -> None:
        """Take a batch in, in parts small enough that all tensors fit into memory."""
        if self._size is None:
            self._size = affordable(self._session, batch)
        for part in parts(batch, self._size or None):
            tensors = {**part.inputs, **self._session.run(part.inputs)}
            self._sums.add(tensors, part)
            for name, array in tensors.items():
                if is_float(array) and array.size:
                    self._add(name, array, part)

    def result(self) -> Ranges:
        """What was measured; reads the weights one by one."""
        entries = self._weights()
        for name in self._users.keys() & self._seen.keys() - {site.tensor for site in self._sites}:
            entries.append((self._place(name), self._entry(self._users[name][0], name, "graph input")))
        for site in self._sites:
            if site.tensor in self._seen:
                entries.append((2 * self._order[site.node] + 1, self._entry(site, site.tensor, "tensor")))
        ordered = tuple(entry for _, entry in sorted(entries, key=lambda pair: pair[0]))
        return Ranges(ordered, self._sums.result(), self._sums.summed)

    def _weights(self) -> list[tuple[int, TensorRange]]:
        found = []
        for tensor in self._graph.graph.initializer:
            if tensor.data_type in FLOATS and tensor.name in self._users:
                counts = RangeCounts()
                array = numpy_helper.to_array(tensor, base_dir=str(self._path.parent))
                if array.size:
                    counts.add(np.asarray(array))
                site = self._users[tensor.name][0]
                entry = _range(site, tensor.name, "weight", counts, None, -1)
                found.append((self._place(tensor.name), replace(entry, readers=self._readers(tensor.name))))
        return found

    def _place(self, name: str) -> int:
        """Where a graph input or a weight stands: before the node that reads it first."""
        return 2 * self._order.get(self._users[name][0].node, len(self._order))

    def _entry(self, site: Site, name: str, kind: Kind) -> TensorRange:
        seen = self._seen[name]
        entry = _range(site, name, kind, seen.counts, seen.samples, seen.first)
        return replace(entry, readers=self._readers(name))

    def _readers(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site.node for site in self._users.get(name, ()) if site.node))

    def _add(self, name: str, array: Array, batch: Batch) -> None:
        axis = self._axes.of(name, array.shape, batch.fed)
        array = self._axes.judged(name, array, batch)
        seen = self._seen.setdefault(name, _Seen())
        if not array.size or not seen.counts.add(array):
            return
        wide = plain(array)
        beyond = np.isfinite(wide) & (np.abs(wide) >= OVERFLOW)
        flags = by_sample(beyond, axis, batch.count)
        if seen.first < 0:
            seen.first = batch.start + int(np.argmax(flags))
        seen.samples += int(flags.sum())


def _range(site: Site, name: str, kind: Kind, counts: RangeCounts, samples: int | None, first: int) -> TensorRange:
    return TensorRange(
        site=Site(name, site.node, site.op),
        kind=kind,
        elements=counts.elements,
        overflow=counts.overflow,
        underflow=counts.underflow,
        subnormal=counts.subnormal,
        zeros=counts.zeros,
        largest=counts.largest,
        smallest=counts.smallest if np.isfinite(counts.smallest) else 0.0,
        samples=samples,
        first=first,
    )
