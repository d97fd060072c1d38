"""What of a candidate is not finite, and what its precision cannot hold."""

from __future__ import annotations

from dataclasses import dataclass

from assay_runner.evidence.endings import Ending
from assay_runner.tensors import Site


@dataclass(frozen=True)
class Fault:
    """A tensor of the candidate that is not finite.

    Attributes:
        site: the tensor.
        samples: samples with a value that is not finite.
        nan: samples with NaN.
        positive: samples with +Inf.
        negative: samples with -Inf.
        first: index of the first such sample.
        own: samples with such a value where golden has another; None where golden has no such tensor.
        golden: golden's largest magnitude in the tensor, at least in the batches in which it is not finite here; None
            where it is not known.
    """

    site: Site
    samples: int
    nan: int
    positive: int
    negative: int
    first: int
    own: int | None = None
    golden: float | None = None


@dataclass(frozen=True)
class Overflow:
    """A graph input or a weight that is finite, and infinite in the candidate's precision.

    Attributes:
        tensor: its name.
        kind: "weight" or "graph input".
        precision: the candidate's.
        value: the largest value that does not fit.
        users: the nodes that read it, each as the site of its first output.
        samples: samples in which it does not fit, from `first` on; None for a weight, which is the same in all.
        ending: what makes a number of its infinity; None where nothing does.
    """

    tensor: str
    kind: str
    precision: str
    value: float
    users: tuple[Site, ...]
    samples: int | None = None
    first: int = 0
    ending: Ending | None = None


@dataclass(frozen=True)
class TensorFaults:
    """Every tensor of the candidate was looked at, these are not finite.

    Attributes:
        looked_at: tensors looked at.
        faults: in topological order.
        fused: tensors inside fused layers, which the candidate never makes.
        unshown: tensors computed from the data that could not be shown for another reason.
    """

    looked_at: int
    faults: tuple[Fault, ...]
    fused: int = 0
    unshown: int = 0
