"""What an operator costs that has nothing left to do: thousands of audits that have ended."""

from __future__ import annotations

import os
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay_api import names
from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import run_digest
from tests.bench.figures import Figure, say
from tests.bench.kube import Kube
from tests.bench.programs import ROOT, environment
from tests.lab import LabError
from tests.lab.apiserver import ApiServer
from tests.lab.processes import Server, free_port

DEFAULT_RESYNC = 300.0
REQUESTS = re.compile(
    r'^apiserver_request_total\{(?=.*verb="(?:POST|PUT|PATCH|APPLY|DELETE)").*,resource="([^"]*)".*\} (\S+)$',
    re.MULTILINE,
)
CONDITIONS = {"Ready": "True", "Reconciling": "False", "Stalled": "False", "Complete": "True", "Passed": "True"}


def seed(kube: Kube, path: str, manifest: dict[str, Any], audits: int) -> None:
    """Create audits that have passed, each with a status of about 3 KB."""
    run = run_digest(parse(AuditSpec, manifest["spec"]))

    def create(index: int) -> None:
        name = f"finished-{index}"
        kube.request("POST", path, {**manifest, "metadata": {"name": name}})
        status = {"status": passed(manifest, run)}
        kube.request("PATCH", f"{path}/{name}/status", status, "application/merge-patch+json")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(audits)))


def passed(manifest: dict[str, Any], run: str) -> dict[str, Any]:
    """The status of a run that passed, as the operator leaves it."""
    at, word = "2026-01-01T00:00:00Z", "All 4 candidates passed; ship fp16."
    entries = [
        {
            "name": candidate["name"], "state": "Finished", "verdict": "Passed", "message": "within all limits",
            "worst": {"check": "outputDrift", "metric": "cosine", "value": "0.99998", "limit": "0.99",
                      "tensor": "logits", "node": "/head/Gemm", "message": "cosine 0.99998 at logits " + "." * 200},
            "accuracy": {"top1": "0.98", "top1Kept": "1"}, "latencyMs": "1.25",
            "reportUri": f"s3://audits/default/x/{run}/{candidate['name']}/report.json", "reportSha256": "ab" * 32,
        }
        for candidate in manifest["spec"]["candidates"]
    ]  # fmt: skip
    conditions = [
        {"type": kind, "status": status, "reason": "Passed", "message": "" if status == "False" else word,
         "lastTransitionTime": at, "observedGeneration": 1}
        for kind, status in CONDITIONS.items()
    ]  # fmt: skip
    return {
        "observedGeneration": 1, "phase": "Complete", "verdict": "Passed", "conditions": conditions, "run": run,
        "startTime": at, "completionTime": at, "finished": f"{len(entries)}/{len(entries)}", "candidates": entries,
        "recommendation": {"candidate": "fp16", "message": "the fastest that passed"},
        "report": {"uri": f"s3://audits/default/x/{run}/report.json", "sha256": "ab" * 32},
    }  # fmt: skip


@contextmanager
def leading(api: ApiServer, resync: float) -> Iterator[tuple[Server, float]]:
    """An operator, and the seconds that it took until it was ready."""
    probe = free_port()
    settings = {
        **environment(), "KUBECONFIG": str(api.kubeconfig), "ASSAY_RUNNER_IMAGE": "localhost/assay-runner",
        "ASSAY_LEASE_NAMESPACE": "default", "ASSAY_METRICS_PORT": "0", "ASSAY_PROBE_PORT": str(probe),
        "ASSAY_RESYNC_SECONDS": str(resync),
    }  # fmt: skip
    began = time.perf_counter()
    server = Server([sys.executable, "-m", "assay_operator"], api.folder / "operator.log", settings)
    try:
        held = "/apis/coordination.k8s.io/v1/namespaces/default/leases/assay-operator"
        kube = Kube(api.kubeconfig)
        # A standby is ready as well: it must lead, and know what there is.
        server.wait_ready(lambda: ready(probe) and bool(holder(kube, held)), 120)
        yield server, time.perf_counter() - began
    finally:
        server.stop(10)


def ready(port: int) -> bool:
    """Whether an operator says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def holder(kube: Kube, path: str) -> str:
    """Who holds a Lease, if anybody does."""
    try:
        return str(kube.request("GET", path)["spec"].get("holderIdentity") or "")
    except (OSError, LabError):
        return ""


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Resident memory of a process, or its peak (`VmHWM`)."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


def wanted_seconds(pid: int) -> float:
    """Processor time that a process got or waited for: on a busy machine one that gets little may want much."""
    got, waited, _ = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
    return (got + waited) / 1e9


def settled(pid: int) -> float:
    """Processor time once it wants no more than a twentieth of a core, or three minutes have gone."""
    before = wanted_seconds(pid)
    for _ in range(60):
        time.sleep(3)
        now = wanted_seconds(pid)
        if now - before < 0.15:
            break
        before = now
    return cpu_seconds(pid)


def writes(kube: Kube) -> dict[str, float]:
    """Requests that write, by kind of object, as the API server counts them."""
    counted: dict[str, float] = {}
    for resource, count in REQUESTS.findall(kube.raw("GET", "/metrics").decode()):
        counted[resource] = counted.get(resource, 0) + float(count)
    return counted


def finished(manifest: dict[str, Any], audits: int, window: float) -> Iterator[Figure]:
    """Memory, restart, rest and handover beside audits that have ended."""
    path = f"/apis/{names.API_VERSION}/namespaces/default/{names.PLURAL}"
    with ApiServer() as api:
        api.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        api.kubectl("wait", "--for=condition=Established", f"crd/{names.PLURAL}.{names.GROUP}")
        kube = Kube(api.kubeconfig)
        say(f"{audits} audits that have ended")
        seed(kube, path, manifest, audits)
        with leading(api, 1e6) as (server, _):
            say(f"first start: {settled(server.pid):.1f} s of processor time until it rests")
        with leading(api, 1e6) as (server, seconds):
            spent = settled(server.pid)
            begin = cpu_seconds(server.pid), time.perf_counter()
            time.sleep(window)
            idle = (cpu_seconds(server.pid) - begin[0]) / (time.perf_counter() - begin[1])
        listings, every = 0, max(window / 4, 5.0)
        with leading(api, every) as (server, _):
            settled(server.pid)
            before = writes(kube)
            begin = cpu_seconds(server.pid), time.perf_counter()
            time.sleep(4 * every)
            listings = round((time.perf_counter() - begin[1]) / every)
            busy = cpu_seconds(server.pid) - begin[0]
            after = writes(kube)
            resident, peak = memory_mib(server.pid), memory_mib(server.pid, "VmHWM")
            asked = time.perf_counter()
            server.process.terminate()
            server.process.wait(30)
            handed = time.perf_counter() - asked
        listing = max(busy - idle * 4 * every, 0.0) / listings
        others = sum(n - before.get(kind, 0) for kind, n in after.items() if kind != "leases")
        say(
            f"processor: {spent:.1f} s until it rests, {listing:.2f} s per listing, "
            f"{100 * idle:.2f} % of a core between them; peak {peak:.0f} MiB"
        )
    yield Figure("operator_finished_memory", resident, 200, unit="MiB")
    yield Figure("operator_finished_restart_to_ready", seconds, 10, unit="s")
    yield Figure("operator_finished_cpu_at_rest", 100 * (idle + listing / DEFAULT_RESYNC), 1, unit="%")
    yield Figure("operator_finished_writes_but_lease", others, 0)
    yield Figure("operator_finished_stop", handed, 3, unit="s")
