"""Memory and disk that cannot hold an audit: refused at the start, with the number that `assay plan` tells."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.lib import format as npy
from onnx import helper, numpy_helper

from assay_runner.capacity import memory_limit
from assay_runner.errors import Unavailable
from assay_runner.models import room
from tests.cli.audits import assay, document, good, run, spec, write
from tests.cli.test_full_disk import with_small_disk
from tests.runner.io.made import info, linear, pooled, rows, save, shard

LIMIT = 1500 << 20
"""Bytes of address space; the command alone takes about half of it."""
FP32 = {"name": "fp32", "backend": "onnxruntime", "precision": "fp32"}


def limited(folder: Path, *words: str, limit: int = LIMIT) -> tuple[int, str]:
    """Exit code and what was said of a command that may not use more memory."""
    ended = subprocess.run(
        [sys.executable, "-m", "assay_runner", *words], capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("batch", [2**31, 2**40, 2**62])
def test_a_batch_that_a_model_fixes_beyond_memory_is_the_models_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], batch: int
) -> None:
    good(tmp_path)
    linear(tmp_path / "model.onnx", batch=batch)
    ended = run(tmp_path, capsys)
    assert ended.code == 64
    assert "golden (" not in ended.err
    (said,) = ended.complaints
    assert re.search(rf"input 'x' of the model \S+ is \[{batch}, 3\], which needs .* of memory, and .* is all", said)


@pytest.mark.parametrize("key", ["axis", "constant"])
def test_an_input_without_data_counts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    good(tmp_path)
    nodes = [helper.make_node("Add", ["x", "z"], ["y"])]
    size: int | str = 2**50 if key == "constant" else 2**61
    save(tmp_path / "model.onnx", nodes, [info("x", ["b", 1]), info("z", [size])], [info("y", ["b", size])])
    said = {"z": {"constant": 1}} if key == "constant" else {"z": {"axis": 0}}
    ended = run(tmp_path, capsys, dataset={"uri": "file://./data/", "inputs": said})
    assert ended.code == 64
    assert "input 'z' of the model" in ended.err


def zeros(path: Path, count: int, width: int) -> None:
    """An `.npz` of zeros, as small as it can be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("x.npy", "w") as member:
        npy.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (count, width)})
        for _ in range(count):
            member.write(bytes(4 * width))


def test_a_batch_beyond_memory_is_told_by_its_size(tmp_path: Path) -> None:
    pooled(tmp_path / "model.onnx")
    zeros(tmp_path / "wide" / "part-0.npz", 220, 1 << 20)
    file = write(tmp_path, document(spec(dataset={"uri": "file://./wide/", "batch": 1000})))
    code, said = limited(tmp_path, "run", "-f", file, "--out", "out")
    assert code == 69, said
    assert "a batch of 220 samples of the dataset file://./wide/ needs 1.7 GiB of memory, and 1.5 GiB is all" in said
    assert "golden (" not in said
    code, said = limited(tmp_path, "plan", "-f", file)
    assert code == 0
    assert "at least 1.8 GiB of memory" in said
    assert "a run on this machine is refused for want of memory" in said
    smaller = write(tmp_path, document(spec(dataset={"uri": "file://./wide/", "batch": 8, "samples": 16})))
    code, said = limited(tmp_path, "run", "-f", smaller, "--out", "out", limit=3 * LIMIT)
    assert code in (0, 2), said


def heavy(folder: Path, size: int) -> None:
    """A model with external data of so many bytes, of which none is on the disk."""
    path = linear(folder / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    tensor = model.graph.initializer.add(name="big", data_type=1, dims=[3, size // 12], data_location=1)
    for key, value in (("location", "big.bin"), ("offset", "0"), ("length", str(size // 12 * 12))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    (folder / "big.bin").touch()
    os.truncate(folder / "big.bin", size)


def test_weights_beyond_memory_are_told_before_they_are_fetched(tmp_path: Path) -> None:
    good(tmp_path)
    heavy(tmp_path, 4 << 30)
    code, said = limited(tmp_path, "run", "-f", write(tmp_path, document(spec())), "--out", "out")
    assert code == 69, said
    assert "model.onnx needs at least 4.1 GiB of memory, and 1.5 GiB is all there is" in said


def test_external_weights_are_mapped_and_need_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory_limit", lambda: 1 << 30)
    room.check_weights(room.Weights(inside=1 << 20, outside=8 << 30), "big.onnx")
    with pytest.raises(Unavailable, match=r"big.onnx needs at least 2\.1 GiB of memory, and 1\.0 GiB is all there is"):
        room.check_weights(room.Weights(inside=1 << 30), "big.onnx")


def test_weights_beyond_the_scratch_disk_are_told_before_they_are_fetched(tmp_path: Path) -> None:
    good(tmp_path)
    heavy(tmp_path, 1 << 30)
    disk = tmp_path / "disk"
    words = ("run", "-f", write(tmp_path, document(spec())), "--out", str(tmp_path / "out"))
    ended = with_small_disk("1m", disk, *words, ASSAY_SCRATCH=str(disk))
    assert ended.returncode == 69, ended.stderr
    assert re.search(r"disk full in \S+ \(.* free\) while writing big.bin of 1.0 GiB", ended.stderr)


def test_an_estimate_is_a_lower_bound_and_not_far_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = np.zeros((3, 5 << 20), np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("ReduceMean", ["h"], ["y"], axes=[1])]
    made = [info("y", ["batch", 1])]
    kept = [numpy_helper.from_array(weight, "w")]
    save(tmp_path / "model.onnx", nodes, [info("x", ["batch", 3])], made, initializer=kept)
    shard(tmp_path / "data" / "part-0.npz", x=rows(2))
    file = write(tmp_path, document(spec(dataset={"uri": "file://./data/", "batch": 1}, candidates=[FP32])))
    planned = assay(capsys, "plan", "-f", file).out
    found = re.search(r"at least ([\d.]+) MiB of memory and ([\d.]+) MiB of scratch", planned)
    assert found, planned
    told, scratch = float(found[1]), float(found[2])
    assert told == pytest.approx(100 + 2 * 60, abs=1)
    assert scratch == pytest.approx(60, abs=1)
    program = "import resource, sys; from assay_runner.cli import run_command; code = run_command(sys.argv[1:]); "
    program += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    words = [sys.executable, "-c", program, "run", "-f", file, "--out", str(tmp_path / "out")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 2), ended.stderr
    peak = int(ended.stderr.split()[-1]) / 1024
    assert told <= peak <= 5 * told


@pytest.mark.parametrize(
    ("file", "content", "limit"),
    [
        ("memory.max", "1000000\n", 1_000_000),
        ("memory/memory.limit_in_bytes", "2000000\n", 2_000_000),
        ("memory.max", "max\n", None),
        ("memory.max", "", None),
        ("other", "1", None),
    ],
)
def test_a_container_has_what_its_group_allows(tmp_path: Path, file: str, content: str, limit: int | None) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    machine = memory_limit(tmp_path / "absent")
    assert memory_limit(tmp_path) == (limit or machine)
    assert machine > 100 << 20


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": {"uri": "file://./absent.onnx"}}, "not estimated: file://./absent.onnx does not exist"),
        ({"dataset": {"uri": "file://./absent/"}}, "not estimated: the dataset file://./absent/ is missing or empty"),
        ({"model": {"uri": "s3://bucket/m.onnx"}}, "not estimated: there are no AWS credentials"),
    ],
)
def test_a_plan_is_a_plan_without_the_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    told: str,
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    good(tmp_path)
    ended = assay(capsys, "plan", "-f", write(tmp_path, document(spec(**changes))))
    assert ended.code == 0
    assert told in ended.out
