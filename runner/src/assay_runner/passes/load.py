"""A session kept busy while another one is looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

from assay_runner.backends import Session
from assay_runner.errors import AuditError
from assay_runner.tensors import Batch


@contextmanager
def busy(session: Session, batches: Sequence[Batch]) -> Iterator[None]:
    """A thread that runs the batches over and over; its failure is raised at the end."""
    done, failures = threading.Event(), list[AuditError]()

    def work() -> None:
        try:
            for batch in cycle(batches):
                if done.is_set():
                    return
                session.run(batch.inputs)
        except AuditError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
