"""The kinds of task that there are, and what sets each apart for whoever plans, runs or tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GOLDEN: Final = "golden"
CANDIDATE: Final = "candidate"
REPAIR: Final = "repair"
SUMMARY: Final = "summary"
TOGETHER: Final = "together"
RESOLVE: Final = "resolve"
BASELINE: Final = "baseline"
SCREEN: Final = "screen"
COMPARE: Final = "compare"


@dataclass(frozen=True)
class TaskKind:
    """What sets a kind of task apart.

    Attributes:
        step: what it is in the story of a run, for example "golden outputs".
        verb: what is being done while it is at work, with `makes`: "Making".
        makes: what comes of it: "the golden outputs".
        candidate: it is about one candidate: it carries it, it has an entry in the status, and where it fails the
            others go on.
        concludes: its report is the run's own. Every plan has one task that concludes it.
        beside: it is done beside what was asked, so that the run's verdict and its end stand without it: where it
            fails, that is told. It has an entry of its own in the status.
        ahead: it does what tasks after it are about, several at once: they are answered by it, and each that is not
            does its work itself. So the run's end stands without it.
    """

    step: str
    verb: str
    makes: str
    candidate: bool = False
    concludes: bool = False
    beside: bool = False
    ahead: bool = False

    @property
    def needed(self) -> bool:
        """Whether a run in which it fails lacks something that was asked for."""
        return not (self.beside or self.ahead)


KINDS: Final[dict[str, TaskKind]] = {
    GOLDEN: TaskKind("golden outputs", "Making", "the golden outputs"),
    CANDIDATE: TaskKind("candidate", "Auditing", "the candidate", candidate=True),
    TOGETHER: TaskKind("candidates together", "Auditing", "candidates together", ahead=True),
    REPAIR: TaskKind("the repair", "Repairing", "what failed", beside=True),
    SUMMARY: TaskKind("the summary", "Writing", "the audit's report", concludes=True),
    RESOLVE: TaskKind("the models", "Looking at", "the models of the sweep"),
    BASELINE: TaskKind("the baseline", "Accepting", "the baseline"),
    SCREEN: TaskKind("the screening of a node", "Screening", "the node's GPUs"),
    COMPARE: TaskKind("the comparison", "Comparing", "all nodes' answers"),
}
"""Every kind of task. What does it is in the runner's table of tasks."""
