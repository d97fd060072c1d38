"""What a backend is asked to build, every node named: an audit's candidate becomes one, and a search makes its own.

The wire's `Candidate` is written by people: its `layers` are patterns, and it says where files lie. An order says
nothing that does not decide what is built, and holds nodes by their very names, so that equal orders mean equal builds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from assay_api.audit import BuildOptions, Candidate
from assay_api.candidate import Precision
from assay_api.model import to_wire
from assay_runner.backends.found import Found
from assay_runner.backends.layer_precisions import check_names, held_nodes
from assay_runner.errors import Unsupported


@dataclass(frozen=True)
class Quantisation:
    """How the ranges of 8-bit tensors are found; the inputs they are found with are not part of an order.

    Attributes:
        method: entropy, minmax, percentile or mse.
        percentile: for method percentile: how much of the magnitudes a range must hold, in per cent.
        quantization: by TensorRT's own calibrator, by Q/DQ pairs, or as the backend would.
        per_channel: whether each output channel of a weight has a scale of its own.
        found: the ranges, where they are known: no inputs are read then. They are written as Q/DQ pairs.
        weights_only: whether activations stay in floating point, so that they need no ranges.
    """

    method: Literal["entropy", "minmax", "percentile", "mse"] = "entropy"
    percentile: float = 99.99
    quantization: Literal["implicit", "explicit"] | None = None
    per_channel: bool = True
    found: Found | None = None
    weights_only: bool = False

    @property
    def reads(self) -> bool:
        """Whether inputs must be read to find ranges."""
        return self.found is None and not self.weights_only

    @property
    def called(self) -> str:
        """The method, for people: "percentile 99.9"."""
        return f"percentile {self.percentile:g}" if self.method == "percentile" else str(self.method)

    def said(self) -> dict[str, Any]:
        """All of it, for keys: ranges by their digest, and what most orders do not have left out."""
        plain = asdict(replace(self, found=None))
        del plain["found"], plain["weights_only"]
        if self.weights_only:
            plain["weights_only"] = True
        return {**plain, "found": self.found.digest} if self.found else plain


@dataclass(frozen=True)
class BuildOrder:
    """What is to be built of a model.

    Attributes:
        backend: what was asked to build it; another one that builds it all the same stands in for that one.
        precision: precision asked for.
        typing: TensorRT's typing, or None for its version's own.
        held: precision (fp32, fp16 or bf16) by node, named as `Backend.sites` names it.
        quantisation: how 8-bit ranges are found, or None where the model brings its own.
        options: how TensorRT's builder is set up.
        tactics: the tactic of each layer that must run just that one, as a build's record has them; all others are the
            builder's choice, and all are recorded. None: all are, and nothing is recorded. Needs Capability.TACTICS.
        forbidden: tactics that a layer must not run where it has another. Needs Capability.TACTICS.
        most_tactics: how many tactics the builder may try per layer, where its version lets that be said.
        route: settings of the builder's compiler, as `Routed.routes` offers them; empty: its own.
        timings: SHA-256 of a timing cache in `workdir / GIVEN` that the build uses in place of the shared one; empty:
            none is given.
    """

    backend: str
    precision: Precision
    typing: Literal["weak", "strong"] | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    quantisation: Quantisation | None = None
    options: BuildOptions = field(default_factory=BuildOptions)
    tactics: Mapping[str, str] | None = None
    forbidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most_tactics: int | None = None
    route: str = ""
    timings: str = ""

    def __hash__(self) -> int:
        """Of the canonical JSON: mappings have none."""
        return hash(self.canonical())

    def canonical(self) -> str:
        """The order as JSON, the same for equal orders whatever the order of their mappings; for keys and digests.

        What is as by default is left out, so that a release which adds a field finds the builds of the last.
        """
        said: dict[str, Any] = {
            "backend": self.backend,
            "precision": self.precision,
            "typing": self.typing,
            "held": dict(self.held) or None,
            "quantisation": self.quantisation.said() if self.quantisation else None,
            "options": to_wire(self.options) or None,
            "tactics": None if self.tactics is None else dict(self.tactics),
            "forbidden": {layer: sorted(each) for layer, each in self.forbidden.items()} or None,
            "mostTactics": self.most_tactics,
            "route": self.route or None,
            "timings": self.timings or None,
        }
        return json.dumps({key: value for key, value in said.items() if value is not None}, sort_keys=True)

    @property
    def choosing(self) -> BuildOrder:
        """The same, all of the builder's choices left to it."""
        return replace(self, tactics=None, forbidden={}, most_tactics=None, route="")

    def check(self, model: Path) -> None:
        """Do nothing where every node it holds is one of the model's.

        Raises:
            InvalidInput: one is not.
        """
        check_names(self.held, model)


def order_of(candidate: Candidate, model: Path, timings: str = "") -> BuildOrder:
    """What a candidate asks for, of the model in a file; `timings`: of the timing cache that was fetched for it.

    Raises:
        InvalidInput: a pattern of `layers` matches no node.
        Unsupported: it is an existing plan, which is not built.
    """
    if candidate.precision is None:
        raise Unsupported("an existing plan is not built: it runs on backend tensorrt as it is")
    calibration = candidate.calibration
    return BuildOrder(
        backend=candidate.backend,
        precision=candidate.precision,
        typing=candidate.typing,
        held=held_nodes(model, candidate),
        quantisation=Quantisation(
            calibration.method, calibration.percentile, calibration.quantization, calibration.per_channel
        )
        if calibration
        else None,
        # Where a timing cache lies decides nothing, what it holds does.
        options=(candidate.build or BuildOptions()).model_copy(update={"timing_cache": None}),
        timings=timings,
    )
