"""What golden's values and weights ask of a format's range, and what sums inside operators do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from assay_runner.evidence.endings import Ending, Guard
from assay_runner.tensors import Site

INVERSE: Final = ("Reciprocal", "Pow")
"""Operators whose result of an epsilon alone may be beyond the format too."""
Kind = Literal["graph input", "weight", "tensor"]


@dataclass(frozen=True)
class TensorRange:
    """One tensor of the golden run, or one weight, against FP16.

    Attributes:
        site: the tensor; a weight or a graph input stands with the first node that reads it.
        kind: what it is.
        elements: finite elements seen, over all samples.
        overflow: of them, those that become infinite: |x| ≥ 65520.
        underflow: those that become zero and are not: |x| ≤ 2^-25.
        subnormal: those with fewer significant bits: 2^-25 < |x| < 2^-14.
        zeros: those that are zero.
        largest: the value of largest magnitude, with its sign.
        smallest: smallest magnitude other than zero; 0 where there is none.
        samples: samples in which it overflows; None for a weight, which is the same in all.
        first: index of the first such sample; -1 where there is none.
        readers: names of the outer nodes that read it.
        ending: where it overflows, what makes a number of its infinity; None where nothing does.
        constant: whether nodes make it of constants alone.
        addend: whether it is such a one and only added to something, or bounds it.
    """

    site: Site
    kind: Kind
    elements: int
    overflow: int
    underflow: int
    subnormal: int
    zeros: int
    largest: float
    smallest: float
    samples: int | None
    first: int = -1
    readers: tuple[str, ...] = ()
    ending: Ending | None = None
    constant: bool = False
    addend: bool = False


@dataclass(frozen=True)
class Divisor:
    """A tensor by which something divides, or takes its logarithm, with elements that FP16 makes zero.

    Attributes:
        range: the tensor: `underflow` counts those elements.
        ending: what divides.
        samples: samples with such elements; None for a weight.
        first: index of the first such sample; -1 where there is none.
        guard: what should have kept them from zero; None where nothing is known to.
        before: nodes that make what it is computed from, in order, with elements that FP16 makes zero too: of zeros it
            would be computed whatever it is held to itself.
    """

    range: TensorRange
    ending: Ending
    samples: int | None
    first: int
    guard: Guard | None = None
    before: tuple[str, ...] = ()

    def inverts(self, made: TensorRange) -> bool:
        """Whether a tensor is an inverse of this one."""
        return made.kind == "tensor" and made.site.node == self.ending.site.node and made.site.op in INVERSE


@dataclass(frozen=True)
class Histogram:
    """Elements of one tensor by magnitude, golden's against the candidate's, in some of the samples.

    Attributes:
        site: the tensor.
        low: power of two at which the lists start.
        golden: element i counts golden's elements with 2^(low+i) ≤ |x| < 2^(low+i+1).
        candidate: the candidate's, likewise.
        golden_zeros: golden's elements that are zero.
        candidate_zeros: the candidate's.
        not_finite: the candidate's that are NaN or infinite.
    """

    site: Site
    low: int
    golden: tuple[int, ...]
    candidate: tuple[int, ...]
    golden_zeros: int
    candidate_zeros: int
    not_finite: int


@dataclass(frozen=True)
class Accumulation:
    """A sum inside an operator, which no tensor shows, that exceeds FP16's largest number.

    Attributes:
        site: what the operator makes.
        what: the sum, in words.
        largest: its largest total, from golden's values; partial sums may be larger.
        samples: samples in which it exceeds 65504.
        first: index of the first such sample.
        wide: whether the operator sums in FP32 by its definition, whatever its type.
    """

    site: Site
    what: str
    largest: float
    samples: int
    first: int
    wide: bool


@dataclass(frozen=True)
class InnerDivisor:
    """What a normalisation divides by, its epsilon added, or multiplies by, where FP16 makes zero of it.

    No tensor shows it.

    Attributes:
        site: what the operator makes.
        what: the divisor, in words.
        smallest: its smallest value, from golden's.
        samples: samples in which it vanishes.
        first: index of the first such sample.
        wide: whether the operator computes it in FP32 by its definition, whatever its type.
        multiplies: whether it is multiplied by instead.
    """

    site: Site
    what: str
    smallest: float
    samples: int
    first: int
    wide: bool
    multiplies: bool = False


@dataclass(frozen=True)
class Ranges:
    """Every weight and every tensor of the golden run, over the whole dataset.

    Attributes:
        tensors: in topological order, weights before the node that reads them first.
        accumulations: those that exceed FP16, in topological order.
        summed: operators whose inner sums were measured.
        divisors: those with elements that FP16 makes zero, in topological order.
        inner_divisors: those inside operators, likewise.
        integers: whether everything was looked at, and none of it is a floating-point number.
        unsummed: nodes of control flow inside which operators take sums that were not measured.
        inside: weights inside control flow that overflow, at the outer node.
    """

    tensors: tuple[TensorRange, ...]
    accumulations: tuple[Accumulation, ...]
    summed: int
    divisors: tuple[Divisor, ...] = ()
    inner_divisors: tuple[InnerDivisor, ...] = ()
    integers: bool = False
    unsummed: tuple[Site, ...] = ()
    inside: tuple[TensorRange, ...] = ()
