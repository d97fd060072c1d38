"""The rights that the chart gives are enough for everything that the operator does."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_operator.cluster.api import Api
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.queue import WorkQueue
from assay_operator.cluster.resync import Resync
from assay_operator.kinds import KINDS
from assay_operator.objects.keys import Key
from assay_operator.objects.resources import JOBS, PODS
from tests.chart.conftest import Chart
from tests.lab import toolchain
from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, running
from tests.operator.through import through

RIGHTS = ("ServiceAccount", "Role", "RoleBinding")


@pytest.fixture
def rights(bare_api: ApiServer, namespace: Namespace, folder: Path) -> Path:
    """A kubeconfig with just what the rendered chart grants where one namespace is named."""
    made = Chart(toolchain.helm()).render("--namespace", namespace.name, "--set", f"namespaces={{{namespace.name}}}")
    bare_api.kubectl.apply(*(item for item in made if item["kind"] in RIGHTS))
    return bare_api.kubectl.as_service_account(namespace.name, "assay", folder)


def test_one_namespace_with_the_least_rights(
    bare_api: ApiServer, namespace: Namespace, folder: Path, rights: Path
) -> None:
    beside = Namespace(bare_api.kubectl, f"{namespace.name}-other")
    env = {
        "KUBECONFIG": str(rights), "ASSAY_NAMESPACES": namespace.name, "ASSAY_LEASE_NAMESPACE": namespace.name,
        "ASSAY_LEASE_NAME": "assay", "ASSAY_RESYNC_SECONDS": "1",
    }  # fmt: skip
    with beside as other, running(bare_api, folder, **env) as operator:
        other.apply_audit("elsewhere")
        namespace.apply_audit("digits")
        Kubelet(namespace).finish(namespace.job("golden"))
        namespace.job("bf16")
        namespace("delete", "audit", "digits")
        namespace.until(lambda: operator.metric("assay_events_total") >= 5, "the events")
        # The definitions themselves may not be read with a Role; nothing else is refused.
        assert operator.metric('assay_api_errors_total{code="403"') == len(list(KINDS))
        assert operator.metric('assay_events_total{result="failed"') == 0
        assert other.jobs() == {}
        assert other.audit("elsewhere")["status"] == {"observedGeneration": -1}


def test_what_a_watch_has_missed_is_healed_with_these_rights(
    bare_api: ApiServer, namespace: Namespace, folder: Path, rights: Path
) -> None:
    namespace.apply_audit("digits")
    with running(bare_api, folder, ASSAY_NAMESPACES=namespace.name, ASSAY_LEASE_NAMESPACE=namespace.name):
        Kubelet(namespace).pod(namespace.job("golden"))
    cache = Cache(KINDS)
    line: WorkQueue[Key] = WorkQueue(lambda: 0.0, lambda: 0.5)

    async def heal(requests: Api) -> int:
        return await Resync(requests, KINDS, cache, Feed(KINDS, cache, line), (namespace.name,)).heal(catch_up=0)

    assert through(rights, heal) == 3
    assert [audit.name for audit in cache.parents()] == ["digits"]
    assert len(list(cache.children(JOBS))) == len(list(cache.children(PODS))) == 1
