"""The soak: `make soak`, or a part of it by `--only`. Each line is `name value goal ok|MISS`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.bench.figures import Figure, report
from tests.bench.operator import Size, burst
from tests.soak.disrupted import disruptions, restarts
from tests.soak.faults import kills, mutations, quota, silence
from tests.soak.fleet import Fleet
from tests.soak.outage import outage
from tests.soak.scale import scale

SMALL = Fleet(sweeps=4, ended=400, active=40)
PARTS: dict[str, Callable[[bool], Iterator[Figure]]] = {
    "scale": lambda quick: scale(SMALL if quick else Fleet()),
    "burst": lambda quick: burst(replace(Size(), burst=200 if quick else 5000, repeats=1)),
    "quota": lambda quick: quota(36 if quick else 360),
    "kills": lambda quick: kills(),
    "mutations": lambda quick: mutations(100 if quick else 1000),
    "outage": lambda quick: outage(30, 10) if quick else outage(600),
    "silence": lambda quick: silence(),
    "disruptions": lambda quick: disruptions(),
    "restarts": lambda quick: restarts(),
}


def main() -> int:
    """Measure what is asked for; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and short: finds what is broken, judges nothing")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"--only takes {','.join(PARTS)}; got {','.join(unknown)}")
    return report(PARTS[name](asked.quick) for name in chosen)


if __name__ == "__main__":
    raise SystemExit(main())
