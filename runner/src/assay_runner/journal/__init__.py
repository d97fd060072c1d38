"""What a process is about to do, written where its death cannot reach it, and which steps killed one before.

Libraries below us crash, run out of memory or never end, and take the process with them. So whatever may do so is a
step: it is written down before it begins, and whoever watches the process (`watcher`) reads which one was open when it
died. The work is then begun again by another process, in which entering that step raises `Died` with one sentence:
everything that can do without it goes on.

Steps lie in one another (task, pass, build); the innermost open one is to blame. A path of names tells one from all
others and must be the same in every attempt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from assay_runner.errors import Died
from assay_runner.journal.opened import Open
from assay_runner.journal.pages import Journal, Seen, Step

__all__ = ["Journal", "Seen", "Step"]

_MIRROR_SECONDS: Final = 5.0


@dataclass
class _Here:
    """This process: its open steps, and what it knows of those before it."""

    journal: Journal | None = None
    passed: dict[tuple[str, ...], str] = field(default_factory=dict)
    again: bool = False
    seen: Seen = field(default_factory=Seen)
    steps: list[Step] = field(default_factory=list)
    open: list[Open] = field(default_factory=lambda: [Open(None)])
    aside: list[Step] = field(default_factory=list)
    mirror: Callable[[Step | None], None] | None = None
    mirrored: dict[tuple[str, ...], float] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 0

    def write(self, **changes: Any) -> None:
        """What is known of this process, beside the steps that are open, changed."""
        with self.lock:
            fields = {"patience": self.seen.patience, "code": self.seen.code, "scratch": self.seen.scratch}
            self.seen = Seen((*self.steps, *self.aside), **{**fields, **changes})
            self.version += 1
            self.show()

    def show(self) -> None:
        """Have the journal say what is open."""
        if not self.journal:
            return
        innermost = self.open[-1]
        if innermost.version != self.version or not self.journal.turn(innermost.page):
            self.seen = replace(self.seen, steps=(*self.steps, *self.aside))
            innermost.page, innermost.version = self.journal.write(self.seen), self.version
        self.journal.beat()

    def enter(self, found: Open) -> int:
        """A step begins; how many there are around it."""
        assert found.step is not None
        with self.lock:
            depth = len(self.steps)
            self.steps.append(found.step)
            self.open.append(found)
            self.show()
        return depth

    def leave(self, depth: int) -> None:
        """It is over, and with it all that are inside."""
        with self.lock:
            del self.steps[depth:], self.open[depth + 1 :]
            self.show()


_HERE = _Here()


def use(journal: Journal, passed: Mapping[tuple[str, ...], str], again: bool) -> None:
    """From here on this process writes to a journal; `passed`: sentences by the paths of steps that are passed over.

    `again`: another process began the same work, and died.
    """
    global _HERE
    before = journal.read()
    _HERE = _Here(journal, dict(passed), again, Seen(patience=before.patience, scratch=before.scratch))
    _HERE.write()


def again() -> bool:
    """Whether another process began the same work, and died."""
    return _HERE.again


def pass_over(sentences: Mapping[tuple[str, ...], str]) -> None:
    """Steps that were found to kill a process elsewhere: in the Pod before this one."""
    _HERE.passed.update(sentences)


def mirror_to(told: Callable[[Step | None], None] | None) -> None:
    """Tell somebody of every step that is entered for the first time, and now and then of one that is entered again.

    For a Pod, which dies with all its processes. None: nobody.
    """
    _HERE.mirror = told


def innermost() -> Step | None:
    """The innermost step that is open inside a task, by whichever thread asks."""
    with _HERE.lock:
        found = _HERE.steps[-1] if _HERE.steps else None
    return found if found and len(found.path) > 1 else None


def passed_over() -> dict[tuple[str, ...], str]:
    """Sentences by the paths of steps that are passed over."""
    return dict(_HERE.passed)


def be_patient(seconds: float) -> None:
    """Wait so long for a sign of life."""
    _HERE.write(patience=seconds)


def patience() -> float:
    """Seconds without a sign of life after which what is being done counts as something that never ends."""
    return _HERE.seen.patience


def over(code: int) -> None:
    """Everything is done: whatever happens now, this is the exit code."""
    _HERE.leave(0)
    _HERE.write(code=code)


def scratch(folder: Path | None) -> None:
    """Where this process keeps what goes when it ends; None: it is gone."""
    _HERE.write(scratch=str(folder or ""))


def inherited_scratch() -> Path | None:
    """The scratch folder of the process before this one, if it died."""
    found = _HERE.seen.scratch if _HERE.again else ""
    return Path(found) if found and Path(found).is_dir() else None


def alive() -> None:
    """A sign of life of what may take long."""
    if _HERE.journal:
        _HERE.journal.beat()


def keep(key: str, value: Any) -> None:
    """Something that the next process need not do again, should this one die; JSON can hold it."""
    if _HERE.journal:
        _HERE.journal.add([key, value])


def kept(key: str) -> Any:
    """What a process before this one kept under a key last, or None."""
    found = kept_all(key)
    return found[-1] if found else None


def kept_all(key: str) -> list[Any]:
    """What the processes before this one kept under a key, in order."""
    found = _HERE.journal.entries() if _HERE.journal and _HERE.again else []
    return [value for name, value in found if name == key]


def forgive(seconds: float) -> None:
    """Tell whom every step is told that none of them is to blame for the end of this process; wait so long for it."""
    if _HERE.mirror and _HERE.mirrored:
        teller = threading.Thread(target=_HERE.mirror, args=(None,), daemon=True)
        teller.start()
        teller.join(seconds)


def purpose() -> str:
    """What the innermost open step that has a purpose is done for, as names of checks; empty where none has."""
    return next((step.purpose for step in reversed(_HERE.steps) if step.purpose), "")


def step(name: str, words: str, purpose: str = "") -> AbstractContextManager[None]:
    """Something that may end the process, inside the steps that are open; see `Step`.

    Raises:
        Died: it ended a process before; where the block begins.
    """
    return _Block(name, words, purpose)


class _Block(AbstractContextManager[None]):
    """A step, as a block. Not by `contextmanager`, which takes as long as a batch of a small model."""

    __slots__ = ("_depth", "_named")

    def __init__(self, name: str, words: str, purpose: str) -> None:
        self._named = name, words, purpose

    def __enter__(self) -> None:
        entered = _HERE.open[-1].enter(*self._named)
        assert entered.step is not None
        if entered.step.path in _HERE.passed:
            raise Died(_HERE.passed[entered.step.path])
        self._depth = _HERE.enter(entered)
        _told(entered.step)

    def __exit__(self, *_: object) -> None:
        _HERE.leave(self._depth)


@contextmanager
def beside(name: str, words: str) -> Iterator[None]:
    """A step done in a thread beside all others; where the process dies meanwhile, it is the first to be blamed.

    Raises:
        Died: it may have ended a process before.
    """
    entered = Step((name,), words)
    if entered.path in _HERE.passed:
        raise Died(_HERE.passed[entered.path])
    with _HERE.lock:
        _HERE.aside.append(entered)
    _HERE.write()
    try:
        yield
    finally:
        with _HERE.lock:
            _HERE.aside.remove(entered)
        _HERE.write()


def _told(entered: Step) -> None:
    """Of steps inside a task alone: a task as a whole is tried again."""
    if _HERE.mirror is None or len(entered.path) < 2:
        return
    now = time.monotonic()
    last = max(_HERE.mirrored.values(), default=0.0)
    if entered.path not in _HERE.mirrored or now - last > _MIRROR_SECONDS:
        _HERE.mirrored[entered.path] = now
        _HERE.mirror(entered)
