"""Golden's tensors and weights against FP16: the values that a candidate would have to hold, over the whole dataset.

Golden's and not the candidate's: behind the first overflow a candidate shows only what follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import TensorProto

from assay_runner.data.rows import by_sample, is_float
from assay_runner.evidence import RangesWanted
from assay_runner.evidence.ranges import Kind, Ranges, TensorRange
from assay_runner.graphs.constants import constants_and_fills, made_of_constants
from assay_runner.graphs.control_flow import weights_inside
from assay_runner.graphs.documents import load_graph, subgraphs
from assay_runner.graphs.endings import Downstream, addends
from assay_runner.graphs.taps import uses
from assay_runner.graphs.weights import weight
from assay_runner.passes.accumulations import AccumulationsPass
from assay_runner.passes.divisors import Divisors
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.passes.side_by_side import SideBySide
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.exact import EXACT
from assay_runner.statistics.ranges import OVERFLOW, RangeCounts
from assay_runner.tensors import Array, Batch, Site

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass
class _Seen:
    counts: RangeCounts = field(default_factory=RangeCounts)
    samples: int = 0
    first: int = -1


class RangesPass(Pass[RangesWanted]):
    """Looks at every tensor of golden and counts."""

    doing = "measuring the ranges of golden's tensors"
    tolerant = True
    takes_parts = True
    of_golden = True

    def __init__(self, needs: Sequence[RangesWanted], setting: Setting, stack: ExitStack) -> None:
        """Read the graph; weights are read at the end."""
        super().__init__(needs, setting, stack)
        self._path = setting.reference.model.path
        self._axes = setting.reference.axes(inner=True)
        self._graph = load_graph(self._path)
        self._users = uses(self._graph)
        self._sites = setting.reference.sites
        self._order = {site.node: index for index, site in reversed(list(enumerate(self._sites)))}
        self._sums = AccumulationsPass(self._graph, self._axes, self._path.parent)
        self._downstream = Downstream(self._graph)
        self._addends, self._constant = addends(self._graph), constants_and_fills(self._graph)
        self._divisors = Divisors(self._downstream, made_of_constants(self._graph))
        self._seen: dict[str, _Seen] = {}
        self._others: set[str] = set()
        self._looking = SideBySide(stack)

    def golden_names(self) -> Collection[str]:
        """All."""
        return self.setting.reference.names

    def add_part(self, step: Step, part: Batch, golden: dict[str, Array]) -> None:
        """Count what golden computed of a part, and what it was fed."""
        tensors = {**part.inputs, **golden}
        self._sums.add(tensors, part)
        self._others |= {name for name, array in tensors.items() if array.dtype.kind in EXACT}
        floats = [name for name, array in tensors.items() if is_float(array) and array.size]
        self._looking.each(floats, lambda name: self._add(name, tensors[name], part))

    def result(self) -> Mapping[RangesWanted, Ranges]:
        """The same for all."""
        return dict.fromkeys(self.needs, self._ranges())

    def _ranges(self) -> Ranges:
        """What was measured; reads the weights one by one."""
        entries = self._weights()
        made = {site.tensor for site in self._sites}
        for name in [name for name in self._users if name in self._seen and name not in made]:
            entries.append((self._place(name), self._entry(self._users[name][0], name, "graph input")))
        for site in self._sites:
            if site.tensor in self._seen:
                entries.append((2 * self._order[site.node] + 1, self._entry(site, site.tensor, "tensor")))
        ordered = tuple(self._ended(entry) for _, entry in sorted(entries, key=lambda pair: pair[0]))
        sums, divisors = self._sums, self._divisors.result(ordered)
        return Ranges(
            tensors=ordered,
            accumulations=sums.result(),
            summed=sums.summed,
            divisors=divisors,
            inner_divisors=sums.divisors(),
            integers=not ordered and self._integers(),
            unsummed=sums.unmeasured,
            inside=tuple(self._inside()),
        )

    def _inside(self) -> Iterator[TensorRange]:
        for site, tensor in weights_inside(self._graph):
            counts = RangeCounts()
            if tensor.data_type in FLOATS and (array := weight(tensor, self._path.parent)).size:
                counts.add(np.asarray(array))
            if counts.overflow:
                yield _range(site, tensor.name, "weight", counts, None, -1)

    def _integers(self) -> bool:
        """Whether every tensor was looked at, and holds integers or truth values."""
        whole = self._others.issuperset(site.tensor for site in self._sites)
        return whole and not any(True for node in self._graph.graph.node for _ in subgraphs(node))

    def _ended(self, entry: TensorRange) -> TensorRange:
        """With what makes a number of its infinity."""
        if not entry.overflow:
            return entry
        return replace(entry, ending=self._downstream.infinity(entry.site.tensor, entry.largest < 0))

    def _weights(self) -> list[tuple[int, TensorRange]]:
        found = []
        for tensor in self._graph.graph.initializer:
            if tensor.data_type in FLOATS and tensor.name in self._users:
                counts = RangeCounts()
                array = weight(tensor, self._path.parent)
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
        readers, constant = self._readers(name), kind == "tensor" and name in self._constant
        return replace(entry, readers=readers, constant=constant, addend=name in self._addends)

    def _readers(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site.node for site in self._users.get(name, ()) if site.node))

    def _add(self, name: str, array: Array, batch: Batch) -> None:
        axis = self._axes.of(name, array.shape, batch.fed)
        array = self._axes.judged(name, array, batch)
        seen = self._seen.setdefault(name, _Seen())
        if not array.size:
            return
        vanished = seen.counts.underflow
        overflows = seen.counts.add(array)
        if name in self._divisors and seen.counts.underflow > vanished:
            self._divisors.add(name, array, axis, batch)
        if not overflows:
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
