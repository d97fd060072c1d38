"""Which operators of a candidate read values of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay_runner.tensors import Site


@dataclass(frozen=True)
class EightBitRead:
    """A node that reads activations of 8 bits.

    Attributes:
        site: the node, as the site of its first output.
        operator: its operator, or the one it is a part of: "LayerNormalization" for the nodes that spell one out.
        tensor: what was quantised.
        format: "INT8" or "FP8".
        where: whether the Q/DQ graph says so or the engine.
    """

    site: Site
    operator: str
    tensor: str
    format: str
    where: Literal["graph", "engine"]


@dataclass(frozen=True)
class EightBitReads:
    """Every such node that was found.

    Attributes:
        reads: in topological order.
        engine: whether an engine's layers were looked at too.
        operators: of the nodes of the candidate's graph.
    """

    reads: tuple[EightBitRead, ...]
    engine: bool = False
    operators: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cut:
    """The tensor of which calibration keeps the smallest share of its range, where that is less than half.

    Attributes:
        tensor: its name.
        node: a node that reads it in 8 bits.
        method: of calibration.
        end: largest magnitude that is represented.
        peak: largest magnitude on the calibration set.
        others: further tensors of which less than half is kept.
    """

    tensor: str
    node: str
    method: str
    end: float
    peak: float
    others: int


@dataclass(frozen=True)
class Unlike:
    """A graph input whose calibration set is not like the samples that are judged, the one that is least like them.

    Attributes:
        tensor: its name.
        largest: magnitude of it in these samples; most have one that is much larger than on the calibration set, or all
            much smaller ones.
        seen: largest magnitude on the calibration set.
    """

    tensor: str
    largest: float
    seen: float
