"""Where the time goes on a node, against `assay run` of the same audit in one container on the same machine.

What the cluster costs is a figure with a goal, told beneath the run and kept in `facts.json`. It fails no test: it
follows the machine, and docs/gpu-cluster.md says what it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.bench.figures import Figure
from tests.e2e.place import Place, Room
from tests.gpu_e2e.audits import engines
from tests.gpu_e2e.conftest import Audited, audited_as
from tests.gpu_e2e.evidence import FIGURE, Evidence
from tests.gpu_e2e.place import needs_real
from tests.gpu_e2e.pods import ended, start
from tests.gpu_e2e.times import spent
from tests.lab.gpus import Gpus

ALLOWED_SECONDS, ALLOWED_SHARE = 20.0, 0.05
RUN = """\
begin=$(date +%s%N)
assay run -f /script/audit.yaml --out /scratch/out
code=$?
echo "{\\"seconds\\": $(( ($(date +%s%N) - begin) / 1000000 ))e-3, \\"code\\": $code}" > /dev/termination-log
"""


@pytest.fixture(scope="module")
def bare(place: Place, node_gpus: Gpus, audited: Audited, evidence: Evidence) -> dict[str, Any]:
    """How long `assay run` takes, in seconds, and how it ended."""
    room = Room.make(place, "gpu-bare")
    manifest = engines("digits", place.inside, node_gpus, store="bare")
    start(room, "bare", {"audit.yaml": yaml.safe_dump(manifest)}, ["sh", "-c", RUN], 1)
    end = ended(room, "bare", 420)
    log = room.kubectl("logs", "bare", "--timestamps")
    evidence.text("pods.log", "assay run", log)
    assert end["exitCode"] == 0, end
    told: dict[str, Any] = json.loads(end["message"])
    evidence.fact("assay run of the same audit", {**told, "spent": spent(log.splitlines())})
    return told


@pytest.fixture(scope="module")
def together(place: Place, node_gpus: Gpus, evidence: Evidence) -> Audited:
    """The same audit, its candidates in one Job."""
    return audited_as("together", place, node_gpus, evidence, candidatesPerJob=32)


def overhead(audited: float, bare: float, name: str = "cluster-overhead") -> Figure:
    """What a cluster took beyond `assay run` of the same audit, beside the goal; all in seconds."""
    return Figure(name, audited - bare, ALLOWED_SECONDS + ALLOWED_SHARE * bare, unit="s")


def test_the_same_audit_runs_in_one_container(bare: dict[str, Any], audited: Audited) -> None:
    # What the resource says too; 69 says besides that nothing could be measured for want of a GPU.
    verdicts = {0: "Passed", 1: "Failed", 2: "Inconclusive", 69: "Inconclusive"}
    assert verdicts[bare["code"]] == audited.found["status"]["verdict"]


def test_candidates_of_one_job_are_judged_as_those_of_many(audited: Audited, together: Audited) -> None:
    alone, shared = (
        {c["name"]: c["verdict"] for c in each.found["status"]["candidates"]} for each in (audited, together)
    )
    assert shared == alone
    kinds = [job["metadata"]["labels"]["assay.dev/kind"] for job in together.room.objects("jobs")]
    assert sorted(kinds) == ["golden", "summary", "together"]


def test_what_a_cluster_costs_is_told_beside_its_goal(
    bare: dict[str, Any],
    audited: Audited,
    together: Audited,
    node_gpus: Gpus,
    evidence: Evidence,
    record_property: Callable[[str, object], None],
) -> None:
    needs_real(node_gpus, "what a cluster costs")
    for done, name in ((audited, "cluster-overhead"), (together, "cluster-overhead-one-job")):
        figure = overhead(done.seconds, bare["seconds"], name)
        met = "ok" if figure.met else "MISS"
        evidence.fact(name, {"seconds": round(figure.value, 1), "goal": round(figure.bound, 1), "met": met})
        record_property(FIGURE, str(figure))
        assert done.seconds > bare["seconds"] > 0
