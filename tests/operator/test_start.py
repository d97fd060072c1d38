"""What an operator asks for when it starts, beside a real API server: everything, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Asked, Expire, Fault, Proxy
from tests.operator.lab import Namespace, Operator, running
from tests.operator.player import ONE, behind


def listings(proxy: Proxy) -> Counter[str]:
    """How often each kind was listed."""
    return Counter(a.plural for a in proxy.asked if a.method == "GET" and "limit" in a.query and not a.watch)


def seen(namespace: Namespace) -> set[str]:
    """Audits that an operator has looked at."""
    return {a["metadata"]["name"] for a in namespace.items("accuracyaudits") if a["status"].get("run")}


def held(operator: Operator, audits: int) -> bool:
    return f'assay_audits{{phase="Suspended",verdict="None"}} {audits}.0' in operator.scrape()


def test_it_lists_everything_once_and_misses_nothing_until_it_watches(
    bare_api: ApiServer, namespace: Namespace, folder: Path
) -> None:
    for name in ("stays", "doomed"):
        namespace.apply_audit(name, suspend=True)

    def strike(asked: Asked) -> Fault | None:
        if asked.watch and asked.plural == "accuracyaudits":
            proxy.rules.remove(strike)
            namespace("delete", "audit", "doomed")
            # By a connection of its own: the proxy asks in another thread.
            with Namespace(bare_api.kubectl, namespace.name, made=True) as here:
                here.apply_audit("comes", suspend=True)
        return None

    with Proxy(bare_api) as proxy:
        proxy.rules.append(strike)
        # No listing heals anything within the time of this test.
        with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="3600") as operator:
            namespace.until(lambda: "comes" in seen(namespace), "what came meanwhile to be seen")
            namespace.until(lambda: held(operator, 2), "what went meanwhile to be forgotten")
            assert set(listings(proxy).values()) == {1}, listings(proxy)
            assert listings(proxy).keys() >= {"accuracyaudits", "accuracysweeps", "jobs", "pods"}


@pytest.mark.parametrize("namespaced", [True, False])
def test_a_watch_that_cannot_begin_where_the_listing_was_lists_again(
    bare_api: ApiServer, namespace: Namespace, folder: Path, namespaced: bool
) -> None:
    namespace.apply_audit("stays", suspend=True)

    def strike(asked: Asked) -> Fault | None:
        if asked.watch and asked.plural == "accuracyaudits":
            proxy.rules.remove(strike)
            return Expire()
        return None

    with Proxy(bare_api) as proxy:
        proxy.rules.append(strike)
        scope = {} if namespaced else {"ASSAY_NAMESPACES": ""}
        with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="3600", **scope):
            namespace.until(lambda: listings(proxy)["accuracyaudits"] == 2, "another listing")
            namespace.apply_audit("comes", candidates=ONE)
            namespace.until(lambda: len(namespace.items("jobs")) == 1, "the Job of what came later")


def test_over_the_whole_cluster_too(bare_api: ApiServer, namespace: Namespace, folder: Path) -> None:
    namespace.apply_audit("stays", suspend=True)
    with Proxy(bare_api) as proxy, running(bare_api, folder, KUBECONFIG=str(proxy.kubeconfig)):
        namespace.apply_audit("comes", candidates=ONE)
        namespace.until(lambda: len(namespace.items("jobs")) == 1, "its Job")
        assert listings(proxy)["accuracyaudits"] == 1
