"""Tensors that golden itself does not hold to a limit: what they breach says nothing of the candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from assay_runner.checks.check import place
from assay_runner.checks.golden_floor import REACH
from assay_runner.evidence import ExactError, LayerError, LayerErrors, TensorNoise
from assay_runner.tensors import Site

BOTH: Final = 6.0
"""dB above a limit up to which golden's noise brings a candidate below it: both have noise, golden's measured on
few samples."""
WAY_OUT: Final = "set golden.precision: fp64, or a limit that golden holds"


class Doubted(NamedTuple):
    """What breaches a limit by no more than golden's own noise may."""

    accumulated: Collection[str]
    """Names of tensors, by their accumulated error."""
    local: Collection[str]
    """Names of tensors, by their local error."""
    unequal: Collection[str]
    """Names of those of integers and booleans."""
    told: str
    """The sentence on the worst of them; empty where there is none."""


def doubted(errors: LayerErrors, layers: Sequence[LayerError], snr: float, local: float, equal: float) -> Doubted:
    """Breaches that golden's own noise explains.

    Args:
        errors: what was measured.
        layers: tensors of numbers that are judged.
        snr: limit of the accumulated error in dB.
        local: limit of the local error in dB.
        equal: least share of the elements of a tensor of integers that must be golden's.
    """
    noise = errors.noise
    passed_on = {e.site.tensor: e for e in layers if _explained(e.accumulated.snr, snr, _of(noise, e.site, False))}
    own = {e.site.tensor: e for e in layers if e.local and _explained(e.local.snr, local, _of(noise, e.site, True))}
    whole = {e.site.tensor: e for e in errors.exact if _unequal(e, equal, noise.get(e.site.tensor))}
    told = ""
    if passed_on:
        worst = min(passed_on.values(), key=lambda layer: layer.accumulated.snr)
        told = _said(worst.site, "has", worst.accumulated.snr, snr, noise[worst.site.tensor].accumulated)
    elif own:
        first = next(iter(own.values()))
        of_own = noise[first.site.tensor].local
        told = _said(first.site, "has on golden inputs", first.local.snr if first.local else 0.0, local, of_own)
    elif whole:
        entry = next(iter(whole.values()))
        share = 1 - noise[entry.site.tensor].unequal
        told = (
            f"of {place(entry.site)} a share of {entry.equal:.4g} is golden's, must be {equal:g}; that is within "
            f"golden's own noise: in FP64 a share of {share:.4g} of it is the same"
        )
    count = len({*passed_on, *own, *whole})
    more = f"; further tensors of which that is so: {count - 1}" if count > 1 else ""
    told = f"{told}, so it says nothing of the candidate: {WAY_OUT}{more}" if told else ""
    return Doubted(passed_on, own, whole, told)


def _of(noise: Mapping[str, TensorNoise], site: Site, local: bool) -> float | None:
    known = noise.get(site.tensor)
    return None if known is None else known.local if local else known.accumulated


def _explained(found: float, limit: float, own: float | None) -> bool:
    """Whether a breach is no more than ten times golden's noise, which itself is near the limit; all in dB."""
    return own is not None and not found >= limit and own < limit + BOTH and 10 ** ((own - found) / 20) <= REACH


def _unequal(entry: ExactError, limit: float, own: TensorNoise | None) -> bool:
    beyond = own is not None and 1 - own.unequal < limit
    return beyond and entry.equal < limit and 1 - entry.equal <= REACH * (own.unequal if own else 0.0)


def _said(site: Site, has: str, found: float, limit: float, own: float | None) -> str:
    return (
        f"{place(site)} {has} {found:.1f} dB, must have at least {limit:g} dB; that is within golden's own noise: "
        f"golden itself, in FP32, has {own:.1f} dB against FP64"
    )
