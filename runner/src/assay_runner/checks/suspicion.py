"""What may be the cause where the same input gives other bits, in words that two or more checks share."""

from __future__ import annotations

from collections.abc import Sequence

from assay_api.details_base import SiteEntry
from assay_runner.checks.check import place
from assay_runner.evidence.reruns import Suspects
from assay_runner.tensors import Site


def cause(suspects: Suspects, named: Site) -> str:
    """The likeliest suspect and what to do about it; empty where there is none. `named`: the tensor last spoken of."""
    if not suspects.random and not suspects.custom:
        return ""
    first = (*suspects.random, *suspects.custom)[0]
    who = "it" if first == named else place(first)
    if suspects.random:
        return (
            f"{who} draws random numbers, others in each run even with a seed, so that is by design: take it out, or "
            "feed the numbers as an input"
        )
    return f"{who} is a custom operator (plugin), whose code may be what differs, so try without it"


def although(suspects: Suspects) -> str:
    """What goes without saying of a passed check, unless random numbers are drawn."""
    return f", although {place(suspects.random[0])} draws random numbers" if suspects.random else ""


def listed(sites: Sequence[Site]) -> tuple[SiteEntry, ...]:
    """Suspects of one kind, the first few, as details of a finding."""
    return tuple(SiteEntry(tensor=site.tensor, node=site.node, op=site.op) for site in sites[:20])
