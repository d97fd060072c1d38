"""Which nodes to keep wide so that a model passes: a search over sets, without I/O, that asks and is answered."""

from assay_runner.search.answers import FAILED, PASSED, UNCLEAR, Answer, Verdict
from assay_runner.search.cheaper import Cost
from assay_runner.search.items import Item
from assay_runner.search.machine import Oracle, Search, search, search_with_confirmation
from assay_runner.search.outcome import Minimal, Outcome, Why
from assay_runner.search.trials import Limits, Purpose, Settings, Stage, Told, Trial

__all__ = [
    "FAILED",
    "PASSED",
    "UNCLEAR",
    "Answer",
    "Cost",
    "Item",
    "Limits",
    "Minimal",
    "Oracle",
    "Outcome",
    "Purpose",
    "Search",
    "Settings",
    "Stage",
    "Told",
    "Trial",
    "Verdict",
    "Why",
    "search",
    "search_with_confirmation",
]
