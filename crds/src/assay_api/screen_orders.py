"""What Jobs of a `GpuScreening` are asked, and tell: one screens a node, one holds all reports together."""

from __future__ import annotations

from typing import Final

from assay_api.model import Model
from assay_api.told import Told

PAIRS: Final = 16
"""GPUs, nodes and nodes to be screened again that one answer tells of at most."""
WORDS: Final = 160
"""Characters of a sentence about one of them."""


class ScreenOrder(Model):
    """One node to be screened."""

    node: str
    """Its name."""
    gpus: int
    """GPUs that it offers."""
    record: str | None = None
    """URI of the right answers."""
    plugins: tuple[str, ...] = ()
    """Libraries that the plan needs, paths in the runner's image."""
    inputs: int
    """As in the spec of the screening, as all that follows."""
    batch: int
    """Likewise."""
    runs: int
    """Likewise."""
    heat_seconds: int
    """Likewise."""
    scan_seconds: int
    """Likewise."""
    silence_seconds: int
    """Likewise."""


class CompareOrder(Model):
    """Reports of nodes to be held together."""

    scans: dict[str, tuple[str, ...]]
    """Nodes that were screened, each with the folders of its reports below the run's, in order."""
    hung: dict[str, int] = {}
    """Nodes of which nothing came back, with how often."""
    skipped: dict[str, tuple[str, ...]] = {}
    """Why nodes were not screened, with those of which that holds: a thousand have few reasons."""
    record: str | None = None
    """URI of the right answers."""


class NodeTold(Told):
    """What came of one node."""

    node: str
    """Its name."""
    devices: int = 0
    """GPUs that there are."""
    hung: bool = False
    """Whether it hangs as a whole: its driver does not answer."""


class GpuTold(Told):
    """A GPU of which there is something to say."""

    node: str
    """Its node."""
    device: str
    """Its UUID."""
    message: str
    """What was seen."""


class FleetTold(Told):
    """What came of all nodes."""

    scanned: int = 0
    """GPUs that were screened."""
    named: int = 0
    """GPUs that are named."""
    unclear: int = 0
    """GPUs that were screened, and of which nothing can be said."""
    skipped: int = 0
    """GPUs that were not screened, of nodes that were."""
    again: tuple[str, ...] = ()
    """Nodes to be screened once more, before a GPU of theirs is named."""
    wrong: tuple[GpuTold, ...] = ()
    """The first GPUs that are named."""
    doubtful: tuple[GpuTold, ...] = ()
    """The first of which nothing can be said."""
    bad_nodes: tuple[str, ...] = ()
    """The first nodes with a GPU that is named."""
    unclear_nodes: tuple[str, ...] = ()
    """The first nodes with a GPU of which nothing can be said, and none that is named."""
    bad: int = 0
    """How many there are of both kinds."""
    excludes: str | None = None
    """Fault rate that is excluded with 95 % for every GPU that passed."""
    recorded: bool = False
    """Whether the right answers were stored."""


def smaller(told: FleetTold, most: int, words: int) -> FleetTold:
    """The same with at most so many GPUs, and so many characters about each."""

    def few(gpus: tuple[GpuTold, ...]) -> tuple[GpuTold, ...]:
        return tuple(each.model_copy(update={"message": each.message[:words]}) for each in gpus[:most])

    nodes = {name: getattr(told, name)[: 2 * most] for name in ("again", "bad_nodes", "unclear_nodes")}
    return told.model_copy(update={"wrong": few(told.wrong), "doubtful": few(told.doubtful), **nodes})
