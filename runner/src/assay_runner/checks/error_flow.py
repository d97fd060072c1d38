"""How errors go through a graph: which node turns a small one into a large one, and where many small ones add up.

A node passes its inputs' error on, and adds its own, the local one. It amplifies where the error that comes in is
small, its own is small too, and yet what goes out is far from golden: a reciprocal, a difference of nearly equal
numbers, the sine of a large angle, a cast to an index.

Tensors of integers and booleans have no near misses, so no signal-to-noise ratio of their own. They are taken for what
would be looked up by them in a table of unrelated entries: where a share w of the elements is not golden's, the power
of the difference is 2 w of the entries' own, so that they have -10 log10(2 w) dB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from assay_runner.evidence import ExactError, LayerError, LayerErrors
from assay_runner.tensors import Site

AMPLIFIES_DB: Final = 10.0
"""A node amplifies where what goes out has ten times the noise of what comes in, each against its own signal."""
OWN_DB: Final = 3.0
"""A tensor's error is its own node's where that makes at least half of its power."""
GROWN_DB: Final = 6.0
"""What errors may grow by, beyond the sum of their powers, and still be said to add up: they are not independent."""
INF: Final = math.inf


@dataclass(frozen=True)
class Step:
    """One node's part in the way of an error.

    Attributes:
        site: the tensor that goes out.
        source: the tensor that comes in, of several the one that is farthest from golden.
        before: of the source, dB in the candidate's own run.
        after: the same of `site`; -Inf where it holds NaN or Inf that golden does not.
        local: of `site`, dB on golden inputs.
    """

    site: Site
    source: Site
    before: float
    after: float
    local: float

    @property
    def gain(self) -> float:
        """By how many dB the error grows."""
        return self.before - self.after


class ErrorFlow:
    """The errors of a candidate's tensors, and which of them each is computed from."""

    def __init__(self, errors: LayerErrors) -> None:
        """What was measured."""
        self.floats: dict[str, LayerError] = {e.site.tensor: e for e in errors.layers}
        self.exact: dict[str, ExactError] = {e.site.tensor: e for e in errors.exact}
        self.reads, self.inputs, self._rounding = errors.reads, errors.inputs, errors.rounding

    def site(self, name: str) -> Site:
        """Where a tensor is made."""
        return (self.floats.get(name) or self.exact[name]).site

    def decibels(self, name: str) -> float:
        """Of a tensor in the candidate's own run; see the module for integers."""
        if name in self.inputs:
            return self.inputs[name]
        if name in self.exact:
            return looked_up(self.exact[name].different, self.exact[name].elements)
        return looked_up(1, 1) if self.reshaped(name) else self.floats[name].accumulated.snr

    def reshaped(self, name: str) -> bool:
        """Whether a floating-point tensor has more or fewer elements than golden's."""
        return name in self.floats and self.floats[name].reshaped

    def local(self, name: str) -> float | None:
        """Of what a tensor's own node makes of golden inputs; None where that was not measured."""
        if name in self.exact:
            entry = self.exact[name]
            return None if entry.local is None else looked_up(entry.local, entry.elements)
        local = self.floats[name].local
        return local.snr if local else None

    def step(self, name: str) -> Step | None:
        """What a node does to the error that comes to it; None where nothing is known to come, or its own is most."""
        sources = [source for source in self.reads.get(name, ()) if source in self.floats or source in self.exact]
        local = self.local(name)
        if not sources or local is None:
            return None
        source = min(sources, key=self.decibels)
        before, after = self.decibels(source), self.decibels(name)
        if not math.isfinite(before) or local == -INF or local < after + OWN_DB:
            return None
        return Step(self.site(name), self.site(source), before, after, local)

    def rounding(self, name: str) -> Step | None:
        """What a node makes of the rounding of a graph input that it reads; None where its error is another one."""
        read = [source for source in self.reads.get(name, ()) if source in self.inputs]
        local, alone = self.local(name), self._rounding.get(name)
        if not read or local is None or alone is None or alone > local + OWN_DB or not math.isfinite(alone):
            return None
        source = min(read, key=self.decibels)
        step = Step(self.site(name), Site(source), self.inputs[source], alone, local)
        return step if step.gain >= AMPLIFIES_DB else None

    def amplifiers(self) -> list[Step]:
        """All nodes that amplify, the strongest first."""
        steps = filter(None, (self.step(name) or self.rounding(name) for name in self.reads))
        return sorted((step for step in steps if step.gain >= AMPLIFIES_DB), key=lambda step: -step.gain)

    def way(self, name: str) -> Iterator[str]:
        """A tensor, the worst of those it is computed from, the worst of those that is computed from, and so on."""
        while name in self.floats or name in self.exact:
            yield name
            name = min(self.reads.get(name, ()), key=self.decibels, default="")

    def amplifier(self, name: str, limit: float) -> Step | None:
        """The strongest amplifier on the way to a tensor of those that something above the limit comes to."""
        steps = [step for there in self.way(name) if (step := self.step(there)) and step.before >= limit]
        return max((step for step in steps if step.gain >= AMPLIFIES_DB), key=lambda step: step.gain, default=None)

    def steepest(self, name: str) -> Step | None:
        """The node on the way to a tensor at which its error grows most, whether it is said to amplify or not."""
        return max(filter(None, map(self.step, self.way(name))), key=lambda step: step.gain, default=None)

    def wrong_by_itself(self, name: str) -> ExactError | None:
        """The first tensor of integers on the way to a tensor that is wrong on golden inputs already."""
        wrong = [self.exact[there] for there in self.way(name) if there in self.exact and self.exact[there].local]
        return wrong[-1] if wrong else None

    def behind(self, name: str) -> set[str]:
        """A tensor and all that it is computed from."""
        found: set[str] = set()
        ahead = [name]
        while ahead:
            there = ahead.pop()
            if there not in found:
                found.add(there)
                ahead += self.reads.get(there, ())
        return found

    def worst_after(self, name: str) -> str:
        """Of what is computed from a tensor the one that is farthest from golden: of the last ones, where they err.

        The last are those of numbers that no further numbers are computed from, but indices at most. An error that does
        not reach them is looked for on the way there, and at last in itself.
        """
        found = {name}
        for there, sources in self.reads.items():
            if not found.isdisjoint(sources):
                found.add(there)
        wrong = [there for there in self.floats if there in found and self.decibels(there) < INF]
        inside = self.before_floats()
        last = [there for there in wrong if there not in inside]
        return min(last or [there for there in wrong if there != name] or [name], key=self.decibels)

    def before_floats(self) -> set[str]:
        """Tensors that floating-point ones are computed from, which show what becomes of them."""
        found: set[str] = set()
        for name in reversed(tuple(self.reads)):
            if name in self.floats or name in found:
                found.update(self.reads[name])
        return found

    def own_noise(self, name: str) -> dict[str, float]:
        """Noise, over its signal, that each node adds to what a tensor is computed from, its own among them."""
        behind = self.behind(name)
        # In one order: sums of them would else end in other digits from one process to the next.
        locals_ = {there: self.local(there) for there in self.floats if there in behind}
        return {there: 10 ** (-local / 10) for there, local in locals_.items() if local is not None and local < INF}


def looked_up(different: int, elements: int) -> float:
    """Decibels of what would be looked up by so many elements, of which some are not golden's."""
    return INF if not different else -10 * math.log10(2 * different / max(1, elements))
