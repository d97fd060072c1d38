"""`assay` with a count of the engines that TensorRT builds, and of the seconds they take.

A benchmark that leaves builds out must not take the measured program's word for them: this one counts every call that
builds, of whatever purpose, and writes the numbers to a file at the end. It loads nothing itself: when `assay` loads
TensorRT, and beside what, is part of what is measured.

    python -m tests.bench.counted COUNTS.json run -f audit.yaml --out out
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["WhenLoaded", "counting"]


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


class WhenLoaded(MetaPathFinder):
    """Finds a module as it would be found without it, and hands it to `then` as soon as it is loaded."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        """Wait for the module of this name."""
        self._name, self._then = name, then
        self._looking = False

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec that all other finders agree on."""
        if fullname != self._name or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader, self._then)
        return spec


class _Telling(Loader):
    def __init__(self, loader: Loader, then: Callable[[ModuleType], None]) -> None:
        self._loader, self._then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._then(module)


def main() -> int:
    """Run `assay` with the words behind the first one, and end as it does."""
    from assay_runner.ending import Ending

    ending = Ending()
    from assay_runner.cli import run_command

    counts: dict[str, float] = {"builds": 0, "seconds": 0.0}
    sys.meta_path.insert(0, WhenLoaded("tensorrt", lambda module: counting(module.Builder, counts)))
    code = run_command(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(counts))
    ending.code = code
    return code


if __name__ == "__main__":
    raise SystemExit(main())
