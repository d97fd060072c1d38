"""What the tasks after golden need, loaded while golden's are running.

TensorRT and a device's context take about a second, pages and tables a tenth; ONNX Runtime computes the golden outputs
without the interpreter. So the one hides behind the other, as far as there are cores for both.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from assay_runner import journal

_NOW: Final = ("assay_runner.tasks.golden", "assay_runner.golden.run", "assay_runner.backends")
_LATER: Final = ("assay_runner.tasks.candidate", "assay_runner.tasks.summary", "assay_runner.report.terminal")

_GRACE: Final = 2.0
"""Seconds that a run which fails waits for what is being loaded."""


@contextmanager
def loading(backends: Collection[str]) -> Iterator[None]:
    """While the block runs, load what comes after it: the backends' libraries and devices among it."""
    # Two threads that import modules of one another may lock each other out: what the block needs comes first, here.
    for name in _NOW:
        importlib.import_module(name)
    left = threading.Event()
    thread = threading.Thread(target=_load, args=(backends, left), name="ahead", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        left.set()
        # Who is told to stop within an import may leave Python's lock of imports taken: the thread would wait for ever.
        thread.join(_GRACE)
        raise
    left.set()
    thread.join()


def _load(backends: Collection[str], left: threading.Event) -> None:
    from assay_runner.backends import BACKENDS

    loads: list[Callable[[], object]] = [BACKENDS[name].available for name in sorted(backends)]
    loads += [partial(importlib.import_module, name) for name in _LATER]
    for load in loads:
        if left.is_set():
            return
        # Whoever needs what cannot be loaded will ask again, and say so.
        with suppress(Exception), journal.beside("ahead", "loading what comes later"):
            load()
