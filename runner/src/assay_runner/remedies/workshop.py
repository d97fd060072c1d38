"""Where remedies try things: what they design is built, measured on one part of the data, judged, counted and noted.

Every trial is kept in the cache by all that it depends on: a repair that is begun anew, because it was killed or its
budget was raised, finds what it has tried before and goes on from there.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from assay_api.repair import TrialEntry
from assay_api.report import Verdict
from assay_runner.backends import BACKENDS, Backend, Capability
from assay_runner.backends.seams import Keeping
from assay_runner.builds.brief import briefly_built
from assay_runner.builds.cache import BuildRequest
from assay_runner.checks import Check
from assay_runner.data.datasets import Dataset
from assay_runner.digests import cache_key
from assay_runner.errors import CannotBuild, Died, InvalidInput, Unsupported
from assay_runner.golden.reference import Reference
from assay_runner.journal import passed_over, step
from assay_runner.passes.setting import Setting
from assay_runner.remedies.aside import Aside
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.judged import BUILD, OUTPUTS, WHAT, Judged, Said, TrialRecord, margin
from assay_runner.remedies.judging import OF_PRECISION, entry_of, judged_in_turn, kept_wide, metrics_of
from assay_runner.remedies.kernels import kernels
from assay_runner.remedies.spending import Oracle, Spending
from assay_runner.remedies.splits import SEARCH, Part
from assay_runner.stores import Store, join
from assay_runner.stores.sealed import Damaged, put_record, read_record
from assay_runner.tensors import Progress

TRIALS: Final = "trials"
"""Folder of the cache with one record per trial."""


@dataclass(frozen=True)
class Heard:
    """What an engine of some nodes in wider formats came to.

    Attributes:
        kinds: format by node.
        key: of what was built.
        found: of it.
    """

    kinds: Mapping[str, str]
    key: str
    found: Judged


@dataclass
class Memory:
    """What a search leaves to one that begins anew because more is to be spared.

    Attributes:
        engines: of sets of nodes, in order.
        failed: what failed on samples that it was not searched with, format by node.
        ahead: margin that outputs had in an emulation and not in its engine.
        spared: least margin that outputs had in a trial that decides, by the key of what was built and by metric.
    """

    failed: list[Mapping[str, str]] = field(default_factory=list)
    engines: list[Heard] = field(default_factory=list)
    ahead: float = 0.0
    spared: dict[tuple[str, str], float] = field(default_factory=dict)


@dataclass
class Workshop:
    """Tries designs for one case.

    Attributes:
        case: the candidate that failed.
        references: golden and data of each part of the dataset that there is.
        dataset: all of it, in whose shapes engines are built.
        data: what tells the parts from all others: digests of dataset, golden and shares.
        checks: the audit's.
        spending: what it costs.
        store: where trials are kept, below `cache`.
        cache: URI of the prefix of reusable results.
        scratch: an empty folder.
        progress: told how far it is.
        versions: of what computes here.
        entries: every trial so far, of whichever case.
        artifacts: URI of the prefix of what remedies of this case leave beside the report.
        keep: is given what passes on the samples that are searched with, that the best so far is not lost.
        memory: of searches for nodes before this one.
    """

    case: Case
    references: Mapping[Part, Reference]
    dataset: Dataset
    data: str
    checks: Sequence[Check]
    spending: Spending
    store: Store
    cache: str
    scratch: Path
    progress: Progress
    versions: str
    entries: list[TrialEntry]
    artifacts: str = ""
    keep: Callable[[Design], None] = lambda design: None
    memory: Memory = field(default_factory=Memory)
    _told: int | None = field(default=None, init=False)

    def judged(
        self,
        design: Design,
        remedy: str,
        oracle: Oracle = "build",
        *,
        attempt: int = 0,
        names: frozenset[str] = OF_PRECISION,
        sessions: int = 0,
    ) -> Judged:
        """Build it, and judge it on the samples that are searched with.

        Args:
            design: what is tried.
            remedy: whose trial it is.
            oracle: emulation: by ONNX Runtime on the CPU. build: by the case's own backend.
            attempt: the how manieth time, from 0: what was tried before is the answer to the same question.
            names: of the checks that judge. Where one that looks at outputs fails, the others are not asked.
            sessions: above 0: it is built without the timing cache that all builds share, what it chose is looked at,
                and so are the bits that it gives in so many sessions.

        Raises:
            OutOfBudget: the budget is spent.
            Unavailable: the store, memory or the device gave out.
        """
        backend = self._backend(oracle)
        checks = [check for check in self.checks if check.name in names]
        request = self.request(backend, design)
        key = cache_key(
            build=request.key(),
            data=self.data,
            checks=repr([(check.name, check) for check in checks]),
            attempt=str(attempt),
            metrics=metrics_of(checks),
            **({"sessions": str(sessions)} if sessions else {}),
        )
        uri = join(self.cache, TRIALS, f"{key}.json")
        again = uri in self.spending.paid
        if not again:
            # Known or not: a budget comes to the same end whatever an earlier run has tried.
            self.spending.check(oracle)
            if oracle != self.oracle:
                # What an emulation proposes is nothing where no engine can confirm it.
                self.spending.check(self.oracle)
        known = self._known(uri)
        if known is None:
            self.tell(design, oracle)
            known, lasting = self._tried(request, checks, key, sessions)
            if lasting:
                put_record(self.store, uri, known)
            taken = False
        else:
            taken = True
            self.spending.before += 0.0 if again else known.seconds
        if not again:
            # What this run has tried itself, for another remedy perhaps, has taken its time and its build.
            self.spending.paid.add(uri)
            self.spending.count(oracle, known.builds)
        noisy = isinstance(backend, Keeping)
        found = Judged(
            said=known.said, slips=known.slips, latency_ms=known.latency_ms, seconds=known.seconds,
            noise="some" if noisy else "none", kernels=known.kernels,
        )  # fmt: skip
        self.note(design, remedy, oracle, found, known=taken)
        if oracle == self.oracle and found.verdict is Verdict.PASSED:
            self.keep(design)
        return found

    @property
    def aside(self) -> Aside:
        """For what is done in a trial: what is told is how far the repair is."""
        return Aside(self.progress)

    def emulating(self, design: Design) -> Design:
        """What stands in for a design on the CPU."""
        return replace(design, order=design.order.choosing)

    def folder(self, name: str) -> Path:
        """An empty folder for what trials are built of; it stays as long as the workshop does."""
        found = self.scratch / name
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir(parents=True)
        return found

    def _backend(self, oracle: Oracle) -> Backend:
        return BACKENDS["onnxruntime"] if oracle == "emulation" else self.case.backend

    def request(self, backend: Backend, design: Design) -> BuildRequest:
        """How a backend is asked for it."""
        order = design.order if backend is self.case.backend else self.emulating(design).order
        if not backend.can(Capability.TACTICS):
            order = replace(order, tactics=None, forbidden={})
        return BuildRequest(backend, design.model, order, design.calibration, self.versions, self.dataset.extents())

    def _known(self, uri: str) -> TrialRecord | None:
        try:
            return read_record(self.store, uri, TrialRecord, WHAT)
        except Damaged as error:
            self.progress.note(error.note)
            return None

    def _tried(
        self, request: BuildRequest, checks: Sequence[Check], key: str, sessions: int
    ) -> tuple[TrialRecord, bool]:
        """What a trial comes to, and whether it would again: what killed a process here may not elsewhere."""
        started, looked, lasting = self.spending.clock(), None, True
        try:
            with (
                step(f"trial-{key}", "trying a repair"),
                briefly_built(request, self.case.key, self.scratch, self.aside, bool(sessions)) as subject,
            ):
                setting = Setting(subject, self.references[SEARCH], self.aside)
                said, latency = judged_in_turn(setting, checks)
                kept = kept_wide(subject, request.order.held)
                if sessions:
                    looked = kernels(subject, setting.reference.dataset, sessions, self.aside)
        except (CannotBuild, Died, InvalidInput, Unsupported) as error:
            # Of a design, not of the user's model: the candidate that failed was built of it.
            said = (Said(check=BUILD, verdict=Verdict.INCONCLUSIVE, message=str(error)),)
            latency, kept, lasting = None, (), not isinstance(error, Died)
        seconds = self.spending.clock() - started
        lasting = lasting and not any(f"trial-{key}" in path for path in passed_over())
        record = TrialRecord(files=(), said=said, slips=kept, latency_ms=latency, seconds=seconds, kernels=looked)
        return record, lasting

    def heard(self, design: Design, found: Judged) -> None:
        """Remember what outputs had to spare in a trial that decides."""
        key = self.key(design)
        for said in found.said:
            spared, of = margin(said), (key, str(said.metric))
            if said.check == OUTPUTS and math.isfinite(spared):
                self.memory.spared[of] = min(spared, self.memory.spared.get(of, spared))

    def had(self, design: Design, metric: str) -> float:
        """Margin by a metric that a design had where it was searched; 0 where that is not known."""
        return self.memory.spared.get((self.key(design), metric), 0.0)

    def key(self, design: Design) -> str:
        """What tells a design from all others as the case's own backend builds it."""
        return self.request(self.case.backend, design).key()

    @property
    def oracle(self) -> Oracle:
        """What the case's own backend is."""
        return "emulation" if self.case.emulates else "build"

    def tell(self, design: Design, oracle: Oracle, key: str = "") -> None:
        """How far it is, and what is tried next; with a key, what is audited."""
        what = f"auditing {key}" if key else f"trying {design.words.partition(':')[0]} by {oracle}"
        self.doing(what)

    def doing(self, what: str) -> None:
        """How far it is, and what comes next."""
        best = [entry for entry in self.entries if entry.oracle == self.oracle and entry.verdict is Verdict.PASSED]
        so_far = f", best so far {best[-1].words.partition(':')[0]}" if best else ""
        builds = self.oracle == "build"
        if self._told is None:
            budget = self.spending.budget
            total, unit = (budget.builds, "builds") if builds else (budget.proposals, "emulations")
            self.progress.stage("repair", total, unit)
        done = self.spending.builds if builds else self.spending.proposals
        self.progress.advance(done - (self._told or 0))
        self._told = done
        self.progress.note(f"{self.spending.left()}{so_far}; {what}")

    def note(
        self,
        design: Design,
        remedy: str,
        oracle: Oracle,
        found: Judged,
        split: Part = SEARCH,
        known: bool = False,
    ) -> None:
        """One more trial, for the report."""
        number = len(self.entries) + 1
        self.entries.append(entry_of(number, design, found, remedy=remedy, oracle=oracle, split=split, known=known))
