"""What is taken away while it is needed: Pods, some with their node, and the API server, at every stage of a sweep."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, say
from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Proxy
from tests.operator.disruptions import WAYS, Place, came, play, start
from tests.operator.lab import Namespace, install, running
from tests.operator.test_sweep_faults import STAGES, restarted


def disruptions(seconds: float = 600.0) -> Iterator[Figure]:
    """One audit for each way, all at once, none of which may have a retry."""
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        start(api)
        with Proxy(api) as proxy, running(api, Path(folder), KUBECONFIG=str(proxy.kubeconfig)) as operator:
            places = [Place(Namespace(api.kubectl, way), way) for way in WAYS]
            for place in places:
                place.begin()
            play(places, seconds)
            lost = doubled = failed = 0
            for place in places:
                told = came(place, proxy)
                say(f"{place.way}: {told.verdict}, reasons {', '.join(place.reasons)}")
                lost += (told.verdict != "Passed") + (len(told.made) != 3) + (told.lost != 1)
                doubled += sum(told.made.values()) - len(told.made) + abs(told.ended - 1)
                failed += told.failed
            silent = next(place for place in places if place.way == "silenced")
            exceptions = operator.metric('assay_reconciles_total{result="exception"}')
    yield Figure("soak_disrupted", len(places), len(WAYS), at_most=False)
    yield Figure("soak_disrupted_lost", lost, 0)
    yield Figure("soak_disrupted_doubled", doubled + exceptions, 0)
    yield Figure("soak_disrupted_retries_spent", failed, 0)
    yield Figure("soak_silent_node_not_named", int("NodeLost" not in silent.reasons), 0)


def restarts() -> Iterator[Figure]:
    """The API server restarted at each stage of a sweep: how many sweeps lost something, or had it done twice."""
    broken = 0
    for stages in (*((stage,) for stage in STAGES), STAGES):
        with tempfile.TemporaryDirectory() as folder:
            try:
                restarted(Path(folder), stages)
            except AssertionError as error:
                broken += 1
                say(f"restarted at {', '.join(stages)}: {error}")
    yield Figure("soak_restarts_broken", broken, 0)
