"""Versions of what is installed; sources that are run where they lie have none."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

RUNNER: Final = "assay-runner"
UNKNOWN: Final = "unknown"


def installed(package: str) -> str | None:
    """The version of a package; None: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def runner_version() -> str:
    """The runner's own version, or that it is unknown."""
    return installed(RUNNER) or UNKNOWN
