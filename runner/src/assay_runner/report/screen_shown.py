"""A screening as its page shows it: devices by comparison class and node, and what came of each in one word. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal, NamedTuple

from assay_api.report import Verdict
from assay_api.screening import DeviceClass, DeviceEntry, ScreenReport

NODE: Final = "node/"
"""What the name of an entry begins with that tells of a node as a whole."""
Outcome = Literal["differs", "hung", "unclear", "skipped", "agreed"]
ORDER: Final[tuple[Outcome, ...]] = ("differs", "hung", "unclear", "skipped", "agreed")
"""What is told first."""


class OtherAnswer(NamedTuple):
    """The answer that a device gave most often to one input, and the one that counts as right."""

    input: int
    digest: str
    right: str


@dataclass(frozen=True)
class DeviceShown:
    """One device.

    Attributes:
        entry: what the report tells of it.
        host: its machine.
        outcome: what came of it.
        number: which of the report's devices it is, from 1 on.
        others: where its commonest answers are not the right ones.
    """

    entry: DeviceEntry
    host: str
    outcome: Outcome
    number: int
    others: tuple[OtherAnswer, ...] = ()

    @property
    def anchor(self) -> str:
        """Where the page tells of it."""
        return f"device-{self.number}"

    @property
    def detailed(self) -> bool:
        """Whether there is more to tell of it than one sentence."""
        return self.outcome in ("differs", "hung")

    @property
    def whole_node(self) -> bool:
        """Whether it stands for a node of which no device is known."""
        return self.entry.device.startswith(NODE)


@dataclass(frozen=True)
class ClassShown:
    """The devices of one comparison class.

    Attributes:
        kind: the class; of nodes of which no device is known, an unknown one.
        rule: what said which answer is right; nothing where the report is older than that.
        devices: the devices, by machine.
    """

    kind: DeviceClass
    rule: str
    devices: tuple[DeviceShown, ...] = field(default=())

    @property
    def nodes(self) -> list[tuple[str, list[DeviceShown]]]:
        """The devices of each machine: those with something to tell first, then by name."""
        groups = [(host, list(found)) for host, found in groupby(self.devices, lambda each: each.host)]
        return sorted(groups, key=lambda group: min(_rank(each) for each in group[1]))

    @property
    def excluded(self) -> float | None:
        """Fault rate that is excluded of every device that agreed."""
        # One that agrees with nothing but itself has a rate too.
        agreed = (each.entry for each in self.devices if each.outcome == "agreed")
        return max((entry.excludes for entry in agreed if entry.excludes), default=None)


def classes_of(report: ScreenReport) -> tuple[ClassShown, ...]:
    """The devices by class: classes with something to tell first, then those of most devices."""
    right = {each.kind: each for each in report.right}
    by_class: dict[DeviceClass, list[tuple[int, DeviceEntry]]] = {}
    for number, entry in enumerate(report.devices, 1):
        by_class.setdefault(entry.kind, []).append((number, entry))
    found = []
    for kind, entries in by_class.items():
        known = right.get(kind)
        answers = known.answers if known else _agreed(entry for _, entry in entries)
        shown = (_shown(entry, number, answers, report.host) for number, entry in entries)
        rule = known.rule if known else ""
        found.append(ClassShown(kind, rule, tuple(sorted(shown, key=lambda each: (each.host, each.number)))))
    return tuple(sorted(found, key=lambda each: (min(map(_rank, each.devices)), -len(each.devices), str(each.kind))))


def by_outcome(classes: Iterable[ClassShown], outcome: Outcome) -> list[DeviceShown]:
    """All devices of which the same came: named ones first."""
    found = (each for kind in classes for each in kind.devices if each.outcome == outcome)
    return sorted(found, key=lambda each: (_rank(each), each.host, each.number))


def by_message(devices: Iterable[DeviceShown]) -> list[tuple[str, list[DeviceShown]]]:
    """Devices of which the same sentence is said, those of most first."""
    groups: dict[str, list[DeviceShown]] = {}
    for each in devices:
        groups.setdefault(each.entry.message, []).append(each)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def class_words(kind: DeviceClass) -> str:
    """A comparison class in words."""
    ecc = f"ECC {kind.ecc.lower()}" if kind.ecc else ""
    return ", ".join(filter(None, (kind.product, kind.mig, f"driver {kind.driver}" if kind.driver else "", ecc)))


def _rank(shown: DeviceShown) -> tuple[bool, int]:
    return shown.entry.verdict is not Verdict.FAILED, ORDER.index(shown.outcome)


def _shown(entry: DeviceEntry, number: int, right: Sequence[str], machine: str) -> DeviceShown:
    outcome = _outcome(entry)
    others = tuple(_others(entry, right)) if outcome == "differs" else ()
    return DeviceShown(entry, entry.host or machine, outcome, number, others)


def _outcome(entry: DeviceEntry) -> Outcome:
    """What came of a device. One that gave no answer hung or died; one that was scanned twice was suspected."""
    if entry.state == "Skipped":
        return "skipped"
    if entry.verdict is Verdict.PASSED:
        return "agreed"
    if not entry.answers:
        return "hung"
    return "differs" if entry.verdict is Verdict.FAILED or entry.confirmed is not None else "unclear"


def _others(entry: DeviceEntry, right: Sequence[str]) -> Iterator[OtherAnswer]:
    for which, (mine, other) in enumerate(zip(entry.answers, right, strict=False)):
        if other and mine != other:
            yield OtherAnswer(which, mine, other)


def _agreed(entries: Iterable[DeviceEntry]) -> tuple[str, ...]:
    """What a report without the right answers shows them to be: those of any device that passed."""
    return next((each.answers for each in entries if each.verdict is Verdict.PASSED and each.answers), ())
