"""Specs that change while they are worked on: a short run of what `make soak` does a thousand times."""

from __future__ import annotations

from pathlib import Path

from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.mutations import KINDS, ending_jobs, mutate, put_right, settled
from tests.operator.player import over, play, settings


def test_specs_changed_at_random(bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path) -> None:
    changed(bare_api, namespace, kubelet, folder, 80)


def changed(api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path, changes: int) -> None:
    operator = Operator(api, folder / "operator.log", **settings(namespace)).start()
    try:
        operator.leading()
        with ending_jobs(namespace):
            taken = mutate(namespace, changes)
        assert taken >= changes / 4
        settled(namespace, operator)
        # Written as they should be, all come to a good end.
        put_right(namespace)
        play(namespace, kubelet, lambda: all(map(over, everything(namespace))))
        settled(namespace, operator)
        assert {item["status"]["verdict"] for item in everything(namespace)} == {"Passed"}
    finally:
        operator.end()


def everything(namespace: Namespace) -> list[Raw]:
    """The audits and sweeps of a namespace."""
    return [item for kind in KINDS for item in namespace.items(kind)]
