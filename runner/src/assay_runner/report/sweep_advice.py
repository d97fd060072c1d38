"""What the audits of a sweep recommend: per model and target which candidate to ship, and what was repaired for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from assay_runner.raw import Raw, mapping, objects
from assay_runner.report.sweep_planned import At


class Target(NamedTuple):
    """Where a model runs; nothing for any GPU, and where the sweep has one image."""

    product: str
    image: str


@dataclass(frozen=True, slots=True)
class Cure:
    """What a repair came to for a candidate that failed.

    Attributes:
        candidate: name of the candidate.
        remedy: the remedy that came to most.
        outcome: what came of it.
        repaired: the candidate that came of it, or nothing.
    """

    candidate: str
    remedy: str
    outcome: str
    repaired: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the audits of a model on a target recommend.

    Attributes:
        candidates: names of the candidates to ship, of the newest audit first: one, where one audit answers for all
            candidates; nothing where none may be shipped.
        cured: those of them that are repairs.
        why: in one sentence each audit's.
        cures: what repairs came to, cures first.
        deploy: where the repaired model lies, or the engine; empty where nothing is recommended that was repaired.
        audit: the newest audit.
        going: an audit has not ended, and nothing is recommended so far.
    """

    model: str
    target: Target
    candidates: tuple[str, ...]
    cured: frozenset[str]
    why: str
    cures: tuple[Cure, ...]
    deploy: str
    audit: str
    going: bool


class Answered(NamedTuple):
    """A cell that has an answer: its place, the audit that has it, and the candidate's key there."""

    at: At
    audit: Raw
    key: str


def advice_of(answers: Iterable[Answered]) -> tuple[Advice, ...]:
    """What is recommended, by model and target."""
    found: dict[tuple[str, Target], dict[str, _Told]] = {}
    for (model, column), audit, key in answers:
        target = Target(column.candidate.partition("@")[2], column.image)
        told = found.setdefault((model, target), {}).setdefault(_name(audit), _Told(audit, {}))
        told.names[key] = _short(column.candidate)
    return tuple(_advice(model, target, list(told.values())) for (model, target), told in sorted(found.items()))


class _Told(NamedTuple):
    """An audit, and what the candidates that it answers for are called in the sweep now."""

    audit: Raw
    names: dict[str, str]

    @property
    def status(self) -> Raw:
        return mapping(self.audit.get("status"))

    @property
    def recommendation(self) -> Raw:
        return mapping(self.status.get("recommendation"))

    @property
    def cures(self) -> list[Cure]:
        """What repairs came to, of candidates that the sweep still has."""
        found = [(cure, self.names.get(cure.candidate)) for cure in _cures(self.status)]
        return [replace(cure, candidate=name) for cure, name in found if name]

    @property
    def candidate(self) -> str:
        """What is recommended; nothing where nothing is, or the sweep has it no more."""
        key = str(self.recommendation.get("candidate") or "")
        return self.names.get(key, "") or (_short(key) if key and self.repaired else "")

    @property
    def repaired(self) -> bool:
        """Whether what is recommended is a repair."""
        key = self.recommendation.get("candidate")
        return bool(key) and any(cure.repaired == _short(str(key)) for cure in self.cures)


def _advice(model: str, target: Target, told: list[_Told]) -> Advice:
    told.sort(key=lambda one: (str(mapping(one.audit.get("metadata")).get("creationTimestamp", "")), _name(one.audit)))
    told.reverse()
    shipped = [one for one in told if one.candidate]
    words = [str(message) for one in shipped or told if (message := one.recommendation.get("message"))]
    deploys = [mapping(one.recommendation.get("deploy")) for one in shipped if one.repaired]
    return Advice(
        model, target,
        candidates=tuple(dict.fromkeys(one.candidate for one in shipped)),
        cured=frozenset(one.candidate for one in shipped if one.repaired),
        why=" ".join(dict.fromkeys(words)),
        cures=tuple(sorted((cure for one in told for cure in one.cures), key=lambda cure: cure.outcome != "Cured")),
        deploy=next((str(uri) for each in deploys if (uri := each.get("plan") or each.get("model"))), ""),
        audit=_name(told[0].audit),
        going=not shipped and not all(_over(one.status) for one in told),
    )  # fmt: skip


def _cures(status: Raw) -> list[Cure]:
    entries = [cure for each in objects(status.get("repairs")) for cure in objects(each.get("cures"))]
    found = [[str(entry.get(key) or "") for key in ("candidate", "remedy", "outcome", "repaired")] for entry in entries]
    return [Cure(key, remedy, outcome, _short(repaired)) for key, remedy, outcome, repaired in found]


def _over(status: Raw) -> bool:
    found = objects(status.get("conditions"))
    return any(each.get("type") == "Complete" and each.get("status") == "True" for each in found)


def _short(key: str) -> str:
    return key.partition("@")[0]


def _name(audit: Raw) -> str:
    return str(mapping(audit.get("metadata")).get("name", ""))
