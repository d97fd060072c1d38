"""The files of `examples/gitops` against the schemas of those who read them, and the canary's gate in an API server."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_runner.cli import parser
from tests.api.gitops import EXAMPLES, documents
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish
from tests.lab.judging import module_file
from tests.lab.kubectl import Kubectl
from tests.lab.toolchain import kubectl

ROOT = Path(__file__).parents[2]
ARGO, KUSTOMIZE, SOURCE = (
    "github.com/argoproj/argo-cd/v3@v3.5.7",
    "github.com/fluxcd/kustomize-controller@v1.9.6",
    "github.com/fluxcd/source-controller@v1.9.6",
)
THEN = "2026-01-01T00:00:00Z"
Raw = dict[str, Any]


def definitions() -> list[Path]:
    return [
        module_file(ARGO, "manifests/crds/application-crd.yaml"),
        module_file(KUSTOMIZE, "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
        module_file(SOURCE, "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"),
        Path(__file__).parent / "crds" / "kserve-inferenceservices.yaml",
        ROOT / "crds" / "accuracyaudits.yaml",
    ]


@pytest.fixture(scope="module")
def installed(apiserver: ApiServer) -> ApiServer:
    establish(apiserver.kubectl, *definitions())
    for name in ("argocd", "flux-system"):
        apiserver.kubectl.attempt("create", "namespace", name)
    return apiserver


@pytest.mark.parametrize(
    ("file", "schema"), [("github-actions.yaml", "vendor.github-workflows"), ("gitlab-ci.yaml", "vendor.gitlab-ci")]
)
def test_ci_systems_take_their_files(file: str, schema: str, tmp_path: Path) -> None:
    def checked(path: Path) -> int:
        words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
        done = subprocess.run(words, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode

    assert checked(EXAMPLES / "ci" / file) == 0
    broken = yaml.safe_load((EXAMPLES / "ci" / file).read_text())
    (broken.get("jobs", {}).get("audit") or broken["accuracy"])["stepz"] = 3
    broken.pop(True, None)  # YAML 1.1 takes the key `on` for a truth; GitHub does not.
    (tmp_path / file).write_text(json.dumps(broken))
    assert checked(tmp_path / file) == 1


def test_what_they_call_of_assay_there_is() -> None:
    found = []
    for path in sorted(EXAMPLES.rglob("*.yaml")):
        for line in re.findall(r"(?:^|: |- )(assay (?:wait|junit|ctrf) .+)$", path.read_text(), re.MULTILINE):
            parser().parse_args(shlex.split(line)[1:])
            found.append(line.split()[1])
    assert sorted(found) == ["junit", "junit", "wait", "wait"]


@pytest.mark.parametrize(
    "file",
    ["argocd/application.yaml", "flux/kustomization.yaml", "kserve/inference-service.yaml", "kserve/audit.yaml",
     "kserve/gate.yaml"],
)  # fmt: skip
def test_an_api_server_with_their_definitions_takes_them(installed: ApiServer, file: str, tmp_path: Path) -> None:
    strictly = ("--server-side", "--dry-run=server", "--validate=strict")
    said = installed.kubectl("apply", *strictly, "-f", str(EXAMPLES / file))
    assert len(said.splitlines()) == len(documents(file))
    (tmp_path / "wrong.yaml").write_text((EXAMPLES / file).read_text().replace("spec:\n", "spec:\n  wrong: 1\n", 1))
    if "  wrong: 1" in (tmp_path / "wrong.yaml").read_text():
        done = installed.kubectl.attempt("apply", *strictly, "-f", str(tmp_path / "wrong.yaml"))
        assert "wrong" in done.stderr, done


@pytest.mark.parametrize("file", ["github-actions.yaml", "gitlab-ci.yaml"])
def test_a_gate_applies_the_audit_waits_for_it_and_fails_with_it(
    installed: ApiServer, file: str, tmp_path: Path
) -> None:
    """Its shell as it stands there, in a checkout with one audit; the namespace is the one that the file names."""
    whole = yaml.safe_load((EXAMPLES / "ci" / file).read_text())
    if "jobs" in whole:
        steps = [s["run"] for s in whole["jobs"]["audit"]["steps"] if "run" in s]
        steps = [step for step in steps if "pip install" not in step and "$CONTENT" not in step]
    else:
        steps = [s for s in whole["accuracy"]["script"] + whole["accuracy"]["after_script"] if "use-context" not in s]
    apply, wait, results = steps
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "digits.yaml").write_text((EXAMPLES / "kserve" / "audit.yaml").read_text())
    installed.kubectl.attempt("create", "namespace", "team")
    name = f"pr-{uuid.uuid4().hex[:6]}"
    path = os.pathsep.join([str(kubectl().parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, **installed.kubectl.env, "PATH": path, "NAMESPACE": "team", "AUDIT": name}

    def run(step: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-eo", "pipefail", "-c", step]
        return subprocess.run(words, cwd=tmp_path, env=env, text=True, capture_output=True, check=False, timeout=120)

    done = run(apply)
    assert done.returncode == 0, done.stderr
    done = run(wait.replace("2h", "1s"))
    assert (done.returncode, "has not ended within 1 s" in done.stderr) == (69, True), done.stderr
    common = {"lastTransitionTime": THEN, "observedGeneration": 1, "message": "told"}
    conditions = [common | {"type": "Complete", "status": "True", "reason": "Breached"}]
    status = {"observedGeneration": 1, "verdict": "Failed", "conditions": conditions}
    where = ("-n", "team", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    installed.kubectl("patch", "audit", name, *where)
    assert run(wait).returncode == 1
    assert run(results).returncode == 69, "no report was ever stored"
    assert "ended without a report" in (tmp_path / "junit.xml").read_text()


class Canary:
    """The three files of the gate, in a namespace of their own; the Job's shell runs here, as the gate's account."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.kubectl, self.namespace = server.kubectl, f"canary-{uuid.uuid4().hex[:8]}"
        self.here = ("-n", self.namespace)
        server.kubectl("create", "namespace", self.namespace)
        for file in ("inference-service", "audit", "gate"):
            server.kubectl("apply", *self.here, "-f", str(EXAMPLES / "kserve" / f"{file}.yaml"))
        config = server.kubectl.as_service_account(self.namespace, "resnet-gate", folder)
        made = json.loads(config.read_text())
        made["contexts"][0]["context"]["namespace"] = self.namespace
        config.write_text(json.dumps(made))
        (job,) = [each for each in documents("kserve/gate.yaml") if each["kind"] == "Job"]
        (self.container,) = job["spec"]["template"]["spec"]["containers"]
        told = {each["name"]: each["value"] for each in self.container["env"]} | {"TIMEOUT": "2s"}
        path = f"{kubectl().parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {**os.environ, **told, **Kubectl(config).env, "PATH": path}

    def tell(self, passed: str, message: str = "told", **more: Any) -> None:
        common = {"reason": "Passed", "lastTransitionTime": THEN, "observedGeneration": 1, "message": message}
        conditions = [common | {"type": "Complete", "status": "True"}, common | {"type": "Passed", "status": passed}]
        patch = json.dumps({"status": {"observedGeneration": 1, "conditions": conditions, **more}})
        self.kubectl("patch", "audit", "resnet-canary", *self.here, "--subresource=status", "--type=merge", "-p", patch)

    def run(self) -> tuple[int, str]:
        words = [*self.container["command"], *self.container["args"]]
        done = subprocess.run(words, env=self.env, text=True, capture_output=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    @property
    def traffic(self) -> int | None:
        """Per cent that the canary gets; None: it is no canary any more, and gets all."""
        found = self.kubectl.json("get", "inferenceservice", "resnet", *self.here)["spec"]["predictor"]
        return found.get("canaryTrafficPercent")  # type: ignore[no-any-return]


def test_a_canary_gets_traffic_once_its_audit_has_passed_and_not_before(installed: ApiServer, tmp_path: Path) -> None:
    canary = Canary(installed, tmp_path)
    code, said = canary.run()
    assert (code, canary.traffic, "timed out" in said) == (1, 0, True), said
    for verdict in ("False", "Unknown"):
        canary.tell(verdict, "served: snr=12 (limit 17)")
        code, said = canary.run()
        assert (code, canary.traffic, "served: snr=12 (limit 17)" in said) == (1, 0, True), said
    canary.tell("True")
    patch = json.dumps({"spec": {"predictor": {"model": {"storageUri": "s3://models/resnet/v3"}}}})
    canary.kubectl("patch", "inferenceservice", "resnet", *canary.here, "--type=merge", "-p", patch)
    code, said = canary.run()
    assert (code, canary.traffic, "nothing is promoted" in said) == (1, 0, True), said
    canary.kubectl("patch", "inferenceservice", "resnet", *canary.here, "--type=merge", "-p", patch.replace("v3", "v2"))
    code, said = canary.run()
    assert (code, canary.traffic) == (0, None), said


def test_an_audit_of_an_earlier_engine_promotes_nothing(installed: ApiServer, tmp_path: Path) -> None:
    """The audit was changed, and the operator has not looked at it yet: its conditions are those of before."""
    canary = Canary(installed, tmp_path)
    canary.tell("True")
    change = json.dumps(
        [{"op": "replace", "path": "/spec/candidates/0/engine/uri", "value": "s3://models/resnet/v2/x"}]
    )
    canary.kubectl("patch", "audit", "resnet-canary", *canary.here, "--type=json", "-p", change)
    code, said = canary.run()
    assert (code, canary.traffic) == (1, 0), said
