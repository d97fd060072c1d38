"""Several machines' screenings put together: a majority over all of them, and every machine listed.

A machine with one GPU or two has no majority of its own. Its report tells what its GPUs answered, so reports of one
plan and the same inputs are held against one another. Whoever deviates here was scanned once: it is named where a
second report of the same device deviates too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
    peers = _peers(known.values())
    kinds = ((each, each.newest.kind) for each in known.values())
    entries = _excused([_judged(each, truths.get(kind, Truth()), peers.get(kind, [])) for each, kind in kinds])
    hosts = {report.host for _, report in reports}
    missing = (host for host in dict.fromkeys(expected) if host not in hosts)
    return (*entries, *(_missing(host) for host in missing))


def truths_of(
    reports: Sequence[tuple[str, ScreenReport]], records: Mapping[DeviceClass, AnswerRecord]
) -> dict[DeviceClass, Truth]:
    """What `together` takes for right, by class of the devices that answered."""
    return _truths(_known(reports).values(), records)


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
    by_class: dict[DeviceClass, list[DeviceEntry]] = {}
    for each in known:
        if each.scanned:
            by_class.setdefault(each.newest.kind, []).append(each.scanned[0])
    return {kind: _truth(entries, records.get(kind)) for kind, entries in by_class.items()}


def _truth(entries: Sequence[DeviceEntry], record: AnswerRecord | None) -> Truth:
    """What counts as right for one class. That most devices vary is the subject's doing."""
    truth = truth_of([_scan(each) for each in entries], record)
    varying = sum(each.deviations > 0 and not _overturned(each, truth) for each in entries)
    return replace(truth, unsteady=varying * 2 > len(entries))


def _scan(entry: DeviceEntry) -> Scan:
    """An entry as a scan of which the commonest answers are known."""
    answers = tuple(Answer(input=n, digest=each, count=1) for n, each in enumerate(entry.answers))
    return Scan(device=entry.device, ended="Done", runs=entry.runs, answers=answers)


def _peers(known: Iterable[_Known]) -> dict[DeviceClass, list[set[tuple[str, ...]]]]:
    """The answers of each device that gave any, by class."""
    found: dict[DeviceClass, list[set[tuple[str, ...]]]] = {}
    for each in known:
        if each.scanned:
            found.setdefault(each.newest.kind, []).append({entry.answers for entry in each.scanned})
    return found


def _judged(known: _Known, truth: Truth, peers: Sequence[set[tuple[str, ...]]]) -> DeviceEntry:
    entry = known.newest
    verdict, message, confirmed = _verdict(known, truth, peers)
    runs = sum(each.runs for each in known.scanned)
    clean = verdict is Verdict.PASSED and runs > 0
    return entry.model_copy(
        update={
            "host": known.host, "verdict": verdict, "message": message, "confirmed": confirmed,
            "excludes": EXCLUDED / runs if clean else None,
        }
    )  # fmt: skip


def _excused(entries: Sequence[DeviceEntry]) -> list[DeviceEntry]:
    """The devices, none of which is named where all of its class hang or die: that is the plan's doing."""
    dead = {}
    for kind in {entry.kind for entry in entries}:
        run = [entry for entry in entries if entry.kind == kind and entry.state == "Scanned"]
        dead[kind] = len(run) > 1 and all(each.verdict is Verdict.FAILED and not each.answers for each in run)
    return [_excuse(each) if dead[each.kind] and each.verdict is Verdict.FAILED else each for each in entries]


def _excuse(entry: DeviceEntry) -> DeviceEntry:
    words = f"{entry.message}; no other device of its class did better: look at the plan"
    return entry.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "message": words})


def _verdict(known: _Known, truth: Truth, peers: Sequence[set[tuple[str, ...]]]) -> tuple[Verdict, str, bool | None]:
    named = next((e for e in known.told if e.verdict is Verdict.FAILED and not _overturned(e, truth)), None)
    if named:
        return Verdict.FAILED, named.message, named.confirmed
    if not known.scanned:
        return Verdict.INCONCLUSIVE, known.newest.message, None
    return _ruled(known, truth) if truth.answers else _unruled(known, peers)


def _ruled(known: _Known, truth: Truth) -> tuple[Verdict, str, bool | None]:
    """What to say of a device that gave answers, where it is known which are right."""
    wrong = [each for each in known.scanned if _deviates(each, truth)]
    by = "the record" if truth.rule == "digest" else "most devices of its class"
    if len(wrong) > 1:
        return Verdict.FAILED, f"its answers deviate from {by} in {len(wrong)} scans", True
    if wrong:
        words = f"its answers deviate from {by} in one scan"
        return Verdict.INCONCLUSIVE, f"{words}: scan it again, and give both reports", False
    if now_and_then := [each for each in known.scanned if each.deviations and not _overturned(each, truth)]:
        return _intermittent(now_and_then, truth)
    runs = sum(each.runs for each in known.scanned)
    if any(which not in truth.answers for which in range(len(known.newest.answers))):
        return Verdict.INCONCLUSIVE, "on some inputs no answer is that of most devices: give a record (--digest)", None
    return (
        Verdict.PASSED,
        f"every answer is that of {by}; faults in more than {EXCLUDED / runs:.1e} of runs are excluded",
        None,
    )


def _unruled(known: _Known, peers: Sequence[set[tuple[str, ...]]]) -> tuple[Verdict, str, bool | None]:
    """What to say of one where nothing says which answer is right: as on one machine, that names nobody.

    Args:
        known: a device that gave answers.
        peers: answers of each device of its class, its own among them.
    """
    record = "give a record" if len(peers) < MAJORITY else "no answer is that of most devices: give a record"
    runs = sum(each.runs for each in known.scanned)
    if wrong := sum(each.deviations for each in known.scanned):
        words = f"{wrong} of {runs} runs deviate from its commonest answer: the plan or the device varies"
        return Verdict.INCONCLUSIVE, f"{words}; {record}", None
    excluded = f"faults in more than {EXCLUDED / max(runs, 1):.1e} of runs are excluded (95 %, {runs} runs)"
    if len(peers) == 1:
        words = f"agrees with itself, and nothing else of its class answered: {record}"
        return Verdict.INCONCLUSIVE, f"{words}; intermittent {excluded}", None
    if len(peers) < MAJORITY and len(set[tuple[str, ...]]().union(*peers)) == 1:
        return Verdict.PASSED, f"agrees with the other device of its class; {excluded}", None
    if len(peers) < MAJORITY:
        return Verdict.INCONCLUSIVE, f"differs from the other device of its class, and two name nobody: {record}", None
    return Verdict.INCONCLUSIVE, record, None


def _intermittent(scans: Sequence[DeviceEntry], truth: Truth) -> tuple[Verdict, str, bool | None]:
    """What to say of a device that is right most of the time, by those of its scans in which it was not always."""
    if truth.unsteady:
        words = "the subject itself gives now one answer and now another on most devices"
        return Verdict.INCONCLUSIVE, f"{words}: screen with a plan that does not", None
    found = f"{scans[0].deviations} of {scans[0].runs} runs deviate"
    if len(scans) > 1:
        return Verdict.FAILED, f"{found} in one scan, and {scans[1].deviations} of {scans[1].runs} in another", True
    return Verdict.INCONCLUSIVE, f"{found} in one scan: scan it again, and give both reports", False


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
