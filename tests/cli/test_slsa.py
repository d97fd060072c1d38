"""Provenance of what is built: of facts alone, as the schemas have it, and refused where it would be none."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseError

from tests.attested import held
from tools.provenance import SOMEBODYS_MACHINE, ProvenanceError, main, of_dist, source, statement

BEGAN = "2026-01-01T00:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files as a build leaves them."""
    made = tmp_path / "dist"
    made.mkdir()
    with zipfile.ZipFile(made / "assay_api-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("assay_api-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: hatchling 1.27.0\n")
    (made / "assay_api-1.tar.gz").write_bytes(b"source")
    (made / "assay-api.cdx.json").write_text("{}")
    return made


def test_it_tells_what_was_built_from_what_and_by_whom(folder: Path) -> None:
    given = {"BUILDER_ID": "https://ci.example/assay/release", "INVOCATION_ID": "https://ci.example/runs/7"}
    predicate = held(told := of_dist(folder, BEGAN, "0.9", given))
    assert [each["name"] for each in told["subject"]] == ["assay_api-1-py3-none-any.whl", "assay_api-1.tar.gz"]
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["buildType"] == "https://assay.dev/build/dist/v1"
    assert run["builder"]["id"] == given["BUILDER_ID"]
    assert (run["metadata"]["invocationId"], run["metadata"]["startedOn"]) == (given["INVOCATION_ID"], BEGAN)
    names = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert names["hatchling"]["uri"] == "pkg:pypi/hatchling@1.27.0"
    assert len(names["uv.lock"]["digest"]["sha256"]) == 64
    assert [each["name"] for each in run["byproducts"]] == ["assay-api.cdx.json"]


def test_who_builds_on_a_machine_of_his_own_is_not_made_up(folder: Path) -> None:
    run = held(of_dist(folder, BEGAN, "0.9", {}))["runDetails"]
    assert run["builder"]["id"] == SOMEBODYS_MACHINE
    assert "invocationId" not in run["metadata"]


def git(checkout: Path, *arguments: str) -> None:
    named = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(["git", "-C", checkout, *named, *arguments], check=True, capture_output=True)


def test_a_commit_is_the_source_only_where_nothing_was_changed(tmp_path: Path) -> None:
    assert source(tmp_path, {}) == []
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://me:secret@git.example/assay.git")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "first")
    where = {"SOURCE": "https://git.example/assay"}
    (clean,) = source(tmp_path, where)
    assert clean["uri"] == f"git+https://git.example/assay@{clean['digest']['gitCommit']}"
    assert "secret" not in json.dumps(source(tmp_path, {}))
    for name in ("b", "a"):
        (tmp_path / name).write_text("2")
        (changed,) = source(tmp_path, where)
        assert "digest" not in changed
        assert changed["annotations"] == {"modified": True}
        (unnamed,) = source(tmp_path, {})
        assert unnamed["uri"].startswith("git:")


def test_what_tells_of_nothing_or_of_nobody_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDER_ID", "my laptop")
    assert main([str(folder)]) == 64
    assert "BUILDER_ID is 'my laptop': give a URI, such as https://" in capsys.readouterr().err
    assert not (folder / "assay.provenance.json").exists()
    monkeypatch.delenv("BUILDER_ID")
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 64
    assert "nothing was built" in capsys.readouterr().err
    assert main([str(folder)]) == 0
    held(json.loads((folder / "assay.provenance.json").read_text()))
    with pytest.raises(ProvenanceError, match="nothing was built"):
        statement([], None, {}, BEGAN)  # type: ignore[arg-type]


def test_the_schema_is_held_to(folder: Path) -> None:
    """What this file judges by refuses what it should."""
    told = of_dist(folder, BEGAN, "0.9", {})
    told["predicate"]["runDetails"]["slsaLevel"] = 3
    with pytest.raises(ParseError, match="slsaLevel"):
        held(told)
    del told["predicate"]["runDetails"]["slsaLevel"]
    told["subject"][0]["digest"] = {}
    with pytest.raises(ValueError, match="digest"):
        held(told)
