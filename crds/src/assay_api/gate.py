"""The upgrade gate: golden, the old engine and the new one, and what that says per model and GPU product. Pure.

Both engines are built of the same model, each by a runner image with a TensorRT of its own, both are held against
golden, and the new one against the old one sample by sample. A plan that is built already is another thing: the old
image runs it as it is, on the driver that nodes have now, so what goes wrong there is not the new TensorRT's doing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from assay_api.legs import NOTHING, Leg

Decision = Literal["NoGo", "Inconclusive", "GoWithRemedy", "Go"]
WORST_FIRST: Final[tuple[Decision, ...]] = ("NoGo", "Inconclusive", "GoWithRemedy", "Go")


@dataclass(frozen=True)
class Judged:
    """One candidate on one product, with the old image and with the new one.

    Attributes:
        plan: it is a plan that was built already, which the old image runs as it is.
        decision: what follows.
        why: in one sentence.
        cured: it failed with the old image and passes with the new one, or is better by more than chance.
    """

    candidate: str
    old: Leg
    new: Leg
    plan: bool
    decision: Decision
    why: str
    cured: bool = False


@dataclass(frozen=True)
class Row:
    """One model on one GPU product; nothing for any.

    Attributes:
        decision: the worst of its candidates'; existing plans are held apart.
        judged: its candidates, the worst first.
    """

    model: str
    product: str
    decision: Decision
    judged: tuple[Judged, ...]

    @property
    def cured(self) -> bool:
        """Whether the upgrade cures a candidate of it."""
        return any(each.cured for each in self.judged)

    @property
    def why(self) -> str:
        """Why, by the candidate that decides."""
        decides = next((each for each in self.judged if not each.plan), self.judged[0])
        return f"{decides.candidate}: {decides.why}"


@dataclass(frozen=True)
class Gate:
    """All rows, the worst first.

    Attributes:
        said: what whoever knows all cells says; None: the rows are all there is.
        missing: what the rows do not tell of, a sentence each.
    """

    rows: tuple[Row, ...] = field(default=())
    said: Decision | None = None
    missing: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """The worst row's, or what is said where that is worse; Inconclusive where there is no row."""
        worst: Decision = next((each for each in WORST_FIRST if self.count(each)), "Inconclusive")
        return min(worst, self.said or worst, key=WORST_FIRST.index)

    def count(self, decision: Decision) -> int:
        """How many rows have a decision."""
        return sum(row.decision == decision for row in self.rows)

    @property
    def cured(self) -> int:
        """How many rows have something that the upgrade cures."""
        return sum(row.cured for row in self.rows)

    @property
    def emulated(self) -> bool:
        """Whether any of it is an emulation."""
        return any(leg.emulated for row in self.rows for each in row.judged for leg in (each.old, each.new))

    @property
    def plans_failed(self) -> int:
        """How many existing plans do not pass as they are."""
        return sum(each.plan and each.decision == "NoGo" for row in self.rows for each in row.judged)


@dataclass(frozen=True)
class Shown:
    """One answer of a sweep that has an upgrade.

    Attributes:
        key: of the candidate, `name` or `name@gpu-product`.
        new: whether the new image gave it.
        plan: whether it is of a plan that was built already.
        leg: what it says.
    """

    model: str
    key: str
    new: bool
    plan: bool
    leg: Leg


def gate_of(answers: Iterable[Shown]) -> Gate:
    """What some answers come to."""
    legs: dict[tuple[str, str], dict[bool, Leg]] = {}
    plans: set[tuple[str, str]] = set()
    for shown in answers:
        place = (shown.model, shown.key)
        legs.setdefault(place, {})[shown.new] = shown.leg
        if shown.plan:
            plans.add(place)
    rows: dict[tuple[str, str], list[Judged]] = {}
    for (model, key), both in legs.items():
        name, _, product = key.partition("@")
        old, new = both.get(False, NOTHING), both.get(True, NOTHING)
        judged = _plan(name, old) if (model, key) in plans else _engines(name, old, new)
        rows.setdefault((model, product), []).append(judged)
    made = [_row(model, product, judged) for (model, product), judged in rows.items()]
    made.sort(key=lambda row: (WORST_FIRST.index(row.decision), not row.cured, row.model, row.product))
    return Gate(tuple(made))


def _row(model: str, product: str, judged: list[Judged]) -> Row:
    # Existing plans last: they decide nothing about the new image.
    judged.sort(key=lambda each: (each.plan, WORST_FIRST.index(each.decision), each.candidate))
    decides = [each.decision for each in judged if not each.plan]
    # Where there is nothing but plans, there is nothing that could take over.
    every = decides or [each.decision for each in judged]
    decision: Decision = min(every, key=WORST_FIRST.index)
    return Row(model, product, decision, tuple(judged))


def _plan(name: str, old: Leg) -> Judged:
    said = f": {old.message}" if old.message else ""
    decision: Decision
    if old.verdict == "Passed":
        decision, why = "Go", "the plan passes as it is, with the old image on the driver there is now"
    elif old.verdict == "Failed":
        decision, why = "NoGo", f"the plan fails as it is, with the old image on the driver there is now{said}"
    else:
        decision, why = (
            "Inconclusive",
            f"the plan could not be judged as it is{said}" if old.verdict or said else WAITING,
        )
    return Judged(name, old, NOTHING, True, decision, why)


WAITING: Final = "it has not been audited with both images yet"


def _engines(name: str, old: Leg, new: Leg) -> Judged:
    decision, why = _decided(old, new)
    turned = (old.verdict, new.verdict) == ("Failed", "Passed")
    better = decision == "Go" and (turned or new.beside == "Improved")
    return Judged(name, old, new, False, decision, why, cured=better)


def _decided(old: Leg, new: Leg) -> tuple[Decision, str]:
    """What follows for a candidate, and why, from what both engines say."""
    if not new.verdict:
        return "Inconclusive", f"no answer with the new image: {new.message}" if new.message else WAITING
    if old.typing and new.typing and old.typing != new.typing:
        typed = f"typed {old.typing} with the old image and {new.typing} with the new one"
        return "Inconclusive", f"{typed}, which are two models: set typing in the candidate"
    if new.verdict == "Failed":
        return _failed(old, new)
    if new.verdict != "Passed":
        return "Inconclusive", f"it could not be judged with the new image: {new.message}"
    if new.beside == "Regressed":
        return "NoGo", f"within the limits, and worse than the old engine: {new.why}{_of(new)}"
    if not old.verdict:
        return "Inconclusive", f"no answer with the old image: {old.message}" if old.message else WAITING
    if old.verdict == "Failed":
        return "Go", f"cured by the upgrade; with the old image: {old.message}"
    if old.verdict == "Passed" and new.beside in ("", "Inconclusive"):
        why = new.why or "the new image's runner does not tell, or the old engine's report is not there"
        return "Inconclusive", f"it passes, and was not held against the old engine: {why}"
    beside = f", {new.beside.lower()} beside the old engine" if new.beside else ""
    return "Go", f"it passes{beside}{f': {new.why}' if new.why else ''}"


def _failed(old: Leg, new: Leg) -> tuple[Decision, str]:
    if new.remedy:
        return "GoWithRemedy", f"with the remedy {new.remedy}; as it is: {new.message}"
    if old.verdict == "Failed" and new.beside != "Regressed":
        return "Go", f"it fails with either image, so the upgrade is not to blame: {new.message}"
    before = {"Passed": "it passed with the old image", "Failed": "it is worse than with the old image"}
    known = before.get(old.verdict, "what it did with the old image is not known")
    return "NoGo", f"it fails, and {known}: {new.message}{_of(new)}"


def _of(new: Leg) -> str:
    return f" ({'; '.join(new.causes)})" if new.causes else ""
