"""What a remedy found, audited: by every check, on samples that no search has seen.

Every build of an audit is kept as trials are, once it is judged: a repair that is begun anew takes its answer, and what
of it is to be deployed, where that lies in its place still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from assay_api.repair import Deployable
from assay_api.report import CandidateReport, Finding, Verdict
from assay_runner.backends.seams import Keeping
from assay_runner.backends.subject import Subject
from assay_runner.builds.brief import briefly_built
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.digests import cache_key
from assay_runner.journal import step
from assay_runner.passes.setting import Setting
from assay_runner.remedies.case import Design
from assay_runner.remedies.deploy import build_digests
from assay_runner.remedies.judged import Judged, Said, clear
from assay_runner.remedies.judging import failed_by_slips, kept_wide, metrics_of
from assay_runner.remedies.scarce import lacking
from assay_runner.remedies.splits import UNSEEN, Part
from assay_runner.remedies.workshop import TRIALS, Workshop
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, EntryRecord, put_record, read_record
from assay_runner.trial.measure import Measured, measure

WHAT = "audit of a repair"


@dataclass(frozen=True)
class Looks:
    """On which samples it is judged.

    Attributes:
        judging: of these is the verdict.
        first: looked at before, in this order; what lacks a little there is not shown the others, and nor is what a
            search was told of them for and fails there all the same.
        known: of how many of these, the first, searches have been told.
    """

    judging: Part = UNSEEN
    first: tuple[Part, ...] = ()
    known: int = 0


class AuditRecord(EntryRecord):
    """One build that was audited; it has no files of its own."""

    report: CandidateReport
    """What was measured."""
    findings: tuple[Finding, ...]
    """What the checks found."""
    found: Judged
    """The same in few words."""
    part: Part
    """The samples that it was judged on."""
    leaves: bool = False
    """Whether something of the build itself is to be deployed."""
    deploy: Deployable | None = None
    """Where that lies, once it does."""
    digests: dict[str, str] = {}
    """SHA-256 of what the build left there, by its name in `deploy`."""


@dataclass(frozen=True)
class Audit:
    """What an audit came to.

    Attributes:
        measured: of the build that decided.
        part: the samples that it was judged on.
        subject: the build; None where an earlier run has made it.
        deploy: what that run has stored of it.
        keep: is told where it lies now.
    """

    measured: Measured
    part: Part
    subject: Subject | None
    deploy: Deployable | None
    keep: Callable[[Deployable], None]


@contextmanager
def audited(workshop: Workshop, design: Design, remedy: str, key: str, looks: Looks) -> Iterator[Audit]:
    """Build it by the case's own backend and audit it by all checks on samples that no search has seen.

    One engine that fails by a little says nothing of the next: then two of three decide, and the last is given.

    Args:
        workshop: where it is built.
        design: what is audited.
        remedy: whose.
        key: what to call the candidate.
        looks: on which samples.

    It is done whatever is left of the budget, for without it all that was spent is lost.

    Raises:
        CannotBuild: it cannot be built.
        Unavailable: memory or the device gave out.
    """
    tally: list[bool] = []
    while True:
        uri = _place(workshop, design, key, looks, len(tally))
        with _known(workshop, uri, tally, design, remedy) or _built(workshop, design, remedy, key, looks) as made:
            record, subject = made
            if subject:
                put_record(workshop.store, uri, record)
            tally.append(record.found.verdict is not Verdict.FAILED)
            if not _undecided(workshop, tally, record.found):
                yield _audit(workshop, uri, record, subject)
                return


def _audit(workshop: Workshop, uri: str, record: AuditRecord, subject: Subject | None) -> Audit:
    def keep(deploy: Deployable) -> None:
        made = {"deploy": deploy, "digests": build_digests(deploy, workshop.store, workshop.scratch)}
        put_record(workshop.store, uri, record.model_copy(update=made))

    measured = Measured(record.report, record.findings)
    return Audit(measured, record.part, subject, None if subject else record.deploy, keep)


def _place(workshop: Workshop, design: Design, key: str, looks: Looks, attempt: int) -> str:
    """Where the record of a build lies: by all that it depends on."""
    named = cache_key(
        build=workshop.request(workshop.case.backend, design).key(),
        data=workshop.data,
        checks=repr([(check.name, check) for check in workshop.checks]),
        metrics=metrics_of(workshop.checks),
        looks=repr(looks),
        folder=workshop.artifacts,
        key=key,
        attempt=str(attempt),
    )
    return join(workshop.cache, TRIALS, f"audit-{named}.json")


def _known(
    workshop: Workshop, uri: str, tally: Sequence[bool], design: Design, remedy: str
) -> AbstractContextManager[tuple[AuditRecord, None]] | None:
    """What an earlier run has found of a build; None where it found nothing, or cannot give what is to be deployed."""
    try:
        record = read_record(workshop.store, uri, AuditRecord, WHAT)
    except Damaged as error:
        workshop.progress.note(error.note)
        return None
    if record is None:
        return None
    decides = not _undecided(workshop, [*tally, record.found.verdict is not Verdict.FAILED], record.found)
    if decides and record.leaves and not _stands(workshop, record):
        return None
    workshop.spending.before += record.found.seconds
    workshop.spending.count(workshop.oracle)
    workshop.note(design, remedy, workshop.oracle, record.found, split=record.part, known=True)
    return nullcontext((record, None))


def _stands(workshop: Workshop, record: AuditRecord) -> bool:
    """Whether what is to be deployed of a build is there, as it was stored."""
    deploy = record.deploy
    return deploy is not None and record.digests == build_digests(deploy, workshop.store, workshop.scratch)


def _undecided(workshop: Workshop, tally: Sequence[bool], found: Judged) -> bool:
    """Whether another engine is to be audited."""
    if tally[0] or sum(tally) > 1 or tally.count(False) > 1 or not isinstance(workshop.case.backend, Keeping):
        return False
    if len(tally) == 1 and clear(found):
        return False
    return workshop.spending.allows(workshop.oracle, 3 - len(tally))


@contextmanager
def _built(
    workshop: Workshop, design: Design, remedy: str, key: str, looks: Looks
) -> Iterator[tuple[AuditRecord, Subject | None]]:
    workshop.tell(design, workshop.oracle, key)
    spending = workshop.spending
    started = spending.clock()
    request = workshop.request(workshop.case.backend, design)
    with (
        step(f"audit-{key}", f"auditing {key}"),
        briefly_built(request, key, workshop.scratch, workshop.aside) as subject,
    ):
        part, measured = _measured(workshop, subject, looks)
        kept = kept_wide(subject, request.order.held)
        measured = failed_by_slips(measured, kept, key)
        spending.count(workshop.oracle)
        latency = measured.report.latency.median_ms if measured.report.latency else None
        said = tuple(map(Said.of, measured.findings))
        found = Judged(said=said, slips=kept, latency_ms=latency, seconds=spending.clock() - started)
        workshop.note(design, remedy, workshop.oracle, found, split=part)
        leaves = subject.built.path.suffix == ".plan" or subject.built.tactics is not None
        record = AuditRecord(
            files=(), report=measured.report, findings=measured.findings, found=found, part=part, leaves=leaves
        )
        yield record, subject


def _measured(workshop: Workshop, subject: Subject, looks: Looks) -> tuple[Part, Measured]:
    """What is measured, and of which samples."""
    drift = [check for check in workshop.checks if check.name == OutputDrift.name]
    for turn, part in enumerate(looks.first if drift else ()):
        setting = Setting(subject, workshop.references[part], workshop.aside)
        # Outputs first: of what they lack alone a search is told.
        if measure(setting, drift).report.verdict is not Verdict.FAILED:
            continue
        measured = measure(setting, workshop.checks)
        if measured.report.verdict is Verdict.FAILED:
            if turn < looks.known or lacking(measured.findings):
                return part, measured
            break  # What lacks more fails on all of them, and is told of them all.
    return looks.judging, measure(Setting(subject, workshop.references[looks.judging], workshop.aside), workshop.checks)
