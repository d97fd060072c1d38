"""One trial: a candidate run over the dataset beside golden, and what the checks asked for measured on the way.

Outputs always come from the candidate as it would be served. A run that shows every tensor is another run, beside it:
showing may change what is computed, so its outputs are compared with the plain ones and a difference is said.

A trial leaves nothing behind: it can be called any number of times in one process, on candidates that differ in little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeVar

from assay_api.report import Finding
from assay_runner.backends import Built, Session
from assay_runner.backends.conversion import listed
from assay_runner.checks import Check
from assay_runner.checks.beside import told_of_outputs
from assay_runner.checks.calibrated import told_of_calibration
from assay_runner.checks.check import inconclusive_if_unrounded
from assay_runner.data.rows import parts
from assay_runner.errors import Died, InvalidInput, Unavailable
from assay_runner.evidence import BatchTimes, Evidence, Need
from assay_runner.journal import step
from assay_runner.passes import PASSES
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.tensors import Array, Arrays, Batch, Site
from assay_runner.trial.input_peaks import InputPeaks

T = TypeVar("T")
SERVE: Final = "Serve"
SERVING: Final = "running the candidate as it is served"


def trial(setting: Setting, wanted: Iterable[Need[Any]]) -> Evidence:
    """Measure what is wanted of a candidate.

    Raises:
        InvalidInput: model and data do not fit each other, or a need names what is not there.
        Unavailable: memory or the device gave out.
    """
    asked = dict.fromkeys(wanted)
    setting, known = located(setting, asked), setting.reference.measured
    found = {need: known[need] for need in asked if need in known}
    with ExitStack() as stack:
        # First of all what is served: what is opened beside it has to do with the memory that is left.
        with step(SERVE, SERVING):
            session = stack.enter_context(setting.subject.backend.open(setting.subject.built))
        stack.callback(setting.reference.rest)
        attempts = _attempts([need for need in asked if need not in known], setting, stack)
        run = _Run(setting, session, attempts)
        for batch, golden in setting.reference:
            run.add(batch, golden)
        if run.samples:
            for attempt in attempts:
                attempt.call(lambda measured: measured.finish())
    if run.samples:
        # Only now, when the sessions above are gone: some open one or two of their own at once.
        for attempt in attempts:
            found |= attempt.result()
    built = setting.subject.built
    hidden, told = _hidden(setting)
    return Evidence(
        candidate=setting.subject.key,
        samples=run.samples,
        precision=built.precision,
        hidden=hidden,
        unrounded=built.unrounded,
        overflows=built.overflows,
        vanished=built.vanished,
        cut=built.cut,
        unlike=run.peaks.unlike,
        wide=built.wide,
        engine=built.engine,
        found={need: found[need] for need in asked if need in found},
        missing=_unprovided(asked)
        | {need: attempt.reason for attempt in attempts if attempt.reason for need in attempt.needs},
        times=run.times,
        seconds={need: attempt.seconds / len(attempt.needs) for attempt in attempts for need in attempt.needs},
        notes=tuple(dict.fromkeys([note for attempt in attempts for note in attempt.notes] + told)),
    )


def _hidden(setting: Setting) -> tuple[tuple[Site, ...], list[str]]:
    """Nodes inside which something may differ from golden and cannot be shown; and what to know of those where not."""
    built = setting.subject.built
    if not built.hidden or not _alike(built, setting.reference.built):
        return built.hidden, []
    nodes = listed([site.node or site.tensor for site in built.hidden])
    return (), [f"the candidate is golden's own model, run as golden is: inside the control flow of {nodes} too"]


def _alike(built: Built, golden: Built) -> bool:
    """Whether a candidate is golden's model, run the same."""
    same = built.backend == golden.backend and built.precision == golden.precision and built.source == golden.source
    if not same or built.literal:
        return False
    # Derived of one model in the same way, they hold the same weights where they say the same.
    return built.path == golden.path or built.path.read_bytes() == golden.path.read_bytes()


def located(setting: Setting, wanted: Iterable[Need[Any]]) -> Setting:
    """The setting with what is known of where samples are; once that is there, it stays as it is."""
    kinds = (PASSES.get(type(need)) for need in wanted)
    return setting.located(any(kind.takes_parts for kind in kinds if kind))


def judge(checks: Iterable[Check], evidence: Evidence) -> list[Finding]:
    """What the checks find in the evidence, in their order."""
    found = inconclusive_if_unrounded((finding for check in checks for finding in check.judge(evidence)), evidence)
    return told_of_outputs(told_of_calibration(found, evidence), evidence)


class _Attempt:
    """A pass, or why there is none: what keeps a tolerant one from being had must lose nothing else.

    Another engine, with more among its outputs, may not be built, or not fit into the memory that the served one
    leaves. The outputs are judged all the same; what asked for tensors is told why there are none.
    """

    def __init__(self, kind: type[Pass[Any]], needs: Sequence[Need[Any]], setting: Setting, stack: ExitStack) -> None:
        self.kind, self.needs, self.reason = kind, needs, ""
        self.notes: tuple[str, ...] = ()
        self.seconds = 0.0
        self._reference = setting.reference
        asking = (name for need in needs for name in setting.askers.get(need, ()))
        self._purpose = ", ".join(dict.fromkeys(asking))
        self._stack = stack.enter_context(ExitStack())
        self._pass: Pass[Any] | None = None
        self._pass = self._guarded(lambda: kind(needs, setting, self._stack))

    @property
    def going(self) -> bool:
        """Whether nothing broke it yet."""
        return self._pass is not None

    def call(self, work: Callable[[Pass[Any]], T]) -> T | None:
        """Have the pass do something; None once it is broken."""
        there = self._pass
        found = self._guarded(lambda: work(there)) if there else None
        self.notes = self._pass.notes if self._pass else ()
        return found

    def wanted(self) -> Collection[str]:
        """Names of golden's tensors that it wants to see."""
        return self.call(lambda measured: measured.golden_names()) or ()

    def result(self) -> dict[Need[Any], Any]:
        """Its evidence; golden's own is remembered."""
        found = dict(self.call(lambda measured: measured.result()) or {})
        if self.kind.of_golden:
            self._reference.measured.update(found)
        return found

    def break_off(self, reason: str) -> None:
        """It cannot go on: figures of a part of the dataset would pass for those of all of it."""
        self._pass, self.reason, self.notes = None, reason, ()
        self._stack.close()

    def _guarded(self, work: Callable[[], T]) -> T | None:
        began = time.perf_counter()
        try:
            with step(self.kind.__name__, self.kind.doing, self._purpose):
                return work()
        except (InvalidInput, Unavailable) as error:
            # What ended a process before is lost, whatever it was; what the user must mend is the whole task's end.
            if not self.kind.tolerant and not isinstance(error, Died):
                raise
            self.break_off(str(error))
            return None
        finally:
            self.seconds += time.perf_counter() - began


def _attempts(needs: Sequence[Need[Any]], setting: Setting, stack: ExitStack) -> list[_Attempt]:
    """One per pass, in the order of the table."""
    grouped = {kind: [need for need in needs if type(need) is kind] for kind in PASSES}
    return [_Attempt(PASSES[kind], group, setting, stack) for kind, group in grouped.items() if group]


def _unprovided(needs: Iterable[Need[Any]]) -> dict[Need[Any], str]:
    """Why needs whose type is not in the table stay unmeasured."""
    return {need: f"no pass provides {type(need).__name__}" for need in needs if type(need) not in PASSES}


class _Run:
    """The candidate as it is served, run batch by batch, and every pass fed."""

    def __init__(self, setting: Setting, session: Session, attempts: Sequence[_Attempt]) -> None:
        self._setting, self._session, self._attempts = setting, session, attempts
        self._plain = any(attempt.kind.reads_outputs for attempt in attempts)
        self._size: int | None = None
        self._milliseconds: list[float] = []
        self._rows = self.samples = 0
        self.peaks = InputPeaks(setting.subject.built.seen, setting.subject.built.precision)
        setting.progress.stage("infer", setting.reference.dataset.samples, "samples")

    @property
    def times(self) -> BatchTimes:
        """Of the batches that were as large as the first."""
        return BatchTimes(self._rows, tuple(self._milliseconds))

    def add(self, batch: Batch, golden: Arrays) -> None:
        """Run a batch and its parts."""
        takers = [attempt for attempt in self._attempts if attempt.kind.takes_parts and attempt.going]
        if self._size is None and takers:
            self._size = self._agreed(takers, batch)
        found = self._timed(batch) if self._plain or not self.samples else None
        self.peaks.add(batch)
        step = Step(batch, golden, found, self._size or 0)
        for attempt in self._attempts:
            attempt.call(lambda measured: measured.add(step))
        for part in parts(batch, self._size or None) if takers else ():
            self._add_part(step, part, [attempt for attempt in takers if attempt.going])
        self.samples += batch.count
        self._setting.progress.advance(batch.count)

    def _timed(self, batch: Batch) -> dict[str, Array]:
        """Run, and take the time of full batches: other sizes are not comparable."""
        rows = batch.fed
        self._rows = self._rows or rows
        start = time.perf_counter()
        with step(SERVE, SERVING):
            outputs = self._session.run(batch.inputs)
        if rows == self._rows:
            self._milliseconds.append(1000 * (time.perf_counter() - start))
        return outputs

    def _agreed(self, takers: Sequence[_Attempt], batch: Batch) -> int:
        """Samples of a part that golden and every pass can hold; 0: batches are not taken apart."""
        if not self._setting.splits:
            return 0
        limit = self._setting.budgets.shown
        sizes = [attempt.call(lambda measured: measured.fits(batch, limit)) for attempt in takers]
        if wanted := _wanted(takers):
            sizes.append(_of_golden(takers, lambda: self._setting.reference.fits(batch, wanted, limit)))
        return min((size for size in sizes if size is not None), default=0)

    def _add_part(self, step: Step, part: Batch, takers: list[_Attempt]) -> None:
        wanted = _wanted(takers)
        golden: dict[str, Array] = {}
        if wanted:
            golden = dict(_of_golden(takers, lambda: self._setting.reference.tensors(part, wanted)) or {})
        takers = [attempt for attempt in takers if attempt.going]
        for attempt in takers[:-1]:
            attempt.call(lambda measured: measured.add_part(step, part, dict(golden)))
        for attempt in takers[-1:]:
            # Nobody needs them any more: it gives the memory of each back as soon as it was looked at.
            attempt.call(lambda measured: measured.add_part(step, part, golden))


def _wanted(takers: Iterable[_Attempt]) -> frozenset[str]:
    """Names of golden's tensors that one of them wants to see."""
    return frozenset(
        name for attempt in takers for name in attempt.call(lambda measured: measured.golden_names()) or ()
    )


def _of_golden(takers: Iterable[_Attempt], work: Callable[[], T]) -> T | None:
    """Something of golden's run; that it cannot be had breaks who wants to see it, and nobody else."""
    try:
        with step("Golden", "running golden to show its tensors"):
            return work()
    except (InvalidInput, Unavailable) as error:
        for attempt in takers:
            if attempt.wanted():
                attempt.break_off(str(error))
        return None
