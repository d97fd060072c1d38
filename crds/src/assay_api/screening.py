"""What `assay screen` found of a machine's GPUs: one file, `screen.json`."""

from __future__ import annotations

from typing import Literal

from assay_api.finding import Verdict
from assay_api.model import Model

SCREEN_JSON = "screen.json"
SCREEN_HTML = "screen.html"


class NodeCondition(Model):
    """What is said of a node; times are added by whoever writes it."""

    type: Literal["GpuAnswersWrong"] = "GpuAnswersWrong"
    """GpuAnswersWrong."""
    status: Literal["True", "False", "Unknown"]
    """True: a GPU of it is named."""
    reason: Literal["Deviates", "Inconclusive", "NoDeviation"]
    """One word for machines."""
    message: str
    """One sentence."""


def node_condition(verdict: Verdict, message: str) -> NodeCondition:
    """The condition of a node whose worst GPU has a verdict."""
    if verdict is Verdict.FAILED:
        return NodeCondition(status="True", reason="Deviates", message=message)
    if verdict is Verdict.INCONCLUSIVE:
        return NodeCondition(status="Unknown", reason="Inconclusive", message=message)
    return NodeCondition(status="False", reason="NoDeviation", message=message)


class DeviceClass(Model):
    """What devices must have in common for their answers to be the same bits."""

    product: str
    """GPU product, as the driver calls it; CPU for the stand-in."""
    driver: str = ""
    """Version of the driver."""
    mig: str = ""
    """MIG profile, or nothing."""
    ecc: str = ""
    """ECC mode: Enabled, Disabled, or nothing where the device has none."""


class Difference(Model):
    """How an answer differs from the one that counts as right."""

    input: int
    """Which of the inputs, from 0 on."""
    tensor: str
    """The output."""
    elements: int
    """Elements that differ."""
    of: int
    """Elements of the tensor."""
    first: tuple[int, ...] = ()
    """Flat indices of the first few."""
    bits: tuple[int, ...] = ()
    """Positions of the bits that differ in any element, 0 for the lowest."""
    period: int | None = None
    """Distance at which elements differ, where it is the same throughout."""
    max_abs: float | None = None
    """Largest absolute difference of elements; absent where one of them is no number."""
    digest: str = ""
    """Digest of the whole answer that differs; nothing in reports of older versions."""
    runs: int = 0
    """Runs that gave that answer; 0 in reports of older versions."""


class PhaseCount(Model):
    """Runs of one phase."""

    name: Literal["cold", "heating", "warm"]
    """cold: each input once, right after loading. heating: until the device is warm. warm: the rest."""
    runs: int
    """Runs that were compared."""
    deviations: int
    """Those whose answer was another."""
    seconds: float | None = None
    """Time that they took, comparing included."""


class DeviceEntry(Model):
    """One device."""

    device: str
    """Its UUID; cpu-0 and so on for stand-ins; node/NAME for a node of which nothing is known."""
    host: str | None = None
    """Its machine, where several were compared."""
    kind: DeviceClass
    """Its comparison class."""
    state: Literal["Scanned", "Skipped"]
    """Whether it was run at all."""
    verdict: Verdict
    """Failed: it is named. Inconclusive: nothing can be said, or it was skipped. Passed: no deviation was seen."""
    message: str
    """One sentence: what was seen, or why it was skipped."""
    runs: int = 0
    """Runs that were compared, confirmation apart."""
    deviations: int = 0
    """Runs whose answer was not the right one; where nothing says which is right, not the device's own commonest."""
    excludes: float | None = None
    """Fault rate per run that is excluded with 95 % confidence, 3 / runs, where no run deviated."""
    confirmed: bool | None = None
    """Whether a second scan of the same device deviated, hung or died again; absent where none was needed."""
    phases: tuple[PhaseCount, ...] = ()
    """Runs by phase."""
    seconds: float = 0
    """Time of the scan."""
    milliseconds: float | None = None
    """Median time of a run, copies included."""
    clock_mhz: int | None = None
    """SM clock at the end of the scan."""
    answers: tuple[str, ...] = ()
    """Digest of its commonest answer, by input."""
    differences: tuple[Difference, ...] = ()
    """Where its answers differ, of the first few."""


class RightAnswers(Model):
    """What counted as right for the devices of one class."""

    kind: DeviceClass
    """The class."""
    rule: Literal["digest", "majority", "none"]
    """What said so, as in the report."""
    answers: tuple[str, ...] = ()
    """Digest of the right answer, by input; nothing for an input on which none was."""


class ScreenReport(Model):
    """One screening."""

    version: str
    """Version of the runner."""
    subject: str
    """File that was run."""
    sha256: str
    """SHA-256 of that file."""
    inputs: str
    """Digest of the inputs; answers to others mean nothing beside these."""
    host: str
    """Name of the machine: of the node, where NODE_NAME says so. Where several were compared, how many."""
    made: str
    """When it ended, UTC."""
    rule: Literal["digest", "majority", "none"]
    """What said which answer is right: a stored record, a majority of at least three devices of a class, or nothing."""
    verdict: Verdict
    """The worst device's."""
    message: str
    """One sentence."""
    devices: tuple[DeviceEntry, ...]
    """Every device that there is, scanned or skipped."""
    emulated: bool = False
    """Whether the CPU stood in for GPUs."""
    right: tuple[RightAnswers, ...] = ()
    """What counted as right, by class of the devices that answered; nothing in reports of older versions."""


class AnswerRecord(Model):
    """The right answers of one class, as `assay screen --record` writes them."""

    sha256: str
    """SHA-256 of the file that was run."""
    inputs: str
    """Digest of the inputs."""
    kind: DeviceClass
    """The class that they hold for."""
    answers: tuple[str, ...]
    """Digest of the answer, by input."""
    devices: int
    """Devices that agreed."""
    runs: int
    """Runs that agreed."""
