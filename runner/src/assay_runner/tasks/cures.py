"""What becomes of what remedies find: kept as the best so far, audited on unseen samples, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from assay_api.plan import Task
from assay_api.repair import RemedyEntry, TrialEntry
from assay_api.report import CandidateReport, Finding, Verdict
from assay_runner.checks import parse_checks
from assay_runner.errors import CannotBuild, Died, InvalidInput, Unsupported
from assay_runner.journal import step
from assay_runner.remedies.auditing import Looks, audited
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.deploy import UNFOUNDED, UNJUDGED, deployed
from assay_runner.remedies.precision.tries import NAME
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.scarce import Lack, lacking
from assay_runner.remedies.splits import UNSEEN, Part, Split
from assay_runner.remedies.workshop import Workshop
from assay_runner.stores import join
from assay_runner.tasks.candidate import MADE_UP
from assay_runner.tasks.context import Context
from assay_runner.tasks.for_gpu import judged_here


@dataclass(frozen=True)
class Missing:
    """What a set lacks on samples of which searches may be told.

    Attributes:
        lack: what it is.
        known: of how many parts of the data searches have been told then.
    """

    lack: Lack
    known: int


class Cures:
    """What remedies of one repair have come to.

    Attributes:
        remedies: each, in the order in which they were tried.
        candidates: repaired ones that were audited.
        findings: of these.
        told: samples of which searches have been told; of any candidate the most.
    """

    def __init__(self, task: Task, context: Context, split: Split, trials: Sequence[TrialEntry]) -> None:
        """Nothing yet; `trials` are those of the whole repair, as they come."""
        self.remedies: list[RemedyEntry] = []
        self.candidates: list[CandidateReport] = []
        self.findings: list[Finding] = []
        self.told = 0
        self._task, self._context, self._split, self._trials = task, context, split, trials

    def keeping(self, case: Case, name: str, workshop: Workshop) -> Callable[[Design], None]:
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
                    deployed(said, None, self._folder(self._key(case, name)), self._context.store, workshop)
            except Died as error:
                self._context.progress.note(str(error))

        return keep

    def _folder(self, key: str) -> str:
        return join(self._task.folder, key.replace("@", "."))

    def confirmed(self, case: Case, name: str, cure: Cure, workshop: Workshop, *, known: int = 0) -> Missing | None:
        """Audit what a remedy found on what no search has seen, and keep what is to be deployed.

        Args:
            case: the candidate.
            name: of the remedy.
            cure: what it found.
            workshop: where it is built.
            known: of how many parts of the data searches have been told what was missing.

        Returns:
            What it lacks to pass on the samples of which searches may be told, where that is a little.
        """
        assert cure.design is not None
        key = self._key(case, name)
        if self._split.whole:
            said = "all samples were needed to search, so none is left to confirm it: give the dataset more"
            self.say(case.key, name, f"{cure.message}; {said}", "SearchOnly", cure)
            return None
        before = len(self._trials)
        with audited(workshop, cure.design, name, key, self._looks(name, known)) as audit:
            measured, part = audit.measured, audit.part
            verdict = measured.report.verdict
            if self._task.spec.dataset.synthetic and verdict is Verdict.PASSED:
                verdict = Verdict.INCONCLUSIVE
            words = cure.design.words if verdict is Verdict.PASSED else f"{UNFOUNDED}: {cure.design.words}"
            laid_out = replace(cure.design, words=words)
            folder, store = self._folder(key), self._context.store
            deploy = deployed(laid_out, audit.subject, folder, store, workshop, audit.deploy)
            audit.keep(deploy)
            short = key.removesuffix(f"@{self._task.gpu_product}")
            named = {"name": key, "candidate": short, "gpu_product": self._task.gpu_product, "repaired": case.key}
            left = judged_here(case.candidate, parse_checks(self._task.spec), self._context)[1]
            notes = (*measured.report.notes, f"repaired: {cure.message}")
            made = {"verdict": verdict, "notes": notes, "weights_only": cure.design.weights_only, "left": left}
            self.candidates.append(measured.report.model_copy(update={**named, **made}))
            self.findings += measured.findings
        outcome = {Verdict.PASSED: "Cured", Verdict.FAILED: "SearchOnly"}.get(verdict, "Inconclusive")
        lack = lacking(measured.findings) if name == NAME else None
        which = self._which(part)
        said = {
            "Cured": f"passes on {which} that no search has seen",
            "SearchOnly": f"passes on the samples it was searched with, and fails on {which} that it had not seen",
        }.get(outcome, f"could not be judged on {which} that no search has seen{_why(measured.findings)}")
        said += self._told(part, lack, known)
        if len(engines := [trial.verdict for trial in self._trials[before:]]) > 1:
            said = f"{said}: {engines.count(Verdict.PASSED)} of {len(engines)} engines of it pass"
        if self._task.spec.dataset.synthetic:
            said = f"{said}; {MADE_UP}"
        self.say(case.key, name, f"{cure.message}; it {said}", outcome, cure, key)
        self.remedies[-1] = self.remedies[-1].model_copy(update={"deploy": deploy})
        # Where another engine of it was shown more, nothing is left that a search may be told of.
        shown = {trial.split for trial in self._trials[before:]}
        return Missing(lack, max(known, part.turn + 1)) if lack and shown == {"told"} else None

    def tells(self, known: int) -> None:
        """A search is told of so many parts of the data."""
        self.told = max(self.told, self._samples_told(known))

    def _samples_told(self, known: int) -> int:
        return sum(self._split.parts[part].samples for part in self._split.telling[:known])

    def _looks(self, name: str, known: int) -> Looks:
        """Where another search may be told what is missing, some of the samples are kept for the verdict."""
        if name != NAME or not (telling := self._split.telling):
            return Looks()
        return Looks(Part("last", known - 1) if known else UNSEEN, telling, known)

    def _which(self, part: Part) -> str:
        """Of how many samples the verdict is."""
        return f"{self._split.parts[part].samples} samples"

    def _told(self, part: Part, lack: Lack | None, known: int) -> str:
        """What was looked at besides, or could not be."""
        if part.kind == "last":
            return f"; {self._samples_told(known)} others had told the search what was missing"
        could = "; a search could be told what it lacks, but"
        if lack and part == UNSEEN and not self._split.telling:
            few = self._split.samples("unseen")
            return (
                f"{could} of {few} {'sample' if few == 1 else 'samples'} none can be kept back for a second verdict: "
                "give the dataset more samples"
            )
        if lack and part == UNSEEN:
            return f"{could} all samples have been looked at: give the dataset more, and repair it again"
        return ""

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Another cure in place of the last one that was audited, which stays where the other cannot be."""
        before = list(self.candidates), list(self.findings), list(self.remedies)
        key = self.candidates[-1].name
        del self.candidates[-1], self.remedies[-1]
        self.findings[:] = [finding for finding in self.findings if finding.candidate != key]
        try:
            yield
        except (CannotBuild, Died, InvalidInput, Unsupported) as error:
            self.candidates[:], self.findings[:], self.remedies[:] = before
            self._context.progress.note(str(error))

    def _key(self, case: Case, name: str) -> str:
        """Key of a repaired candidate: no other candidate's."""
        base = f"{case.candidate.name}-{name.lower()}"
        taken = {candidate.name for candidate in self._task.spec.candidates} | {c.candidate for c in self.candidates}
        key = next(each for each in (base, *(f"{base}-{n}" for n in range(2, 99))) if each not in taken)
        return key if self._task.gpu_product is None else f"{key}@{self._task.gpu_product}"

    def said(self, case: Case, name: str, cure: Cure) -> None:
        """Tell that a remedy found nothing."""
        outcome = "NotCured" if cure.why == "Found" else cure.why
        self.say(case.key, name, cure.message, outcome, cure)

    def say(
        self, key: str, name: str, message: str, outcome: str = "DoesNotApply", cure: Cure | None = None, made: str = ""
    ) -> None:
        """Tell what came of a remedy."""
        self._context.progress.note(f"{name}: {message}")
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
