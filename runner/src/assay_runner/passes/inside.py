"""Outputs differ from run to run: which tensor inside is the first that does?

Every tensor is shown, in sessions beside those that are served, and the same batch run again under the conditions that
made the outputs differ. The tensors of the first run are kept, those of every other run are held against them one by
one in topological order and dropped, and once a tensor differs nothing behind it is kept any longer: memory does not
grow with the runs. Showing tensors changes an engine, so it may be that none of them ever differs: that is told too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from assay_runner.backends import Backend, Built, Capability, Session
from assay_runner.behaviour_evidence import CONDITIONS, Condition, Difference, Inside
from assay_runner.errors import AuditError
from assay_runner.evidence import Site
from assay_runner.passes.again import run_elsewhere
from assay_runner.passes.host import SHOWN_BYTES, affordable
from assay_runner.passes.load import busy
from assay_runner.passes.rows import bits_equal, distance, judged, parts
from assay_runner.tensors import Array, Batch, Progress

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
    progress.stage("run to run, inside", len(conditions), "conditions")
    try:
        with backend.open_tapped(built) as session:
            size = affordable(session, chosen[index], SHOWN_BYTES) if splits else 0
            part = next(parts(chosen[index], size or None))
            look = _Look(backend, built, session, part, index)
            for condition in conditions:
                look.under(condition, runs)
                progress.advance()
                if look.first:
                    break
            return look.result()
    except AuditError as error:
        return Inside(reason=str(error))


class _Look:
    """The tensors of the first run, and the first of them that differed in another one."""

    def __init__(self, backend: Backend, built: Built, session: Session, batch: Batch, index: int) -> None:
        self._backend, self._built, self._session, self._batch, self._index = backend, built, session, batch, index
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
            self._reasons.append(f"{condition} could not be tried with every tensor shown: {error}")

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
            with self._backend.open_tapped(self._built) as session:
                yield session.run(self._batch.inputs)

    def _elsewhere(self) -> Iterator[dict[str, Array]]:
        yield from run_elsewhere(self._built, [self._batch.inputs], tapped=True)

    def _loaded(self, runs: int) -> Iterator[dict[str, Array]]:
        with self._backend.open(self._built) as other, busy(other, [self._batch]):
            yield from self._again(runs)
