"""Build routes: one knob of the builder's compiler turned at a time, to name the one behind a miscompile.

It costs as many builds as there are values that are no default, for the builds that fail as they are stand for these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay_api.repair_tactics import KnobEntry
from assay_api.report import Verdict
from assay_runner.backends.routes import Knob, Routed, one_at_a_time
from assay_runner.remedies.case import Design
from assay_runner.remedies.tactics.bench import Bench, Rebuild, passing


@dataclass(frozen=True)
class Turned:
    """A knob, turned alone.

    Attributes:
        knob: which.
        value: to what.
        build: the build.
    """

    knob: Knob
    value: str
    build: Rebuild

    @property
    def words(self) -> str:
        """For people."""
        return f"build route -{self.knob.name.lstrip('-')}={self.value} (by default {self.knob.default})"

    def entry(self) -> KnobEntry:
        """For the report."""
        return KnobEntry(knob=self.knob.name, value=self.value, verdict=self.build.verdict)


def scanned(bench: Bench) -> list[Turned]:
    """Every knob at every other value, as far as the budget goes; none where the builder has no knobs.

    Raises:
        OutOfBudget: the minutes are spent.
        Unavailable: the store, memory or the device gave out.
    """
    backend = bench.case.backend
    found: list[Turned] = []
    for knob, value, route in one_at_a_time(backend.knobs()) if isinstance(backend, Routed) else ():
        if not bench.affords(bench.count):
            break
        design = bench.design(f"build route {route}", replace(bench.order, route=route))
        found.append(Turned(knob, value, bench.build("route", design)))
    return found


def confirmed(bench: Bench, turned: Sequence[Turned]) -> tuple[Turned, Design] | None:
    """The fastest turn that passes, and passes whenever it is built again; None where none does.

    Raises:
        OutOfBudget: the budget is spent.
        Unavailable: the store, memory or the device gave out.
    """
    mended = [each for each in turned if each.build.verdict is Verdict.PASSED]
    for each in sorted(mended, key=lambda t: t.build.kernels.latency_ms or float("inf")):
        again = bench.several("route", each.build.design, bench.count - 1, until=Verdict.FAILED)
        if passing(again) == len(again):
            return each, each.build.design
    return None
