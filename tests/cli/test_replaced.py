"""What an audit reads is replaced while it runs: golden and candidates are never held to different data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from assay_api.plan import Task
from assay_runner.backends.order import order_of
from assay_runner.tasks import candidate
from assay_runner.tensors import Arrays
from tests.cli.audits import FP32, INT8, before_every_run, good, run
from tests.cli.test_task import pod, tasks
from tests.runner.io.made import linear, rows, shard

CHECKS = [{"outputDrift": {"cosine": 0.9}}]
AUDIT: dict[str, Any] = {"candidates": [FP32], "checks": CHECKS}
WAY_OUT = "alone until"


def as_safetensors(folder: Path) -> None:
    good(folder)
    for path in sorted((folder / "data").glob("*.npz")):
        with np.load(path) as archive:
            save_file(dict(archive), str(path.with_suffix(".safetensors")))
        path.unlink()


def turned(path: Path) -> None:
    """Other samples in place, of the same size and with the time of the last change as it was."""
    before, other = path.stat(), path.parents[1] / f"turned{path.suffix}"
    if path.suffix == ".npz":
        with np.load(path) as archive:
            np.savez(other, **{name: array[::-1] for name, array in archive.items()})
        content = other.read_bytes()
    else:
        content = path.read_bytes()[:-96] + path.read_bytes()[-96:][::-1]
    assert len(content) == before.st_size
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_golden_of_other_data_is_not_taken_though_size_and_time_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_safetensors(tmp_path)
    assert run(tmp_path, capsys, **AUDIT).code == 0
    turned(tmp_path / "data" / "part-1.safetensors")
    dataset = {"uri": "file://./data/", "batch": 8}
    assert run(tmp_path, capsys, **AUDIT, dataset=dataset).code == 0
    turned(tmp_path / "data" / "part-1.safetensors")
    told = [run(tmp_path, capsys, **AUDIT, dataset=dataset) for _ in range(2)]
    assert [ended.code for ended in told] == [0, 0]
    assert ["golden outputs taken from the cache" in ended.err for ended in told] == [False, True]


@pytest.mark.parametrize("made", [good, as_safetensors], ids=["npz", "safetensors"])
@pytest.mark.parametrize("during", ["golden", "candidate"])
def test_a_shard_that_is_replaced_during_a_run_is_named(
    during: str,
    made: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made(tmp_path)
    (path,) = (tmp_path / "data").glob("part-1.*")
    done = list[Path]()

    def meddled(inputs: Arrays) -> None:
        stored = list((tmp_path / "out").glob("cache/golden/*/index.json"))
        if not done and bool(stored) == (during == "candidate"):
            done.append(path)
            turned(path)

    before_every_run(monkeypatch, meddled)
    ended = run(tmp_path, capsys, **AUDIT, dataset={"uri": "file://./data/", "batch": 8})
    assert done
    assert ended.code == 64
    (told,) = ended.complaints
    assert f"{path.name} of the dataset file://./data/ was written to or replaced while the audit ran: leave " in told
    if during == "golden":
        assert list((tmp_path / "out").glob("cache/golden/*/index.json")) == []


def test_a_calibration_set_that_is_replaced_before_it_is_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    path, ordered = tmp_path / "calib" / "part-0.npz", order_of

    def meddled(*asked: Any) -> Any:
        turned(path)
        return ordered(*asked)

    monkeypatch.setattr(candidate, "order_of", meddled)
    ended = run(tmp_path, capsys, candidates=[INT8], checks=CHECKS)
    assert ended.code == 64
    assert "part-0.npz of the calibration set file://./calib/ was written to or replaced while" in ended.complaints[0]
    assert list((tmp_path / "out").glob("cache/build/*/build.json")) == []


def stored_outputs(folder: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for path in sorted((folder / "data").glob("*.npz")):
        with np.load(path) as archive:
            shard(folder / "golden" / path.name, y=session.run(None, {"x": archive["x"]})[0])


def after_golden(folder: Path, change: Callable[[], object], **changes: Any) -> str:
    """What a candidate in a Pod of its own answers where something was changed after golden's Pod had ended."""
    plans: dict[str, Task] = tasks(folder, **changes)
    code, _, log = pod(folder, plans["golden"])
    assert code == 0, log
    change()
    code, answer, log = pod(folder, plans["fp32"])
    assert code == 64, log
    assert answer is not None
    assert (answer.verdict, answer.error and answer.error.reason) == (None, "InvalidInput")
    assert answer.error is not None
    assert WAY_OUT in answer.error.message
    return answer.error.message


def test_a_shard_that_is_replaced_between_two_pods_is_named(tmp_path: Path) -> None:
    good(tmp_path)
    told = after_golden(tmp_path, lambda: turned(tmp_path / "data" / "part-1.npz"))
    assert told.startswith(f"part-1.npz, of the dataset file://{tmp_path}/data/, is not what the golden run of this ")


@pytest.mark.parametrize("change", ["one more", "one less", "another name"])
def test_other_shards_between_two_pods_are_told(change: str, tmp_path: Path) -> None:
    good(tmp_path)
    first, last = tmp_path / "data" / "part-0.npz", tmp_path / "data" / "part-1.npz"
    changes: dict[str, Callable[[], object]] = {
        "one more": lambda: shutil.copy(first, last.with_name("part-2.npz")),
        "one less": last.unlink,
        "another name": lambda: last.rename(last.with_name("part-9.npz")),
    }
    told = after_golden(tmp_path, changes[change])
    expected = {
        "one more": "part-2.npz, of the dataset ",
        "one less": f"the dataset file://{tmp_path}/data/, which holds 1 files and held 2, is not",
        "another name": "part-9.npz, of the dataset ",
    }
    assert told.startswith(expected[change])


def test_a_model_that_is_replaced_between_two_pods_is_named(tmp_path: Path) -> None:
    good(tmp_path)
    told = after_golden(tmp_path, lambda: linear(tmp_path / "model.onnx", ir_version=9))
    assert told.startswith(f"file://{tmp_path}/model.onnx, of the model, is not what the golden run of this audit read")


def test_external_data_that_are_replaced_between_two_pods_are_named(tmp_path: Path) -> None:
    good(tmp_path)
    linear(tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    weights = tmp_path / "weights.bin"
    told = after_golden(tmp_path, lambda: weights.write_bytes(weights.read_bytes()[::-1]))
    assert told.startswith(f"file://{tmp_path}/weights.bin, of the model, is not what the golden run of this audit rea")


def test_stored_outputs_that_are_replaced_between_two_pods_are_named(tmp_path: Path) -> None:
    good(tmp_path)
    stored_outputs(tmp_path)
    golden = {"uri": "file://./golden/"}
    told = after_golden(tmp_path, lambda: turned(tmp_path / "golden" / "part-0.npz"), golden=golden)
    assert told.startswith(f"part-0.npz, of the stored golden outputs file://{tmp_path}/golden/, is not what the gold")


def test_stored_outputs_that_are_replaced_while_they_are_compared_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    stored_outputs(tmp_path)
    runs = list[int]()

    def meddled(inputs: Arrays) -> None:
        runs.append(1)
        if len(inputs["x"]) == 8 and not (tmp_path / "done").exists():
            (tmp_path / "done").touch()
            turned(tmp_path / "golden" / "part-1.npz")

    before_every_run(monkeypatch, meddled)
    ended = run(tmp_path, capsys, **AUDIT, golden={"uri": "file://./golden/"})
    assert ended.code == 64, runs
    assert "part-1.npz of the stored golden outputs file://./golden/ was written to or replace" in ended.complaints[0]


@pytest.mark.parametrize("other", ["turned", "fewer samples", "the same"])
def test_a_calibration_set_that_is_replaced_between_two_pods_is_named(other: str, tmp_path: Path) -> None:
    good(tmp_path)
    shard(tmp_path / "calib" / "part-1.npz", x=rows(8, seed=8))
    asked = {"uri": "file://./calib/", "method": "entropy", **({"samples": 4} if other == "fewer samples" else {})}
    candidates = [INT8, {**INT8, "name": "other", "calibration": asked}]
    plans = tasks(tmp_path, candidates=candidates, checks=CHECKS)
    assert [pod(tmp_path, plans[key])[0] for key in ("golden", "int8")] == [0, 0]
    if other == "turned":
        turned(tmp_path / "calib" / "part-1.npz")
    code, answer, log = pod(tmp_path, plans["other"])
    if other != "turned":
        assert code == 0, log
        return
    assert answer is not None
    assert answer.error is not None
    assert answer.error.message.startswith(
        f"part-1.npz, of the calibration set file://{tmp_path}/calib/, is not what another task of this audit was cal"
    )


def test_a_feed_that_is_replaced_between_two_pods_is_named(tmp_path: Path) -> None:
    good(tmp_path)
    shutil.rmtree(tmp_path / "data")
    for number in range(3):
        shard(tmp_path / "data" / f"{number}.npz", x=rows(2, seed=number))
    told = after_golden(
        tmp_path,
        lambda: turned(tmp_path / "data" / "2.npz"),
        dataset={"uri": "file://./data/", "layout": "feeds"},
        checks=CHECKS,
    )
    assert told.startswith(f"2.npz, of the dataset file://{tmp_path}/data/, is not what the golden run of this audit r")
