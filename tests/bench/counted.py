"""`assay` with a count of the engines that TensorRT builds, and of the seconds they take.

A benchmark that leaves builds out must not take the measured program's word for them: this one counts every call that
builds, of whatever purpose, and writes the numbers to a file at the end.

    python -m tests.bench.counted COUNTS.json run -f audit.yaml --out out
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["counting"]


def counting(builder: type, counts: dict[str, float]) -> None:
    """Wrap every method of a builder that builds an engine."""

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*words: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*words, **named)
            finally:
                counts["builds"] += 1
                counts["seconds"] += time.perf_counter() - begin

        return call

    for name in dir(builder):
        if name.startswith("build_"):
            setattr(builder, name, wrapped(getattr(builder, name)))


def main() -> int:
    """Run `assay` with the words behind the first one."""
    import tensorrt

    from assay_runner.cli import run_command

    counts: dict[str, float] = {"builds": 0, "seconds": 0.0}
    counting(tensorrt.Builder, counts)
    code = run_command(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(counts))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
