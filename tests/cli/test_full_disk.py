"""A disk that is really full: a tmpfs of a few pages, in a mount namespace of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.audits import document, good, spec, write
from tests.lab import Unavailable

MOUNT_AND_RUN = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def with_small_disk(size: str, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise Unavailable("a small disk can only be mounted by root, with unshare of util-linux")
    folder.mkdir()
    inside = ["unshare", "-m", "sh", "-c", MOUNT_AND_RUN, "sh", size, str(folder)]
    probe = subprocess.run([*inside, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Unavailable(f"a small disk cannot be mounted here: {probe.stderr.strip()}")
    return subprocess.run(
        [*inside, sys.executable, "-m", "assay_runner", *words],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "code"), [("4k", 69), ("256k", 0)])
def test_full_scratch_is_69_and_one_sentence(tmp_path: Path, size: str, code: int) -> None:
    good(tmp_path)
    disk = tmp_path / "disk"
    words = ("run", "-f", write(tmp_path, document(spec())), "--out", str(tmp_path / "out"))
    ended = with_small_disk(size, disk, *words, ASSAY_SCRATCH=str(disk))
    assert ended.returncode == code, ended.stderr
    complaints = [line for line in ended.stderr.splitlines() if line.startswith("assay: ")]
    assert ["disk full" in line for line in complaints] == ([True] if code else [])
    assert "Traceback" not in ended.stderr


def test_a_full_output_folder_is_69_and_leaves_no_half_report(tmp_path: Path) -> None:
    good(tmp_path)
    disk = tmp_path / "disk"
    ended = with_small_disk("24k", disk, "run", "-f", write(tmp_path, document(spec())), "--out", str(disk / "out"))
    assert ended.returncode == 69, ended.stderr
    assert f"disk full in {disk}/out" in ended.stderr
    assert "report.html" in ended.stderr


READ_ONLY = """
mount -t tmpfs tmpfs /mnt && mount -t tmpfs -o ro tmpfs /var/tmp
mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp && cd /proc && exec "$@"
"""


def without_scratch() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name not in ("ASSAY_SCRATCH", "TMPDIR", "TEMP", "TMP")}


def test_where_nothing_can_be_written_a_folder_for_scratch_files_is_asked_for(tmp_path: Path) -> None:
    """As in a container whose root is read-only and that has no volume at /tmp."""
    good(tmp_path)
    inside = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh"]
    if os.geteuid() != 0 or not shutil.which("unshare") or subprocess.run([*inside, "true"], check=False).returncode:
        raise Unavailable("folders can only be mounted read-only by root, with unshare of util-linux")
    words = [sys.executable, "-m", "assay_runner", "run", "-f", write(tmp_path, document(spec())), "--out", "/mnt/out"]
    for more, code, told in (
        (
            {},
            64,
            "no scratch files can be written to /tmp: read-only file system; name another folder in ASSAY_SCRATCH",
        ),
        ({"ASSAY_SCRATCH": "/mnt/scratch"}, 0, ""),
    ):
        env = {**without_scratch(), **more}
        ended = subprocess.run([*inside, *words], env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        assert told in ended.stderr


def test_where_files_may_hold_nothing_the_first_is_named(tmp_path: Path) -> None:
    good(tmp_path)
    file, out = write(tmp_path, document(spec())), tmp_path / "out"
    words = f"ulimit -f 0; exec {sys.executable} -m assay_runner run -f {file} --out {out}"
    ended = subprocess.run(["sh", "-c", words], env=without_scratch(), capture_output=True, text=True, check=False)
    assert ended.returncode == 69, ended.stderr
    assert "file too large" in ended.stderr
