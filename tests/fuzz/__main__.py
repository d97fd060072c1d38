"""`python -m tests.fuzz`: cases of every kind until the time or their number is up; 1 where there are findings."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.watch import Finding, Tally, batch

FOUND = Path("build/fuzz")
BATCH = 200
APART = 1_000_000
"""Between the seeds of the first batches of two runs whose seeds are neighbours."""


def main() -> int:
    """Run, tell, keep what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="end after so long")
    parser.add_argument("--cases", type=int, help="end after so many (default 10000 where no time is given)")
    parser.add_argument("--seed", type=int, default=1, help="where to begin (default 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes at once (default 1)")
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="only these")
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    tally = run(arguments.minutes, arguments.cases, arguments.seed, arguments.workers, kinds)
    print("\n".join(table(tally)))
    return 1 if tally.findings else 0


def keep(finding: Finding, seen: set[str]) -> None:
    """Write a finding to a file and tell of it; of those that end in the same words the first."""
    words = re.sub(r"[0-9a-f]{2,}|[0-9]+", "#", f"{finding.kind}{finding.what}{finding.said[-160:]}")
    if words in seen:
        return
    seen.add(words)
    path = FOUND / f"{finding.kind}-{hashlib.sha256(finding.packed).hexdigest()[:10]}.tar.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(finding.packed)
    print(f"{path}: {finding.what}: {' '.join(finding.said.split())[-300:]}")


def batches(seed: int, cases: int | None, kinds: list[str]) -> Iterator[tuple[str, int, int]]:
    """Kind, seed and number of cases of each batch, every kind by its share; endless without a number of cases.

    Runs of neighbouring seeds have no batch in common.
    """
    left, turn = cases, 1 + (seed - 1) * APART
    share = sum(KINDS[kind][1] for kind in kinds)
    while left is None or left > 0:
        for kind in kinds:
            count = max(1, round(BATCH * len(kinds) * KINDS[kind][1] / share))
            count = count if left is None else min(count, left)
            if count:
                yield kind, turn, count
            left = None if left is None else left - count
        turn += 1


def run(minutes: float | None, cases: int | None, seed: int, workers: int, kinds: list[str]) -> Tally:
    """Run batches until the time or the cases are up, or Ctrl-C ends them; what is found is kept on the way."""
    tally, end = Tally(), None if minutes is None else time.monotonic() + 60 * minutes
    asked = batches(seed, cases if minutes is not None else cases or 10_000, kinds)
    lock, seen, over = threading.Lock(), set[str](), threading.Event()

    def work() -> None:
        while not over.is_set() and (end is None or time.monotonic() < end):
            with lock:
                one = next(asked, None)
            if one is None:
                return
            before = len(tally.findings)
            batch(*one, tally)
            with lock:
                print(f"{tally.cases} cases, {len(tally.findings)} findings ({one[0]}, seed {one[1]})", file=sys.stderr)
                for finding in tally.findings[before:]:
                    keep(finding, seen)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        print("ending after the batches that run", file=sys.stderr)
        over.set()
        for thread in threads:
            thread.join()
    return tally


def table(tally: Tally) -> list[str]:
    """Exit codes by kind, as a table for docs/fuzzing.md."""
    codes = sorted({code for _, code in tally.codes})
    rows = [f"| kind | cases | {' | '.join(map(str, codes))} |", "|---" * (len(codes) + 2) + "|"]
    for kind in [*dict.fromkeys(kind for kind, _ in tally.codes)]:
        counts = [tally.codes[kind, code] for code in codes]
        rows.append(f"| {kind} | {sum(counts)} | {' | '.join(map(str, counts))} |")
    wrong = f"{len(tally.findings)} findings, {tally.endless} endless in bare ONNX Runtime too"
    return [*rows, f"{tally.cases} cases, {wrong}, the slowest {tally.slowest:.1f} s"]


if __name__ == "__main__":
    raise SystemExit(main())
