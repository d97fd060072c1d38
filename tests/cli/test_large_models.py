"""Models whose weights are too large to be copied: read where they lie, and never written to.

What takes that way by its size is made to by thresholds of nothing.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_runner.backends import shared_weights
from assay_runner.stores import local
from assay_runner.tensors import Arrays
from tests.cli.audits import FP32, INT8, before_every_run, report_of, run
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

FP16 = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
ASKED: dict[str, Any] = {
    "dataset": {"uri": "file://./data/", "batch": 4},
    "candidates": [FP32, FP16, INT8],
    "checks": [{"outputDrift": {}}, {"layerDrift": {}}],
}
WIDTH = 740  # Above a million weights nothing is run in FP64, whose model would take room of its own.
NAMES = ["weights.bin", "model.onnx.data", "deep/er/w"]
"""Of the file of weights; the first is the name of our own."""


def staged(folder: Path, name: str = NAMES[0]) -> Path:
    """Two products, their weights in a file of that name, and data; the file."""
    weights = [constant(f"w{i}", random(WIDTH, WIDTH, seed=i, scale=WIDTH**-0.5).astype(np.float32)) for i in range(2)]
    nodes = [node("MatMul", "x w0", "a"), node("Relu", "a", "b"), node("MatMul", "b w1", "y")]
    proto = model(nodes, [value("x", "N", WIDTH)], [value("y", "N", WIDTH)], weights)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, str(folder / "model.onnx"), save_as_external_data=True, location=name, size_threshold=1024)
    for part, seed in (("data", 5), ("calib", 6)):
        shard(folder / part / "part-0.npz", x=random(8, WIDTH, seed=seed))
    return file


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is large somewhere is large at once."""
    monkeypatch.setattr(local, "LINKED", 0)
    monkeypatch.setattr(shared_weights, "LARGE", 0)
    monkeypatch.setattr(shared_weights, "LEAST", 0)
    monkeypatch.setattr("assay_runner.backends.quantisation.INSIDE", 0)
    monkeypatch.setattr("assay_runner.graphs.pairs.MANY", 0)


def figures(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Verdict, tensor, metric and figure of every finding, by candidate and check.

    To four digits: golden's last bits are other ones where ONNX Runtime does not lay out weights for its kernels.
    """
    return {
        f"{found.candidate} {found.check}": (found.verdict, found.tensor, found.metric, f"{found.value:.4g}")
        for found in report_of(folder).findings
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_is_copied_and_nothing_else_changes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    file = staged(tmp_path, name)
    assert run(tmp_path, capsys, **ASKED).code == 0
    copied = figures(tmp_path)
    before = hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns, file.stat().st_mode
    request.getfixturevalue("large")
    (tmp_path / "out").rename(tmp_path / "copied")
    assert run(tmp_path, capsys, **ASKED).code == 0
    assert figures(tmp_path) == copied
    assert (hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns, file.stat().st_mode) == before
    assert file.stat().st_nlink == 1


def test_a_build_of_two_files_is_taken_from_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: None
) -> None:
    staged(tmp_path)
    asked = {**ASKED, "candidates": [INT8]}
    assert run(tmp_path, capsys, **asked).code == 0
    found = figures(tmp_path)
    (folder,) = (tmp_path / "out" / "cache" / "build").iterdir()
    assert sorted(path.suffix for path in folder.iterdir()) == [".bin", ".json", ".onnx"]
    again = run(tmp_path, capsys, **asked)
    assert "build taken from the cache" in again.err
    assert figures(tmp_path) == found
    (weights,) = folder.glob("*.bin")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    damaged = run(tmp_path, capsys, **asked)
    assert "the cached build did not match its digest" in damaged.err
    assert figures(tmp_path) == found


@pytest.mark.parametrize("set_back", [False, True], ids=["plainly", "time set back"])
@pytest.mark.parametrize("run_number", [1, 5])
def test_weights_that_are_written_to_meanwhile_are_told_and_nothing_is_kept(
    run_number: int,
    set_back: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    large: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, runs = staged(tmp_path), 0

    def meddled(inputs: Arrays) -> None:
        nonlocal runs
        runs += 1
        if runs == run_number:
            before = file.stat()
            with file.open("r+b") as there:
                there.write(np.ones(64, np.float32).tobytes())
            if set_back:
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    before_every_run(monkeypatch, meddled)
    ended = run(tmp_path, capsys, **{**ASKED, "candidates": [FP32]})
    assert runs >= run_number
    assert ended.code == 64
    (told,) = ended.complaints
    assert "/weights.bin, which holds weights of the model, was written to while the audit ran" in told
    if run_number == 1:
        assert list((tmp_path / "out").glob("cache/golden/*/index.json")) == []


def test_other_names_of_the_file_are_no_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another run gives it some meanwhile: they change the time that nobody can set back."""
    file = staged(tmp_path)

    def meddled(inputs: Arrays) -> None:
        os.link(file, tmp_path / "other")
        (tmp_path / "other").unlink()
        file.chmod(file.stat().st_mode ^ 0o004)

    before_every_run(monkeypatch, meddled)
    assert run(tmp_path, capsys, **ASKED).code == 0


def test_another_file_in_their_place_is_no_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = staged(tmp_path)

    def meddled(inputs: Arrays) -> None:
        if file.stat().st_size > 1:
            (tmp_path / "other").write_bytes(b"x")
            os.replace(tmp_path / "other", file)

    before_every_run(monkeypatch, meddled)
    assert run(tmp_path, capsys, **ASKED).code == 0


def test_a_file_that_cannot_be_linked_is_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    staged(tmp_path)
    assert run(tmp_path, capsys, **ASKED).code == 0


def test_what_a_candidate_leaves_on_the_scratch_disk_is_gone_before_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = staged(tmp_path)
    scratch, most = tmp_path / "scratch", 0
    monkeypatch.setenv("ASSAY_SCRATCH", str(scratch))

    def watched(inputs: Arrays) -> None:
        nonlocal most
        found = {s.st_ino: s.st_size for s in (p.stat() for p in scratch.rglob("*") if p.is_file())}
        found.pop(file.stat().st_ino, None)
        most = max(most, sum(found.values()))

    before_every_run(monkeypatch, watched)
    checks = {"checks": [{"outputDrift": {}}], "candidates": [FP16, {**FP16, "name": "again"}, INT8]}
    assert run(tmp_path, capsys, **{**ASKED, **checks}).code == 0
    assert 0 < most <= 1.1 * file.stat().st_size
