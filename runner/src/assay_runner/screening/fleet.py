"""Several machines' screenings put together: a majority over all of them, and every machine listed.

A machine with one GPU or two has no majority of its own. Its report tells what its GPUs answered, so reports of one
plan and the same inputs are held against one another. Whoever deviates here was scanned once: it is named where a
second report of the same device deviates too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay_api.finding import Verdict
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry, ScreenReport
from assay_runner.errors import InvalidInput
from assay_runner.screening.judging import EXCLUDED, MAJORITY, Truth, truth_of
from assay_runner.screening.orders import Answer, Scan

NODE = "node/"
UNKNOWN = DeviceClass(product="unknown")


@dataclass(frozen=True)
class _Known:
    """What the reports tell of one device, the newest last."""

    host: str
    told: tuple[DeviceEntry, ...]

    @property
    def newest(self) -> DeviceEntry:
        return self.told[-1]

    @property
    def scanned(self) -> tuple[DeviceEntry, ...]:
        return tuple(each for each in self.told if each.answers)


def together(
    reports: Sequence[tuple[str, ScreenReport]], expected: Sequence[str], records: Mapping[DeviceClass, AnswerRecord]
) -> tuple[DeviceEntry, ...]:
    """Every device of some reports, judged by all of them, and every machine that is expected and has none.

    Args:
        reports: of one plan, with what each is called.
        expected: names of machines.
        records: right answers that are stored, by class.

    Raises:
        InvalidInput: they are of different plans or inputs.
    """
    _check(reports, records)
    known = _known(reports)
    truths = _truths(known.values(), records)
    entries = [_judged(each, truths.get(each.newest.kind, Truth())) for each in known.values()]
    hosts = {report.host for _, report in reports}
    missing = (host for host in dict.fromkeys(expected) if host not in hosts)
    return (*entries, *(_missing(host) for host in missing))


def _check(reports: Sequence[tuple[str, ScreenReport]], records: Mapping[DeviceClass, AnswerRecord]) -> None:
    first, one = reports[0]
    inputs = next((report.inputs for _, report in reports if report.inputs), "")
    for name, report in reports:
        if report.sha256 != one.sha256:
            raise InvalidInput(f"{name} is of another plan than {first}: compare reports of one plan")
        if report.inputs and report.inputs != inputs:
            raise InvalidInput(f"{name} is of other inputs than {first}: screen with one --data, --count and --batch")
    if any(inputs and record.inputs != inputs for record in records.values()):
        raise InvalidInput("the record is of other inputs than the reports")


def _known(reports: Sequence[tuple[str, ScreenReport]]) -> dict[tuple[str, str], _Known]:
    """What is told of each device, by machine and name: stand-ins are called alike everywhere."""
    found: dict[tuple[str, str], list[DeviceEntry]] = {}
    for _, report in sorted(reports, key=lambda pair: pair[1].made):
        for entry in report.devices:
            found.setdefault((report.host, entry.device), []).append(entry)
    return {key: _Known(key[0], tuple(told)) for key, told in sorted(found.items())}


def _truths(known: Iterable[_Known], records: Mapping[DeviceClass, AnswerRecord]) -> dict[DeviceClass, Truth]:
    by_class: dict[DeviceClass, list[Scan]] = {}
    for each in known:
        if each.scanned:
            by_class.setdefault(each.newest.kind, []).append(_scan(each.scanned[0]))
    return {kind: truth_of(scans, records.get(kind)) for kind, scans in by_class.items()}


def _scan(entry: DeviceEntry) -> Scan:
    """An entry as a scan of which the commonest answers are known."""
    answers = tuple(Answer(input=n, digest=each, count=1) for n, each in enumerate(entry.answers))
    return Scan(device=entry.device, ended="Done", runs=entry.runs, answers=answers)


def _judged(known: _Known, truth: Truth) -> DeviceEntry:
    entry = known.newest
    verdict, message, confirmed = _verdict(known, truth)
    runs = sum(each.runs for each in known.scanned)
    clean = verdict is Verdict.PASSED and runs > 0
    return entry.model_copy(
        update={
            "host": known.host, "verdict": verdict, "message": message, "confirmed": confirmed,
            "excludes": EXCLUDED / runs if clean else None,
        }
    )  # fmt: skip


def _verdict(known: _Known, truth: Truth) -> tuple[Verdict, str, bool | None]:
    named = next((e for e in known.told if e.verdict is Verdict.FAILED and not _overturned(e, truth)), None)
    if named:
        return Verdict.FAILED, named.message, named.confirmed
    if not known.scanned:
        return Verdict.INCONCLUSIVE, known.newest.message, None
    if not truth.answers:
        return (
            Verdict.INCONCLUSIVE,
            f"fewer than {MAJORITY} devices of its class answered: give a record (--digest)",
            None,
        )
    wrong = [each for each in known.scanned if _deviates(each, truth)]
    by = "the record" if truth.rule == "digest" else "most devices of its class"
    if len(wrong) > 1:
        return Verdict.FAILED, f"its answers deviate from {by} in {len(wrong)} scans", True
    if wrong:
        words = f"its answers deviate from {by} in one scan"
        return Verdict.INCONCLUSIVE, f"{words}: scan it again, and give both reports", False
    unclear = next((each for each in known.scanned if each.deviations and not _overturned(each, truth)), None)
    if unclear:
        return Verdict.INCONCLUSIVE, unclear.message, unclear.confirmed
    runs = sum(each.runs for each in known.scanned)
    if any(which not in truth.answers for which in range(len(known.newest.answers))):
        return Verdict.INCONCLUSIVE, "on some inputs no answer is that of most devices: give a record (--digest)", None
    return (
        Verdict.PASSED,
        f"every answer is that of {by}; faults in more than {EXCLUDED / runs:.1e} of runs are excluded",
        None,
    )


def _deviates(entry: DeviceEntry, truth: Truth) -> bool:
    return any(truth.answers.get(which, each) != each for which, each in enumerate(entry.answers))


def _overturned(entry: DeviceEntry, truth: Truth) -> bool:
    """Whether a machine's own majority was wrong of a device: it answers as most of all do, and did so throughout.

    What deviates now and then is not its commonest answer, so at most half of its runs do.
    """
    right = bool(truth.answers and entry.answers) and not _deviates(entry, truth)
    return right and entry.deviations * 2 > entry.runs


def _missing(host: str) -> DeviceEntry:
    return DeviceEntry(
        device=f"{NODE}{host}",
        kind=UNKNOWN,
        state="Skipped",
        verdict=Verdict.INCONCLUSIVE,
        message="no report of this machine was given",
    )
