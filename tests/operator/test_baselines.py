"""Answers accepted as baselines by the operator as users start it, on a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.lab import toolchain
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.sweeps import CANDIDATES, MODELS, SAME, apply, going, looked, open_jobs_until_over, status

NEW: Raw = {"state": "New"}
WORSE: Raw = {"state": "Regressed", "why": "loses 19", "causes": ["finite at /Mul", "tensorrt 10.13 -> 11.1"]}
KEEP = "assay.dev/accept-baseline"


def finish(namespace: Namespace, kubelet: Kubelet, name: str, **states: Raw) -> None:
    """Have an audit end, its candidates beside their baselines as told by their names."""
    for job in open_jobs_until_over(namespace, name):
        labels = job["metadata"]["labels"]
        kind = labels["assay.dev/kind"]
        told: Raw = {"report": report(kind), **({"verdict": "Passed"} if kind != "golden" else {})}
        if kind == "candidate":
            told["baselines"] = [states.get(labels["assay.dev/candidate"], NEW)]
        kubelet.finish(job, **told)


def accepting(namespace: Namespace) -> list[Raw]:
    return [j for j in namespace.items("jobs") if j["metadata"]["labels"]["assay.dev/kind"] == "baseline"]


def task_of(job: Raw) -> Raw:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found: Raw = json.loads(next(e["value"] for e in container["env"] if e["name"] == "ASSAY_TASK"))
    return found


def accepted(namespace: Namespace, kubelet: Kubelet, count: int = 1, **refused: str) -> list[Raw]:
    """Answer so many Jobs that accept, and tell their orders."""
    jobs: list[Raw] = []

    def there() -> bool:
        jobs[:] = [job for job in accepting(namespace) if not (job.get("status") or {}).get("conditions")]
        return len(jobs) >= count

    namespace.until(there, f"{count} Jobs that accept")
    orders = []
    for job in jobs:
        order = task_of(job)["accept"]
        orders.append(order)
        told = [
            {"candidate": key, "state": "", "why": refused[key], "refused": True}
            if key in refused
            else {"candidate": key, "state": "Unchanged", "record": "0123456789ab", "accepted": order["who"]}
            for key in order["candidates"]
        ]
        kubelet.finish(job, baselines=told)
    return orders


def entries(namespace: Namespace, name: str) -> dict[str, str]:
    found: list[Raw] = namespace.audit(name)["status"]["candidates"]
    return {entry["name"]: entry.get("baseline", {}).get("state", "") for entry in found}


def test_an_annotation_has_a_job_of_the_namespace_accept_an_audit_s_answers(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits", storage={"secretRef": {"name": "own"}})
    finish(namespace, kubelet, "digits", bf16=WORSE)
    assert entries(namespace, "digits") == {"fp16": "New", "bf16": "Regressed"}
    assert namespace.audit("digits")["status"]["baseline"] == "Regressed"
    assert "Regressed" in namespace("get", "audit", "digits")
    namespace("annotate", "audit", "digits", f"{KEEP}=release 7")
    namespace.until(lambda: bool(accepting(namespace)), "the Job")
    (job,) = accepting(namespace)
    secrets = [e["valueFrom"]["secretKeyRef"]["name"] for e in job["spec"]["template"]["spec"]["containers"][0]["env"]
               if "valueFrom" in e]  # fmt: skip
    assert set(secrets) == {"own"}
    # A status is written once the Jobs are there.
    namespace.until(lambda: namespace.audit("digits")["status"]["accepted"]["waiting"] == 2, "what waits")
    (order,) = accepted(namespace, kubelet, bf16="it is emulated")
    assert order == {
        "report": report("summary")["uri"], "sha256": report("summary")["sha256"], "candidates": ["fp16", "bf16"],
        "who": "whoever annotated it", "why": "release 7",
    }  # fmt: skip
    namespace.until(lambda: not namespace.audit("digits")["status"]["accepted"].get("waiting"), "the end")
    told = namespace.audit("digits")["status"]
    assert entries(namespace, "digits") == {"fp16": "Unchanged", "bf16": "Regressed"}
    assert (told["accepted"]["accepted"], told["accepted"]["refused"]) == (1, 1)
    assert told["accepted"]["message"] == "bf16: it is emulated"
    namespace.until(lambda: any("BaselineAccepted: 1 accepted" in e for e in namespace.events()), "the event")
    # Done once: neither a restart nor another look makes another Job.
    namespace("label", "audit", "digits", "team=ml")
    namespace("annotate", "audit", "digits", "--overwrite", f"{KEEP}={json.dumps({'why': 'x', 'candidate': 'moon'})}")
    namespace.until(
        lambda: "no candidate moon" in namespace.audit("digits")["status"]["accepted"]["message"], "why not"
    )
    assert len(accepting(namespace)) == 1


def test_a_job_whose_answer_got_lost_accepts_again_and_a_run_that_takes_over_ends_it(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("lost")
    finish(namespace, kubelet, "lost")
    namespace("annotate", "audit", "lost", f"{KEEP}=release 7")
    namespace.until(lambda: bool(accepting(namespace)), "the Job")
    namespace("delete", "job", accepting(namespace)[0]["metadata"]["name"])
    namespace.until(lambda: bool(accepting(namespace)), "another Job in its place")
    namespace("annotate", "audit", "lost", "assay.dev/rerun=1")
    namespace.until(lambda: "another run began" in str(namespace.audit("lost")["status"].get("accepted")), "its end")
    finish(namespace, kubelet, "lost", bf16=WORSE)
    assert [job for job in accepting(namespace) if "deletionTimestamp" not in job["metadata"]] == []
    assert entries(namespace, "lost") == {"fp16": "New", "bf16": "Regressed"}


def test_a_sweep_s_annotation_reaches_the_audits_of_one_cause(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "nightly", template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "nightly", SAME)
    namespace.until(lambda: len(going(namespace, "nightly")) == 2, "the audits")
    for key, audit in going(namespace, "nightly").items():
        worse = {"cpu": WORSE} if key.startswith("vit") else {}
        finish(namespace, kubelet, audit["metadata"]["name"], **worse)
    namespace.wait("Complete", "sweep/nightly")
    assert status(namespace, "nightly")["baselines"] == {"new": 1, "regressed": 1}
    metric = f'assay_sweep_regressions{{namespace="{namespace.name}",sweep="nightly"}}'
    namespace.until(lambda: operator.metric(metric) == 1.0, "the metric")
    ask = {"why": "the tokenizer has changed", "who": "ann", "cause": "tensorrt 10.13 -> 11.1"}
    namespace("annotate", "sweep", "nightly", f"{KEEP}={json.dumps(ask)}")
    (order,) = accepted(namespace, kubelet)
    assert (order["who"], order["why"], order["candidates"]) == ("ann", "the tokenizer has changed", ["cpu"])
    namespace.until(lambda: status(namespace, "nightly").get("baselines") == {"new": 1, "unchanged": 1}, "the state")
    told = status(namespace, "nightly")
    assert told["counts"] == {"cells": 2, "passed": 2}
    assert (told["accepted"]["accepted"], told["accepted"].get("waiting", 0)) == (1, 0)
    namespace.until(lambda: operator.metric(metric) == 0.0, "the metric")
    # Answers of the next run are not accepted by what was asked of this one.
    namespace("annotate", "sweep", "nightly", "assay.dev/rerun=1")
    looked(namespace, kubelet, "nightly", SAME)
    namespace.until(lambda: len(going(namespace, "nightly")) == 2, "the audits")
    for audit in going(namespace, "nightly").values():
        finish(namespace, kubelet, audit["metadata"]["name"], cpu=WORSE)
    namespace.until(lambda: status(namespace, "nightly").get("baselines") == {"regressed": 2}, "the next answers")
    assert len(accepting(namespace)) == 1


def test_a_restart_in_the_middle_accepts_once(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, bare_api: Any, tmp_path: Any
) -> None:
    apply(namespace, "restart", models=MODELS[:1], template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "restart", {"bert": "a" * 16})
    namespace.until(lambda: len(going(namespace, "restart")) == 1, "the audit")
    (audit,) = going(namespace, "restart").values()
    finish(namespace, kubelet, audit["metadata"]["name"])
    namespace.wait("Complete", "sweep/restart")
    namespace("annotate", "sweep", "restart", f"{KEEP}=first")
    namespace.until(lambda: bool(accepting(namespace)), "the Job")
    operator.kill()
    accepted(namespace, kubelet)
    operator.start().leading()
    namespace.until(lambda: status(namespace, "restart").get("baselines") == {"unchanged": 1}, "the state")
    assert len(accepting(namespace)) == 1


def command(namespace: Namespace, *words: str) -> subprocess.Popen[str]:
    """`assay baseline`, with the kubectl and the kubeconfig of the test."""
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {**os.environ, **namespace.kubectl.env, "PATH": path, "COLUMNS": "200"}
    whole = [sys.executable, "-m", "assay_runner", "baseline", *words, "-n", namespace.name]
    return subprocess.Popen(whole, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_the_command_accepts_what_a_sweep_or_an_audit_answered(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "named", template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "named", SAME)
    namespace.until(lambda: len(going(namespace, "named")) == 2, "the audits")
    for key, audit in going(namespace, "named").items():
        finish(namespace, kubelet, audit["metadata"]["name"], cpu=WORSE if key.startswith("vit") else NEW)
    namespace.wait("Complete", "sweep/named")
    code, out, _ = ended(command(namespace, "show", "--sweep", "named"))
    assert code == 1
    first, second = out.splitlines()[1:]
    assert first.split()[:2] == ["vit/cpu", "Regressed"]
    assert "finite at /Mul; tensorrt 10.13 -> 11.1" in first
    assert second.split()[:2] == ["bert/cpu", "New"]
    asked = command(namespace, "accept", "--sweep", "named", "--cell", "vit/cpu", "--why", "release 7")
    (order,) = accepted(namespace, kubelet)
    # The cluster says who it is that asks.
    assert order["who"] not in ("", "whoever annotated it")
    code, out, err = ended(asked)
    assert (code, out) == (0, f"named: 1 accepted by {order['who']}, 0 refused\n"), err
    code, out, _ = ended(command(namespace, "show", "--sweep", "named", "--model", "vit"))
    assert (code, "Unchanged" in out) == (0, True)
    (audit,) = [a["metadata"]["name"] for a in namespace.items("accuracyaudits") if "bert" in a["metadata"]["name"]]
    asked = command(namespace, "accept", f"audit/{audit}", "--why", "release 7", "--who", "ann")
    assert accepted(namespace, kubelet, cpu="it is emulated")[0]["who"] == "ann"
    code, out, _ = ended(asked)
    assert (code, out.splitlines()) == (64, [f"{audit}: 0 accepted by ann, 1 refused", "cpu: it is emulated"])


MISUSED = [
    (("accept", "--sweep", "nowhere", "--why", "x"), 64, "sweep nowhere in namespace"),
    (("accept", "--sweep", "nowhere", "--why", " "), 64, "--why is empty"),
    (("accept", "--sweep", "a", "--cell", "vit", "--why", "x"), 64, "--cell takes MODEL/CANDIDATE"),
    (("accept", "audit/a", "--sweep", "b", "--why", "x"), 64, "are two things"),
    (("accept", "audit/a", "--model", "b", "--why", "x"), 64, "are of a sweep"),
    (("accept", "--why", "x"), 64, "say of which report"),
    (("show", "report.json", "--cause", "x"), 64, "--cause is of a sweep"),
    (("show", "--sweep", "a", "--store", "s3://b/"), 64, "--store is of a report"),
]


@pytest.mark.parametrize(("words", "code", "said"), MISUSED)
def test_misuse_is_told_in_one_sentence(namespace: Namespace, words: tuple[str, ...], code: int, said: str) -> None:
    if "a" in words:
        apply(namespace, "a")
    found, out, err = ended(command(namespace, *words))
    assert (found, out) == (code, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
