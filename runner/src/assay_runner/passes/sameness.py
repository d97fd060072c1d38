"""Outputs of two runs that must agree: figures per row as for golden outputs, and which rows have other bits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Final

import numpy as np

from assay_runner.backends import Session
from assay_runner.backends.seams import Extensible
from assay_runner.backends.subject import Subject
from assay_runner.data.rows import bits_equal, has_samples, judged, length, parts
from assay_runner.errors import InvalidInput, Unavailable, Unsupported
from assay_runner.evidence import ExtraOutputWanted, InvarianceWanted
from assay_runner.evidence.reruns import Comparison, ExtraOutput, Invariance
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.upstream import fed
from assay_runner.passes.outputs import Drifts
from assay_runner.passes.setting import Setting
from assay_runner.passes.suspects import Suspected
from assay_runner.tensors import Array, Arrays, Batch, Site

NOT_ADDED: Final = (
    "is not among the outputs of the candidate that was built with it, for what runs it does not compute it by itself: "
    "name another in extraOutput.tensor"
)


class Sameness:
    """Compares outputs of two runs, batch by batch."""

    def __init__(self, outputs: Mapping[str, Site], suspected: Suspected) -> None:
        """Compare these outputs."""
        self._outputs, self._suspected = Drifts(outputs, ()), suspected
        self._names = outputs
        self._places: list[str] = []
        self._other: dict[str, list[int]] = {}

    def add(self, batch: Batch, first: Arrays, second: Arrays, places: Collection[str]) -> None:
        """Take a batch in; `first` without rows of padding, `places` one per row of it."""
        self._outputs.add(batch, first, second)
        for name in self._names.keys() & first.keys() & second.keys():
            again = judged(second[name], batch)
            if has_samples(second[name], batch) and first[name].shape == again.shape:
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
    suspected, fixed = Suspected(subject), subject.batch
    rows, alone = Sameness(subject.outputs, suspected), Sameness(subject.outputs, suspected)
    notes = dict[str, None]()
    progress.stage("batch invariance", asked.batches, "batches")
    several = False
    with subject.backend.open(subject.built) as session:
        for batch in islice(setting.reference.dataset, asked.batches):
            if length(batch) > 1:
                several = True
                _copies(session, batch, rows)
                if fixed is None and not notes:
                    notes |= dict.fromkeys(_alone(session, batch, alone))
            progress.advance()
    if not several:
        return Invariance(
            None, None, ("every batch has one sample, so there is nothing beside it: raise dataset.batch",)
        )
    if fixed is not None:
        notes = {f"the model's batch is fixed at {fixed}, so no sample was run alone": None}
    return Invariance(rows.result(), None if notes else alone.result(), tuple(notes))


def _copies(session: Session, batch: Batch, rows: Sameness) -> None:
    """Feed a batch of copies of its first sample; every row is held against the first one."""
    size = length(batch)
    inputs = {name: np.repeat(array[:1], size, axis=0) for name, array in batch.inputs.items()}
    copies = Batch(batch.start, size, inputs)
    found = _kept(session.run(inputs))
    first = {name: np.repeat(a[:1], size, axis=0) for name, a in found.items() if has_samples(a, copies)}
    rows.add(copies, first, found, [f"row {row} of copies of sample {batch.start}" for row in range(size)])


def _alone(session: Session, batch: Batch, alone: Sameness) -> Iterator[str]:
    """Feed every sample of a batch alone; gives the reason where that cannot be run."""
    whole = _kept(session.run(batch.inputs))
    single: dict[str, list[Array]] = {}
    try:
        for part in parts(batch, 1):
            for name, array in session.run(part.inputs).items():
                if has_samples(array, part):
                    single.setdefault(name, []).append(np.array(array))
    except (InvalidInput, Unsupported) as error:
        yield f"a sample alone cannot be run: {error}"
        return
    first = {name: np.concatenate(arrays) for name, arrays in single.items() if len(arrays) == batch.count}
    alone.add(batch, first, whole, [f"sample {batch.start + row}" for row in range(batch.count)])


def extra_output(setting: Setting, asked: ExtraOutputWanted) -> ExtraOutput:
    """Run the first batches as they are, and with one more output."""
    subject, dataset, progress = setting.subject, setting.reference.dataset, setting.progress
    backend, tensor, batches = subject.backend, asked.tensor, asked.batches
    if not isinstance(backend, Extensible):
        return ExtraOutput(None, None, f"backend {backend.name} cannot add an output here")
    added = _added(subject, tensor)
    if added is None:
        named = f"the candidate has no tensor {tensor!r}" if tensor else "the candidate has no tensor but its outputs"
        return ExtraOutput(None, None, f"{named}, so there is none to add: name another in extraOutput.tensor")
    progress.stage("extra output", 2 * batches, "batches")
    same = Sameness(subject.outputs, Suspected(subject))
    plain: list[Arrays] = []
    with backend.open(subject.built) as session:
        for batch in islice(dataset, batches):
            plain.append({name: judged(a, batch) for name, a in _kept(session.run(batch.inputs)).items()})
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


def _kept(outputs: Arrays) -> dict[str, Array]:
    """Copies: the memory of a session's outputs is its own."""
    return {name: np.array(array) for name, array in outputs.items()}
