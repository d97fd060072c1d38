"""`helm upgrade` brings the CRD up to date, `helm uninstall` leaves it, and with it every audit.

The last of the end-to-end tests: it takes the operator away.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from tests.e2e.data import audit
from tests.e2e.place import CHART, RELEASE, SYSTEM, Place, Room
from tests.lab.processes import wait_until

CRD = "accuracyaudits.assay.dev"


def served(place: Place) -> set[str]:
    """The fields of an audit's spec that the cluster knows."""
    (version,) = place.kubectl.json("get", "crd", CRD)["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


def test_chart_lives_and_dies_without_losing_an_audit(place: Place, room: Room, tmp_path: Path) -> None:
    room.apply(audit("kept", room.place.inside, "fp32", suspend=True))
    chart = tmp_path / "assay"
    shutil.copytree(CHART, chart)
    file = chart / "files" / "accuracyaudits.yaml"
    definition = yaml.safe_load(file.read_text())
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["ofTomorrow"] = {"type": "string", "description": "A field that a later version brings."}
    file.write_text(yaml.safe_dump(definition))

    place.helm("upgrade", RELEASE, chart, "--namespace", SYSTEM, "--reuse-values")
    assert "ofTomorrow" in served(place)
    # The API server publishes what `kubectl explain` reads a moment later.
    ask = ("explain", "audit.spec.ofTomorrow")
    told = "A field that a later version brings"
    wait_until(lambda: told in place.kubectl.attempt(*ask).stdout, "the new field explained", every=0.5)

    said = place.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "60s")
    assert CRD in said
    assert not place.operators()
    assert room.audit("kept")["spec"]["suspend"] is True

    # Again, with rights in one namespace only and a standby.
    place.install(namespaces=f"{{{room.name}}}", replicas="2")
    assert "ofTomorrow" not in served(place)
    assert len(place.operators()) == 2
    assert room.audit("kept")["spec"]["suspend"] is True
    room.kubectl("patch", "audit", "kept", "--type=merge", "--patch", '{"spec": {"suspend": false}}')
    assert room.wait("kept", "Complete", 120)["status"]["verdict"] == "Passed"
    account = ("--as", f"system:serviceaccount:{SYSTEM}:{RELEASE}")
    assert place.kubectl.attempt("get", "audits", "--namespace", "default", *account).returncode != 0
