"""Which devices are named, from what their scans told: pure.

A device differs from what counts as right: a stored record of its class, or what most of at least three devices of its
class answer. It is named once a second scan of it differs too. Where nothing says what is right, two that differ name
nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Literal

from assay_api.finding import Verdict, worst
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry, PhaseCount
from assay_runner.screening.answers import counted
from assay_runner.screening.orders import Scan

MAJORITY: Final = 3
"""Devices that a majority takes at least."""
EXCLUDED: Final = 3.0
"""A rate q shows in n runs with a probability of 1 - (1 - q)^n: 95 % at q = 3 / n."""
NAMED: Final = 8
"""Devices that a sentence names."""
Rule = Literal["digest", "majority", "none"]


@dataclass(frozen=True)
class Device:
    """A device of the machine, as it was found.

    Attributes:
        name: its UUID.
        kind: its comparison class.
        skipped: why it is not run, or nothing.
    """

    name: str
    kind: DeviceClass
    skipped: str = ""


@dataclass(frozen=True)
class Truth:
    """What counts as right for one class.

    Attributes:
        rule: what says so.
        answers: digests by input; fewer than there are inputs where only some are agreed upon.
        unsteady: whether the subject itself gives now one answer and now another, on most devices.
    """

    rule: Rule = "none"
    answers: Mapping[int, str] = field(default_factory=dict)
    unsteady: bool = False


def truth_of(scans: Sequence[Scan], record: AnswerRecord | None) -> Truth:
    """What counts as right for devices of one class, by their scans.

    Args:
        scans: of the devices that answered.
        record: right answers that were stored for this class.
    """
    if record is not None:
        return Truth("digest", dict(enumerate(record.answers)))
    told = [scan.by_input() for scan in scans]
    if len(told) < MAJORITY:
        return Truth()
    unsteady = sum(any(len(answers) > 1 for answers in each.values()) for each in told) * 2 > len(told)
    agreed = {}
    for which in sorted(set().union(*told)):
        votes = Counter(counted(each[which]) for each in told if which in each)
        best, count = min(votes.items(), key=lambda pair: (-pair[1], pair[0]))
        if count * 2 > len(told):
            agreed[which] = best
    return Truth("majority", agreed, unsteady)


def deviations(scan: Scan, truth: Truth) -> int:
    """Runs whose answer is not the right one; where that is not known, not the device's own commonest."""
    found = 0
    for which, answers in scan.by_input().items():
        right = truth.answers.get(which) or counted(answers)
        found += sum(count for each, count in answers.items() if each != right)
    return found


def suspected(scan: Scan, truth: Truth) -> bool:
    """Whether a device would be named if a second scan said the same."""
    if scan.ended in ("Hung", "Died"):
        return True
    return scan.ended == "Done" and not truth.unsteady and bool(truth.answers) and deviations(scan, truth) > 0


def runs_to_confirm(scan: Scan, truth: Truth, most: int) -> int:
    """Runs in which a fault of the rate that was seen shows again with 95 % probability, as far as `most` allows.

    Never fewer than before: what shows only once a device is warm is not seen by a few runs of a cold one.
    """
    found = deviations(scan, truth)
    return min(most, max(ceil(EXCLUDED * scan.runs / found), scan.runs)) if found else most


def entry(device: Device, scan: Scan | None, truth: Truth, again: Scan | None, others: Sequence[Scan]) -> DeviceEntry:
    """What to say of one device.

    Args:
        device: the device.
        scan: its scan; None: it was skipped.
        truth: what counts as right for its class.
        again: its second scan, where there was one.
        others: scans of the other devices of its class that could be run.
    """
    if scan is None or scan.ended == "Refused":
        why = device.skipped or (scan.message if scan else "not scanned")
        return DeviceEntry(
            device=device.name, kind=device.kind, state="Skipped", verdict=Verdict.INCONCLUSIVE, message=why
        )
    verdict, message, confirmed = _judged(scan, truth, again, others)
    wrong = deviations(scan, truth)
    return DeviceEntry(
        device=device.name,
        kind=device.kind,
        state="Scanned",
        verdict=verdict,
        message=message,
        runs=scan.runs,
        deviations=wrong,
        excludes=EXCLUDED / scan.runs if scan.runs and not wrong and scan.ended == "Done" else None,
        confirmed=confirmed,
        phases=_phases(scan, truth),
        seconds=scan.seconds,
        milliseconds=scan.milliseconds,
        clock_mhz=scan.clock_mhz,
        answers=tuple(counted(answers) for _, answers in sorted(scan.by_input().items())),
    )


def conclusion(entries: Sequence[DeviceEntry]) -> tuple[Verdict, str]:
    """The verdict of a screening, and its sentence; that nothing was scanned is never a pass."""
    named = [called(each) for each in entries if each.verdict is Verdict.FAILED]
    skipped = sum(each.state == "Skipped" for each in entries)
    scanned = len(entries) - skipped
    verdict = worst(each.verdict for each in entries)
    counts = f"{scanned} of {len(entries)} devices scanned"
    if named:
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        return verdict, f"{counts}; named: {', '.join(named[:NAMED])}{more}"
    if verdict is Verdict.PASSED:
        most = max(each.excludes or 1.0 for each in entries)
        return verdict, f"{counts}, no answer deviated: faults in more than {most:.1e} of runs are excluded (95 %)"
    unclear = sum(each.verdict is Verdict.INCONCLUSIVE and each.state == "Scanned" for each in entries)
    return verdict, f"{counts}; {unclear} inconclusive, {skipped} skipped"


def called(entry: DeviceEntry) -> str:
    """A device, with its machine where several were compared."""
    return f"{entry.host} {entry.device}" if entry.host else entry.device


def _judged(scan: Scan, truth: Truth, again: Scan | None, others: Sequence[Scan]) -> tuple[Verdict, str, bool | None]:
    """Verdict, sentence and whether it was confirmed."""
    if suspected(scan, truth):
        confirmed = again is not None and suspected(again, truth)
        said = scan.message if scan.ended != "Done" else _deviates(scan, truth)
        if scan.ended != "Done" and others and all(other.ended in ("Hung", "Died") for other in others):
            return Verdict.INCONCLUSIVE, f"{said}; no other device of its class did better: look at the plan", confirmed
        if confirmed:
            return Verdict.FAILED, f"{said}; again in a second scan of it", True
        second = f"not again in {again.runs} runs of a second scan" if again else "no second scan was made"
        return Verdict.INCONCLUSIVE, f"{said}; {second}", False
    wrong = deviations(scan, truth)
    if truth.unsteady:
        words = (
            "the subject itself gives now one answer and now another on most devices: screen with a plan that does not"
        )
        return Verdict.INCONCLUSIVE, words, None
    if truth.answers and len(truth.answers) == len(scan.by_input()):
        right = "the recorded one" if truth.rule == "digest" else "that of most devices"
        return Verdict.PASSED, f"every answer is {right}; {_excluded(scan)}", None
    if truth.rule == "majority":
        return Verdict.INCONCLUSIVE, "no answer is that of most devices: give a record (--digest)", None
    if wrong:
        words = f"{wrong} of {scan.runs} runs deviate from its commonest answer: the plan or the device varies"
        return Verdict.INCONCLUSIVE, f"{words}; three devices, or a record (--digest), tell which", None
    others = [other for other in others if other.ended == "Done"]
    if not others:
        words = "agrees with itself, and there is nothing else to hold it against: give a record (--digest)"
        return Verdict.INCONCLUSIVE, f"{words}; intermittent {_excluded(scan)}", None
    mine = {which: counted(answers) for which, answers in scan.by_input().items()}
    if all({which: counted(answers) for which, answers in other.by_input().items()} == mine for other in others):
        return Verdict.PASSED, f"agrees with the other device; {_excluded(scan)}", None
    return Verdict.INCONCLUSIVE, "differs from the other device, and two name nobody: give a record (--digest)", None


def _deviates(scan: Scan, truth: Truth) -> str:
    wrong = deviations(scan, truth)
    inputs = sum(
        any(each != truth.answers[which] for each in answers)
        for which, answers in scan.by_input().items()
        if which in truth.answers
    )
    what = {"digest": "the record", "majority": "most devices of its class", "none": ""}[truth.rule]
    return f"{wrong} of {scan.runs} runs deviate from {what}, on {inputs} of {len(scan.by_input())} inputs"


def _excluded(scan: Scan) -> str:
    return f"faults in more than {EXCLUDED / max(scan.runs, 1):.1e} of runs are excluded (95 %, {scan.runs} runs)"


def _phases(scan: Scan, truth: Truth) -> tuple[PhaseCount, ...]:
    """The runs by phase, with what deviates from what counts as right."""
    own = scan.by_input()
    right = {which: truth.answers.get(which) or counted(answers) for which, answers in own.items()}
    wrong: Counter[str] = Counter()
    for answer in scan.answers:
        if answer.digest != right[answer.input]:
            wrong.update(answer.phases)
    return tuple(each.model_copy(update={"deviations": wrong[each.name]}) for each in scan.phases)
