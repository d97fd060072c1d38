"""Every rule of what became of a task decides in some case, and the last one always does."""

from __future__ import annotations

from datetime import UTC, datetime

from assay_operator.audits.facts import Facts
from assay_operator.audits.record import read_status
from assay_operator.audits.rules import RULES
from assay_operator.audits.run import Run, run_of
from tests.reconcile.cases import CREATED, Case, names, observed


def deciding(name: str) -> set[str]:
    """Names of the rules that decide in a case."""
    case = Case(name)
    seen = case.read("observed.yaml") or {}
    there = observed(case.read("audit.yaml"), seen)
    run, status = run_of(there.audit), read_status(there.audit)
    if not isinstance(run, Run):
        return set()
    now = datetime.fromisoformat(str(seen.get("now", CREATED)).replace("Z", "+00:00")).astimezone(UTC)
    recorded = {entry.name: entry for entry in status.candidates} if status.run == run.digest else {}
    facts = [Facts.of(task, there, recorded.get(task.key), now) for task in run.tasks]
    return {next(rule.__name__ for rule in RULES if rule(each)) for each in facts}


def test_every_rule_decides_in_some_case() -> None:
    used = set().union(*map(deciding, names()))
    assert [rule.__name__ for rule in RULES if rule.__name__ not in used] == []
