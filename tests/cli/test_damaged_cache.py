"""What the cache holds was damaged or replaced since: it decides nothing, it is made again, and the report says so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_api.model import parse
from assay_api.report import Report
from assay_runner.tasks.seal import SEAL
from tests.cli.audits import FP32, INT8, SAMPLES, Ended, good, report_of, run
from tests.cli.test_task import pod, tasks

NOTE = "did not match its digest"
Damage = Callable[[Path], object]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_model(path: Path) -> None:
    shutil.copy(path.parents[4] / "model.onnx", path)


def other_outputs(path: Path) -> None:
    with np.load(path) as archive:
        ones = {name: np.ones_like(array) for name, array in archive.items()}
    with path.open("wb") as file:
        np.savez(file, **ones)


def other_record(path: Path) -> None:
    record: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "notes": ["all is well"]}))


ANY: list[Damage] = [
    cut,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size)),
]
FILES: list[tuple[str, list[Damage]]] = [
    ("build/*/model*.onnx", [*ANY, Path.unlink, other_model]),
    ("build/*/build.json", [*ANY, other_record]),
    ("golden/*/part-*.npz", [*ANY, Path.unlink, other_outputs]),
    ("golden/*/index.json", [*ANY, other_record]),
]


def audit(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Ended, list[float | None], str]:
    ended = run(folder, capsys, candidates=[INT8], checks=[{"finite": {}}, {"outputDrift": {"cosine": 0.9}}])
    report = report_of(folder)
    notes = (*report.candidates[0].notes, *(report.golden.notes or ()))
    return ended, [finding.value for finding in report.findings], "\n".join(notes)


@pytest.mark.parametrize(("pattern", "damage"), [(pattern, one) for pattern, each in FILES for one in each])
def test_what_was_damaged_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str, damage: Damage
) -> None:
    good(tmp_path)
    first, figures, notes = audit(tmp_path, capsys)
    assert (first.code, NOTE in first.err, NOTE in notes) == (0, False, False)
    (path,) = (tmp_path / "out" / "cache").glob(pattern)
    whole = path.read_bytes()
    damage(path)

    second, again, notes = audit(tmp_path, capsys)
    assert (second.code, again, second.complaints) == (0, figures, [])
    assert second.err.count(NOTE) == notes.count(NOTE) == 1
    assert f"and was made again: file://{path.parent}" in notes
    assert path.read_bytes() == whole

    third, again, notes = audit(tmp_path, capsys)
    assert (third.code, again, NOTE in third.err, NOTE in notes) == (0, figures, False, False)
    assert third.err.count("taken from the cache") == 2


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("damage", [fifo, device])
@pytest.mark.parametrize("pattern", [pattern for pattern, _ in FILES])
def test_what_is_no_file_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str, damage: Damage
) -> None:
    good(tmp_path)
    _, figures, _ = audit(tmp_path, capsys)
    (path,) = (tmp_path / "out" / "cache").glob(pattern)
    whole = path.read_bytes()
    damage(path)
    second, again, notes = audit(tmp_path, capsys)
    assert (second.code, again, second.complaints) == (0, figures, [])
    assert second.err.count(NOTE) == notes.count(NOTE) == 1
    assert "is no regular file) and was made again: " in notes
    assert not path.is_symlink()
    assert path.read_bytes() == whole


def folder_in_place(path: Path) -> Path:
    path.unlink()
    path.mkdir()
    (path / "mine").touch()
    return path


def file_above(path: Path) -> Path:
    shutil.rmtree(path.parent)
    path.parent.touch()
    return path.parent


@pytest.mark.parametrize("damage", [folder_in_place, file_above])
@pytest.mark.parametrize("pattern", [pattern for pattern, _ in FILES])
def test_what_cannot_be_replaced_is_named_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str, damage: Callable[[Path], Path]
) -> None:
    good(tmp_path)
    audit(tmp_path, capsys)
    (path,) = (tmp_path / "out" / "cache").glob(pattern)
    blocking = damage(path)
    ended = run(tmp_path, capsys, candidates=[INT8], checks=[{"finite": {}}])
    assert (ended.code, len(ended.complaints)) == (69, 1)
    kind = "a folder" if blocking.is_dir() else "no folder"
    assert f", for {blocking} is {kind}: remove it, and run the audit again" in ended.complaints[0]
    assert ("build model" if "build" in pattern else "golden run: ") not in ended.err


@pytest.mark.parametrize("pattern", ["build/*/build.json", "golden/*/index.json"])
def test_what_another_version_stored_is_made_again_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str
) -> None:
    good(tmp_path)
    _, figures, _ = audit(tmp_path, capsys)
    (path,) = (tmp_path / "out" / "cache").glob(pattern)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key not in ("sha256", "files")}))
    second, again, notes = audit(tmp_path, capsys)
    assert (second.code, again, NOTE in second.err, NOTE in notes) == (0, figures, False, False)
    assert second.err.count("taken from the cache") == 1


def test_an_entry_copied_over_another_is_not_taken_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    _, figures, _ = audit(tmp_path, capsys)
    (mine,) = (tmp_path / "out" / "cache" / "golden").iterdir()
    run(tmp_path, capsys, dataset={"uri": "file://./data/", "batch": 8, "samples": SAMPLES - 4})
    (other,) = (folder for folder in mine.parent.iterdir() if folder != mine)
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    second, again, notes = audit(tmp_path, capsys)
    assert (second.code, again, NOTE in notes) == (0, figures, True)


def test_a_pod_makes_again_what_was_damaged_after_the_golden_task(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    assert pod(tmp_path, plans["golden"])[0] == 0
    (path,) = (tmp_path / "cache").glob("golden/*/part-*.npz")
    whole = path.read_bytes()
    other_outputs(path)
    for key in ("fp32", "summary"):
        code, answer, log = pod(tmp_path, plans[key])
        assert (code, answer and answer.verdict) == (0, "Passed"), log
    report = report_of(tmp_path)
    assert [note.partition(" (")[0] for note in report.candidates[0].notes if NOTE in note] == [
        f"the cached golden run {NOTE}"
    ]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [*ANY, other_record])
def test_a_pod_believes_no_changed_record_of_the_golden_task(tmp_path: Path, damage: Damage) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    assert pod(tmp_path, plans["golden"])[0] == 0
    damage(tmp_path / "out" / "golden" / "golden.json")
    code, answer, _ = pod(tmp_path, plans["fp32"])
    assert code == 69
    assert answer is not None
    assert answer.error is not None
    assert answer.error.message.endswith("golden.json cannot be read, or was changed: run the audit again")


def test_a_pod_says_that_another_version_left_the_record_of_the_golden_task(tmp_path: Path) -> None:
    """It is there; trying again cannot help, so the task is answered and not retried."""
    good(tmp_path)
    plans = tasks(tmp_path)
    assert pod(tmp_path, plans["golden"])[0] == 0
    path = tmp_path / "out" / "golden" / "golden.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key != "sha256"}))
    code, answer, _ = pod(tmp_path, plans["fp32"])
    assert code == 0
    assert answer is not None
    assert answer.verdict == "Inconclusive"
    assert "golden.json was left by another version of Assay" in answer.message
    assert "give the audit a new annotation assay.dev/rerun" in answer.message


def another_candidates(path: Path) -> None:
    shutil.copy(path.parents[1] / "int8" / path.name, path)


def other_verdict(path: Path) -> None:
    report = json.loads(path.read_text())
    report["verdict"] = report["candidates"][0]["verdict"] = "Failed"
    path.write_text(json.dumps(report))


@pytest.fixture(scope="module")
def candidates_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of two candidates up to its summary, for `audited` to begin from."""
    folder = tmp_path_factory.mktemp("audited")
    good(folder / "now")
    plans = tasks(folder / "now", candidates=[FP32, INT8])
    for key in ("golden", "fp32", "int8"):
        assert pod(folder / "now", plans[key])[0] == 0
    (folder / "now").rename(folder / "before")
    return folder


@pytest.fixture
def audited(candidates_done: Path) -> Iterator[Path]:
    """That audit, where it ran."""
    folder = candidates_done / "now"
    shutil.copytree(candidates_done / "before", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [*ANY, another_candidates, other_verdict, fifo])
def test_a_pod_that_goes_on_takes_no_damaged_report(audited: Path, damage: Damage) -> None:
    plans = tasks(audited, candidates=[FP32, INT8])
    path = audited / "out" / "fp32" / "report.json"
    damage(path)
    code, answer, log = pod(audited, plans["fp32"])
    assert (code, answer and answer.verdict) == (0, "Passed")
    assert "infer" in log
    assert f"the cached report {NOTE} (" in log
    report = parse(Report, json.loads(path.read_text()))
    assert report.task == "fp32"
    assert [note.endswith(f"made again: file://{path}") for note in report.candidates[0].notes if NOTE in note] == [
        True
    ]
    assert pod(audited, plans["fp32"])[:2] == (0, answer)


def seal_of(path: Path) -> Path:
    return path.with_name(SEAL)


@pytest.mark.parametrize(("damage", "noted"), [(cut, True), (lambda path: path.unlink(), False)])
def test_a_report_that_nothing_vouches_for_is_no_answer(tmp_path: Path, damage: Damage, noted: bool) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    for key in ("golden", "fp32"):
        assert pod(tmp_path, plans[key])[0] == 0
    damage(seal_of(tmp_path / "out" / "fp32" / "report.json"))
    code, answer, _ = pod(tmp_path, plans["summary"])
    assert (code, answer and answer.verdict) == (0, "Inconclusive")
    code, answer, log = pod(tmp_path, plans["fp32"])
    assert (code, answer and answer.verdict, NOTE in log, "infer" in log) == (0, "Passed", noted, True)
    code, answer, _ = pod(tmp_path, plans["summary"])
    assert (code, answer and answer.verdict) == (0, "Passed")


def test_the_summary_holds_a_report_against_its_seal_where_it_is_told_no_digest(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    for key in ("golden", "fp32", "summary"):
        code, answer, _ = pod(tmp_path, plans[key])
        assert code == 0
    other_verdict(tmp_path / "out" / "fp32" / "report.json")
    code, answer, _ = pod(tmp_path, plans["summary"])
    assert (code, answer and answer.verdict) == (0, "Inconclusive")
    assert answer is not None
    assert "fp32/report.json was changed: it has SHA-256 " in answer.message


def test_golden_outputs_of_other_data_are_not_taken_though_size_and_time_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after `rsync -t` or `cp -p` of another file over one."""
    good(tmp_path)
    path = tmp_path / "data" / "part-0.npz"
    checks = {"candidates": [FP32], "checks": [{"outputDrift": {"cosine": 0.9}}]}
    assert run(tmp_path, capsys, **checks).code == 0
    before = path.stat()
    with np.load(path) as archive:
        turned = {name: array[::-1] for name, array in archive.items()}
    np.savez(path, **turned)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    told = [run(tmp_path, capsys, **checks) for _ in range(2)]
    assert [ended.code for ended in told] == [0, 0]
    assert ["golden outputs taken from the cache" in ended.err for ended in told] == [False, True]
