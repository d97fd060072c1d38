"""Outputs of one run against those of another, gathered batch by batch into figures per sample."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay_runner.evidence import OutputDrifts
from assay_runner.evidence.outputs import Resized
from assay_runner.graphs.channel_parts import Parts
from assay_runner.graphs.named_rows import rows_by_sample
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.aligned import other_rows, same_rank
from assay_runner.passes.cuts import cut_of
from assay_runner.statistics.samples import Drift, drift, identical, joined, nothing
from assay_runner.statistics.scales import Cut, Part
from assay_runner.tensors import Array, Arrays, Batch, Site, TensorSpec

EXACT = "biu"
"""Kinds of integers and booleans, which are compared for equality."""
NOTHING: Mapping[str, Parts] = MappingProxyType({})
UNCUT: Mapping[str, Cut] = MappingProxyType({})
NO_PARTS = Cut(1, ())
SMALL: Final = 1 << 15
"""Elements of an output, and of as many batches of it, that are looked at together."""


@dataclass
class _Gathered:
    """What was found of one output so far, a value per sample."""

    parts: list[Drift] = field(default_factory=list)
    equal: list[NDArray[np.bool_]] = field(default_factory=list)
    resized: list[NDArray[np.bool_]] = field(default_factory=list)
    first: tuple[str, str] | None = None
    classes: int = 1
    elements: int = 0
    waiting: list[tuple[Array, Array]] = field(default_factory=list)
    held: int = 0


class Drifts:
    """Outputs of one run against those of another, gathered batch by batch.

    What the samples of a batch share, as a constant, is compared as a whole, and each of them bears what is found.
    Where the data decide how many rows there are, another number of them is a difference that was measured.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        ks: Collection[int],
        axes: SampleAxes,
        specs: Iterable[TensorSpec] = (),
        parts: Mapping[str, Parts] = NOTHING,
        cuts: Mapping[str, Cut] = UNCUT,
    ) -> None:
        """Look at these outputs.

        Args:
            sites: the outputs, in order.
            ks: the k of top-k agreement.
            axes: where the samples are.
            specs: what the model says of its outputs: a length that it fixes no data decide.
            parts: outputs that operators put together of parts, each of which is to have figures of its own.
            cuts: outputs in which golden's values tell more parts.
        """
        self._sites, self._ks, self._axes, self._parts, self._cuts = sites, ks, axes, parts, cuts
        self._specs = {spec.name: spec for spec in specs}
        self._shared: dict[str, tuple[int, ...]] = {}
        self._gathered: dict[str, _Gathered] = {}
        self.unmeasured: dict[str, str] = {}

    def add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in; an output that cannot be compared is noted, once and for all.

        Args:
            batch: what was fed.
            golden: samples along the first axis, as golden runs give them.
            candidate: as the candidate gives them.
        """
        for name in self._sites:
            if name in self.unmeasured:
                continue
            found = self._compared(name, batch, golden, candidate)
            if isinstance(found, str):
                self.unmeasured[name] = found
                continue
            gathered = self._gathered.setdefault(name, _Gathered())
            for first, second in found:
                self._take(name, gathered, batch.count if len(found) == 1 else 1, first, second)

    def result(self) -> tuple[OutputDrifts, ...]:
        """What was measured, in graph order."""
        for name, gathered in self._gathered.items():
            self._settle(name, gathered)
        return tuple(
            _joined(site, self._gathered[name], (self._cuts.get(name) or self._parts.get(name) or NO_PARTS).parts)
            for name, site in self._sites.items()
            if name in self._gathered and name not in self.unmeasured
        )

    def _take(self, name: str, gathered: _Gathered, count: int, golden: Array, candidate: Array) -> None:
        """Compare what belongs to `count` samples; a single row is shared by all of them."""
        exact, same = candidate.dtype.kind in EXACT, golden.shape == candidate.shape
        for array in (golden, candidate):
            gathered.classes = max(gathered.classes, array.shape[-1] if array.ndim > 1 else 1)
            gathered.elements = max(gathered.elements, math.prod(array.shape[1:]))
        gathered.resized.append(np.full(count, not same))
        if not same:
            gathered.first = gathered.first or other_rows(golden.shape[1:], candidate.shape[1:])
        times = count if len(candidate) != count else 1
        cut = self._cut(name, golden.ndim)
        if exact:
            gathered.equal.append(identical(golden, candidate).repeat(times) if same else np.zeros(count, np.bool_))
        elif same and times == 1 and golden.size <= SMALL:
            self._gather(name, gathered, golden, candidate)
        elif same:
            self._settle(name, gathered)
            gathered.parts.append(drift(golden, candidate, self._ks, cut).repeated(times))
        else:
            self._settle(name, gathered)
            gathered.parts.append(nothing(count, self._ks, len(cut.parts) if cut else 0))

    def _gather(self, name: str, gathered: _Gathered, golden: Array, candidate: Array) -> None:
        """Let a small pair wait for others: to look at it takes as long as to look at a thousand times as much."""
        kinds = [(array.shape[1:], array.dtype) for array in (golden, candidate)]
        if gathered.waiting and kinds != [(array.shape[1:], array.dtype) for array in gathered.waiting[0]]:
            self._settle(name, gathered)
        # Copies, for whoever made them may use the memory again.
        gathered.waiting.append((np.array(golden), np.array(candidate)))
        gathered.held += golden.size
        if gathered.held > SMALL:
            self._settle(name, gathered)

    def _settle(self, name: str, gathered: _Gathered) -> None:
        """Look at what waits."""
        if gathered.waiting:
            golden, candidate = (np.concatenate(arrays) for arrays in zip(*gathered.waiting, strict=True))
            gathered.parts.append(drift(golden, candidate, self._ks, self._cut(name, golden.ndim)))
            gathered.waiting, gathered.held = [], 0

    def _cut(self, name: str, rank: int) -> Cut | None:
        """Where an output of this rank, samples first, is to be cut."""
        if name in self._cuts:
            return self._cuts[name]
        return cut_of(self._parts[name], rank, self._axes.axes.get(name)) if name in self._parts else None

    def _compared(self, name: str, batch: Batch, golden: Arrays, candidate: Arrays) -> list[tuple[Array, Array]] | str:
        """Golden's samples and the candidate's, to be held against each other; or why they cannot be.

        One pair for the whole batch, or one per sample where it is the rows that name their samples.
        """
        if name not in candidate:
            what = "no numbers that can be read (but a sequence, or FP8, say)"
            way = "export it as a tensor of numbers, from scikit-learn by to_onnx(…, options={'zipmap': False})"
            return f"output {name!r} holds {what}, so it is not compared: {way}"
        shape = list(candidate[name].shape)
        found = self._axes.samples(name, candidate[name], batch)
        if found is None:
            told = f"output {name!r} has no sample axis that is known: its shape is {shape} for {batch.fed} samples"
            if name in self._axes.wrong:
                told += ", and its values do not follow the samples where the model declares them"
            return f"{told}; export the model so that an axis of the output is its batch, or set dataset.batch to 1"
        if name not in golden and self._axes.shared(name):
            return (
                f"output {name!r} is one for all samples of a batch, and the golden outputs, a row per sample, have "
                "none such: leave golden.uri out"
            )
        if name not in golden:
            return f"there is no golden output {name!r}"
        kinds = candidate[name].dtype, golden[name].dtype
        if (kinds[0].kind in EXACT) != (kinds[1].kind in EXACT):
            return f"output {name!r} holds {kinds[0].name} numbers, the golden one {kinds[1].name}"
        pair = same_rank(golden[name], found) if batch.fed == 1 else (golden[name], found)
        if batch.fed > 1 and name in self._axes.rows:
            return list(zip(*(self._told_apart(name, array, batch) for array in pair), strict=True))
        if not self._comparable(name, *pair):
            return f"output {name!r} has shape {list(found.shape)}, the golden one {list(golden[name].shape)}"
        if batch.fed > 1 and self._axes.shared(name) and self._shared.setdefault(name, found.shape) != found.shape:
            return f"output {name!r} has no sample axis, and its shape is {shape} in one batch and another in others"
        return [pair]

    def _told_apart(self, name: str, array: Array, batch: Batch) -> Iterator[Array]:
        return (rows[None] for rows in rows_by_sample(array[0], self._axes.rows[name], batch.count))

    def _comparable(self, name: str, golden: Array, candidate: Array) -> bool:
        """Whether two outputs have one shape, or lengths that differ where the data decide them."""
        if golden.shape == candidate.shape:
            return True
        if golden.ndim != candidate.ndim or len(golden) != len(candidate) or self._axes.shared(name):
            return False
        declared = list(self._specs[name].shape) if name in self._specs else []
        if len(declared) == golden.ndim:
            del declared[self._axes.axes.get(name) or 0]
        if len(declared) != golden.ndim - 1:
            return True
        rows = zip(declared, golden.shape[1:], candidate.shape[1:], strict=True)
        return all(not isinstance(size, int) or first == second for size, first, second in rows)


def _joined(site: Site, gathered: _Gathered, parts: tuple[Part, ...]) -> OutputDrifts:
    resized = np.concatenate(gathered.resized) if gathered.resized else np.zeros(0, np.bool_)
    return OutputDrifts(
        **vars(joined(gathered.parts or [nothing(0)])),
        site=site,
        classes=gathered.classes,
        elements=gathered.elements,
        equal=np.concatenate(gathered.equal) if gathered.equal else None,
        resized=Resized(resized, *gathered.first) if gathered.first else None,
        parts=parts,
    )
