"""One device's scan: inputs in rotation, cold and warm, every answer compared with those that were given before."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from typing import Final, Protocol

import numpy as np

from assay_api.screening import PhaseCount
from assay_runner.errors import Internal, InvalidInput, Unavailable
from assay_runner.screening.answers import digest, keep, same
from assay_runner.screening.orders import Answer, Order, Scan
from assay_runner.tensors import Array, Arrays, TensorSpec

KEPT: Final = 4
"""Distinct answers to one input that are kept whole."""
TOLD_SECONDS: Final = 0.5
TIMED: Final = 1000
CLOCK_TURNS: Final = 24
"""Twelve seconds, a little longer than nvidia-smi is given."""
PHASES: Final = ("cold", "heating", "warm")


class Subject(Protocol):
    """What is screened with, loaded on a device."""

    @property
    def specs(self) -> Sequence[TensorSpec]:
        """Its inputs."""
        ...

    def run(self, inputs: Arrays) -> Mapping[str, Array]:
        """Its outputs by name."""
        ...

    def clock(self) -> int | None:
        """The device's clock in MHz, where it can be told."""
        ...


Opener = Callable[[Order], AbstractContextManager[Subject]]


@dataclass
class _Given:
    """One distinct answer to one input."""

    arrays: Arrays
    digest: str
    phases: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.phases.values())


def scan(
    subject: Subject,
    feeds: Sequence[Arrays],
    order: Order,
    tell: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
) -> Scan:
    """Run a subject as ordered.

    Args:
        subject: what is run.
        feeds: the inputs.
        order: how often, and for how long.
        tell: told how many runs there were, now and then: a device that tells nothing hangs.
        clock: seconds that only grow.

    Raises:
        InvalidInput: it does not take the inputs, or gives nothing to compare.
        Unavailable: it cannot be run.
        Internal: a run failed of what had been run before.
    """
    given: list[list[_Given]] = [[] for _ in feeds]
    times: deque[float] = deque(maxlen=TIMED)
    spent = dict.fromkeys(PHASES, 0.0)
    began = told = clock()
    runs = warm = 0
    while warm < order.runs or runs < len(feeds):
        at = clock()
        if runs >= len(feeds) and at - began >= order.seconds:
            break
        phase = "cold" if runs < len(feeds) else "heating" if at - began < order.heat else "warm"
        which = runs % len(feeds)
        outputs = _run(subject, feeds[which], again=runs >= len(feeds))
        if not outputs:
            raise InvalidInput("it gives no tensor whose bits could be compared: strings and sequences are left out")
        times.append(clock() - at)
        answer = _note(given[which], outputs, phase)
        runs, warm, now = runs + 1, warm + (phase == "warm"), clock()
        spent[phase] += now - at
        if order.right and answer.digest != order.right[which]:
            break
        if now - told >= TOLD_SECONDS:
            told = now
            tell(runs)
    return Scan(
        device=order.device,
        ended="Done",
        inputs=inputs_digest(feeds),
        runs=runs,
        answers=tuple(_answers(given, Path(order.answers))),
        phases=_phases(given, spent),
        seconds=round(clock() - began, 3),
        milliseconds=round(median(times) * 1000, 4) if times else None,
        clock_mhz=_clock_of(subject, lambda: tell(runs)),
    )


def inputs_digest(feeds: Sequence[Arrays]) -> str:
    """Digest of all inputs, in order."""
    return digest({str(index): np.frombuffer(digest(feed).encode(), np.uint8) for index, feed in enumerate(feeds)})


def _run(subject: Subject, feed: Arrays, *, again: bool) -> Mapping[str, Array]:
    """Its outputs; what ran `again` and again and then does not is no lack of anything, but the device's doing."""
    try:
        return subject.run(feed)
    except (InvalidInput, Unavailable) as error:
        if again:
            raise Internal(str(error)) from error
        raise


def _note(known: list[_Given], outputs: Mapping[str, Array], phase: str) -> _Given:
    """Count an answer, which mostly is the one that was given before."""
    for each in known:
        if same(each.arrays, outputs):
            each.phases[phase] = each.phases.get(phase, 0) + 1
            return each
    # What is lent is taken back before the next run; beyond a few, an answer is known by its digest alone.
    made = _Given({n: np.array(a, copy=True) for n, a in outputs.items()} if len(known) < KEPT else {}, digest(outputs))
    for each in known[KEPT:]:
        if each.digest == made.digest:
            each.phases[phase] = each.phases.get(phase, 0) + 1
            return each
    made.phases[phase] = 1
    known.append(made)
    return made


def _answers(given: Sequence[Sequence[_Given]], folder: Path) -> list[Answer]:
    found = []
    for which, answers in enumerate(given):
        for index, each in enumerate(answers):
            file = folder / f"{which}-{each.digest}.npz" if index < KEPT else None
            if file:
                keep(file, each.arrays)
            told = str(file) if file else None
            found.append(Answer(input=which, digest=each.digest, count=each.count, phases=dict(each.phases), file=told))
    return found


def _clock_of(subject: Subject, alive: Callable[[], None]) -> int | None:
    """The device's clock, if it is told soon: waiting for nvidia-smi is no silence of the device."""
    told: Queue[int | None] = Queue()
    threading.Thread(target=lambda: told.put(subject.clock()), daemon=True).start()
    for _ in range(CLOCK_TURNS):
        with suppress(Empty):
            return told.get(timeout=TOLD_SECONDS)
        alive()
    return None


def _phases(given: Sequence[Sequence[_Given]], spent: Mapping[str, float]) -> tuple[PhaseCount, ...]:
    """Runs by phase; which of them deviate is judged elsewhere."""
    runs = {name: sum(each.phases.get(name, 0) for answers in given for each in answers) for name in PHASES}
    return tuple(
        PhaseCount.model_validate({"name": name, "runs": count, "deviations": 0, "seconds": round(spent[name], 3)})
        for name, count in runs.items()
        if count
    )
