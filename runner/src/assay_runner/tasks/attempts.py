"""What a Pod was doing, kept in the artifact store, so that the Pod after it passes over the step that ended it.

Inside a Pod the watching process sees how its child ends. Where the whole Pod goes, as when the kernel ends everything
in it for its memory, all that is left is what was written before: the step that was entered last, and the sentences of
those that are passed over. It costs one small object per step that is entered for the first time.

A node that goes away leaves the same. So a step is to blame where memory was nearly full in it, and else where a second
Pod ended in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_api.model import Model
from assay_api.plan import Task
from assay_runner import journal
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.journal import Step
from assay_runner.stores import join
from assay_runner.stores.sealed import put_record, read_record

if TYPE_CHECKING:
    from assay_runner.stores import Store

RECORD: Final = "attempt.json"
WHAT: Final = "journal"
FULL: Final = (
    "ended its Pod when memory was nearly full: give it more (spec.target.resources), or a smaller dataset.batch"
)
GONE: Final = "ended its Pod twice without a word, as where memory runs out or a node goes away"
NEARLY: Final = 0.8
LOOK_SECONDS: Final = 0.25


class PassedOver(Model):
    """A step that is not tried again."""

    path: tuple[str, ...]
    """Names of the step and of those around it."""
    sentence: str
    """Why."""


class Attempt(Model):
    """What a Pod of a task was doing."""

    task: str
    """Digest of the task."""
    open: tuple[str, ...] = ()
    """Names of the step that was entered last and of those around it; empty where none is to blame."""
    words: str = ""
    """What that step does."""
    full: bool = False
    """Whether memory was nearly full in it."""
    suspect: tuple[str, ...] = ()
    """The step in which the Pod before this one ended, if none was to blame for that."""
    passed: tuple[PassedOver, ...] = ()
    """Steps that are not tried again."""


@contextmanager
def mirrored(task: Task, store: Store) -> Iterator[None]:
    """While the block runs, keep in the store what is being done; pass over what ended a Pod of this task before.

    A store that fails costs the record, not the task.
    """
    uri = join(task.folder, RECORD)
    if not (task.candidate or task.together):
        # Nothing inside it can be passed over, and trying again is what a Job is for.
        yield
        return
    before = _before(task, store, uri)
    if not journal.again():
        journal.pass_over(passed_over(before))
    teller = _Teller(task, store, uri, before.suspect if journal.again() else before.open)
    journal.mirror_to(teller.tell)
    over = threading.Event()
    threading.Thread(target=teller.watch, args=(over,), name="memory", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        journal.mirror_to(None)
        if teller.told:
            teller.tell(None)


class _Teller:
    """Writes the record.

    Attributes:
        told: whether anything was written, and the store took it.
    """

    def __init__(self, task: Task, store: Store, uri: str, suspect: tuple[str, ...]) -> None:
        self.told = False
        self._task, self._store, self._uri, self._suspect = task, store, uri, suspect
        self._step: Step | None = None
        self._full = self._quiet = False
        self._alone = threading.Lock()

    def watch(self, over: threading.Event) -> None:
        """Tell of each step in which memory is nearly full."""
        while not over.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Tell of the step that is open now, if memory is nearly full in it and that was not told, or told of another.

        Not of the step that was told last: not all are that are entered again, and none that is over.
        """
        with self._alone:
            if self._quiet:
                return
            # The step first: one that is entered after it is seen at the next look.
            step = journal.innermost()
            full = step is not None and nearly_full()
            if (full or self._full) and (step != self._step or not self._full):
                self._put(step, full)

    def tell(self, step: Step | None) -> None:
        """The step that was entered; None: none is to blame, whatever is open."""
        # What is told by two threads would else be left as the one has it that was slower.
        with self._alone:
            self._quiet = step is None
            self._put(step, full=False)

    def _put(self, step: Step | None, full: bool) -> None:
        self._step, self._full = step, full
        passed = tuple(PassedOver(path=path, sentence=why) for path, why in journal.passed_over().items())
        path, words = (step.path, step.words) if step else ((), "")
        suspect = self._suspect if step else ()
        record = Attempt(task=self._task.digest, open=path, words=words, full=full, suspect=suspect, passed=passed)
        try:
            put_record(self._store, self._uri, record)
            self.told = True
        except (InvalidInput, Unavailable):
            self.told, self._quiet = False, True
            journal.mirror_to(None)


def _before(task: Task, store: Store, uri: str) -> Attempt:
    """What the Pod before this one left; nothing where there was none, or it cannot be read."""
    nothing = Attempt(task=task.digest)
    try:
        found = read_record(store, uri, Attempt, WHAT)
    except (InvalidInput, Unavailable):
        return nothing
    return found if found and found.task == task.digest else nothing


def passed_over(before: Attempt) -> dict[tuple[str, ...], str]:
    """Sentences by the paths of the steps that are passed over after a Pod that left this."""
    passed = {each.path: each.sentence for each in before.passed}
    if before.open and before.full:
        passed[before.open] = f"{before.words} {FULL}"
    elif before.open and before.open == before.suspect:
        passed[before.open] = f"{before.words} {GONE}"
    return passed


def nearly_full(cgroup: Path = Path("/sys/fs/cgroup")) -> bool:
    """Whether this container's processes hold nearly all the memory that they may; cached files do not count."""
    try:
        most = (cgroup / "memory.max").read_text().strip()
        fields = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return most != "max" and int(fields["anon"]) + int(fields["shmem"]) > NEARLY * int(most)
    except (OSError, ValueError, KeyError):
        return False  # No container, or another kind of it.
