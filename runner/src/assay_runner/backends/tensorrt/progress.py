"""What the builder is doing, for a person, a log and the operator; a build may take many minutes without it."""

from __future__ import annotations

from typing import Any

from assay_runner import interruption, journal
from assay_runner.backends.tensorrt.library import tensorrt
from assay_runner.tensors import Progress


def monitor(progress: Progress, what: str) -> Any:
    """An IProgressMonitor that turns the builder's outermost phase into the steps of one stage, deeper ones into notes.

    TensorRT calls it from threads of its own, and an exception in it would end the process: `progress` must not raise.
    """
    base: Any = tensorrt().IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Counts the steps of phases without a parent."""

        def __init__(self) -> None:
            base.__init__(self)
            self._outer: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._outer[phase_name] = 0
                progress.stage(what, num_steps, "steps")
            elif parent_phase in self._outer:
                progress.note(f"{phase_name} ({num_steps} steps)")

        def step_complete(self, phase_name: str, step: int) -> bool:
            journal.alive()
            if phase_name in self._outer:
                progress.advance(max(0, step + 1 - self._outer[phase_name]))
                self._outer[phase_name] = max(step + 1, self._outer[phase_name])
            return not interruption.came()

        def phase_finish(self, phase_name: str) -> None:
            self._outer.pop(phase_name, None)

    return Monitor()
