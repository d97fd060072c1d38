"""What a remedy found, audited: by every check, on the samples that no search has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from assay_api.report import Verdict
from assay_runner.backends.seams import Keeping
from assay_runner.backends.subject import Subject
from assay_runner.builds.brief import briefly_built
from assay_runner.journal import step
from assay_runner.passes.setting import Setting
from assay_runner.remedies.case import Design
from assay_runner.remedies.judged import Judged, Said, clear
from assay_runner.remedies.judging import failed_by_slips, kept_wide
from assay_runner.remedies.workshop import Workshop
from assay_runner.trial.measure import Measured, measure


@contextmanager
def audited(workshop: Workshop, design: Design, remedy: str, key: str) -> Iterator[tuple[Measured, Subject]]:
    """Build it by the case's own backend and audit it by all checks on the samples that no search has seen.

    One engine that fails by a little says nothing of the next: then two of three decide, and the last is given.

    Args:
        workshop: where it is built.
        design: what is audited.
        remedy: whose.
        key: what to call the candidate.

    It is done whatever is left of the budget, for without it all that was spent is lost.

    Raises:
        CannotBuild: it cannot be built.
        Unavailable: memory or the device gave out.
    """
    tally: list[bool] = []
    while True:
        with _audited(workshop, design, remedy, key) as (measured, subject, found):
            tally.append(found.verdict is not Verdict.FAILED)
            if not _undecided(workshop, tally, found):
                yield measured, subject
                return


def _undecided(workshop: Workshop, tally: Sequence[bool], found: Judged) -> bool:
    """Whether another engine is to be audited."""
    if tally[0] or sum(tally) > 1 or tally.count(False) > 1 or not isinstance(workshop.case.backend, Keeping):
        return False
    if len(tally) == 1 and clear(found):
        return False
    return workshop.spending.allows(workshop.oracle, 3 - len(tally))


@contextmanager
def _audited(workshop: Workshop, design: Design, remedy: str, key: str) -> Iterator[tuple[Measured, Subject, Judged]]:
    workshop.tell(design, workshop.oracle, key)
    spending = workshop.spending
    started = spending.clock()
    request = workshop.request(workshop.case.backend, design)
    with (
        step(f"audit-{key}", f"auditing {key}"),
        briefly_built(request, key, workshop.scratch, workshop.aside) as subject,
    ):
        measured = measure(Setting(subject, workshop.references["unseen"], workshop.aside), workshop.checks)
        kept = kept_wide(subject, request.order.held)
        measured = failed_by_slips(measured, kept, key)
        spending.count(workshop.oracle)
        latency = measured.report.latency.median_ms if measured.report.latency else None
        said = tuple(map(Said.of, measured.findings))
        found = Judged(said=said, slips=kept, latency_ms=latency, seconds=spending.clock() - started)
        workshop.note(design, remedy, workshop.oracle, found, split="unseen")
        yield measured, subject, found
