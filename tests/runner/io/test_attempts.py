"""What a Pod was doing is told by two threads: by the one that does it, and by the one that looks at its memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay_runner import journal
from assay_runner.stores.local import LocalStore
from assay_runner.stores.sealed import read_record
from assay_runner.tasks import attempts
from assay_runner.tasks.attempts import WHAT, Attempt, _Teller
from tests.cli.audits import good
from tests.cli.test_task import tasks


class Slow(LocalStore):
    """Takes its time for the first record of a full memory."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def put(self, uri: str, source: Path | bytes, content_type: str = "") -> None:
        if isinstance(source, bytes) and b'"full": true' in source:
            self.begun.set()
            assert self.go.wait(60)
        super().put(uri, source)


class Pod:
    """What one tells of its steps, which lie in a task; how full its memory is, is set here."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        monkeypatch.setattr(journal, "_HERE", journal._Here())
        monkeypatch.setattr(attempts, "nearly_full", lambda: self.full)
        good(folder)
        self.store, self.uri = Slow(), f"file://{folder}/attempt.json"
        self.teller = _Teller(tasks(folder)["fp32"], self.store, self.uri, ())
        journal.mirror_to(self.teller.tell)

    def left(self) -> tuple[str, bool]:
        """The step that the Pod after it would find open, and whether memory was nearly full in it."""
        told = read_record(self.store, self.uri, Attempt, WHAT)
        assert told is not None
        return "/".join(told.open), told.full


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    found = Pod(tmp_path, monkeypatch)
    with journal.step("fp32", "a task"):
        yield found


@contextmanager
def step(name: str) -> Iterator[None]:
    with journal.step(name, "working"):
        yield


@pytest.mark.parametrize("end", [False, True], ids=["another step", "the end"])
def test_a_full_memory_that_is_being_stored_is_not_the_last_that_is_told(pod: Pod, end: bool) -> None:
    """Else the Pod after one that died later passes over a step that is over."""
    with step("Build"):
        pod.full = True
        full = threading.Thread(target=pod.teller.look, daemon=True)
        full.start()
        assert pod.store.begun.wait(60)
    other = threading.Thread(target=pod.teller.tell, args=(None,), daemon=True)
    if end:
        other.start()
        other.join(0.3)  # Long enough for a record, where it waits for nobody.
        pod.store.go.set()
        other.join(60)
    else:
        threading.Timer(0.3, pod.store.go.set).start()
        with step("Serve"):
            pass
    full.join(60)
    assert pod.left() == ("" if end else "fp32/Serve", False)


def test_whose_memory_is_full_is_the_step_that_is_open_and_not_the_one_told_last(pod: Pod) -> None:
    """One that is entered again at once is not told, and none that is over."""
    pod.store.go.set()
    for _ in range(2):
        for name in ("Build", "Serve"):
            with step(name):
                pass
    with step("Build"):
        pod.full = True
        pod.teller.look()
        assert pod.left() == ("fp32/Build", True)
    with step("Serve"):
        pod.full = False
        pod.teller.look()
        assert pod.left() == ("fp32/Serve", False), "what was full is over"
        pod.full = True
        pod.teller.look()
        assert pod.left() == ("fp32/Serve", True)
    pod.teller.look()
    assert pod.left() == ("", False), "none is open"


def test_a_step_that_is_told_again_while_memory_is_full_stays_the_one_it_is_full_in(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MIRROR_SECONDS", -1.0)
    pod.store.go.set()
    pod.full = True
    for _ in range(2):
        with step("Build"):
            pod.teller.look()
            assert pod.left() == ("fp32/Build", True)


def test_where_none_is_to_blame_a_full_memory_blames_none(pod: Pod) -> None:
    """As where the Pod was told to end: the step it was in is still open."""
    pod.store.go.set()
    pod.full = True
    with step("Build"):
        pod.teller.tell(None)
        pod.teller.look()
        assert pod.left() == ("", False)
