"""How many engines checks cost, and which of them share one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay_runner.checks.check import Check


def builds_of(checks: Iterable[Check]) -> dict[str, tuple[str, ...]]:
    """What is built beside the engine that is served → the checks that need it, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for check in checks:
        for build in dict.fromkeys(build for need in check.needs for build in need.builds):
            found[build] = (*found.get(build, ()), check.name)
    return found


def spoken(builds: Mapping[str, tuple[str, ...]]) -> str:
    """As a list in a sentence."""
    return ", ".join(f"{build} ({', '.join(names)})" for build, names in builds.items())
