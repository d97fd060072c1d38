"""The repair task: for every candidate that failed, remedies; what they find is audited and published as candidates.

It comes after the candidates of one GPU product, and is done where one of them failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from assay_api.plan import Task, siblings
from assay_api.remedies import Remedies
from assay_api.repair import RemedyEntry, RepairEntry, TrialEntry
from assay_api.report import CandidateReport, Finding, Report, Verdict
from assay_api.result import TaskResult
from assay_runner.backends import BACKENDS
from assay_runner.backends.order import order_of
from assay_runner.backends.seams import Keeping
from assay_runner.checks import parse_checks
from assay_runner.data.datasets import Dataset
from assay_runner.digests import cache_key
from assay_runner.errors import CannotBuild, Died, InvalidInput, Unsupported
from assay_runner.golden.reference import Reference
from assay_runner.journal import step
from assay_runner.models.loading import LoadedModel
from assay_runner.models.witness import unchanged
from assay_runner.remedies import REMEDIES, remedy_of
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.deploy import UNFOUNDED, UNJUDGED, deployed
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.spending import OutOfBudget, Spending
from assay_runner.remedies.splits import PARTS, Part, Split
from assay_runner.remedies.workshop import Workshop
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged
from assay_runner.tasks.candidate import MADE_UP, calibration_of
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import environment, versions
from assay_runner.tasks.golden import dataset_of, open_golden
from assay_runner.tasks.publish import by_severity, publish, published, resumed, task_result
from assay_runner.tasks.records import GoldenRecord, read_record
from assay_runner.tasks.sections import golden_section

FOLDER = "remedies"
"""Folder of the task's with what remedies leave beside the report, by candidate."""
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
        self.references: dict[Part, Reference] = {part: self._reference(part) for part in PARTS}
        self.spending = Spending(self.asked.budget)
        self.trials: list[TrialEntry] = []
        self.remedies: list[RemedyEntry] = []
        self.candidates: list[CandidateReport] = []
        self.findings: list[Finding] = []
        self.cases: tuple[Case, ...] = ()

    def report(self) -> Report:
        """All remedies of all cases, and what came of them."""
        self.cases = tuple(self._failed())
        for case in self.cases:
            for name in REMEDIES:
                if self.asked.asked(name):
                    self._remedied(case, name)
        unchanged((*self.model.files, *(file for case in self.cases for file in case.design.model.files)))
        cured = {entry.candidate for entry in self.remedies if entry.outcome == "Cured"}
        failed = {entry.candidate for entry in self.remedies}
        return Report(
            audit=self.task.audit,
            run=self.task.run,
            task=self.task.key,
            created=self.context.created(),
            verdict=Verdict.PASSED if failed and failed <= cured else Verdict.INCONCLUSIVE,
            emulated=any(candidate.emulated for candidate in self.candidates),
            candidates=tuple(self.candidates),
            findings=by_severity(tuple(self.findings)),
            repair=(self._entry(),),
            golden=golden_section(self.record),
            dataset=self.dataset.describe(),
            environment=environment(),
            spec=self.task.spec,
            reproduce=self.context.reproduce,
        )

    def _entry(self) -> RepairEntry:
        return RepairEntry(
            remedies=tuple(self.remedies),
            trials=tuple(self.trials),
            search_samples=self.split.samples("search"),
            unseen_samples=self.split.samples("unseen"),
            builds=self.spending.builds,
            proposals=self.spending.proposals,
            seconds=self.spending.seconds,
            valid_for=self._valid_for(),
        )

    def _valid_for(self) -> dict[str, str]:
        found = {"model": self.model.identity, "data": self.dataset.identity, "versions": versions()}
        for backend in {case.backend for case in self.cases}:
            if isinstance(backend, Keeping):
                found[backend.name] = backend.identity()
        return found

    def _reference(self, part: Part) -> Reference:
        golden = open_golden(self.record, self.task, self.model, self.dataset, self.context, self.notes)
        folder = self.context.workdir(self.task) / part
        return Reference(
            self.model,
            self.split.batches(part),
            self.split.outputs(part, golden),
            self.record.precision,
            folder,
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
                self._say(of.key, "precision", f"{of.key} {UNFIT}")
                continue
            own = self.context.load(candidate.model, self.task.spec.dataset) if candidate.model else self.model
            calibration = calibration_of(candidate, own, self.context)
            design = Design(order_of(candidate, own.path), own, calibration)
            backend = BACKENDS[self.context.backend or candidate.backend]
            whole = calibration_of(candidate, own, self.context, whole=True)
            yield Case(of.key, candidate, backend, design, report.candidates[0], report.findings, whole)

    def _remedied(self, case: Case, name: str) -> None:
        """One remedy for one case; an error of it is its own outcome, and stops no other."""
        workshop = Workshop(
            case=case,
            references=self.references,
            dataset=self.dataset,
            data=cache_key(
                dataset=self.dataset.identity,
                golden=f"{self.record.uri} {self.record.identity}",
                share=str(self.asked.search_share),
                part="search",
            ),
            checks=parse_checks(self.task.spec),
            spending=self.spending,
            store=self.context.store,
            cache=self.task.cache,
            scratch=self.context.workdir(self.task),
            progress=self.context.progress,
            versions=versions(),
            entries=self.trials,
            artifacts=join(self.task.folder, FOLDER, case.key),
        )
        workshop.keep = self._keeping(case, name, workshop)
        try:
            cure = remedy_of(name)(case, self.asked, workshop)
            if cure.design is None:
                self._said(case, name, cure)
            else:
                self._confirmed(case, name, cure, workshop)
        except OutOfBudget as error:
            self._say(case.key, name, f"{error}, and nothing was found that passes", "OutOfBudget")
        except (CannotBuild, Died, InvalidInput, Unsupported) as error:
            # What other remedies found must not be lost with it.
            self._say(case.key, name, str(error), "Inconclusive")

    def _keeping(self, case: Case, name: str, workshop: Workshop) -> Callable[[Design], None]:
        """Store the best so far where the confirmed one will lie: a repair that is stopped leaves something of use."""
        least: list[tuple[bool, int]] = []

        def keep(design: Design) -> None:
            wide = (design.order.precision != case.candidate.precision, len(design.order.held))
            if least and wide >= least[0]:
                return
            least[:] = [wide]
            said = replace(design, words=f"{UNJUDGED}: {design.words}")
            try:
                with step(f"keep-{case.key}-{name}-{wide[1]}", "storing the best so far of a repair"):
                    deployed(said, None, self._folder(self._key(case, name)), self.context.store, workshop)
            except Died as error:
                self.context.progress.note(str(error))

        return keep

    def _folder(self, key: str) -> str:
        return join(self.task.folder, key.replace("@", "."))

    def _confirmed(self, case: Case, name: str, cure: Cure, workshop: Workshop) -> None:
        """Audit what a remedy found on what no search has seen, and keep what is to be deployed."""
        assert cure.design is not None
        key = self._key(case, name)
        if self.split.whole:
            said = "all samples were needed to search, so none is left to confirm it: give the dataset more"
            return self._say(case.key, name, f"{cure.message}; {said}", "SearchOnly", cure)
        before = len(self.trials)
        with workshop.audited(cure.design, name, key) as (measured, subject):
            verdict = measured.report.verdict
            if self.task.spec.dataset.synthetic and verdict is Verdict.PASSED:
                verdict = Verdict.INCONCLUSIVE
            words = cure.design.words if verdict is Verdict.PASSED else f"{UNFOUNDED}: {cure.design.words}"
            laid_out = replace(cure.design, words=words)
            deploy = deployed(laid_out, subject, self._folder(key), self.context.store, workshop)
            short = key.removesuffix(f"@{self.task.gpu_product}")
            named = {"name": key, "candidate": short, "gpu_product": self.task.gpu_product, "repaired": case.key}
            notes = (*measured.report.notes, f"repaired: {cure.message}")
            made = {"verdict": verdict, "notes": notes, "weights_only": cure.design.weights_only}
            self.candidates.append(measured.report.model_copy(update={**named, **made}))
            self.findings += measured.findings
        outcome = {Verdict.PASSED: "Cured", Verdict.FAILED: "SearchOnly"}.get(verdict, "Inconclusive")
        samples = self.split.samples("unseen")
        said = {
            "Cured": f"passes on {samples} samples that no search has seen",
            "SearchOnly": f"passes on the samples it was searched with, and fails on {samples} that it had not seen",
        }.get(outcome, f"could not be judged on {samples} samples that no search has seen{_why(measured.findings)}")
        if len(engines := [trial.verdict for trial in self.trials[before:]]) > 1:
            said = f"{said}: {engines.count(Verdict.PASSED)} of {len(engines)} engines of it pass"
        if self.task.spec.dataset.synthetic:
            said = f"{said}; {MADE_UP}"
        self._say(case.key, name, f"{cure.message}; it {said}", outcome, cure, key)
        self.remedies[-1] = self.remedies[-1].model_copy(update={"deploy": deploy})

    def _key(self, case: Case, name: str) -> str:
        """Key of a repaired candidate: no other candidate's."""
        base = f"{case.candidate.name}-{name.lower()}"
        taken = {candidate.name for candidate in self.task.spec.candidates} | {c.candidate for c in self.candidates}
        key = next(each for each in (base, *(f"{base}-{n}" for n in range(2, 99))) if each not in taken)
        return key if self.task.gpu_product is None else f"{key}@{self.task.gpu_product}"

    def _said(self, case: Case, name: str, cure: Cure) -> None:
        outcome = "NotCured" if cure.why == "Found" else cure.why
        self._say(case.key, name, cure.message, outcome, cure)

    def _say(
        self, key: str, name: str, message: str, outcome: str = "DoesNotApply", cure: Cure | None = None, made: str = ""
    ) -> None:
        self.context.progress.note(f"{name}: {message}")
        entry = RemedyEntry.model_validate(
            {"candidate": key, "remedy": name, "outcome": outcome, "message": message, "repaired": made or None}
        )
        if cure:
            told = {name: getattr(cure, name) for name in ("minimal", "tactics", "calibrations", "coverage")}
            entry = entry.model_copy(update={"wide": dict(cure.wide), **told})
        self.remedies.append(entry)


def _why(findings: Sequence[Finding]) -> str:
    """What of them is not decided."""
    told = next((each.message for each in findings if each.verdict is Verdict.INCONCLUSIVE), "")
    return f" ({told})" if told else ""
