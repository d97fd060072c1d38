"""Baselines: what is asked of them, what is told of them, and the words for causes; see `docs/baselines.md`.

Which report may become one, and what another is beside it, is the runner's to say: only it has the samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from assay_api.model import Model, parse, problems
from assay_api.names import ANNOTATION_ACCEPT
from assay_api.told import Told, legible

State = Literal["New", "Unchanged", "Changed", "Improved", "Regressed", "Inconclusive"]
MATTERS: Final[tuple[State, ...]] = ("Regressed", "Inconclusive", "New", "Changed", "Improved", "Unchanged")
"""States, the one that matters most first."""
MOST_CAUSES: Final = 4
WORDS: Final = 200
MOST_ASK: Final = 4096
"""Characters of the annotation."""
BATCH: Final = 8
"""Candidates of one acceptance, as many as one termination message tells of."""


class BaselineTold(Told):
    """What a candidate's answer is beside the one that was accepted."""

    candidate: str = ""
    """Key of the candidate, where several are told of."""
    state: str
    """In one word."""
    why: str = ""
    """In one sentence, with the number of samples."""
    causes: tuple[str, ...] = ()
    """What has changed since, where it regressed: first bad layer, its tactic, versions."""
    record: str | None = None
    """Start of the SHA-256 of the record that it was held against."""
    accepted: str | None = None
    """Who accepted that record and when."""
    refused: bool = False
    """Whether it was to be accepted and may not be; `why` says why."""


class BaselineStatus(Model):
    """What a candidate's answer is beside the one that was accepted."""

    state: State
    """New, Unchanged, Changed, Improved, Regressed or Inconclusive."""
    message: str | None = Field(default=None, max_length=512)
    """Why, with the number of samples and what chance takes."""
    causes: tuple[str, ...] = Field(default=(), max_length=MOST_CAUSES)
    """What has changed since, where it regressed: first bad layer, its tactic, versions."""
    record: str | None = None
    """Start of the SHA-256 of the record that it was held against."""
    accepted: str | None = Field(default=None, max_length=256)
    """Who accepted that record and when."""

    @staticmethod
    def of(told: BaselineTold) -> BaselineStatus:
        """What a task told, as the status has it; a state of another version cannot be told."""
        state: State = next((state for state in MATTERS if state == told.state), "Inconclusive")
        return BaselineStatus(
            state=state,
            message=told.why[:512] or None,
            causes=told.causes[:MOST_CAUSES],
            record=told.record,
            accepted=told.accepted[:256] if told.accepted else None,
        )


class AcceptedStatus(Model):
    """The acceptance that was asked for last, and what came of it."""

    asked: str
    """Digest of the annotation assay.dev/accept-baseline that asked for it."""
    time: str
    """When it was dealt with."""
    who: str | None = Field(default=None, max_length=256)
    """Who asked, as far as the annotation says so."""
    why: str | None = Field(default=None, max_length=256)
    """Why."""
    waiting: int = 0
    """Answers whose acceptance is still to come."""
    accepted: int = 0
    """Answers that are the baseline now."""
    refused: int = 0
    """Answers that may not become one."""
    unchanged: int = 0
    """On a sweep: answers that were equal to what is accepted, and stay so."""
    message: str | None = Field(default=None, max_length=1024)
    """What was refused and why, or what is wrong with the annotation."""


class AcceptOrder(Model):
    """Answers to be accepted: of which report, on whose word."""

    report: str
    """URI of the audit's report.json."""
    sha256: str
    """Its SHA-256, as the summary told it."""
    candidates: tuple[str, ...]
    """Keys of the candidates."""
    who: str
    """Who accepts."""
    why: str
    """Why."""


class Ask(Model):
    """What an annotation asks: plain text says why, JSON says which answers too; all that is named must hold."""

    why: str = Field(min_length=1, max_length=256)
    """Why they are accepted."""
    who: str | None = Field(default=None, min_length=1, max_length=256)
    """Who accepts them."""
    candidate: str | None = None
    """Name of the candidate, or its key `name@gpu-product`."""
    model: str | None = None
    """On a sweep: name of the model."""
    image: str | None = None
    """On a sweep: the runner image."""
    cause: str | None = None
    """One of the causes, or all of them as the page of the sweep has them."""
    candidates: tuple[str, ...] = ()
    """Keys of candidates, as a sweep asks it of its audits."""
    run: str | None = None
    """The run that was looked at: another one is not accepted."""
    at: str | None = None
    """Whatever tells two of them apart that say the same."""
    sweep: str | None = None
    """Digest of the sweep's annotation on whose behalf a sweep asks."""

    def wants(self, key: str, causes: Iterable[str]) -> bool:
        """Whether an answer is asked for, by the key of its candidate and its causes."""
        known = tuple(causes)
        named = self.candidate in (None, key, key.partition("@")[0]) and (not self.candidates or key in self.candidates)
        return named and (self.cause is None or self.cause in (*known, joined(known)))


def ask_of(text: str, *, of_sweep: bool) -> Ask | str:
    """What an annotation asks, or what is wrong with it in one sentence.

    Args:
        text: the annotation.
        of_sweep: whether it stands on a sweep.
    """
    if len(text) > MOST_ASK:
        return f"annotation {ANNOTATION_ACCEPT} has more than {MOST_ASK} characters: say why in a few words"
    found: Any = {"why": text.strip()[:256]}
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return f"annotation {ANNOTATION_ACCEPT} begins as JSON and is none: give text, or an object with why"
    try:
        ask = parse(Ask, legible_of(found))
    except ValidationError as error:
        return f"annotation {ANNOTATION_ACCEPT}: {problems(error)[0]}"
    if not ask.why.strip():
        return f"annotation {ANNOTATION_ACCEPT}: why is empty: say in a few words why this is accepted"
    if not of_sweep and (ask.model or ask.image):
        return f"annotation {ANNOTATION_ACCEPT}: model and image are of a sweep: an audit has one of each"
    return ask


def legible_of(value: Any) -> Any:
    """JSON values with every text in them as it can be stored and shown."""
    if isinstance(value, dict):
        return {legible(key): legible_of(part) for key, part in value.items()}
    return [legible_of(part) for part in value] if isinstance(value, list) else legible(value)


def asked_digest(text: str) -> str:
    """By which an annotation is known: 12 hexadecimal digits; nothing where there is none."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12] if text else ""


def cause_of(check: str | None, where: str | None, message: str) -> str:
    """What failed and where it starts; else the words that were said, up to the first figure."""
    if check:
        return f"{check}{f' at {where}' if where else ''}"
    return message.split(":", 1)[0][:80]


def joined(causes: Iterable[str]) -> str:
    """Causes in one text."""
    return "; ".join(causes)


def most_urgent(states: Iterable[str]) -> State | None:
    """The state that matters most; None where there is none."""
    known = set(states)
    return next((state for state in MATTERS if state in known), None)
