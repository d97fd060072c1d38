"""Whose own error is most of it: the shares of the nodes, and what keeping the largest in FP32 brings.

A share is of the powers that nodes add on golden inputs, each against its tensor's own signal, of all nodes that a
tensor is computed from. How the graph passes an error on does not count in it, so a large share alone does not say that
the node is to blame: that it helps to keep it wide has to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from assay_api.tensor_details import KeptWideEntry, LayerDriftDetails, ShareEntry
from assay_runner.checks.error_flow import ErrorFlow
from assay_runner.evidence import KeptWide
from assay_runner.tensors import Site

DOMINATES: Final = 0.5
"""A node dominates where its own error is at least half of what all nodes add."""
HELPS_DB: Final = 3.0
"""Keeping it wide helps where it takes at least half of the error's power away."""
MOST: Final = 0.9
"""An error is spread over the fewest nodes that together add so much of it."""
KNOWN: Final = 0.5
"""Shares are told where at least so much of the tensors before were run on golden inputs."""
NAMED_SHARES: Final = 3
"""Shares that a sentence names."""
UNTRIED: Final = "no emulation of the candidate was at hand"


@dataclass(frozen=True)
class OwnShare:
    """A node, by the noisiest of its tensors.

    Attributes:
        site: that tensor.
        share: of what all nodes add, in [0, 1].
        local: dB of the tensor on golden inputs.
    """

    site: Site
    share: float
    local: float


@dataclass(frozen=True)
class Origin:
    """What an error is made of.

    Attributes:
        target: the tensor whose error it is.
        shares: of the nodes that it is computed from, the largest first.
        tried: what came of keeping the first of them wide; None where that was not asked for.
    """

    target: str
    shares: tuple[OwnShare, ...]
    tried: KeptWide | None = None

    @property
    def dominating(self) -> OwnShare | None:
        """The node whose own error is most of it."""
        return self.shares[0] if self.shares and self.shares[0].share >= DOMINATES else None

    @property
    def spread(self) -> int:
        """The fewest nodes that together add most of it."""
        sums = accumulate(each.share for each in self.shares)
        return next((count for count, total in enumerate(sums, 1) if total >= MOST), len(self.shares))

    @property
    def helps(self) -> bool | None:
        """Whether keeping the dominating node wide helps; None where that is not known."""
        if self.tried is None or self.tried.untried:
            return None
        before, after = self.tried.before, self.tried.after
        return math.isfinite(after) or after > 0 if before == -math.inf else after >= before + HELPS_DB

    def added_to(self, details: LayerDriftDetails, most: int) -> LayerDriftDetails:
        """A finding's details, with the same in figures; at most `most` shares."""
        if not self.shares:
            return details
        listed = tuple(
            ShareEntry(tensor=s.site.tensor, node=s.site.node, op=s.site.op, share=s.share, local_snr=s.local)
            for s in self.shares[:most]
        )
        update = {"shares_of": self.target, "shares": listed, "spread_over": self.spread}
        return details.model_copy(update=update | ({"kept_wide": self._entry()} if self.tried else {}))

    def _entry(self) -> KeptWideEntry | None:
        tried = self.tried
        if tried is None:
            return None
        return KeptWideEntry(
            nodes=tried.nodes,
            tensor=tried.tensor,
            snr=tried.before,
            snr_kept_wide=None if tried.untried else tried.after,
            helps=self.helps,
            untried=tried.untried or None,
            samples=tried.samples,
        )


def origin_of(flow: ErrorFlow, target: str, tried: Mapping[str, KeptWide]) -> Origin:
    """What the error of a tensor is made of.

    Args:
        flow: the errors.
        target: the tensor.
        tried: what came of keeping nodes wide, by node.
    """
    behind = [name for name in flow.behind(target) if name in flow.floats]
    if sum(flow.local(name) is not None for name in behind) < KNOWN * len(behind):
        return Origin(target, ())
    noise: dict[str, float] = {}
    noisiest: dict[str, tuple[float, str]] = {}
    for name, power in _begun(flow, flow.own_noise(target)).items():
        node = flow.site(name).node or name
        noise[node] = noise.get(node, 0.0) + power
        noisiest[node] = max(noisiest.get(node, (0.0, "")), (power, name))
    shares = _shares(noise)
    # Of nodes that add as much the first comes first: what goes beyond a format there goes on in others.
    place = {name: index for index, name in enumerate(flow.floats)}
    ordered = sorted(shares, key=lambda node: (-shares[node], place[noisiest[node][1]]))
    found = tuple(
        OwnShare(flow.site(noisiest[node][1]), shares[node], flow.local(noisiest[node][1]) or 0.0) for node in ordered
    )
    known = tried.get(ordered[0]) if ordered else None
    return Origin(target, found, known if known and known.tensor == target else None)


def _begun(flow: ErrorFlow, noise: Mapping[str, float]) -> dict[str, float]:
    """Noise without the endless one of what reads endless noise: what goes beyond a format goes on until it fits."""
    beyond = {name for name, power in noise.items() if math.isinf(power)}
    begun: dict[str, float] = {}
    for name in flow.floats:
        carried = not beyond.isdisjoint(flow.reads.get(name, ()))
        if carried and flow.local(name) == math.inf:
            beyond.add(name)  # It is moved alone.
        if name in noise and not (carried and name in beyond):
            begun[name] = noise[name]
    return begun


def _shares(noise: Mapping[str, float]) -> dict[str, float]:
    """Shares of a sum; of one that is infinite each of its infinite parts has the same."""
    endless = [node for node, power in noise.items() if math.isinf(power)]
    if endless:
        return {node: 1 / len(endless) for node in endless}
    total = sum(noise.values())
    return {node: power / total for node, power in noise.items()} if total > 0 else {}
