"""A clock that is wrong: what has just begun is not found old, nor what is old new, and nobody leads too early."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.lab import Unavailable
from tests.lab.apiserver import ApiServer
from tests.lab.toolchain import debian
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator
from tests.operator.player import ONE, finish, over, play, settings


def skewed(by: str) -> dict[str, str]:
    """The environment of a process whose wall clock is off, as libfaketime makes it."""
    debian("faketime")
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), *Path("/usr/lib/faketime").glob("libfaketime.so.1")]
    if not found:
        raise Unavailable("libfaketime.so.1 is not below /usr/lib")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": by,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def careless(kubeconfig: Path, folder: Path) -> Path:
    """The same without a look at certificates: those of a test are not valid an hour before they were made."""
    config = json.loads(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["insecure-skip-tls-verify"] = True
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


def half_an_hour_off() -> int:
    """A minute of the hour that does not come while a test lasts, but just now by a clock that is off by 90 minutes."""
    return (datetime.now(UTC).minute + 30) % 60


@pytest.mark.parametrize("by", ["+90m", "-90m", "+26h", "-26h"])
def test_a_clock_that_is_off_ends_nothing_and_starts_nothing_twice(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path, by: str
) -> None:
    """By more than the half hour for which a task may wait to start, and by more than the day that it may take."""
    env = {**skewed(by), "KUBECONFIG": str(careless(bare_api.kubeconfig, folder))}
    operator = Operator(bare_api, folder / "operator.log", **settings(namespace, **env)).start()
    try:
        operator.leading()
        namespace.apply_audit("digits", candidates=ONE)
        golden = namespace.job("golden")
        kubelet.pod(golden, phase="Pending")
        hour = {"cron": f"{half_an_hour_off()} * * * *", "missedRuns": "RunLatest"}
        sweeps.apply(namespace, "hourly", schedule=hour, models=sweeps.MODELS[:1])
        sweeps.apply(namespace, "once", models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
        namespace.until(lambda: bool(namespace.audit("digits")["status"]["run"]), "the audit to be seen")
        namespace.until(lambda: "nextScheduleTime" in sweeps.status(namespace, "hourly"), "the sweep to be seen")
        due = datetime.fromisoformat(sweeps.status(namespace, "hourly")["nextScheduleTime"])
        made = datetime.fromisoformat(namespace.read("accuracysweeps", "hourly")["metadata"]["creationTimestamp"])
        assert 0 <= (due - made).total_seconds() <= 3600
        assert "lastScheduleTime" not in sweeps.status(namespace, "hourly")
        assert namespace.condition("digits", "Stalled")["status"] == "False"
        assert namespace.condition("digits", "Reconciling")["reason"] == "Pending"
        namespace("delete", "pods", "--all")
        finish(kubelet, golden)
        both = (("accuracyaudits", "digits"), ("accuracysweeps", "once"))
        play(namespace, kubelet, lambda: all(over(namespace.read(*each)) for each in both))
        status = namespace.audit("digits")["status"]
        assert status["verdict"] == "Passed"
        took = datetime.fromisoformat(status["completionTime"]) - datetime.fromisoformat(
            namespace.audit("digits")["metadata"]["creationTimestamp"]
        )
        assert -5 <= took.total_seconds() <= 120
        once = sweeps.status(namespace, "once")
        assert (once["verdict"], once["counts"]) == ("Passed", {"cells": 1, "passed": 1})
        ran = datetime.fromisoformat(once["completionTime"]) - datetime.fromisoformat(once["startTime"])
        assert 0 <= ran.total_seconds() <= 120
        assert len(namespace.items("accuracyaudits")) == 2
        # The sweep's own is gone with its run.
        assert len([job for job in namespace.items("jobs") if "assay.dev/audit" in job["metadata"]["labels"]]) == 6
        assert "clock is not the API server's" in operator.log.read_text()
    finally:
        operator.end()


def test_a_standby_whose_clock_is_ahead_waits_all_the_same(
    bare_api: ApiServer, namespace: Namespace, folder: Path
) -> None:
    first = Operator(bare_api, folder / "first.log", **settings(namespace)).start()
    second = Operator(bare_api, folder / "second.log", **settings(namespace, **skewed("+90m")))
    try:
        first.leading()
        second.start().ready()
        for name in ("a", "b"):
            namespace.apply_audit(name, candidates=ONE)
            namespace.until(lambda n=name: bool(namespace.audit(n)["status"]["run"]), "its Job")  # type: ignore[misc]
            assert first.leads()
            assert not second.leads()
        first.kill()
        second.leading()
        namespace.apply_audit("c", candidates=ONE)
        namespace.until(lambda: len(namespace.items("jobs")) == 3, "the other leader's Job")
    finally:
        first.end()
        second.end()
