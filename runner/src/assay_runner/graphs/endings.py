"""What becomes downstream of a value that a format cannot hold: of an infinity, and of a zero that was none.

An infinity need not show: x / Inf is 0, exp(-Inf) is 0, and a clip makes a number of it. A zero does no harm until
something divides by it. Both are followed from a tensor through operators that hand them on to the first that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.evidence.endings import Ending, Guard
from assay_runner.graphs.constants import Made, constants_and_fills
from assay_runner.graphs.documents import captured
from assay_runner.graphs.operators import MOVES
from assay_runner.graphs.taps import name_of, site
from assay_runner.tensors import Site

PICKS: Final = frozenset(
    ("Slice", "Gather", "GatherND", "GatherElements", "Where", "Compress", "TopK", "ScatterND", "ScatterElements")
)
"""They leave elements out."""
LEAST: Final = frozenset({"Min", "ReduceMin"})
LARGEST: Final = frozenset({"Max", "MaxPool", "ReduceMax", "GlobalMaxPool"})
CLIPS: Final = LEAST | LARGEST | {"Clip"}
"""They take another element's value: Clip that of a bound, the others one that is not infinite towards their side."""
NUMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {"Sigmoid": "0 or 1", "HardSigmoid": "0 or 1", "Tanh": "-1 or 1", "Erf": "-1 or 1", "Atan": "half of π"}
)
ASKS: Final = frozenset(
    ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "ArgMax", "ArgMin", "Sign", "Not", "IsInf", "IsNaN")
)
SUMS: Final = frozenset(
    ("ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2", "GlobalAveragePool", "AveragePool", "Sum")
)
CARRIES: Final = (
    (MOVES - PICKS - CLIPS) | {"Add", "Sub", "Mul", "Sqrt", "Pow", "Exp", "Cast", "MatMul", "Gemm", "Conv"} | SUMS
)
"""They hand an infinity on."""
CARRIES_ZERO: Final = (MOVES - PICKS - CLIPS) | {"Sqrt", "Mul", "Pow", "Cast"}
"""They make zero of a zero, whatever else they read; a sum along an axis need not, and is looked at itself."""
PICKED: Final = 4
"""Nodes that may leave an infinity out, or clip it, behind which it is followed."""
FARTHEST: Final = 16
"""Nodes that a zero is followed through."""
GUARDS: Final = frozenset({"Add", "Max", "Clip", "Sum", "Where"})
"""They make zero of a zero where the other operand lets them: here stands an epsilon that keeps something from zero."""


@dataclass(frozen=True)
class _Use:
    """A node that reads a tensor: as it was when it was looked at, whatever becomes of the graph."""

    op: str
    position: int
    site: Site
    name: str
    makes: tuple[str, ...]
    exponent: float

    def hands_on(self, operators: Collection[str]) -> bool:
        return self.op in operators or (self.op == "Div" and self.position == 0)


class Downstream:
    """What reads each tensor of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Only the outer graph is looked at; it may be changed afterwards."""
        self._uses: dict[str, list[_Use]] = {}
        self._all: list[tuple[str, _Use]] = []
        self._bounds: dict[Site, float] = {}
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.domain in ("", "ai.onnx") and any(node.output):
                makes, exponent = tuple(filter(None, node.output)), _exponent(node, weights)
                for position, name in enumerate(node.input):
                    use = _Use(node.op_type, position, site(node), name_of(node), makes, exponent)
                    self._uses.setdefault(name, []).append(use)
                    self._all.append((name, use))
                self._bounds |= {site(node): a.f for a in node.attribute if node.op_type == "Clip" and a.name == "min"}

    def infinity(self, tensor: str, negative: bool) -> Ending | None:
        """Where an infinity of a sign ends in a number, nearest first; None where it goes on to the end."""
        return self._ends([(tensor, negative, ())], {tensor})

    def _ends(
        self, ahead: list[tuple[str, bool, tuple[str, ...]]], seen: set[str], picks: int = PICKED
    ) -> Ending | None:
        """The same from several tensors on, each with its sign and the nodes on the way; none of `seen` is followed.

        Behind so many `picks` more that may hand it on.
        """
        for name, below, path in ahead:  # It grows meanwhile.
            for use in self._uses.get(name, ()):
                ended = _absorbs(use, below)
                if ended and (use.op in PICKS or use.op in CLIPS):
                    on = [(o, below, (*path, use.name)) for o in use.makes if o not in seen]
                    beyond = self._ends(on, seen, picks - 1) if picks else None
                    return Ending(use.site, ended[0], (*path, use.name), ended[1], beyond)
                if ended:
                    return Ending(use.site, ended[0], (*path, use.name), ended[1])
                if use.hands_on(CARRIES) or use.op in (LEAST if below else LARGEST):
                    flips = use.op == "Neg" or (use.op == "Sub" and use.position == 1)
                    ahead += [(o, below ^ flips, (*path, use.name)) for o in use.makes if o not in seen]
                    seen.update(use.makes)
        return None

    def divisors(self) -> dict[str, Ending]:
        """By tensor, what divides by it or takes its logarithm, and so makes no number of a zero in it."""
        found: dict[str, Ending] = {}
        for name, use in reversed(self._all):
            if what := _breaks(use):
                found[name] = Ending(use.site, what, (use.name,), divides=True)
            elif use.hands_on(CARRIES_ZERO) and name not in found:
                behind = next((found[output] for output in use.makes if output in found), None)
                if behind and len(behind.through) < FARTHEST:
                    found[name] = replace(behind, through=(use.name, *behind.through))
        return found

    def before(self, tensor: str, vanishing: set[str]) -> tuple[str, ...]:
        """Nodes that make what a tensor is computed from, where that is among `vanishing` or a sum of it, in order.

        Behind what may make zero of something else than a zero nothing is looked for.
        """
        makers = {made: use for _, use in self._all for made in use.makes}
        found: dict[str, None] = {}
        ahead = [tensor]
        for name in ahead:  # It grows meanwhile.
            if name not in makers or len(found) >= FARTHEST:
                continue
            # Of each that the node reads: a quotient is zero of its dividend, not of its divisor.
            for read in self._zero_of(makers[name]):
                # A sum of what vanishes need not vanish itself, and is zero all the same once that is.
                told = read in makers and (read in vanishing or vanishing.intersection(self._summed(makers[read])))
                if told and makers[read].name not in found:
                    found[makers[read].name] = None
                    ahead.append(read)
        return tuple(reversed(found))

    def _zero_of(self, node: _Use) -> Iterator[str]:
        """What a node reads and makes zero of a zero in."""
        return (read for read, use in self._all if use.site == node.site and use.hands_on(CARRIES_ZERO | SUMS))

    def _summed(self, node: _Use) -> Iterator[str]:
        """What a sum reads; nothing of another node."""
        return self._zero_of(node) if node.op in SUMS else iter(())

    def guard(self, weight: str, precision: str, largest: float, made: Made | None = None) -> Guard | None:
        """A weight that vanishes in a precision, where it should keep a divisor from zero; else None.

        Or what nodes make of constants alone: `made` says which.
        """
        if (ending := self._guarded(weight)) is None:
            return None
        if made:
            ending = replace(ending, through=(*made.through, *ending.through))
            return Guard(made.site, "constant", precision, largest, ending)
        first = self._uses[weight][0].site
        return Guard(Site(weight, first.node, first.op), "weight", precision, largest, ending)

    def clips(self, precision: str, zero: Callable[[float], bool]) -> Iterator[Guard]:
        """Lower bounds of clips, given as attributes, that should keep a divisor from zero.

        Args:
            precision: what the clips compute in.
            zero: whether a number is zero in it.
        """
        divisors = self.divisors()
        for made, low in self._bounds.items():
            ending = divisors.get(made.tensor)
            if ending and low and zero(low):
                ending = replace(ending, through=(made.node or "", *ending.through))
                yield Guard(Site("min", made.node, made.op), "attribute", precision, low, ending)

    def _guarded(self, tensor: str) -> Ending | None:
        """What divides by a tensor, or by what it keeps from zero as an epsilon does, by a sum or a clip on the way."""
        ahead: list[tuple[str, bool, tuple[str, ...]]] = [(tensor, True, ())]
        seen = {tensor}
        for name, may, path in ahead:  # It grows meanwhile.
            for use in self._uses.get(name, ()):
                if what := _breaks(use):
                    return Ending(use.site, what, (*path, use.name), divides=True)
                on = use.hands_on(CARRIES_ZERO)
                if on or (may and use.op in GUARDS):
                    ahead += [(o, may and on, (*path, use.name)) for o in use.makes if o not in seen]
                    seen.update(use.makes)
        return None


def addends(model: onnx.ModelProto) -> frozenset[str]:
    """What nodes make of constants alone, and what is made of it is only added to something, or bounds it: epsilons."""
    known, found = constants_and_fills(model), set[str]()
    kept = {output.name for output in model.graph.output}
    for node in reversed(model.graph.node):
        found |= known.intersection(node.output) - kept
        if not (found.issuperset(node.output) or (node.op_type in GUARDS and known.isdisjoint(node.output))):
            kept |= {*node.input, *captured(node)}
    return frozenset(found)


def _absorbs(use: _Use, negative: bool) -> tuple[str, bool] | None:
    """What a node makes of an infinity, and whether it divides by it; None where that is no number."""
    match use.op, use.position:
        case "Div", 1:
            return "divides by it: x / Inf is 0", True
        case "Reciprocal", _:
            return "divides by it: 1 / Inf is 0", True
        case "BatchNormalization", 4:
            return "divides by the root of this variance: x / Inf is 0", True
        case "Pow", 0 if use.exponent < 0:
            return "takes a negative power of it: 1 / Inf is 0", True
        case (("Exp" | "Softmax"), _) if negative:
            return "makes 0 of it: exp(-Inf) is 0", False
        case (("Relu" | "Softplus"), _) if negative:
            return "makes 0 of it", False
    if use.op in NUMBERS:
        return f"makes {NUMBERS[use.op]} of it", False
    if use.op == "Clip" or use.op in (LARGEST if negative else LEAST):
        return "may clip it", False
    if use.op in PICKS:
        return "may leave it out", False
    return ("makes no number of that size of it", False) if use.op in ASKS else None


def _breaks(use: _Use) -> str:
    match use.op, use.position:
        case ("Div", 1) | ("Reciprocal", _):
            return "divides by it"
        case "Pow", 0 if use.exponent < 0:
            return "takes a negative power of it"
        case "Log", _:
            return "takes the logarithm of it"
    return ""


def _exponent(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> float:
    """The smallest exponent of a power; 1 where there is none, or none that is known."""
    tensor = weights.get(node.input[1]) if node.op_type == "Pow" else None
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return 1.0
    return float(np.asarray(numpy_helper.to_array(tensor), np.float64).min(initial=np.inf))
