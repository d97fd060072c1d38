"""Outputs of two runs that must agree: figures per row as for golden outputs, and which rows have other bits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import numpy as np

from assay_runner.backends import Session
from assay_runner.backends.seams import Extensible
from assay_runner.backends.subject import Subject
from assay_runner.data.rows import bits_equal, parts
from assay_runner.errors import InvalidInput, Unavailable, Unsupported
from assay_runner.evidence import ExtraOutputWanted, InvarianceWanted
from assay_runner.evidence.reruns import Comparison, ExtraOutput, Invariance
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.graphs.upstream import fed
from assay_runner.passes.drifts import Drifts
from assay_runner.passes.setting import Setting
from assay_runner.passes.suspects import Suspected
from assay_runner.tensors import Array, Arrays, Batch, Site, TensorSpec

NOT_ADDED: Final = (
    "is not among the outputs of the candidate that was built with it, for what runs it does not compute it by itself: "
    "name another in extraOutput.tensor"
)


ALONE: Final = "each feed is run by itself, so there is never anything beside a sample: leave batchInvariance out"


class Sameness:
    """Compares outputs of two runs, batch by batch."""

    def __init__(
        self, outputs: Mapping[str, Site], suspected: Suspected, axes: SampleAxes, specs: Iterable[TensorSpec]
    ) -> None:
        """Compare these outputs, whose samples are along these axes, and of which the model says this."""
        self._outputs, self._suspected = Drifts(outputs, (), axes, specs), suspected
        self._names, self._axes = outputs, axes
        self._places: list[str] = []
        self._other: dict[str, list[int]] = {}

    def add(self, batch: Batch, first: Arrays, second: Arrays, places: Collection[str]) -> None:
        """Take a batch in.

        Args:
            batch: what was fed.
            first: samples along the first axis, without rows of padding.
            second: as the candidate gives them.
            places: one per row of `first`.
        """
        self._outputs.add(batch, first, second)
        for name in self._names:
            if name not in first or name not in second:
                continue
            again = self._axes.samples(name, second[name], batch)
            if again is not None and first[name].shape == again.shape:
                self._other.setdefault(name, []).extend(
                    len(self._places) + row for row in range(len(again)) if not bits_equal(first[name][row], again[row])
                )
        self._places += places

    def result(self) -> Comparison:
        """What was measured."""
        other = {name: tuple(rows) for name, rows in self._other.items()}
        suspects = {name: self._suspected.of(name) for name in self._names}
        return Comparison(self._outputs.result(), tuple(self._places), other, self._outputs.unmeasured, suspects)


def invariance(setting: Setting, asked: InvarianceWanted) -> Invariance:
    """Run copies of one sample as a batch, and each sample of a batch alone, if the model takes any batch."""
    subject, progress = setting.subject, setting.progress
    fixed = subject.batch
    if subject.built.axes.feeds:
        return Invariance(None, None, (ALONE,))
    if fixed == 1:
        return Invariance(None, None, single=True)
    suspected, axes = Suspected(subject), subject.built.axes.as_declared()
    shared = [name for name in subject.outputs if axes.shared(name) or name in axes.rows]
    # What the samples of a batch have in common has no rows to be held against one another, and where the rows name
    # their samples, those of copies name others.
    outputs = {name: site for name, site in subject.outputs.items() if name not in shared}
    rows, alone = (Sameness(outputs, suspected, axes, subject.model.outputs) for _ in range(2))
    notes = dict[str, None]()
    progress.stage("batch invariance", asked.batches, "batches")
    several = False
    with subject.backend.open(subject.built) as session:
        for batch in islice(setting.reference.dataset, asked.batches):
            if batch.fed > 1 and outputs:
                several = True
                _copies(session, batch, rows, axes)
                if fixed is None and not notes:
                    notes |= dict.fromkeys(_alone(session, batch, alone, axes))
            progress.advance()
    if not several:
        return Invariance(None, None, (_nothing(setting.reference.dataset.samples, bool(outputs)),))
    if fixed is not None:
        notes = {f"the model's batch is fixed at {fixed}, so no sample was run alone": None}
    told = [f"outputs without a sample axis are left out: {', '.join(shared)}"] if shared else []
    return Invariance(rows.result(), None if notes else alone.result(), (*notes, *told))


def _nothing(samples: int, outputs: bool) -> str:
    """Why no row was held against another one."""
    if not outputs:
        return "no output has a sample axis, so there are no rows to compare: leave batchInvariance out"
    if samples == 1:
        return "the dataset has one sample, so there is nothing beside it: give it two or more"
    return (
        "every batch has one sample, so there is nothing beside it: raise dataset.batch, or leave batchInvariance out "
        "where the model is run on one sample at a time"
    )


def _copies(session: Session, batch: Batch, rows: Sameness, axes: SampleAxes) -> None:
    """Feed a batch of copies of its first sample; every row is held against the first one."""
    size = batch.fed
    inputs = batch.take(np.zeros(size, np.int64))
    copies = Batch(batch.start, size, inputs, axes=batch.axes)
    found = _kept(session.run(inputs))
    first = {name: np.repeat(a[:1], size, axis=0) for name, a in _rows(found, copies, axes).items()}
    rows.add(copies, first, found, [f"row {row} of copies of sample {batch.start}" for row in range(size)])


def _alone(session: Session, batch: Batch, alone: Sameness, axes: SampleAxes) -> Iterator[str]:
    """Feed every sample of a batch alone; gives the reason where that cannot be run."""
    whole = _kept(session.run(batch.inputs))
    single: dict[str, list[Array]] = {}
    try:
        for part in parts(batch, 1):
            for name, array in _rows(session.run(part.inputs), part, axes).items():
                single.setdefault(name, []).append(np.array(array))
    except (InvalidInput, Unsupported) as error:
        yield f"a sample alone cannot be run: {error}"
        return
    # Lengths that the data decide may differ from sample to sample, and then there are no rows to hold against one.
    alike = {n: rows for n, rows in single.items() if len(rows) == batch.count and len({r.shape for r in rows}) == 1}
    first = {name: np.concatenate(arrays) for name, arrays in alike.items()}
    alone.add(batch, first, whole, [f"sample {batch.start + row}" for row in range(batch.count)])


def extra_output(setting: Setting, asked: ExtraOutputWanted) -> ExtraOutput:
    """Run the first batches as they are, and with one more output."""
    subject, dataset, progress = setting.subject, setting.reference.dataset, setting.progress
    backend, tensor, batches = subject.backend, asked.tensor, asked.batches
    if not isinstance(backend, Extensible):
        return ExtraOutput(None, None, f"backend {backend.name} cannot add an output here")
    added = _added(subject, tensor)
    if added is None:
        if tensor:
            reason = f"the candidate has no tensor {tensor!r} inside, so there is none to add: name another in"
            return ExtraOutput(None, None, f"{reason} extraOutput.tensor")
        reason = "the candidate has no tensor but its outputs, so there is none to add: leave extraOutput out"
        return ExtraOutput(None, None, reason)
    progress.stage("extra output", 2 * batches, "batches")
    axes = subject.built.axes
    same = Sameness(subject.outputs, Suspected(subject), axes, subject.model.outputs)
    plain: list[Arrays] = []
    with backend.open(subject.built) as session:
        for batch in islice(dataset, batches):
            plain.append(_rows(_kept(session.run(batch.inputs)), batch, axes))
            progress.advance()
    try:
        with backend.open_with_output(subject.built, added.tensor) as session:
            for batch, first in zip(islice(dataset, batches), plain, strict=True):
                places = [f"sample {batch.start + row}" for row in range(batch.count)]
                found = session.run(batch.inputs)
                if added.tensor not in found:
                    return ExtraOutput(added, None, f"tensor {added.tensor!r} {NOT_ADDED}")
                same.add(batch, first, found, places)
                progress.advance()
    except (InvalidInput, Unavailable) as error:
        return ExtraOutput(added, None, f"the candidate with one more output cannot be run: {error}")
    return ExtraOutput(added, same.result())


def _added(subject: Subject, tensor: str) -> Site | None:
    """The tensor of this name; of none, the middle one of those that a builder cannot compute ahead."""
    sites = [site for site in subject.backend.sites(subject.built) if site.tensor not in subject.outputs]
    if tensor:
        return next((site for site in sites if site.tensor == tensor), None)
    data = fed(load_outline(subject.built.source))
    sites = [site for site in sites if site.tensor in data] or sites
    return sites[len(sites) // 2] if sites else None


def _rows(outputs: Arrays, batch: Batch, axes: SampleAxes) -> dict[str, Array]:
    """Outputs with their samples along the first axis; those of which it is not known are left out."""
    found = {name: axes.samples(name, array, batch) for name, array in outputs.items()}
    return {name: array for name, array in found.items() if array is not None}


def _kept(outputs: Arrays) -> dict[str, Array]:
    """Copies: the memory of a session's outputs is its own."""
    return {name: np.array(array) for name, array in outputs.items()}
