"""Outputs differ from run to run: which tensor inside is the first that does?

Tensors are shown, in sessions beside those that are served, and the same batch run again under the conditions that made
the outputs differ. The tensors of the first run are kept, those of every other run are held against them one by one in
topological order and dropped, and once a tensor differs nothing behind it is kept any longer: memory does not grow with
the runs. Showing tensors changes an engine. So where a backend can leave it as it is, only those are shown that it
makes anyway, and all of them only if none of those differs; that none ever differs is told too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from assay_runner.backends import Backend, Built, Capability, Session
from assay_runner.backends.seams import Comparing, Comparison
from assay_runner.behaviour_evidence import CONDITIONS, Condition, Difference, Inside
from assay_runner.errors import AuditError
from assay_runner.evidence import Site
from assay_runner.passes.again import run_elsewhere
from assay_runner.passes.host import SHOWN_BYTES, affordable
from assay_runner.passes.load import busy
from assay_runner.passes.rows import bits_equal, distance, judged, parts
from assay_runner.tensors import Array, Arrays, Batch, Progress

Opened = Callable[[], AbstractContextManager[Session]]

SESSIONS = 3
"""Sessions that are opened anew: each costs as much as loading the candidate, or building its probe."""


def look_inside(
    backend: Backend,
    built: Built,
    chosen: Sequence[Batch],
    differences: Sequence[Difference],
    runs: int,
    splits: bool,
    progress: Progress,
) -> Inside:
    """The first tensor that differs, under the first condition under which one does.

    Args:
        backend: what runs the candidate.
        built: the candidate.
        chosen: batches that were run again.
        differences: what differed in them.
        runs: runs in one session, and under load.
        splits: whether the model takes batches of any size; then a batch whose tensors are too many is shown in part.
        progress: told how far it is.
    """
    if not backend.can(Capability.TENSORS):
        return Inside(reason=f"backend {backend.name} cannot show tensors here")
    differing = {difference.condition for difference in differences}
    conditions = [condition for condition in CONDITIONS if condition in differing]
    index = next(d.batch for d in differences if d.condition == conditions[0])
    progress.stage("run to run, inside", unit="conditions")
    found = Inside()
    for opened, beside in _probes(backend, built):
        wanted = [condition for condition in conditions if condition not in beside]
        if not wanted:
            continue
        try:
            with opened() as session:
                size = affordable(session, chosen[index], SHOWN_BYTES) if splits else 0
                part = next(parts(chosen[index], size or None))
                look = _Look(backend, built, opened, session, part, index)
                for condition in wanted:
                    look.under(condition, runs)
                    progress.advance()
                    if look.first:
                        return look.result()
                found = look.result()
        except AuditError as error:
            found = replace(found, reason="; ".join(filter(None, (found.reason, str(error)))))
    return found


def _probes(backend: Backend, built: Built) -> Iterator[tuple[Opened, frozenset[Condition]]]:
    """How tensors are shown, what changes least first; and under which conditions they cannot be."""
    if isinstance(backend, Comparing):
        yield partial(_as_served, backend, backend.sites(built), built), frozenset({"newProcess"})
    yield partial(backend.open_tapped, built), frozenset()


@contextmanager
def _as_served(backend: Comparing, sites: Sequence[Site], built: Built) -> Iterator[Session]:
    with backend.open_comparison(built, local=False) as comparison:
        yield _Shown(comparison, frozenset(site.tensor for site in sites))


class _Shown:
    """What a comparison shows, as a session."""

    def __init__(self, comparison: Comparison, names: frozenset[str]) -> None:
        self._comparison, self._names = comparison, names

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """The tensors of one batch."""
        return self._comparison.show(Batch(0, len(next(iter(inputs.values()))), inputs), self._names)


class _Look:
    """The tensors of the first run, and the first of them that differed in another one."""

    def __init__(
        self, backend: Backend, built: Built, opened: Opened, session: Session, batch: Batch, index: int
    ) -> None:
        self._backend, self._built, self._opened = backend, built, opened
        self._session, self._batch, self._index = session, batch, index
        found = session.run(batch.inputs)
        self._sites = [site for site in backend.sites(built) if site.tensor in found]
        # Copies, one by one: the memory of a session's tensors is its own.
        self._kept = {site.tensor: np.array(judged(found.pop(site.tensor), batch)) for site in self._sites}
        self._tensors = len(self._kept)
        self._tried: dict[Condition, int] = {}
        self._reasons: list[str] = []
        self.first: Difference | None = None

    def under(self, condition: Condition, runs: int) -> None:
        """Run the batch again under a condition; that it cannot be is noted."""
        ways: dict[Condition, Callable[[], Iterator[dict[str, Array]]]] = {
            "sameSession": lambda: self._again(runs - 1),
            "newSession": self._anew,
            "newProcess": self._elsewhere,
            "otherStream": self._anew,  # Beside the first session, which has its own stream.
            "underLoad": lambda: self._loaded(runs),
        }
        try:
            for found in ways[condition]():
                self._hold(condition, found)
        except AuditError as error:
            self._reasons.append(f"{condition} could not be tried with tensors shown: {error}")

    def result(self) -> Inside:
        """What was found."""
        first = self.first and replace(self.first, runs=self._tried[self.first.condition])
        return Inside(first, self._tensors, self._batch.count, self._tried, "; ".join(self._reasons))

    def _hold(self, condition: Condition, found: dict[str, Array]) -> None:
        run = self._tried[condition] = self._tried.get(condition, 0) + 1
        for number, site in enumerate(self._sites):
            array, kept = found.pop(site.tensor, None), self._kept[site.tensor]
            if array is not None and not bits_equal(kept, again := judged(array, self._batch)):
                # The first run of one session is the one that is kept.
                self._differs(site, condition, run + (condition == "sameSession"), distance(kept, again))
                self._forget(number + 1)
                return

    def _differs(self, site: Site, condition: Condition, run: int, far: float) -> None:
        before = self.first
        new = Difference(site, condition, self._index, run, far)
        self.first = before.once_more(far) if before and before.site == site else new

    def _forget(self, start: int) -> None:
        for site in self._sites[start:]:
            del self._kept[site.tensor]
        del self._sites[start:]

    def _again(self, runs: int) -> Iterator[dict[str, Array]]:
        for _ in range(runs):
            yield self._session.run(self._batch.inputs)

    def _anew(self) -> Iterator[dict[str, Array]]:
        for _ in range(SESSIONS):
            with self._opened() as session:
                yield session.run(self._batch.inputs)

    def _elsewhere(self) -> Iterator[dict[str, Array]]:
        yield from run_elsewhere(self._built, [self._batch.inputs], tapped=True)

    def _loaded(self, runs: int) -> Iterator[dict[str, Array]]:
        with self._backend.open(self._built) as other, busy(other, [self._batch]):
            yield from self._again(runs)
