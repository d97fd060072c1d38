"""Where the time of pods goes: between their words by what they did, before and after them by what the cluster did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

__all__ = ["budget", "spent"]

LINE: Final = re.compile(r"(?P<at>\d{4}-\S+?)Z (?:assay: )?(?:golden|summary|repair|[\w.-]+@[\w.-]+): (?P<step>.+)")
# TensorRT's first step of a build; what came before it in a process, its builder took to load its kernels.
STEPS: Final = re.compile(r" \(\d+ steps\)$")
PARTS: Final = {"build": "build", "calibrate": "build", "infer": "infer", "latency": "infer"}
LOAD: Final = "load"


class Word(NamedTuple):
    """One line of a log: when, in seconds of the epoch, and the step that it tells of."""

    at: float
    step: str


def words(log: Iterable[str]) -> Iterator[Word]:
    """The steps that a stamped log tells of; a traceback or a table between them is none."""
    for line in log:
        if found := LINE.match(line):
            # Nanoseconds are more than `fromisoformat` takes.
            yield Word(datetime.fromisoformat(f"{found['at'][:26]}+00:00").timestamp(), found["step"])


def spent(log: Iterable[str]) -> dict[str, float]:
    """Seconds from the first word to the last, by part: `load`, `build`, `infer`, any other step by its own name."""
    told: dict[str, float] = {}
    loaded = False
    for word, after in pairwise(words(log)):
        step = re.split(r"[\s:]", word.step, maxsplit=1)[0]
        part = PARTS.get(step, step)
        loaded |= bool(STEPS.search(word.step))
        if part == "build" and not loaded:
            part = LOAD
        told[part] = told.get(part, 0.0) + after.at - word.at
    # Of a process in which TensorRT never took a step, nothing was loaded for one: what it built is in `load` so far.
    if not loaded and LOAD in told:
        told["build"] = told.pop(LOAD)
    return {part: round(seconds, 2) for part, seconds in told.items()}


def budget(pods: Iterable[Mapping[str, Any]], logs: Mapping[str, Sequence[str]], began: float) -> list[dict[str, Any]]:
    """What each pod spent its time on, in the order in which they were scheduled.

    Args:
        pods: as `Watch.told` gives them: seconds since `began`.
        logs: stamped lines by pod.
        began: when the watch began, in seconds of the epoch.

    Returns:
        For each pod its name and seconds: `start` from scheduled to its first word, what lies between its words (see
        `spent`), `end` from its last word until the cluster saw it ended, and `all` of them, from scheduled to ended. A
        pod that was never scheduled, never ended or said nothing is left out.
    """
    rows = []
    for pod in sorted(pods, key=lambda pod: float(pod.get("scheduled", 0))):
        told = list(words(logs.get(pod["pod"], ())))
        if not told or "scheduled" not in pod or "ended" not in pod:
            continue
        start = told[0].at - (began + pod["scheduled"])
        end = began + pod["ended"] - told[-1].at
        parts = {"start": round(start, 2), **spent(logs[pod["pod"]]), "end": round(end, 2)}
        rows.append({"pod": pod["candidate"] or pod["kind"], **parts, "all": round(pod["ended"] - pod["scheduled"], 2)})
    return rows
