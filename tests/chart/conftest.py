"""The chart, rendered by the real helm."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import toolchain

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "assay"
NAMESPACE = "assay-system"


@dataclass(frozen=True)
class Chart:
    """A chart, `charts/assay` or a copy of it, and the helm that renders it."""

    helm: Path
    folder: Path = CHART

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run helm and return how it ended."""
        return subprocess.run([str(self.helm), *arguments], text=True, capture_output=True, check=False, timeout=60)

    def text(self, *arguments: str, release: str = "assay") -> str:
        """The rendered manifests as one YAML stream."""
        done = self.attempt("template", release, str(self.folder), "--namespace", NAMESPACE, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def render(self, *arguments: str, release: str = "assay") -> list[dict[str, Any]]:
        """The rendered objects."""
        return [o for o in yaml.safe_load_all(self.text(*arguments, release=release)) if o]


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart(toolchain.helm())


@pytest.fixture(scope="session")
def default(chart: Chart) -> list[dict[str, Any]]:
    """What the chart makes without any value set."""
    return chart.render()


def named(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The one object of a kind (and name)."""
    (found,) = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found


def kinds(objects: list[dict[str, Any]]) -> list[str]:
    """The kinds, sorted, with repetitions."""
    return sorted(o["kind"] for o in objects)
