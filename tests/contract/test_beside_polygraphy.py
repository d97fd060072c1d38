"""What docs/beside.md says of going to and from Polygraphy, by Polygraphy itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.audits import assay, report_of

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
PAGE = (ROOT / "docs" / "beside.md").read_text()
AUDIT = """
apiVersion: assay.dev/v1alpha1
kind: AccuracyAudit
metadata: {name: theirs}
spec:
  model: {uri: "file://MODEL"}
  dataset: {uri: "file://./inputs.json", layout: feeds}
  golden: {uri: "file://./outputs.json"}
  candidates: [{name: fp16, backend: onnxruntime, precision: fp16}]
  checks: [{outputDrift: {}}]
  artifacts: {uri: "file://./assay-out/"}
"""


def polygraphy(folder: Path, *words: str) -> str:
    """Output of a command of Polygraphy's that must succeed."""
    command = [str(Path(sys.executable).parent / "polygraphy"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_loader_feeds_polygraphy_and_what_it_saves_is_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [loader] = re.findall(r"^```python\n(# loader\.py.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "loader.py").write_text(loader)
    (tmp_path / "data").mkdir()
    image = np.load(DIGITS / "data" / "part-000.npz")["image"][:64]
    np.savez(tmp_path / "data" / "part-000.npz", image=image)
    saved = ("--save-inputs", "inputs.json", "--save-outputs", "outputs.json")
    model = DIGITS / "digits-cnn.onnx"
    polygraphy(tmp_path, "run", str(model), "--onnxrt", "--data-loader-script", "loader.py", *saved)
    (tmp_path / "audit.yaml").write_text(AUDIT.replace("MODEL", str(model)))
    ended = assay(capsys, "run", "-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    assert report_of(tmp_path).candidates[0].samples == 2


@pytest.mark.parametrize("tool", ["run", "convert", "inspect model"])
def test_every_option_of_polygraphy_on_the_page_is_one(tool: str, tmp_path: Path) -> None:
    lines = re.findall(rf"polygraphy {tool} ([^`\n]*)", PAGE)
    assert lines
    known = polygraphy(tmp_path, *tool.split(), "--help")
    for option in {word for line in lines for word in line.split() if word.startswith("--")}:
        assert option in known
