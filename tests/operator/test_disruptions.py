"""Pods that are taken away by Kubernetes itself while they run: another does the work, once, and no retry is spent.

Those whose node is gone take a minute, and are in tests/soak.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Proxy
from tests.operator.disruptions import QUICK, Place, came, play, start
from tests.operator.lab import Namespace, install, running


def test_a_pod_that_is_evicted_pressed_out_tainted_away_or_preempted(folder: Path) -> None:
    with ApiServer() as api:
        install(api)
        start(api)
        with Proxy(api) as proxy, running(api, folder, KUBECONFIG=str(proxy.kubeconfig)) as operator:
            places = [Place(Namespace(api.kubectl, way), way) for way in QUICK]
            try:
                for place in places:
                    place.begin()
                play(places, 240)
                for place in places:
                    told = came(place, proxy)
                    assert (told.verdict, set(told.made.values()), len(told.made)) == ("Passed", {1}, 3), place.way
                    assert (told.ended, told.lost, told.failed) == (1, 1, 0), place.way
                    assert "retries" not in str(place.namespace.audit("digits")["status"]), place.way
                assert operator.metric('assay_reconciles_total{result="exception"}') == 0
            finally:
                for place in places:
                    place.namespace.disconnect()
