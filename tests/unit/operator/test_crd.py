from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_api.resources import AUDIT
from assay_operator.cluster.crd import missing_fields

CRD = yaml.safe_load((Path(__file__).parents[3] / "crds" / "accuracyaudits.yaml").read_text())


def inside(schema: Any) -> Any:
    """What a list holds, or a table."""
    return schema.get("items") or schema.get("additionalProperties") or schema


def without(*path: str) -> dict[str, Any]:
    changed = copy.deepcopy(CRD)
    at = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in path[:-1]:
        at = inside(at)["properties"][step]
    at = inside(at)
    del at["properties"][path[-1]]
    result: dict[str, Any] = changed
    return result


def test_our_own_definition_lacks_nothing() -> None:
    assert list(missing_fields(CRD, AUDIT)) == []


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "onBreach"),
        ("spec", "candidates", "calibration"),
        ("spec", "target", "tolerations", "effect"),
        ("spec", "dataset", "inputs", "constant"),
        ("status", "worst"),
        ("status", "conditions", "lastTransitionTime"),
    ],
)
def test_an_older_definition_is_found_out(path: tuple[str, ...]) -> None:
    assert ".".join(path) in list(missing_fields(without(*path), AUDIT))


def test_another_version_only() -> None:
    changed = copy.deepcopy(CRD)
    changed["spec"]["versions"][0]["name"] = "v1"
    assert list(missing_fields(changed, AUDIT)) == ["v1alpha1"]
