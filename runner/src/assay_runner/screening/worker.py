"""The process that scans one device: an order on standard input, JSON lines on standard output.

It is a process of its own so that a device which hangs, or takes its process down, is a finding and not the end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assay_api.model import to_wire
from assay_runner.errors import AuditError, InvalidInput, Unavailable, as_audit_error, name_of
from assay_runner.screening.feeding import made_up, read
from assay_runner.screening.orders import Order, Scan
from assay_runner.screening.scanning import Opener, scan
from assay_runner.screening.subjects import opened


def work(opener: Opener = opened) -> int:
    """Do what the order on standard input says, and tell of it; every failure that has words is told too."""
    order = Order.model_validate_json(sys.stdin.read())
    with _own_output() as tell:
        _obey(order, opener, tell)
    return 0


def _obey(order: Order, opener: Opener, tell: Callable[[object], None]) -> None:
    doing = "it cannot be loaded"
    try:
        with opener(order) as subject:
            tell({"loaded": True})
            found = Path(order.feeds) if order.feeds else None
            doing = "a run failed"
            feeds = read(found, order.count) if found else made_up(subject.specs, order.count, order.batch)
            told = scan(subject, feeds, order, lambda runs: tell({"runs": runs}))
    except Exception as error:
        failure: AuditError = as_audit_error(error)
        # What a device does not do though nothing is wrong with what it was given is a finding.
        refused = isinstance(failure, (InvalidInput, Unavailable))
        told = Scan(
            device=order.device,
            ended="Refused" if refused else "Died",
            message=str(failure) if refused else f"{doing}: {failure}",
            error=name_of(failure),
        )
    tell({"scan": to_wire(told)})


@contextmanager
def _own_output() -> Iterator[Callable[[object], None]]:
    """Tells on standard output, alone: what plugins print goes to standard error, and spoils no line of ours."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)

        def tell(what: object) -> None:
            print(json.dumps(what, separators=(",", ":")), file=output, flush=True)

        yield tell


if __name__ == "__main__":
    sys.exit(work())
