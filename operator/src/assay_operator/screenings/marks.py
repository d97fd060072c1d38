"""What a screening says of nodes, for whoever takes them out of service: by a condition, where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from assay_api.finding import Verdict
from assay_api.result import TaskResult, shorten
from assay_api.screening import node_condition
from assay_operator.objects.decision import Mark
from assay_operator.screenings.screening import Screening
from assay_operator.screenings.standing import NodeState

WORDS: Final = 1024


def marks_of(screening: Screening, states: Sequence[NodeState], result: TaskResult | None) -> tuple[Mark, ...]:
    """The conditions of the nodes that were screened, or hang; a stand-in says nothing of them."""
    if result is None or result.fleet is None or result.emulated:
        return ()
    fleet, uri = result.fleet, result.report.uri if result.report else ""
    said = {each.node: f"{each.device}: {each.message}" for each in (*fleet.doubtful, *fleet.wrong)}
    verdicts = dict.fromkeys(fleet.unclear_nodes, Verdict.INCONCLUSIVE) | dict.fromkeys(fleet.bad_nodes, Verdict.FAILED)
    # Where the answer had no room for all of them, of no other node is said that nothing is wrong with it.
    whole = len(verdicts) >= fleet.bad

    def found() -> Iterator[Mark]:
        for state in states:
            node = state.place.node
            if state.state not in ("Scanned", "Hung") or not (whole or node in verdicts):
                continue
            verdict = verdicts.get(node, Verdict.PASSED)
            words = said.get(node, "see the report" if node in verdicts else "no answer of its GPUs deviated")
            message = shorten(f"{words} (screening {screening.key}, {uri})", WORDS)
            yield Mark(node, node_condition(verdict, message).model_dump())

    return tuple(found())
