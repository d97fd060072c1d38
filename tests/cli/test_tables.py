"""Tables whose last column is sentences, on terminals that are wide and narrow."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from assay_runner.cli.tables import print_told

HEADS = ("Model", "GPU", "Candidate", "Decision", "Old engine", "New engine", "Why")
REMEDY = "precision (a-candidate-with-quite-a-long-name-precision@NVIDIA-H100-80GB-HBM3)"
ROWS = [
    ("bert", "NVIDIA-L4", "fp16", "No go", "Passed", "Failed", "it fails, and it passed with the old image: snr=12"),
    ("t5", "NVIDIA-H100-80GB-HBM3", "fp16", "Go with a remedy", "Passed", "Failed, regressed beside the old one",
     f"with the remedy {REMEDY}; as it is: /layer/Mul overflows FP16 \x1b[31m"),
]  # fmt: skip
Capture = pytest.CaptureFixture[str]


def printed(monkeypatch: pytest.MonkeyPatch, capsys: Capture, width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    print_told(HEADS, ROWS)
    return capsys.readouterr().out.splitlines()


def test_a_wide_terminal_has_a_line_per_row(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    lines = printed(monkeypatch, capsys, 260)
    assert len(lines) == 3
    assert lines[0].split()[-1] == "Why"
    assert REMEDY in lines[2]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_narrow_one_has_sentences_below_whose_names_are_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, width: int
) -> None:
    lines = printed(monkeypatch, capsys, width)
    text = "\n".join(lines)
    assert "Why" not in text
    assert "…" not in text
    assert "\x1b" not in text
    assert REMEDY.split()[1] in text
    assert "     it fails, and it passed with the old image: snr=12" in lines
    assert len(lines) < 12
    assert all(cell_len(line) <= width for line in lines if REMEDY.split()[1] not in line)
    assert lines[1].split()[:2] == ["bert", "NVIDIA-L4"]


def test_what_stands_below_has_its_head(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    lines = printed(monkeypatch, capsys, 80)
    assert lines[0].split() == ["Model", "GPU", "Candidate", "Decision", "Old", "engine"]
    assert "     New engine: Failed, regressed beside the old one" in lines
    assert printed(monkeypatch, capsys, 20)[0].split() == ["Model"]


def test_a_table_without_rows_has_its_heads(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_told(HEADS, [])
    assert capsys.readouterr().out.split()[0] == "Model"
