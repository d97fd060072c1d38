"""Where the time goes on a node, against `assay run` of the same audit in one container on the same machine.

What the cluster costs is a figure with a goal, told beneath the run and kept in `facts.json`. It fails no test: it
follows the machine, and docs/gpu-cluster.md says what it is made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

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
# Weakly typed, and layers as small as these: the precision runs that was faster when the builder timed it, and what was
# left in FP32 fails achievedPrecision. Two builds may differ in it (examples/digits/engines.yaml says so).
BUILDERS_CHOICE: Final = frozenset({"fp16", "int8-implicit"})
ROW: Final = re.compile(r"Z ([\w.-]+)@\S+ +\S (Passed|Failed|Inconclusive)\b")
RUN = """\
begin=$(date +%s%N)
assay run -f /script/audit.yaml --out /scratch/out
code=$?
echo "{\\"seconds\\": $(( ($(date +%s%N) - begin) / 1000000 ))e-3, \\"code\\": $code}" > /dev/termination-log
"""


@pytest.fixture(scope="module")
def bare(place: Place, node_gpus: Gpus, audited: Audited, evidence: Evidence) -> dict[str, Any]:
    """How long `assay run` takes, in seconds, how it ended, and the verdict of each candidate."""
    room = Room.make(place, "gpu-bare")
    manifest = engines("digits", place.inside, node_gpus, store="bare")
    start(room, "bare", {"audit.yaml": yaml.safe_dump(manifest)}, ["sh", "-c", RUN], 1)
    end = ended(room, "bare", 420)
    log = room.kubectl("logs", "bare", "--timestamps")
    evidence.text("pods.log", "assay run", log)
    assert end["exitCode"] == 0, end
    told: dict[str, Any] = json.loads(end["message"])
    evidence.fact("assay run of the same audit", {**told, "spent": spent(log.splitlines())})
    return {**told, "verdicts": dict(ROW.findall(log))}


@pytest.fixture(scope="module")
def together(place: Place, node_gpus: Gpus, evidence: Evidence) -> Audited:
    """The same audit, its candidates in one Job."""
    return audited_as("together", place, node_gpus, evidence, candidatesPerJob=32)


def overhead(audited: float, bare: float, name: str = "cluster-overhead") -> Figure:
    """What a cluster took beyond `assay run` of the same audit, beside the goal; all in seconds."""
    return Figure(name, audited - bare, ALLOWED_SECONDS + ALLOWED_SHARE * bare, unit="s")


def verdicts(audited: Audited) -> dict[str, str]:
    """Verdict of each candidate, by its own name."""
    return {each["name"].partition("@")[0]: each["verdict"] for each in audited.found["status"]["candidates"]}


def settled(verdicts: Mapping[str, str]) -> dict[str, str]:
    """Those that are the same whichever engine a builder makes of them."""
    return {name: verdict for name, verdict in verdicts.items() if name not in BUILDERS_CHOICE}


def test_the_same_audit_runs_in_one_container(bare: dict[str, Any], audited: Audited) -> None:
    assert settled(bare["verdicts"]) == settled(verdicts(audited))
    assert bare["verdicts"].keys() == verdicts(audited).keys()
    # 69 says that nothing could be measured for want of a GPU.
    said = {0: "Passed", 1: "Failed", 2: "Inconclusive", 69: "Inconclusive"}[bare["code"]]
    worst = next(each for each in ("Failed", "Inconclusive", "Passed") if each in bare["verdicts"].values())
    assert worst == said


def test_candidates_of_one_job_are_judged_as_those_of_many(audited: Audited, together: Audited) -> None:
    assert settled(verdicts(together)) == settled(verdicts(audited))
    assert verdicts(together).keys() == verdicts(audited).keys()
    for each in together.found["status"]["candidates"]:
        if each["verdict"] == "Failed":
            assert each["worst"]["check"] == "achievedPrecision"
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
