"""A session kept busy while another one is looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

from assay_runner.backends import Session
from assay_runner.tensors import Batch


@contextmanager
def busy(session: Session, batches: Sequence[Batch]) -> Iterator[None]:
    """A thread that runs the batches over and over, from before the block on; its failure is raised at the end."""
    going, done, failures = threading.Event(), threading.Event(), list[Exception]()

    def work() -> None:
        try:
            for batch in cycle(batches):
                if done.is_set():
                    return
                session.run(batch.inputs)
                going.set()
        except Exception as error:  # Raised where it is seen: a thread that just ends would be no load.
            failures.append(error)
        finally:
            going.set()

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    try:
        going.wait()
        yield
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
