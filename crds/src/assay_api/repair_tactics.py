"""What the tactics remedy saw, for the report: builds and their tactics, what is blamed, what holds a build still."""

from __future__ import annotations

import json
from typing import Literal

from assay_api.finding import Verdict
from assay_api.model import Model, to_wire
from assay_api.numbers import Number


class TacticsRecord(Model):
    """The tactics of one build: a file of its own."""

    words: str = ""
    """What was built."""
    source: Literal["selector", "inspector", ""] = ""
    """Where they are known from; see `RebuildEntry.source`."""
    tactics: dict[str, str]
    """Tactic by layer."""
    unseen: tuple[str, ...] = ()
    """Layers of which nothing says what runs in them."""

    @property
    def file(self) -> bytes:
        """As it is written."""
        return json.dumps(to_wire(self), indent=1).encode()


class RebuildEntry(Model):
    """One build of the tactics remedy."""

    trial: int
    """Its trial, by number."""
    how: Literal["free", "shaken", "held", "without", "noChoice", "pinned", "route"]
    """free: every layer by the builder's choice, timed anew. shaken: half of the layers kept from a tactic that they
    had before. held: the suspects are prescribed. without: they are forbidden. noChoice, pinned: see `ladder`. route:
    one knob of the builder's compiler is turned."""
    verdict: Verdict
    """The worst finding on the samples that were searched with."""
    source: Literal["selector", "inspector", ""] = ""
    """Where its tactics are known from: the builder's own selector, or the engine's inspector."""
    tactics: dict[str, str] = {}
    """Tactic by layer: of the layers that differ among the builds first, 64 at most; all of them are in `record`."""
    layers: int = 0
    """Layers whose tactic is known."""
    bits: tuple[str, ...] = ()
    """Digest of all outputs, bit by bit; more than one where sessions of this one engine did not agree."""
    latency_ms: Number | None = None
    """Median latency of a batch."""
    record: str | None = None
    """URI of the file with the tactics of all layers, which `assay tactics` reads."""


class SuspectEntry(Model):
    """A tactic, or two together, that go with builds that fail."""

    tactics: dict[str, str]
    """Tactic by layer."""
    failing_with: int
    """Builds that have them and fail."""
    failing: int
    """Builds that fail, those with another cause left out."""
    passing: int
    """Builds that pass; none of them has them."""
    chance: Number
    """How likely builds would fall so by chance if none of the tactics mattered: Fisher's exact test, one-sided, times
    twice the number of sets of builds that as many tactics told apart (Bonferroni). Decided at 0.05 or less."""
    tried: int
    """Sets of builds that as many tactics told apart."""
    alike: tuple[dict[str, str], ...] = ()
    """Others that were in just the same builds, 20 at most: rebuilds cannot tell them apart."""
    held: int = 0
    """Builds that were held to them."""
    held_failing: int = 0
    """How many of these fail."""
    without: int = 0
    """Builds in which they, or one of the two, were forbidden and did not run."""
    without_passing: int = 0
    """How many of these pass."""
    made: Number = 1.0
    """How likely these held and these without would fall so by chance: Fisher's exact test of this one question."""
    blamed: bool = False
    """Whether it is to blame: either chance is 0.05 or less, and no build that was held to it passes."""


class RungEntry(Model):
    """One way to the same engine again, as far as builds prove it."""

    rung: Literal["noChoice", "pinned", "plan"]
    """noChoice: optimisation level 0 and one tactic. pinned: every layer prescribed. plan: the plan itself is kept."""
    verdict: Verdict
    """Passed: every build gives the same bits, and nothing was left to choose. Inconclusive: the same bits, with layers
    in it that nobody can hold; or it cannot be tried here. Failed: the bits differ."""
    message: str
    """That, in one sentence."""
    builds: int = 0
    """Builds that were compared; of the plan: sessions."""
    different: int = 0
    """Different outputs among them."""
    passing: int = 0
    """Builds that pass the checks."""
    latency_ms: Number | None = None
    """Median latency of a batch."""
    price: Number | None = None
    """Its share of the latency of the builds that chose freely: 1.2 is a fifth slower."""
    unheld: tuple[str, ...] = ()
    """Layers that nobody can hold, 20 at most."""


class KnobEntry(Model):
    """A knob of the builder's compiler, turned alone."""

    knob: str
    """Its option."""
    value: str
    """What it was set to."""
    verdict: Verdict
    """The worst finding."""


class TacticsEntry(Model):
    """What the tactics remedy saw."""

    rebuilds: tuple[RebuildEntry, ...] = ()
    """Every build, in order."""
    suspects: tuple[SuspectEntry, ...] = ()
    """What goes with builds that fail, the most likely first; blamed where it is decided."""
    ladder: tuple[RungEntry, ...] = ()
    """Three ways to the same engine again, and their price; absent where builds repeat, and where none was needed."""
    knobs: tuple[KnobEntry, ...] = ()
    """Build routes that were tried, one knob at a time, where the builder has them."""
