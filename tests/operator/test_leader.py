"""One leader at any time: frozen, cut off, outvoted or asked to go, told by what the API server and the logs hold."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.processes import PATIENCE, Server, wait_until
from tests.operator.lab import GRACE, Namespace, Operator, install, running

LEASE = ("-n", "default", "lease", "assay-operator")
LINE = re.compile(r"^(\S+Z) (\w+) +(.*)$", re.MULTILINE)


@pytest.fixture
def api(bare_api: ApiServer) -> Iterator[ApiServer]:
    """The session's API server, its Lease held by nobody, neither before nor after."""
    bare_api.kubectl.attempt("delete", *LEASE, "--ignore-not-found")
    yield bare_api
    bare_api.kubectl.attempt("delete", *LEASE, "--ignore-not-found")


def lease(api: ApiServer) -> dict[str, Any]:
    spec: dict[str, Any] = api.kubectl.json("get", *LEASE)["spec"]
    return spec


def said(operator: Operator, words: str) -> list[datetime]:
    """When it logged these words."""
    told = LINE.findall(operator.log.read_text())
    return [datetime.fromisoformat(when.replace("Z", "+00:00")) for when, _, line in told if words in line]


def send(operator: Operator, number: int) -> None:
    assert operator.process is not None
    operator.process.send_signal(number)


def restart(api: ApiServer, *, seconds: float = 0.0) -> None:
    """Stop the API server, for so long, and start it again on the same etcd and port."""
    server = api.servers[1]
    server.stop()
    time.sleep(seconds)
    api.servers[1] = Server(list(server.process.args), server.log)  # type: ignore[arg-type]
    wait_until(lambda: api.kubectl.attempt("get", "--raw", "/readyz").returncode == 0, "the API server again")


def test_frozen_and_thawed_beside_a_new_leader_it_writes_nothing_and_ends(
    api: ApiServer, namespace: Namespace, folder: Path
) -> None:
    with running(api, folder) as first:
        second = Operator(api, folder / "second.log").start()
        try:
            second.ready()
            send(first, signal.SIGSTOP)
            second.leading()
            # The new leader does nothing meanwhile, so whatever is written is the old one's.
            send(second, signal.SIGSTOP)
            for index in range(20):
                namespace.apply_audit(f"a{index}")
            send(first, signal.SIGCONT)
            assert first.process is not None
            assert first.process.wait(PATIENCE) == 1
            assert namespace.items("jobs") == []
            assert all(audit["status"]["observedGeneration"] == -1 for audit in namespace.items("accuracyaudits"))
            send(second, signal.SIGCONT)
            namespace.until(lambda: len(namespace.items("jobs")) == 20, "the new leader's Jobs")
        finally:
            second.end()
    assert len(said(first, "the lease is lost")) == 1


def test_frozen_and_thawed_without_a_rival_it_goes_on(api: ApiServer, namespace: Namespace, folder: Path) -> None:
    with running(api, folder) as operator:
        before = lease(api)
        send(operator, signal.SIGSTOP)
        time.sleep(8)
        send(operator, signal.SIGCONT)
        namespace.apply_audit("digits")
        namespace.job("golden")
        assert operator.alive
        after = lease(api)
        assert all(after[key] == before[key] for key in ("holderIdentity", "acquireTime", "leaseTransitions"))


def test_a_lease_that_names_another_ends_it_at_the_next_renewal(api: ApiServer, folder: Path) -> None:
    """Not when its own time is up: with an hour for that, it ends all the same."""
    patient = {"ASSAY_LEASE_SECONDS": "3700", "ASSAY_RENEW_SECONDS": "3600"}
    with running(api, folder, **patient) as operator:
        api.kubectl("patch", *LEASE, "--type=merge", "-p", json.dumps({"spec": {"holderIdentity": "rival"}}))
        assert operator.process is not None
        assert operator.process.wait(PATIENCE) == 1
        assert lease(api)["holderIdentity"] == "rival"
    assert len(said(operator, "the lease is lost")) == 1


def test_a_lease_that_was_deleted_or_relabelled_is_made_again(api: ApiServer, folder: Path) -> None:
    with running(api, folder) as operator:
        held = lease(api)["holderIdentity"]
        api.kubectl("label", *LEASE[2:], "team=sre", "-n", "default")
        api.kubectl("delete", *LEASE)
        wait_until(lambda: api.kubectl.attempt("get", *LEASE).returncode == 0, "the Lease again")
        assert lease(api)["holderIdentity"] == held
        assert operator.alive


def test_an_outage_longer_than_the_lease_ends_nobody(folder: Path) -> None:
    with ApiServer() as api:
        install(api)
        with Namespace(api.kubectl, "team") as namespace, running(api, folder) as operator:
            held = lease(api)
            namespace.apply_audit("before")
            namespace.job("golden")
            restart(api, seconds=12)
            namespace.apply_audit("after")
            namespace.until(lambda: len(namespace.items("jobs")) == 2, "the Job of the other audit")
            operator.leading()
            assert operator.alive
            assert operator.answer("/livez") == 200
            assert lease(api)["holderIdentity"] == held["holderIdentity"]
            assert lease(api)["leaseTransitions"] == held["leaseTransitions"]
    (closed,) = said(operator, "nothing is written until it is")
    (opened,) = said(operator, "was nobody else's meanwhile")
    assert closed < opened


def test_while_cut_off_it_says_so_and_lives(folder: Path) -> None:
    with ApiServer() as api:
        install(api)
        with running(api, folder) as operator:
            api.servers[1].stop()
            wait_until(lambda: operator.answer("/readyz") == 503, "it to be no longer ready")
            assert operator.answer("/livez") == 200
            assert operator.metric("assay_operator_leader") == 0
            assert operator.stop(GRACE) == 0


def test_it_starts_before_its_api_server_and_its_definition_and_says_what_it_waits_for(folder: Path) -> None:
    with ApiServer() as api:
        api.servers[1].stop()
        operator = Operator(api, folder / "early.log").start()
        try:
            wait_until(lambda: bool(said(operator, "waiting for the definition")), "a word on what it waits for")
            assert operator.answer("/readyz") == 503
            assert operator.answer("/livez") == 200
            restart(api)
            wait_until(lambda: "has no accuracyaudits.assay.dev" in operator.log.read_text(), "the other trouble")
            assert operator.alive
            install(api)
            operator.leading()
        finally:
            operator.end()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("begun", ["imports", "requests"])
def test_starting_it_hears_that_it_is_to_end(api: ApiServer, folder: Path, black_hole: str, begun: str) -> None:
    """At its first moment, and while it waits for an API server that never answers."""
    config = folder / "kubeconfig"
    config.write_text(api.kubeconfig.read_text().replace(api.url, black_hole))
    operator = Operator(api, folder / "operator.log", KUBECONFIG=str(config)).start()
    try:
        began = {"imports": lambda: hears(operator), "requests": lambda: bool(said(operator, "started"))}
        wait_until(began[begun], "it to begin")
        assert operator.stop(GRACE) == 0
    finally:
        operator.end()


def hears(operator: Operator) -> bool:
    """Whether the process has a handler for SIGTERM."""
    assert operator.process is not None
    caught = re.search(r"^SigCgt:\s+(\w+)", Path(f"/proc/{operator.process.pid}/status").read_text(), re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_asked_to_stop_it_hands_over_within_the_patience_of_a_standby(
    api: ApiServer, namespace: Namespace, folder: Path
) -> None:
    """With passes and events waiting; the Lease itself would run out a long time later."""
    patient = {"ASSAY_LEASE_SECONDS": "3700", "ASSAY_RENEW_SECONDS": "3600"}
    with running(api, folder, **patient) as first:
        second = Operator(api, folder / "second.log", **patient).start()
        try:
            second.ready()
            for index in range(30):
                namespace.apply_audit(f"a{index}")
            asked = datetime.now(UTC)
            assert first.stop() == 0
            (gave,) = said(first, "gave the lease back")
            assert (gave - asked).total_seconds() < GRACE
            second.leading()
            (leads,) = said(second, "leading")
            assert gave < leads
            namespace.until(lambda: len(namespace.items("jobs")) == 30, "all Jobs, by one or the other")
        finally:
            second.end()
