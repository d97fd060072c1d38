"""The same input again: in one session, in a new one, in a new process, in another stream, under load."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice

import numpy as np

from assay_runner.backends import Backend, Built, Session
from assay_runner.backends.seams import Streamed, conditions_of
from assay_runner.behaviour_evidence import CONDITIONS, Condition, Difference, Repeats
from assay_runner.errors import AuditError
from assay_runner.evidence import Site
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.taps import custom_sites
from assay_runner.passes.again import run_elsewhere
from assay_runner.passes.rows import bits_equal, judged
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Array, Arrays, Batch, Batches, Progress


def repeat(
    backend: Backend,
    built: Built,
    dataset: Batches,
    outputs: Mapping[str, Site],
    asked: tuple[int, int, tuple[Condition, ...]],
    progress: Progress,
) -> Repeats:
    """Run the first batches again under each condition, and compare the bits of the outputs.

    Args:
        backend: what runs the candidate.
        built: the candidate.
        dataset: inputs.
        outputs: what is compared, in graph order.
        asked: runs of each batch in one session and under load, batches, and conditions; none: all the backend has.
        progress: told how far it is.
    """
    runs, batches, named = asked
    there = conditions_of(backend)
    wanted = [condition for condition in CONDITIONS if condition in (named or there)]
    untried: dict[Condition, str] = {c: f"backend {backend.name} does not offer it" for c in wanted if c not in there}
    again = _Again(list(islice(dataset, batches)), outputs, progress)
    progress.stage("run to run", len(again.chosen) * len(wanted), "batches")
    with backend.open(built) as session:
        again.refer(session, runs if "sameSession" in wanted else 1)
    ways: dict[Condition, Callable[[], None]] = {
        "newSession": lambda: _new_session(backend, built, again),
        "newProcess": lambda: again.hold("newProcess", 1, run_elsewhere(built, [b.inputs for b in again.chosen])),
        "otherStream": lambda: _other_stream(backend, built, again),
        "underLoad": lambda: _under_load(backend, built, again, runs),
    }
    for condition in wanted:
        if condition in ways and condition not in untried:
            try:
                ways[condition]()
            except AuditError as error:
                untried[condition] = str(error)
    tried = tuple(condition for condition in wanted if condition not in untried)
    custom = custom_sites(load_graph(built.source))
    return Repeats(len(again.chosen), runs, again.found, backend.random(built), custom, tried, untried)


class _Again:
    """The outputs that the first run of each batch gave, and what differed from them."""

    def __init__(self, chosen: Sequence[Batch], outputs: Mapping[str, Site], progress: Progress) -> None:
        self.chosen, self._outputs, self._progress = chosen, outputs, progress
        self._first: list[Arrays] = []
        self._found: dict[tuple[Condition, int], Difference] = {}

    @property
    def found(self) -> tuple[Difference, ...]:
        """The first difference per condition and batch."""
        return tuple(self._found.values())

    def refer(self, session: Session, runs: int) -> None:
        """Run each batch; further runs in the same session are held against the first."""
        for index, batch in enumerate(self.chosen):
            self._first.append({name: np.array(judged(a, batch)) for name, a in session.run(batch.inputs).items()})
            for run in range(2, runs + 1):
                self._compare("sameSession", index, run, session.run(batch.inputs))
            self._progress.advance()

    def run(self, condition: Condition, session: Session, runs: int = 1) -> None:
        """Run every batch in another session."""
        for run in range(1, runs + 1):
            self.hold(condition, run, (session.run(batch.inputs) for batch in self.chosen))

    def hold(self, condition: Condition, run: int, outputs: Sequence[Arrays] | Iterator[Arrays]) -> None:
        """Hold the outputs of every batch against the first ones."""
        for index, found in enumerate(outputs):
            self._compare(condition, index, run, found)
            if run == 1:
                self._progress.advance()

    def _compare(self, condition: Condition, index: int, run: int, again: Arrays) -> None:
        if (condition, index) in self._found:
            return
        first, batch = self._first[index], self.chosen[index]
        for name in (n for n in self._outputs if n in first):
            array = judged(again[name], batch)
            if not bits_equal(first[name], array):
                site = self._outputs[name]
                distance = _distance(first[name], array)
                self._found[condition, index] = Difference(site, condition, index, run, distance)
                return


def _distance(first: Array, second: Array) -> float:
    sums = Sums()
    if first.shape == second.shape:
        sums.add(first, second)
    return sums.max_abs


def _new_session(backend: Backend, built: Built, again: _Again) -> None:
    with backend.open(built) as session:
        again.run("newSession", session)


def _other_stream(backend: Backend, built: Built, again: _Again) -> None:
    assert isinstance(backend, Streamed), "a backend that names otherStream offers it"
    with backend.open_on_other_stream(built) as session:
        again.run("otherStream", session)


def _under_load(backend: Backend, built: Built, again: _Again, runs: int) -> None:
    with backend.open(built) as other, _busy(other, again.chosen), backend.open(built) as session:
        again.run("underLoad", session, runs)


@contextmanager
def _busy(session: Session, batches: Sequence[Batch]) -> Iterator[None]:
    """A thread that runs the batches over and over; its failure is raised at the end."""
    done, failures = threading.Event(), list[AuditError]()

    def work() -> None:
        try:
            for batch in cycle(batches):
                if done.is_set():
                    return
                session.run(batch.inputs)
        except AuditError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
