"""A standby whose leader is silent looks around before the Lease runs out, and again where that was long ago."""

from __future__ import annotations

from pathlib import Path

from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Proxy
from tests.operator.lab import Namespace, Operator
from tests.operator.player import ONE, settings

PATIENT = {"ASSAY_LEASE_SECONDS": "8", "ASSAY_RENEW_SECONDS": "6", "ASSAY_LEASE_RETRY_SECONDS": "1"}


def test_it_has_listed_what_there_is_before_it_leads(bare_api: ApiServer, namespace: Namespace, folder: Path) -> None:
    first = Operator(bare_api, folder / "first.log", **settings(namespace, **PATIENT)).start()
    with Proxy(bare_api) as proxy:
        env = settings(namespace, KUBECONFIG=str(proxy.kubeconfig), **PATIENT)
        second = Operator(bare_api, folder / "second.log", **env)
        try:
            first.leading()
            second.start().ready()
            namespace.apply_audit("before", candidates=ONE)
            namespace.run("before")
            # While the leader renews its Lease, nobody else looks.
            assert not [asked for asked in proxy.asked if asked.plural == "accuracyaudits"]
            namespace.apply_audit("doomed", candidates=ONE)
            namespace.run("doomed")
            first.kill()
            namespace.until(lambda: bool(listed(proxy)), "the standby to look around")
            # What comes and goes between its look and its watches is seen all the same.
            namespace("delete", "audit", "doomed")
            namespace.apply_audit("meanwhile", candidates=ONE)
            second.leading()
            namespace.until(lambda: "meanwhile" in owners(namespace), "the Job of what came meanwhile")
            namespace.until(lambda: 'assay_audits{phase="Pending",verdict="None"} 2.0' in second.scrape(), "two audits")
            assert len(listed(proxy)) == 1
            assert listed(proxy)[0] < taken(proxy)
            assert sorted(owners(namespace)) == ["before", "doomed", "meanwhile"]
        finally:
            first.end()
            second.end()


def listed(proxy: Proxy) -> list[int]:
    """Listings of audits that are no watch's own, by their place among all requests."""
    return [
        index for index, asked in enumerate(proxy.asked)
        if (asked.plural, asked.method) == ("accuracyaudits", "GET") and not asked.watch and "limit" in asked.query
    ]  # fmt: skip


def taken(proxy: Proxy) -> int:
    """By which request the Lease was taken through the proxy, by its place among all."""
    puts = enumerate((asked.method, asked.plural, asked.status) for asked in proxy.asked)
    return next(index for index, put in puts if put == ("PUT", "leases", 200))


def owners(namespace: Namespace) -> list[str]:
    return [job["metadata"]["labels"]["assay.dev/audit"] for job in namespace.items("jobs")]
