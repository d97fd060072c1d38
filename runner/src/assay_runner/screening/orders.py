"""What one device is asked to do, and what it told: both go between processes as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay_api.model import Model
from assay_api.screening import PhaseCount


class Order(Model):
    """What a device is asked to do."""

    subject: str
    """File to be run: a plan, or an ONNX model for the CPU."""
    device: str
    """The device, as `DeviceEntry` has it."""
    plugins: tuple[str, ...] = ()
    """Libraries that a plan needs and does not carry, absolute paths."""
    feeds: str | None = None
    """Folder of inputs, one .npz file each; absent: made up."""
    count: int = Field(default=8, ge=1)
    """Inputs that are made up, or taken at most."""
    batch: int = Field(default=1, ge=1)
    """Length of free axes of inputs that are made up."""
    runs: int = Field(default=30_000, ge=1)
    """Runs once it is warm."""
    heat: float = 0.0
    """Seconds of the heating phase."""
    seconds: float = 120.0
    """Time after which no further run begins."""
    answers: str
    """Folder into which distinct answers go."""
    right: tuple[str, ...] = ()
    """Digests of right answers by input, where one is enough to end the scan."""


class Answer(Model):
    """One of the answers that a device gave to one input."""

    input: int
    digest: str
    count: int
    """How often."""
    phases: dict[str, int] = {}
    """How often, by phase."""
    file: str | None = None
    """Where it is kept; absent beyond the first few."""


class Scan(Model):
    """What became of a scan."""

    device: str
    ended: Literal["Done", "Refused", "Hung", "Died"]
    """Done: all that was asked, or that there was time for. Refused: it could not be run. Hung, Died: see `message`."""
    message: str = ""
    error: str = ""
    """Where it was refused, the kind of error."""
    inputs: str = ""
    """Digest of the inputs."""
    runs: int = 0
    answers: tuple[Answer, ...] = ()
    phases: tuple[PhaseCount, ...] = ()
    seconds: float = 0.0
    milliseconds: float | None = None
    clock_mhz: int | None = None

    def by_input(self) -> dict[int, dict[str, int]]:
        """How often each answer was given, by input."""
        found: dict[int, dict[str, int]] = {}
        for answer in self.answers:
            found.setdefault(answer.input, {})[answer.digest] = answer.count
        return found
