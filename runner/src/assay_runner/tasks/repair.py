"""The repair task: for every candidate that failed, remedies; what they find is audited and published as candidates.

It comes after the candidates of one GPU product, and is done where one of them failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from assay_api.plan import Task, siblings
from assay_api.remedies import Remedies
from assay_api.repair import RepairEntry, TrialEntry
from assay_api.report import Report, Verdict
from assay_api.result import TaskResult
from assay_runner.backends import BACKENDS
from assay_runner.backends.order import order_of
from assay_runner.backends.seams import Keeping
from assay_runner.checks import parse_checks
from assay_runner.data.datasets import Dataset
from assay_runner.digests import cache_key
from assay_runner.errors import CannotBuild, Died, InvalidInput, Unsupported
from assay_runner.golden.reference import Reference
from assay_runner.models.loading import LoadedModel
from assay_runner.models.witness import unchanged
from assay_runner.remedies import REMEDIES, remedy_of
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.precision.tries import NAME
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.scarce import ROUNDS, told, with_more
from assay_runner.remedies.spending import OutOfBudget, Spending
from assay_runner.remedies.splits import Part, Samples, Split
from assay_runner.remedies.workshop import Memory, Workshop
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged
from assay_runner.tasks.candidate import calibration_of
from assay_runner.tasks.context import Context
from assay_runner.tasks.cures import Cures, Missing
from assay_runner.tasks.earlier_repairs import without_earlier
from assay_runner.tasks.environment import environment, versions
from assay_runner.tasks.for_gpu import judged_here
from assay_runner.tasks.golden import dataset_of, open_golden
from assay_runner.tasks.publish import by_severity, publish, published, resumed, task_result
from assay_runner.tasks.records import GoldenRecord, read_record
from assay_runner.tasks.sections import golden_section
from assay_runner.tensors import Array

FOLDER = "remedies"
"""Folder of the task's with what remedies leave beside the report, by candidate."""
ENDS = (OutOfBudget, CannotBuild, Died, InvalidInput, Unsupported)
"""What ends one search, and neither the repair nor what was found before."""
UNFIT = "is an existing plan, which is not built here: give the audit a candidate with its precision, to be repaired"


def run_repair(task: Task, context: Context) -> TaskResult:
    """Look for a cure of every candidate that failed, and publish what was found.

    Raises:
        Unavailable: no device, no golden outputs, a store that does not answer, too little memory or disk.
    """
    done = resumed(task, context, [])
    if done:
        return task_result(task, *done)
    report = _Repair(task, context).report()
    return task_result(task, report, publish(report, task.folder, context.store))


class _Repair:
    """One repair task at work."""

    def __init__(self, task: Task, context: Context) -> None:
        self.task, self.context = task, context
        assert task.spec.remedies is not None, "a repair is planned where remedies are asked for"
        self.asked: Remedies = task.spec.remedies
        self.record: GoldenRecord = read_record(task, context)
        self.model: LoadedModel = context.load(task.spec.model, task.spec.dataset)
        self.dataset: Dataset = dataset_of(task, self.model, context)
        self.split = Split(self.dataset, self.asked.search_share)
        self.notes: list[str] = []
        self.references = {part: self._reference(part, samples) for part, samples in self.split.parts.items()}
        self.spending = Spending(self.asked.budget)
        self.trials: list[TrialEntry] = []
        self.cures = Cures(task, context, self.split, self.trials)
        self.cases: tuple[Case, ...] = ()

    def report(self) -> Report:
        """All remedies of all cases, and what came of them."""
        of = cache_key(run=self.task.run, model=self.model.identity, data=self._data)
        without_earlier(self.task, self.context.store, of)
        self.cases = tuple(self._failed())
        for case in self.cases:
            known = case
            for name in REMEDIES:
                if self.asked.asked(name):
                    nearest = self._remedied(known, name)
                    known = replace(known, ranged=nearest or known.ranged)
        unchanged((*self.model.files, *(file for case in self.cases for file in case.design.model.files)))
        cured = {entry.candidate for entry in self.cures.remedies if entry.outcome == "Cured"}
        failed = {entry.candidate for entry in self.cures.remedies}
        return Report(
            audit=self.task.audit,
            run=self.task.run,
            task=self.task.key,
            created=self.context.created(),
            verdict=Verdict.PASSED if failed and failed <= cured else Verdict.INCONCLUSIVE,
            emulated=any(candidate.emulated for candidate in self.cures.candidates),
            candidates=tuple(self.cures.candidates),
            findings=by_severity(tuple(self.cures.findings)),
            repair=(self._entry(),),
            golden=golden_section(self.record),
            dataset=self.dataset.describe(),
            environment=environment(),
            spec=self.task.spec,
            reproduce=self.context.reproduce,
        )

    def _entry(self) -> RepairEntry:
        return RepairEntry(
            remedies=tuple(self.cures.remedies),
            trials=tuple(self.trials),
            search_samples=self.split.samples("search"),
            unseen_samples=self.split.samples("unseen"),
            told_samples=self.cures.told,
            builds=self.spending.builds,
            proposals=self.spending.proposals,
            seconds=self.spending.seconds,
            valid_for=self._valid_for(),
        )

    def _valid_for(self) -> dict[str, str]:
        found = {"model": self.model.identity, "data": self.dataset.identity, "versions": versions()}
        for backend in dict.fromkeys(case.backend for case in self.cases):
            if isinstance(backend, Keeping):
                found[backend.name] = backend.identity()
        return found

    def _reference(self, part: Part, samples: Samples) -> Reference:
        golden: Iterable[Mapping[str, Array]] = open_golden(
            self.record, self.task, self.model, self.dataset, self.context, self.notes
        )
        return Reference(
            self.model,
            samples,
            samples.outputs(golden),
            self.record.precision,
            self.context.workdir(self.task) / f"{part.kind}-{part.turn}",
            keep=self.context.keep,
            axes=self.context.axes(self.model, self.dataset),
            floors=self.record.floors,
        )

    def _failed(self) -> Iterator[Case]:
        """The candidates that failed, each as it was built."""
        run = siblings(self.task)
        for of in (run[after.task] for after in self.task.after):
            if of.candidate is None:
                continue
            try:
                found = published(of, self.context.store)
            except Damaged as error:
                self.context.progress.note(error.note)
                continue
            if found is None or found[0].verdict is not Verdict.FAILED:
                continue
            report, candidate = found[0], of.candidate
            if candidate.engine:
                self.cures.say(of.key, "precision", f"{of.key} {UNFIT}")
                continue
            own = self.context.load(candidate.model, self.task.spec.dataset) if candidate.model else self.model
            calibration = calibration_of(self.task, candidate, own, self.context)
            design = Design(order_of(candidate, own.path), own, calibration)
            backend = BACKENDS[self.context.backend or candidate.backend]
            whole = calibration_of(self.task, candidate, own, self.context, whole=True)
            yield Case(of.key, candidate, backend, design, report.candidates[0], report.findings, whole)

    def _remedied(self, case: Case, name: str) -> Design | None:
        """One remedy for one case; an error of it is its own outcome, and stops no other.

        What comes nearer to passing than the candidate, where nothing passes.
        """
        workshop = self._workshop(case)
        workshop.keep = self.cures.keeping(case, name, workshop)
        try:
            cure = remedy_of(name)(case, self.asked, workshop)
            if cure.design is None:
                self.cures.said(case, name, cure)
            elif missing := self.cures.confirmed(case, name, cure, workshop):
                self._with_more_to_spare(case, name, cure, missing, workshop.memory)
            return cure.nearest
        except OutOfBudget as error:
            self.cures.say(case.key, name, f"{error}, and nothing was found that passes", "OutOfBudget")
        except (CannotBuild, Died, InvalidInput, Unsupported) as error:
            # What other remedies found must not be lost with it.
            self.cures.say(case.key, name, str(error), "Inconclusive")
        return None

    def _with_more_to_spare(self, case: Case, name: str, before: Cure, missing: Missing, memory: Memory) -> None:
        """Again, for a set that is not so scarce, where nodes are what is searched; the last one stands."""
        failed = 1
        for turn in range(ROUNDS if name == NAME else 0):
            assert before.design is not None
            self.cures.tells(missing.known)
            memory.failed.append(before.wide)
            workshop = self._workshop(case, memory)
            # At first with little more, which keeps the fewest nodes wide.
            had = workshop.had(before.design, missing.lack.metric) if turn else 0.0
            try:
                case, cure = self._searched(with_more(case, missing.lack, had), name, memory)
            except ENDS as error:
                return self.context.progress.note(str(error))
            if cure.design is None:
                return
            if workshop.key(cure.design) == workshop.key(before.design):
                continue  # It had so much to spare already: more than what was missing is needed.
            said, still = told(cure, case, missing.lack.metric, failed), None
            with self.cures.replaced():
                still = self.cures.confirmed(case, name, said, self._workshop(case, memory), known=missing.known)
            if still is None:
                return
            before, missing, failed = cure, still, failed + 1

    def _searched(self, cases: Sequence[Case], name: str, memory: Memory) -> tuple[Case, Cure]:
        """What is found of the first of these cases of which anything is, and of which; of the last, if of none.

        Raises:
            ENDS: of the last.
        """
        case, *others = cases
        try:
            cure = remedy_of(name)(case, self.asked, self._workshop(case, memory))
        except ENDS as error:
            if not others:
                raise
            self.context.progress.note(str(error))
        else:
            if cure.design is not None or not others:
                return case, cure
        return self._searched(others, name, memory)

    def _workshop(self, case: Case, memory: Memory | None = None) -> Workshop:
        return Workshop(
            case=case,
            references=self.references,
            dataset=self.dataset,
            data=self._data,
            checks=judged_here(case.candidate, parse_checks(self.task.spec), self.context)[0],
            spending=self.spending,
            store=self.context.store,
            cache=self.task.cache,
            scratch=self.context.workdir(self.task),
            progress=self.context.progress,
            versions=versions(),
            entries=self.trials,
            artifacts=join(self.task.folder, FOLDER, case.key),
            memory=memory or Memory(),
        )

    @property
    def _data(self) -> str:
        """What tells the samples that are searched with from all others."""
        return cache_key(
            dataset=self.dataset.identity,
            golden=f"{self.record.uri} {self.record.identity}",
            share=str(self.asked.search_share),
            part="search",
        )
