"""Progress of what is done in a trial: signs of life, while what is told stays how far the whole repair is."""

from __future__ import annotations

from assay_runner.tensors import Progress


class Aside:
    """A `Progress` that passes on nothing but that something goes on."""

    def __init__(self, progress: Progress) -> None:
        """Signs of life go to `progress`."""
        self._progress = progress

    def stage(self, name: str, total: int | None = None, unit: str = "") -> None:
        """A sign of life."""
        self._progress.advance(0)

    def advance(self, units: int = 1) -> None:
        """A sign of life."""
        self._progress.advance(0)

    def note(self, message: str) -> None:
        """A sign of life."""
        self._progress.advance(0)
