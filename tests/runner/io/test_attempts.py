"""What a Pod was doing is told by two threads: by the one that does it, and by the one that looks at its memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from assay_runner.journal import Step
from assay_runner.stores.local import LocalStore
from assay_runner.stores.sealed import read_record
from assay_runner.tasks.attempts import WHAT, Attempt, _Teller
from tests.cli.audits import good
from tests.cli.test_task import tasks

FIRST, SECOND = Step(("fp32", "Build"), "building"), Step(("fp32", "Serve"), "running")


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


@pytest.mark.parametrize("after", [SECOND, None], ids=["another step", "the end"])
@pytest.mark.parametrize("begun", [True, False], ids=["being stored meanwhile", "found out meanwhile"])
def test_a_step_that_is_over_is_not_the_last_that_is_told(tmp_path: Path, after: Step | None, begun: bool) -> None:
    """Else the Pod after one that died later passes over the wrong one."""
    good(tmp_path)
    store, uri = Slow(), f"file://{tmp_path}/attempt.json"
    teller = _Teller(tasks(tmp_path)["fp32"], store, uri, ())
    teller.tell(FIRST)

    def beside(*given: Any, **more: Any) -> threading.Thread:
        thread = threading.Thread(target=teller.tell, args=given, kwargs=more, daemon=True)
        thread.start()
        return thread

    if begun:
        full = beside(FIRST, full=True)
        assert store.begun.wait(60)
        other = beside(after)
        other.join(0.3)  # Long enough for a record, where it waits for nobody.
        store.go.set()
    else:
        teller.tell(after)
        store.go.set()
        full = other = beside(FIRST, full=True)
    for each in (full, other):
        each.join(60)
    told = read_record(store, uri, Attempt, WHAT)
    assert told is not None
    assert (told.open, told.full) == (after.path if after else (), False)
