"""Which objects of ours may be deleted once they are done, and which of them are too many."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from assay_operator.objects.keys import Key
from assay_operator.objects.raw import Raw
from assay_operator.objects.seen import Parent

# What tools put on objects that they apply. The third is Argo CD's by default before 3.0, and Helm's.
MARKS: Final = (
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("labels", "app.kubernetes.io/instance", "Argo CD or Helm"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
)


def managed_by(meta: Raw) -> str:
    """The tool that applies an object, and would make it again where it was deleted; nothing where there is none."""
    return next((tool for where, key, tool in MARKS if key in (meta.get(where) or {})), "")


def surplus(parents: Iterable[Parent], keep: int) -> frozenset[Key]:
    """Those that are done and not among the newest of their kind and namespace; none that would be made again.

    Args:
        parents: all of them.
        keep: how many of a kind stay in each namespace; 0 for all.
    """
    if not keep:
        return frozenset()
    done: dict[tuple[str, str], list[Parent]] = defaultdict(list)
    for parent in parents:
        if parent.complete and not parent.managed:
            done[parent.key.kind, parent.key.namespace].append(parent)
    oldest = (heapq.nsmallest(max(len(those) - keep, 0), those, key=_age) for those in done.values())
    return frozenset(parent.key for those in oldest for parent in those)


def _age(parent: Parent) -> tuple[float, Key]:
    return parent.until or parent.since, parent.key
