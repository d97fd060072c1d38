"""`assay tactics`: records, reports and folders in; a table and an exit code out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay_api.repair_tactics import TacticsRecord
from tests.cli.audits import assay

FIRST = {"conv1": "0x1 0x2: a -> b", "conv2": "0x3 0x4", "fc": "0x5 0x6"}


def record(path: Path, tactics: dict[str, str], source: Any = "selector") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TacticsRecord(words="a build", source=source, tactics=tactics).file)
    return str(path)


def report(path: Path, *rebuilds: dict[str, Any], candidates: tuple[dict[str, Any], ...] = ()) -> str:
    remedies = [{"candidate": "a", "remedy": "tactics", "tactics": {"rebuilds": list(rebuilds)}}]
    path.write_text(json.dumps({"candidates": list(candidates), "repair": [{"remedies": remedies}]}))
    return str(path)


def rebuild(trial: int, tactics: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"trial": trial, "how": "free", "verdict": "Passed", "source": "selector", "tactics": tactics, **more}


def test_show_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "tactics", "show", record(tmp_path / "r.json", FIRST))
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "a build: 3 layers, told by the selector",
        "layer  tactic",
        "conv1  0x1 0x2: a -> b",
        "conv2  0x3 0x4",
        "fc     0x5 0x6",
    ]


def test_the_same_tactics_are_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = record(tmp_path / "a.json", FIRST), record(tmp_path / "b" / "tactics.json", FIRST)
    ended = assay(capsys, "tactics", "diff", one, str(Path(two).parent))
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "0 layers run another tactic, 0 are in A alone, 0 in B alone, 3 are the same"


def test_what_differs_is_told_layer_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"conv1": "0x9 0x2", "conv2": "0x3 0x4", "new": "0x7 0x8"}
    ended = assay(
        capsys, "tactics", "diff", record(tmp_path / "a.json", FIRST), f"file://{record(tmp_path / 'b.json', other)}"
    )
    assert ended.code == 1
    assert ended.out.splitlines()[2:] == [
        "layer  A                B",
        "conv1  0x1 0x2: a -> b  0x9 0x2",
        "fc     0x5 0x6          -",
        "new    -                0x7 0x8",
        "1 layers run another tactic, 1 are in A alone, 1 in B alone, 1 are the same",
    ]


def test_builds_of_a_report_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = {
        "name": "fp16",
        "engineLayers": [{"name": "c", "tactic": "k"}, {"name": "c", "tactic": "l"}, {"name": "d"}],
    }
    path = report(tmp_path / "report.json", rebuild(1, FIRST), rebuild(4, {**FIRST, "fc": "0x0"}), candidates=(engine,))
    assert assay(capsys, "tactics", "diff", f"{path}#1", f"{path}#4").code == 1
    assert assay(capsys, "tactics", "diff", f"{path}#1", f"{path}#1").code == 0
    shown = assay(capsys, "tactics", "show", f"{tmp_path}#fp16").out
    assert [line.split() for line in shown.splitlines()[2:]] == [["c", "k"], ["c", "#2", "l"]]
    ended = assay(capsys, "tactics", "show", path)
    assert ended.code == 64
    assert "tells the tactics of 3 builds: name one" in ended.err
    assert "#fp16 (a candidate's engine), #1 (free, passed)" in ended.err
    ended = assay(capsys, "tactics", "diff", f"{path}#1", f"{path}#fp16")
    assert ended.code == 64
    assert "which name tactics otherwise" in ended.err


def test_what_a_report_leaves_out_is_in_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = f"file://{record(tmp_path / '1.json', FIRST)}"
    path = report(tmp_path / "report.json", rebuild(1, {"fc": FIRST["fc"]}, layers=3, record=whole))
    assert "3 layers" in assay(capsys, "tactics", "show", path).out
    (tmp_path / "1.json").unlink()
    ended = assay(capsys, "tactics", "show", path)
    assert (ended.code, ended.out) == (64, "")
    assert "tells 1 of 3 layers of build #1, and its record" in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no"),
        ("no JSON", "is no JSON"),
        ("[1]", "is neither a record of tactics nor a report"),
        ('{"a": 1}', "is neither a record of tactics nor a report"),
        ('{"candidates": []}', "tells no tactics"),
        ('{"candidates": [{"name": "a", "engineLayers": null}, 3], "repair": 4}', "tells no tactics"),
    ],
)
def test_what_tells_no_tactics_is_one_sentence(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given.json"
    if content is not None:
        path.write_text(content)
    ended = assay(capsys, "tactics", "show", str(path))
    assert ended.code == 64
    assert len(ended.complaints) == 1
    assert said in ended.err
