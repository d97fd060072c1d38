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
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from assay_runner.backends import Backend, Built, Capability, Session
from assay_runner.backends.seams import Comparing, Comparison, Spoiling
from assay_runner.data.rows import affordable, bits_equal, distance, parts
from assay_runner.errors import AuditError, Unsupported
from assay_runner.evidence.reruns import CONDITIONS, Condition, Difference, Inside
from assay_runner.passes.background_load import busy
from assay_runner.passes.in_subprocess import run_elsewhere
from assay_runner.passes.setting import Setting
from assay_runner.passes.spoilt import in_turn
from assay_runner.tensors import Array, Arrays, Batch, InputAxes, Site, samples_in

SESSIONS = 3
"""Sessions that are opened anew: each costs as much as loading the candidate, or building its probe."""


def look_inside(setting: Setting, chosen: Sequence[Batch], differences: Sequence[Difference], runs: int) -> Inside:
    """The first tensor that differs, under the first condition under which one does.

    Args:
        setting: the candidate; a batch whose tensors are too many is shown in part, if its model takes any batch.
        chosen: batches that were run again.
        differences: what differed in them.
        runs: runs in one session, in used memory, and under load.
    """
    backend, built, progress = setting.subject.backend, setting.subject.built, setting.progress
    if not backend.can(Capability.TENSORS):
        return Inside(reason=f"backend {backend.name} cannot show tensors here")
    differing = {difference.condition for difference in differences}
    conditions = [condition for condition in CONDITIONS if condition in differing]
    index = next(d.batch for d in differences if d.condition == conditions[0])
    progress.stage("run to run, inside", unit="conditions")
    found = Inside()
    for probe in _probes(backend, built, chosen[index].axes):
        wanted = [condition for condition in conditions if condition not in probe.beside]
        if wanted and not found.first:
            found = _looked(setting, probe, found, chosen[index], index, wanted, runs)
    return found


@dataclass(frozen=True)
class _Probe:
    """A way of showing tensors.

    Attributes:
        backend: what runs the candidate.
        built: the candidate.
        opened: opens a session that shows tensors.
        beside: conditions under which it cannot.
    """

    backend: Backend
    built: Built
    opened: Callable[[], AbstractContextManager[Session]]
    beside: frozenset[Condition] = frozenset()


def _probes(backend: Backend, built: Built, axes: InputAxes) -> Iterator[_Probe]:
    """What changes the candidate least comes first."""
    if isinstance(backend, Comparing):
        served = partial(_as_served, backend, backend.sites(built), built, axes)
        yield _Probe(backend, built, served, frozenset({"newProcess"}))
    yield _Probe(backend, built, partial(backend.open_tapped, built))


def _looked(
    setting: Setting,
    probe: _Probe,
    before: Inside,
    batch: Batch,
    index: int,
    conditions: Sequence[Condition],
    runs: int,
) -> Inside:
    """What a probe shows; what was found before it, where it cannot be opened."""
    try:
        with probe.opened() as session:
            size = affordable(session.run, batch, setting.budgets.shown) if setting.splits else 0
            look = _Look(probe, session, next(parts(batch, size or None)), index)
            for condition in conditions:
                if not look.first:
                    look.under(condition, runs)
                    setting.progress.advance()
            return _after(before, look.result())
    except AuditError as error:
        return replace(before, reason="; ".join(filter(None, (before.reason, str(error)))))


def _after(before: Inside, found: Inside) -> Inside:
    """What a second probe found; that the first one found nothing counts where it tried as much."""
    reason = "; ".join(dict.fromkeys(filter(None, (before.reason, found.reason))))
    if before.tried and not found.tried:
        return replace(before, reason=reason)
    return replace(found, before=before.tensors if found.tried.keys() <= before.tried.keys() else 0, reason=reason)


@contextmanager
def _as_served(backend: Comparing, sites: Sequence[Site], built: Built, axes: InputAxes) -> Iterator[Session]:
    with backend.open_comparison(built, local=False) as comparison:
        yield _Shown(comparison, frozenset(site.tensor for site in sites), axes)


class _Shown:
    """What a comparison shows, as a session."""

    def __init__(self, comparison: Comparison, names: frozenset[str], axes: InputAxes) -> None:
        self._comparison, self._names, self._axes = comparison, names, axes

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """The tensors of one batch."""
        return self._comparison.show(Batch(0, samples_in(inputs, self._axes), inputs, axes=self._axes), self._names)

    def spoil(self, filling: int) -> None:
        """See `Spoiling.spoil`."""
        if not isinstance(self._comparison, Spoiling):
            raise Unsupported("what shows them runs in memory that cannot be filled")
        self._comparison.spoil(filling)


class _Look:
    """The tensors of the first run, and the first of them that differed in another one."""

    def __init__(self, probe: _Probe, session: Session, batch: Batch, index: int) -> None:
        self._probe, self._session, self._batch, self._index = probe, session, batch, index
        found = session.run(batch.inputs)
        self._sites = [site for site in probe.backend.sites(probe.built) if site.tensor in found]
        # Copies, one by one: the memory of a session's tensors is its own.
        self._kept = {site.tensor: np.array(self._judged(site, found.pop(site.tensor))) for site in self._sites}
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
            "usedMemory": lambda: self._spoilt(runs),
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
        return Inside(first, self._tensors, self._batch.count, self._tried, "; ".join(dict.fromkeys(self._reasons)))

    def _hold(self, condition: Condition, found: dict[str, Array]) -> None:
        if found.keys().isdisjoint(site.tensor for site in self._sites):
            self._reasons.append(f"{condition} showed no tensor")
            return
        run = self._tried[condition] = self._tried.get(condition, 0) + 1
        for number, site in enumerate(self._sites):
            array, kept = found.pop(site.tensor, None), self._kept[site.tensor]
            if array is not None and not bits_equal(kept, again := self._judged(site, array)):
                # The first run of one session is the one that is kept.
                self._differs(site, condition, run + (condition == "sameSession"), distance(kept, again))
                self._forget(number + 1)
                return

    def _judged(self, site: Site, array: Array) -> Array:
        return self._probe.built.axes.judged(site.tensor, array, self._batch)

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

    def _spoilt(self, runs: int) -> Iterator[dict[str, Array]]:
        for spoilt in in_turn(self._session, runs):
            yield spoilt.run(self._batch.inputs)

    def _anew(self) -> Iterator[dict[str, Array]]:
        for _ in range(SESSIONS):
            with self._probe.opened() as session:
                yield session.run(self._batch.inputs)

    def _elsewhere(self) -> Iterator[dict[str, Array]]:
        yield from run_elsewhere(self._probe.built, [self._batch.inputs], tapped=True)

    def _loaded(self, runs: int) -> Iterator[dict[str, Array]]:
        with self._probe.backend.open(self._probe.built) as other, busy(other, [self._batch]):
            yield from self._again(runs)
