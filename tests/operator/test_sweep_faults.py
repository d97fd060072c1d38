"""Faults that strike while a sweep runs: no cell is lost, and none is audited twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tests.bench.kube import Refused
from tests.lab.apiserver import ApiServer
from tests.lab.processes import wait_until
from tests.lab.proxy import Proxy
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, install
from tests.operator.player import behind, over, tasks_done
from tests.operator.test_resilience import restart

PATIENT = {"ASSAY_LEASE_SECONDS": "120", "ASSAY_RENEW_SECONDS": "100", "ASSAY_RESYNC_SECONDS": "5"}
STAGES = ("looking", "looked", "half")
"""Its models are looked at; they are known, and its audits are being made; one of two audits has ended."""


def audits_made(proxy: Proxy) -> Counter[str]:
    """How often each audit was created, as the API server answered."""
    return Counter(json.loads(asked.body)["metadata"]["name"] for asked in proxy.done("POST", "accuracyaudits"))


def test_an_api_server_that_is_restarted_while_a_sweep_runs(folder: Path) -> None:
    """Between two of its audits; at every stage in tests/soak."""
    restarted(folder, ("half",))


def restarted(folder: Path, at: Collection[str]) -> None:
    """Restart the API server at some stages of a sweep: its watches are too old, and what was asked has no answer.

    Raises:
        AssertionError: something was lost, or done twice.
    """
    with ApiServer() as api:
        install(api)
        namespace = Namespace(api.kubectl, "sweep")
        kubelet = Kubelet(namespace)
        with Proxy(api) as proxy, behind(proxy, namespace, folder, **PATIENT) as operator:

            def stage(name: str) -> None:
                if name in at:
                    restart(api)
                    namespace.disconnect()
                    wait_until(lambda: serves(namespace), "its resources to be served again")

            sweeps.apply(namespace, "nightly", template__candidates=sweeps.CANDIDATES[1:], maxParallel=1)
            stage("looking")
            sweeps.looked(namespace, kubelet, "nightly", sweeps.SAME)
            stage("looked")
            sweeps.concluded(namespace, kubelet, "nightly", count=1)
            stage("half")
            sweeps.concluded(namespace, kubelet, "nightly", count=1)
            namespace.until(lambda: over(namespace.read("accuracysweeps", "nightly")), "the end of the sweep")
            ended_once(namespace, proxy, operator, 2)
        namespace.disconnect()


def serves(namespace: Namespace) -> bool:
    """Whether an API server that is ready serves what definitions define: it reads those a moment later (429)."""
    try:
        return all(isinstance(namespace.items(kind), list) for kind in ("accuracyaudits", "accuracysweeps"))
    except Refused:
        return False


def ended_once(namespace: Namespace, proxy: Proxy, operator: Operator, cells: int) -> None:
    """Every cell has its answer, from one audit, and every Job was created once."""
    assert sweeps.status(namespace, "nightly")["counts"] == {"cells": cells, "passed": cells}
    made, done = audits_made(proxy), tasks_done(proxy)
    assert (set(made.values()), len(made)) == ({1}, cells), made
    # Three of each audit, and the one that looked at the models.
    assert (set(done.values()), len(done)) == ({1}, 3 * cells + 1), done
    assert operator.alive
    assert operator.metric('assay_reconciles_total{result="exception"}') == 0
