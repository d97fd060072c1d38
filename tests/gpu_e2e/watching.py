"""Pods, as they come and go: who ran beside whom, and where the time went."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.place import Manifest, Room, condition
from tests.lab import LabError

__all__ = ["Seen", "Watch", "ending", "steps", "watching"]

LOOK = 0.2
STAMPED = re.compile(r"\d\d\d\d-\d\d-\d\dT\S+Z ")


@dataclass
class Seen:
    """One pod.

    Attributes:
        kind: kind of its task.
        candidate: its candidate, or nothing.
        gpus: GPUs that it asks for.
        node_selector: as in its spec.
        since: seconds from the beginning to when each of these was first seen: created, scheduled, running, ended.
    """

    kind: str
    candidate: str
    gpus: int
    node_selector: dict[str, str]
    since: dict[str, float] = field(default_factory=dict)


class Watch:
    """Looks at the pods of a namespace until it is told to stop; `pods` are by name, times from `begin` on.

    `began` is the same moment as a time of day, in seconds of the epoch, to hold logs against.
    """

    def __init__(self, room: Room) -> None:
        self.room, self.begin, self.began = room, time.monotonic(), time.time()
        self.pods: dict[str, Seen] = {}
        self.most_on_gpus = 0
        self._over = threading.Event()

    def look(self) -> None:
        """Look once."""
        found = self.room.objects("pods")
        now = round(time.monotonic() - self.begin, 2)
        for pod in found:
            seen = self.pods.setdefault(pod["metadata"]["name"], of(pod))
            for what in reached(pod):
                seen.since.setdefault(what, now)
        running = [self.pods[pod["metadata"]["name"]] for pod in found if pod["status"].get("phase") == "Running"]
        self.most_on_gpus = max(self.most_on_gpus, sum(seen.gpus for seen in running))

    def run(self) -> None:
        """Look until it is over."""
        while not self._over.wait(LOOK):
            try:
                self.look()
            except (LabError, OSError):
                continue

    def end(self) -> None:
        """Stop looking, after one more look."""
        self._over.set()

    def told(self) -> list[dict[str, Any]]:
        """Everything seen, for JSON, by when it was made."""
        pods = sorted(self.pods.items(), key=lambda pair: pair[1].since.get("created", 0))
        return [{"pod": name, "kind": s.kind, "candidate": s.candidate, "gpus": s.gpus, **s.since} for name, s in pods]


def of(pod: Manifest) -> Seen:
    """What does not change of a pod."""
    labels, spec = pod["metadata"].get("labels", {}), pod["spec"]
    limits = [container.get("resources", {}).get("limits", {}) for container in spec["containers"]]
    gpus = sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)
    names = (labels.get("assay.dev/kind", ""), labels.get("assay.dev/candidate", ""))
    return Seen(*names, gpus, spec.get("nodeSelector", {}))


def reached(pod: Manifest) -> Iterator[str]:
    """How far a pod has come."""
    yield "created"
    if any(c["type"] == "PodScheduled" and c["status"] == "True" for c in pod["status"].get("conditions", ())):
        yield "scheduled"
    if pod["status"].get("phase") in ("Running", "Succeeded", "Failed"):
        yield "running"
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        yield "ended"


@contextmanager
def watching(room: Room) -> Iterator[Watch]:
    """Watch a namespace meanwhile."""
    watch = Watch(room)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
        watch.look()


def steps(room: Room, pod: str) -> list[str]:
    """What a pod's log says, each line with its time."""
    text = room.place.kubectl.attempt("logs", pod, "--timestamps", "--namespace", room.name).stdout
    return [line for line in text.splitlines() if STAMPED.match(line)]


def ending(audit: Manifest) -> str:
    """How the last event of an audit begins: with the condition's reason (Breached), not the verdict (Failed)."""
    return f"{condition(audit, 'Complete')['reason']}: "
