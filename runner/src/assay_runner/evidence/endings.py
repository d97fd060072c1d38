"""What becomes downstream of a value that a format cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay_runner.tensors import Site


@dataclass(frozen=True)
class Ending:
    """The first node downstream that makes another kind of value of an infinity, or of a zero that was none.

    Attributes:
        site: the node, as the site of its first output.
        what: what it does, as a predicate: "divides by it: x / Inf is 0".
        through: names of the nodes on the way, from the first reader on, itself included.
        divides: whether it divides by the value or takes its logarithm: then what it makes is wrong.
        beyond: where it ends behind that node, if the node hands it on after all.
    """

    site: Site
    what: str
    through: tuple[str, ...]
    divides: bool
    beyond: Ending | None = None


@dataclass(frozen=True)
class Guard:
    """An epsilon: what should keep from zero what is divided by, and is zero itself in a precision.

    Attributes:
        site: the weight, with the node that reads it; or what a node makes of constants alone; or an attribute's name,
            with its node.
        kind: which of the three.
        precision: the one that makes it zero, all of its elements, none of which is.
        value: its element of largest magnitude.
        ending: what divides, and the nodes from the one that reads the epsilon on.
    """

    site: Site
    kind: Literal["weight", "constant", "attribute"]
    precision: str
    value: float
    ending: Ending
