"""Precision: the nodes that must run wider for a candidate to pass, and no others.

An emulation proposes, the engine decides: `search` says what to try, the workshop tries it. Where the case's backend
emulates, there is one oracle. What was found is then tried in narrower formats than FP32.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from assay_api.remedies import PrecisionRemedy, Remedies
from assay_api.report import Verdict
from assay_runner.backends.conversion import listed
from assay_runner.graphs.blocks import blocks
from assay_runner.graphs.control_flow import control_flow
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import name_of, uses
from assay_runner.journal import step
from assay_runner.remedies.baseline import EVERY_NODE
from assay_runner.remedies.calibration.known import with_ranges
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.judged import BUILD, Judged
from assay_runner.remedies.judging import OF_PRECISION
from assay_runner.remedies.precision.chosen import may_run_wider
from assay_runner.remedies.precision.designs import explicit, formats, node_names
from assay_runner.remedies.precision.edits import edits_of
from assay_runner.remedies.precision.faster import Edited, better
from assay_runner.remedies.precision.items import cost_of, items_of
from assay_runner.remedies.precision.oracle import WRONG, answer_of
from assay_runner.remedies.precision.priors import FACT, priors
from assay_runner.remedies.precision.words import fails_alike, must_run_wider, needed, nothing
from assay_runner.remedies.remedy import Cure, does_not_apply
from assay_runner.remedies.spending import Oracle, OutOfBudget
from assay_runner.remedies.workshop import Workshop
from assay_runner.search import Answer, Limits, Outcome, Search, Settings, Stage, Told, Why
from assay_runner.search import Verdict as Passing

NAME: Final = "precision"
RESERVED: Final = 2
"""Trials of what decides that are kept back for a narrower format and for the audit of what was found."""


def keep_wide(case: Case, asked: Remedies, workshop: Workshop) -> Cure:
    """Find what must run wider.

    Raises:
        OutOfBudget: the budget is spent before anything passes.
        Unavailable: memory or the device gave out.
    """
    precision = case.design.order.precision
    if precision not in ("fp16", "bf16", "int8", "fp8"):
        return does_not_apply(f"{precision} has no wider format whose nodes could be told apart")
    if precision in ("int8", "fp8") and case.design.order.quantisation is None:
        return does_not_apply(
            "the candidate's own model brings its Q/DQ pairs: take those out of it that should not be there, or give "
            "an int8 candidate calibration"
        )
    if not {*(own := asked.precision or PrecisionRemedy()).to} & {*formats(precision)}:
        can = listed([kind.upper() for kind in formats(precision)])
        return does_not_apply(f"nodes of {precision} candidates can be kept in {can}, not in remedies.precision.to")
    return _Precision(case, own, workshop).cure()


class _Precision:
    """One search."""

    def __init__(self, case: Case, asked: PrecisionRemedy, workshop: Workshop) -> None:
        self.case, self.asked, self.workshop = case, asked, workshop
        self.base = with_ranges(explicit(case), workshop)
        self.precision = self.base.order.precision
        self.outline = load_outline(self.base.model.path)
        self.ignored: frozenset[str] = frozenset()
        self.eight_bit: frozenset[str] = frozenset()
        self.told: list[Told[str]] = []
        self.doubted = False
        self.hopeless: Cure | None = None
        self.kinds: dict[frozenset[str], str] = {}
        self.latency: dict[frozenset[str], float] = {}
        self.tries: Counter[tuple[Stage, frozenset[str]]] = Counter()

    def cure(self) -> Cure:
        """The whole of it."""
        if told := self._all_wide():
            return told
        edited = self._edited()
        try:
            found, nodes = self._wide()
        except OutOfBudget:
            if edited is None:
                raise
            return edited.cure
        return better(found, edited, self.latency, nodes)

    def _wide(self) -> tuple[Cure, int]:
        """Nodes that must run wider, or why there are none; and how many could."""
        layers, findings = self.workshop.survey(self.base)
        readers = {name: [site.node or "" for site in sites] for name, sites in uses(self.outline).items()}
        floats = frozenset(layer.name for layer in layers)
        chosen = may_run_wider(self.base, floats, self.workshop.folder("chosen"))
        self.eight_bit = chosen - self.base.order.held.keys() if self.base.order.quantisation else frozenset()
        if not chosen:
            return does_not_apply("the model has no node that could run wider"), 0
        outcome = self._opened(chosen, priors(layers, findings, readers))
        return self.hopeless or self._found(outcome, len(chosen)), len(chosen)

    def _all_wide(self) -> Cure | None:
        """Everything in FP32 must pass, or nothing does; checks that it leaves open decide nothing in the search."""
        failing = self.case.failing
        found = self._in_all("emulation")
        if not self.case.emulates and found.verdict is Verdict.FAILED:
            found = self._in_all("build")
        if told := fails_alike(found, failing):
            return told
        self.ignored = frozenset(said.check for said in found.said if said.verdict is not Verdict.PASSED)
        judged = {said.check for said in found.said} - self.ignored
        if not failing & judged:
            names = listed(sorted(failing))
            if open_ := next((said for said in found.said if said.check in failing or said.check == BUILD), None):
                why = f"it cannot be told on the samples that are searched with: {open_.message}"
                return Cure(None, f"even of every node in FP32 {why}", "Inconclusive")
            return does_not_apply(f"what it fails ({names}) does not follow from the precision of its nodes")
        return None

    def _in_all(self, oracle: Oracle) -> Judged:
        return self.workshop.judged(self.base.in_fp32(EVERY_NODE), NAME, oracle)

    def _edited(self) -> Edited | None:
        """The model said otherwise, where that alone is enough: nothing runs wider, and nothing is cast."""
        if self.precision != "fp16" or not self.asked.rewrite:
            return None
        with step("edits", "editing the model so that the format holds what it computes"):
            edits = edits_of(self.base.model, self.workshop.folder("edits"))
        for edit in edits:
            left = node_names(edit.model.path)
            held = {name: kind for name, kind in self.base.order.held.items() if name in left}
            order = replace(self.base.order, held=held)
            design = replace(self.base, model=edit.model, order=order, words=edit.words)
            if judged := self._passing(design):
                cure = Cure(design, f"with {edit.words} every node can stay {self.precision.upper()}")
                return Edited(cure, judged.latency_ms)
        return None

    def _limits(self) -> Limits:
        spent = self.workshop.spending
        builds, proposals = spent.budget.builds - spent.builds, spent.budget.proposals - spent.proposals
        return Limits(max(1, (proposals if self.case.emulates else builds) - RESERVED), max(1, proposals))

    def _opened(self, chosen: frozenset[str], suspicion: Mapping[str, float]) -> Outcome[str]:
        """Search what cannot be right alone where that is enough, else all.

        Values and sums beyond the format are no suspicion but a fact; mostly there is nothing else to mend.
        """
        facts = frozenset(name for name in chosen if suspicion.get(name, 0.0) >= FACT)
        for named in dict.fromkeys((facts, self._with_neighbours(facts, chosen))):
            if named and named < chosen and self._emulated(named).verdict is Passing.PASSED:
                found = self._searched(named, suspicion)
                if found.best is not None or found.why is Why.BUDGET or self.hopeless:
                    return found
                break  # What is enough in an emulation is not in an engine.
        # A whole model in FP32 passes, but not everything in it can be held.
        self._emulated(chosen)
        return self._searched(chosen, suspicion)

    def _emulated(self, kept: frozenset[str]) -> Answer:
        """What an emulation says of it."""
        answer = answer_of(self._tried(self._holding(kept, "fp32"), "emulation"))
        self.told.append((Stage.DECIDE if self.case.emulates else Stage.PROPOSE, kept, answer))
        return answer

    def _searched(self, chosen: frozenset[str], suspicion: Mapping[str, float]) -> Outcome[str]:
        machine = Search(
            items_of(self.outline, suspicion, chosen),
            cost=cost_of(self.outline, chosen),
            limits=self._limits(),
            settings=Settings(wrong=WRONG, beyond=2 + math.ceil(math.log2(len(chosen) + 1))),
            known=[told for told in self.told if told[1] <= chosen],
            with_proposals=not self.case.emulates,
        )
        self._drive(machine)
        return machine.outcome()

    def _with_neighbours(self, facts: frozenset[str], chosen: frozenset[str]) -> frozenset[str]:
        """The pieces of the graph that hold them."""
        pieces = [piece for block in blocks(self.outline, chosen) for piece in block]
        return frozenset(name for piece in pieces if not facts.isdisjoint(piece) for name in piece)

    def _drive(self, machine: Search[str]) -> None:
        """Until it ends or the budget does; the best so far stands then."""
        while (trial := machine.trial) is not None:
            oracle: Oracle = "emulation" if trial.stage is Stage.PROPOSE or self.case.emulates else "build"
            attempt = self.tries[trial.stage, trial.kept]
            self.tries[trial.stage, trial.kept] += 1
            try:
                kind = self._kind(trial.kept) if trial.stage is Stage.DECIDE else "fp32"
                found = self._tried(self._holding(trial.kept, kind), oracle, attempt)
            except OutOfBudget:
                if machine.outcome().best is None:
                    raise
                return
            if trial.stage is Stage.DECIDE and found.latency_ms is not None:
                self.latency[trial.kept] = found.latency_ms
            answer = answer_of(found)
            self.told.append((trial.stage, trial.kept, answer))
            machine.tell(answer)
            if oracle == "build" and answer.verdict is Passing.FAILED and not self.doubted:
                self.doubted = True
                self.hopeless = self._fails_as_an_engine()
            if self.hopeless:
                return

    def _fails_as_an_engine(self) -> Cure | None:
        """Whether an engine fails in FP32 too, asked once one fails of which emulation says that it passes."""
        try:
            return fails_alike(self._in_all("build"), self.case.failing)
        except OutOfBudget:
            return None

    def _kind(self, kept: frozenset[str]) -> str:
        """What an engine is built with: the narrowest format in which an emulation of the set passes.

        Where there is no engine, sets are compared in FP32, and only the last is tried in others.
        """
        if self.case.emulates or not kept:
            return "fp32"
        if kept not in self.kinds:
            self.kinds[kept] = self._narrowest(kept)
        return self.kinds[kept]

    def _holding(self, kept: frozenset[str], kind: str) -> Design:
        """The candidate with these nodes in a wider format."""
        if not kept:
            return replace(self.base, words=f"every node in {self.precision.upper()}")
        nodes = "1 node" if len(kept) == 1 else f"{len(kept)} nodes"
        words = f"{nodes} in {kind.upper()}: {self._named(kept)}"
        if self.eight_bit and self.eight_bit <= kept:
            return self.base.in_fp32(words)  # Nothing is left to quantise.
        return self.base.holding(dict.fromkeys(sorted(kept), kind), words)

    def _named(self, kept: frozenset[str]) -> str:
        """The nodes in the order of the graph, the first few."""
        return listed([name for name in map(name_of, self.outline.graph.node) if name in kept])

    def _found(self, outcome: Outcome[str], nodes: int) -> Cure:
        """What the search came to, in words; narrower formats tried."""
        most = self.asked.most_nodes
        if not outcome.best or (most is not None and len(outcome.best) > most):
            return nothing(outcome, most, self._inside())
        kept = outcome.best
        kind = self._narrowest(kept) if self.case.emulates else self._kind(kept)
        wide = dict.fromkeys(sorted(kept), kind)
        message = must_run_wider(outcome, self._named, nodes, kind, self.precision)
        if kind not in self.asked.to:
            return Cure(None, f"{message}; remedies.precision.to leaves that format out", "NotCured")
        return Cure(self._holding(kept, kind), message, "Found", wide, needed(outcome))

    def _inside(self) -> str:
        """What cannot be kept wide, in words."""
        names = [site.node or site.tensor for site in control_flow(self.outline)]
        return f"; what is inside the control flow of {listed(names)} stays {self.precision.upper()}" if names else ""

    def _narrowest(self, kept: frozenset[str]) -> str:
        """The narrowest format asked for in which the set passes too; FP32, with which it was found, at last."""
        for kind in formats(self.precision)[:-1]:
            if kind not in self.asked.to:
                continue
            try:
                if self._passed(self._tried(self._holding(kept, kind), "emulation")):
                    return kind
            except OutOfBudget:
                break
        return "fp32"

    def _passing(self, design: Design) -> Judged | None:
        """What the case's own backend says of what passes; by emulation first, where that is not all there is."""
        found = self._tried(design, "emulation")
        if self._passed(found) and not self.case.emulates:
            found = self._tried(design, "build")
        return found if self._passed(found) else None

    def _passed(self, found: Judged) -> bool:
        return answer_of(found).verdict is Passing.PASSED

    def _tried(self, design: Design, oracle: Oracle, attempt: int = 0) -> Judged:
        """A trial, judged by checks that can tell something: one that cannot must not end it before those are asked."""
        return self.workshop.judged(design, NAME, oracle, attempt=attempt, names=OF_PRECISION - self.ignored)
