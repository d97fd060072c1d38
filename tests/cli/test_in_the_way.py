"""What is in the way of results is told before anything is computed, and nothing of others is written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.audits import assay, good, run


def folder(name: str) -> Callable[[Path], None]:
    return lambda out: (out / name).mkdir(parents=True)


def file(name: str) -> Callable[[Path], None]:
    def write(out: Path) -> None:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("of somebody else")

    return write


def link(name: str) -> Callable[[Path], None]:
    def write(out: Path) -> None:
        (out.parent / "elsewhere").mkdir()
        (out.parent / "elsewhere" / "report.json").write_text("of somebody else")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(out.parent / "elsewhere")

    return write


IN_THE_WAY = [
    (folder, "report.html", "report.html is no regular file but a folder"),
    (folder, "report.json", "report.json is no regular file but a folder"),
    (folder, "junit.xml", "junit.xml is no regular file but a folder"),
    (folder, "ctrf.json", "ctrf.json is no regular file but a folder"),
    (folder, "fp32/report.html", "fp32/report.html is a folder, and a report goes there"),
    (file, "golden", "golden is no folder, and results go there"),
    (file, "fp32", "fp32 is no folder, and results go there"),
    (file, "cache", "cache is no folder, and results go there"),
    (file, "cache/golden", "cache/golden is no folder, and results go there"),
    (link, "fp32", "fp32 is a link, and results go into folders of"),
    (link, "golden", "golden is a link, and results go into folders of"),
    (link, "cache", "cache is a link, and results go into folders of"),
]


@pytest.mark.parametrize(("what", "name", "told"), IN_THE_WAY, ids=[f"{w.__name__} {n}" for w, n, _ in IN_THE_WAY])
def test_what_is_in_the_way_is_told_at_the_start(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    what: Callable[[str], Callable[[Path], None]],
    name: str,
    told: str,
) -> None:
    good(tmp_path)
    what(name)(tmp_path / "out")
    ended = run(tmp_path, capsys)
    assert ended.code == 64
    assert "golden:" not in ended.err
    (complaint,) = ended.complaints
    assert told in complaint
    kept = [path.read_text() for path in tmp_path.rglob("report.json") if path.is_file()]
    assert set(kept) <= {"of somebody else"}


def test_a_scratch_folder_that_is_a_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    (tmp_path / "scratch").write_text("")
    monkeypatch.setenv("ASSAY_SCRATCH", str(tmp_path / "scratch"))
    ended = run(tmp_path, capsys)
    assert ended.code == 64
    assert ended.complaints == [
        f"assay: ASSAY_SCRATCH names {tmp_path / 'scratch'}, which is no folder: name one, or unset it"
    ]


def test_a_draft_is_not_written_over_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    (tmp_path / "drafts").mkdir()
    model, data = str(tmp_path / "model.onnx"), str(tmp_path / "data")
    ended = assay(capsys, "init", model, data, "-o", str(tmp_path / "drafts"), "--force")
    assert ended.code == 64
    assert ended.complaints == [f"assay: {tmp_path / 'drafts'} is a folder: name a file in it with --output"]
