"""The same input again: in one session, a new one, a new process, another stream, in spoilt memory, under load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np

from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.seams import Streamed, conditions_of
from assay_runner.data.rows import bits_equal, distance
from assay_runner.errors import AuditError
from assay_runner.evidence import RerunsWanted
from assay_runner.evidence.reruns import CONDITIONS, Condition, Difference, Repeats, Unwritten
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.journal import step
from assay_runner.passes.background_load import busy
from assay_runner.passes.first_difference import look_inside
from assay_runner.passes.in_subprocess import run_elsewhere
from assay_runner.passes.setting import Setting
from assay_runner.passes.spoilt import follows_memory, in_turn
from assay_runner.passes.suspects import Suspected
from assay_runner.tensors import Arrays, Batch, Progress, Site

USUAL: Final = 5
"""Runs of a batch, where nobody says how many."""
EMULATED: Final = 2
"""The same of an emulation: ONNX Runtime's kernels stand in for an engine's, and take many times as long."""


def repeat(setting: Setting, asked: RerunsWanted) -> Repeats:
    """Run the first batches again under each condition; where bits of the outputs differ, look why."""
    subject, progress = setting.subject, setting.progress
    backend, built = subject.backend, subject.built
    runs = asked.runs or (EMULATED if built.emulated else USUAL)
    there = conditions_of(backend)
    wanted = [condition for condition in CONDITIONS if condition in (asked.conditions or there)]
    untried: dict[Condition, str] = {c: f"backend {backend.name} does not offer it" for c in wanted if c not in there}
    again = _Again(list(islice(setting.reference.dataset, asked.batches)), subject.outputs, built.axes, progress)
    progress.stage("run to run", len(again.chosen) * len(wanted), "batches")
    with backend.open(built) as session:
        again.refer(session, runs if "sameSession" in wanted else 1)
    for condition, way in _ways(backend, built, again, runs).items():
        if condition in wanted and condition not in untried:
            try:
                with step(condition, f"running the same batches under condition {condition}"):
                    way()
            except AuditError as error:
                untried[condition] = str(error)
    tried = tuple(condition for condition in wanted if condition not in untried)
    suspected = Suspected(subject)
    found = Repeats(len(again.chosen), runs, again.found, suspected.all.random, tried, untried)
    if not again.found:
        return found
    # What differed now and then is looked for as often as anywhere.
    inside = look_inside(setting, again.chosen, again.found, asked.runs or USUAL)
    first = inside.first or again.found[0]
    return replace(
        found,
        inside=inside,
        suspects=suspected.of(first.site.tensor),
        memory=_memory(backend, built, again, suspected, progress),
    )


class _Again:
    """The outputs that the first run of each batch gave, and what differed from them."""

    def __init__(
        self, chosen: Sequence[Batch], outputs: Mapping[str, Site], axes: SampleAxes, progress: Progress
    ) -> None:
        self.chosen, self.outputs, self._axes, self._progress = chosen, outputs, axes, progress
        self._first: list[Arrays] = []
        self._found: dict[tuple[Condition, int, str], Difference] = {}
        self._held: Counter[tuple[Condition, int]] = Counter()

    @property
    def found(self) -> tuple[Difference, ...]:
        """The first output that differs, in graph order, per condition and batch; conditions in their order."""
        first: dict[tuple[Condition, int], Difference] = {}
        for difference in self.all:
            first.setdefault((difference.condition, difference.batch), difference)
        return tuple(first.values())

    @property
    def all(self) -> tuple[Difference, ...]:
        """Every output that differs, by condition, batch, and its place in the graph."""
        places = {name: place for place, name in enumerate(self.outputs)}
        found = [replace(difference, runs=self._held[key[:2]]) for key, difference in self._found.items()]
        return tuple(sorted(found, key=lambda d: (CONDITIONS.index(d.condition), d.batch, places[d.site.tensor])))

    def refer(self, session: Session, runs: int) -> None:
        """Run each batch; further runs in the same session are held against the first."""
        for index, batch in enumerate(self.chosen):
            found = session.run(batch.inputs)
            self._first.append({name: np.array(self._axes.judged(name, a, batch)) for name, a in found.items()})
            for run in range(2, runs + 1):
                self._compare_one("sameSession", index, run, session.run(batch.inputs))
            self._progress.advance()

    def run(self, condition: Condition, session: Session, runs: int = 1) -> None:
        """Run every batch in another session."""
        for run in range(1, runs + 1):
            self.compare(condition, run, (session.run(batch.inputs) for batch in self.chosen))

    def compare(self, condition: Condition, run: int, outputs: Sequence[Arrays] | Iterator[Arrays]) -> None:
        """Hold the outputs of every batch against the first ones."""
        for index, found in enumerate(outputs):
            self._compare_one(condition, index, run, found)
            if run == 1:
                self._progress.advance()

    def _compare_one(self, condition: Condition, index: int, run: int, again: Arrays) -> None:
        batch, first = self.chosen[index], self._first[index]
        self._held[condition, index] += 1
        for name in (n for n in self.outputs if n in first):
            array = self._axes.judged(name, again[name], batch)
            if not bits_equal(first[name], array):
                key, far = (condition, index, name), distance(first[name], array)
                before, new = self._found.get(key), Difference(self.outputs[name], condition, index, run, far)
                self._found[key] = before.once_more(far) if before else new


def _ways(backend: Backend, built: Built, again: _Again, runs: int) -> dict[Condition, Callable[[], None]]:
    """How each condition is brought about, beside the first session's."""
    return {
        "newSession": lambda: _new_session(backend, built, again),
        "newProcess": lambda: again.compare("newProcess", 1, run_elsewhere(built, [b.inputs for b in again.chosen])),
        "otherStream": lambda: _other_stream(backend, built, again),
        "usedMemory": lambda: _in_used_memory(backend, built, again, runs),
        "underLoad": lambda: _under_load(backend, built, again, runs),
    }


def _new_session(backend: Backend, built: Built, again: _Again) -> None:
    with backend.open(built) as session:
        again.run("newSession", session)


def _other_stream(backend: Backend, built: Built, again: _Again) -> None:
    assert isinstance(backend, Streamed), "a backend that names otherStream offers it"
    with backend.open_on_other_stream(built) as session:
        again.run("otherStream", session)


def _in_used_memory(backend: Backend, built: Built, again: _Again, runs: int) -> None:
    """Every batch with every filling."""
    with backend.open(built) as session:
        for run, spoilt in enumerate(in_turn(session, runs), 1):
            again.compare("usedMemory", run, (spoilt.run(batch.inputs) for batch in again.chosen))


def _memory(
    backend: Backend, built: Built, again: _Again, suspected: Suspected, progress: Progress
) -> Unwritten | None:
    """Whether what differed in used memory differs by that memory alone; None where nothing did, or it is not known."""
    differing = {found.site.tensor: found.batch for found in reversed(again.all) if found.condition == "usedMemory"}
    if not differing:
        return None
    try:
        with backend.open(built) as session:
            for name, site in again.outputs.items():
                if name in differing and follows_memory(session, again.chosen[differing[name]], name, built.axes):
                    return Unwritten(site, suspected.of(name))
        return Unwritten()
    except AuditError as error:  # The difference stands all the same.
        progress.note(f"whether outputs follow what lay in memory is not known: {error}")
        return None


def _under_load(backend: Backend, built: Built, again: _Again, runs: int) -> None:
    with backend.open(built) as other, busy(other, again.chosen), backend.open(built) as session:
        again.run("underLoad", session, runs)
