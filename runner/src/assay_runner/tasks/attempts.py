"""What a Pod was doing, kept in the artifact store, so that the Pod after it passes over the step that ended it.

Inside a Pod the watching process sees how its child ends. Where the whole Pod goes, as when Kubernetes ends everything
in it for its memory, all that is left is what was written before: the step that was entered last, and the sentences of
those that are passed over. It costs one small object per step that is entered for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
GONE: Final = "ended its Pod without a word, as where memory runs out or a node goes away"


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
    passed: tuple[PassedOver, ...] = ()
    """Steps that are not tried again."""


@contextmanager
def mirrored(task: Task, store: Store) -> Iterator[None]:
    """While the block runs, keep in the store what is being done; pass over what ended a Pod of this task before.

    A store that fails costs the record, not the task.
    """
    uri = join(task.folder, RECORD)
    if task.candidate is None:
        # Nothing inside it can be passed over, and trying again is what a Job is for.
        yield
        return
    if not journal.again():
        journal.pass_over(_before(task, store, uri))
    teller = _Teller(task, store, uri)
    journal.mirror_to(teller.tell)
    try:
        yield
    finally:
        journal.mirror_to(None)
        if teller.told:
            teller.tell(None)


class _Teller:
    """Writes the record.

    Attributes:
        told: whether anything was written, and the store took it.
    """

    def __init__(self, task: Task, store: Store, uri: str) -> None:
        self.told = False
        self._task, self._store, self._uri = task, store, uri

    def tell(self, step: Step | None) -> None:
        """The step that was entered; None: no step is to blame any more."""
        passed = tuple(PassedOver(path=path, sentence=why) for path, why in journal.passed_over().items())
        path, words = (step.path, step.words) if step else ((), "")
        record = Attempt(task=self._task.digest, open=path, words=words, passed=passed)
        try:
            put_record(self._store, self._uri, record)
            self.told = True
        except (InvalidInput, Unavailable):
            self.told = False
            journal.mirror_to(None)


def _before(task: Task, store: Store, uri: str) -> dict[tuple[str, ...], str]:
    try:
        found = read_record(store, uri, Attempt, WHAT)
    except (InvalidInput, Unavailable):
        return {}
    if found is None or found.task != task.digest:
        return {}
    passed = {each.path: each.sentence for each in found.passed}
    return passed | ({found.open: f"{found.words} {GONE}"} if found.open else {})
