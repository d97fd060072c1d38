"""What a run that was killed leaves behind, the next one removes, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay_runner.stores.claims import MARK, OLD_SECONDS, claim, release, remove_left_folders, remove_left_parts
from assay_runner.stores.files import TEMPORARY, whole_file
from tests.cli.audits import document, good, run, spec, write


@contextmanager
def waiting(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that waits for a dataset in a store that does not answer; its scratch folder is there."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    keys = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    file = write(folder, document(spec(dataset={"uri": "s3://bucket/data/"})))
    words = [sys.executable, "-m", "assay_runner", "run", "-f", file, "--out", str(folder / "out")]
    environment = {**os.environ, **keys, "ASSAY_SCRATCH": str(scratch)}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "127.0.0.1" in line:
                break
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stderr.read()  # To its end, which is that of the last process that holds it.
        process.wait()
        process.stderr.close()


def test_the_next_run_removes_what_a_killed_one_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    scratch = tmp_path / "scratch"
    monkeypatch.setenv("ASSAY_SCRATCH", str(scratch))
    with waiting(tmp_path):
        (left,) = scratch.iterdir()
        assert (left / "models").is_dir()
        ended = run(tmp_path, capsys)
        assert ended.code == 0, ended.err
        assert left.is_dir(), "a live run's"
        assert ended.complaints == []
    part = tmp_path / "out" / f"{TEMPORARY}killed"
    part.write_bytes(b"half of a report")
    ended = run(tmp_path, capsys)
    assert ended.code == 0, ended.err
    assert list(scratch.iterdir()) == []
    assert not part.exists()
    assert ended.complaints == [f"assay: removed the scratch files of a run that was killed: {left}"]


def old(path: Path) -> None:
    then = time.time() - 2 * OLD_SECONDS
    os.utime(path, (then, then))


def test_folders_of_others_stay(tmp_path: Path) -> None:
    for name in ("assay-abcdefgh", "assay-of-a-user", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept").write_text("")
        old(tmp_path / name)
    (tmp_path / "assay-of-a-user" / MARK).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / MARK).touch()
    (tmp_path / "assay-linked00").symlink_to("elsewhere")
    (tmp_path / "assay-madenow0").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert remove_left_folders(tmp_path) == ()
    assert sorted(tmp_path.rglob("*")) == before


def test_what_nobody_claims_goes(tmp_path: Path) -> None:
    killed, empty = tmp_path / "assay-abcdefgh", tmp_path / "assay-empty000"
    (killed / "deep" / "deeper").mkdir(parents=True)
    (killed / "deep" / "file").write_bytes(b"x")
    (killed / MARK).touch()
    empty.mkdir()
    old(empty)
    held = claim(killed)
    assert held is not None
    assert remove_left_folders(tmp_path) == (empty,)
    release(held)
    assert remove_left_folders(tmp_path) == (killed,)
    assert list(tmp_path.iterdir()) == []
    assert remove_left_folders(tmp_path / "absent") == ()


def test_a_file_that_is_being_written_stays(tmp_path: Path) -> None:
    with whole_file(tmp_path / "below" / "report.json") as file:
        file.write(b"{")
        file.flush()
        (part,) = (tmp_path / "below").iterdir()
        remove_left_parts(tmp_path)
        assert part.exists()
        file.write(b"}")
    assert (tmp_path / "below" / "report.json").read_bytes() == b"{}"
    part.write_bytes(b"{")
    os.mkfifo(tmp_path / f"{TEMPORARY}pipe")
    remove_left_parts(tmp_path)
    assert not part.exists()
