"""`make sbom`: what each wheel needs, by the lock, in CycloneDX."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"assay-api": "crds", "assay-operator": "operator", "assay-runner": "runner"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sbom")
    done = subprocess.run(
        ["make", "sbom", f"DIST={folder}"], cwd=ROOT, text=True, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_s_list_is_what_the_lock_has(made: Path, name: str) -> None:
    told = json.loads((made / f"{name}.cdx.json").read_text())
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", name)
    locked = {(each["name"], each["version"]) for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    listed = {(each["name"], each["version"]) for each in told["components"]}
    assert listed <= locked
    project = tomllib.loads((ROOT / FOLDERS[name] / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *chain(*project.get("optional-dependencies", {}).values())]
    assert {re.split(r"[^\w-]", each)[0] for each in needs} <= {key for key, _ in listed}
    assert not {"pytest", "hypothesis", "ruff"} & {key for key, _ in listed}
    for each in told["components"]:
        if not each["name"].startswith("assay-"):
            hashes = [h["alg"] for file in each["externalReferences"] for h in file.get("hashes", ())]
            assert hashes
            assert set(hashes) == {"SHA-256"}, each["name"]
