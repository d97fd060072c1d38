"""The command line itself: its help, its schemas, and what is said of wrong usage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.audits import assay
from tools.generate import REPORT_SCHEMA

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "schema")
    assert ended.code == 0
    schema = json.loads(ended.out)
    assert "outputDrift" in schema["properties"]["spec"]["properties"]["checks"]["items"]["properties"]
    assert assay(capsys, "schema", "audit").out == ended.out


def test_the_schema_of_a_report_is_the_one_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "schema", "report")
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads(REPORT_SCHEMA.read_text())


@pytest.mark.parametrize("words", [[], ["frob"], ["run"], ["run", "-f", "x", "--backend", "cuda"], ["--frob"]])
def test_wrong_usage_ends_with_64(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    ended = assay(capsys, *words)
    assert ended.code == 64
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["run", "-f", "x", "--junit", "y"],
            "unrecognized arguments: --junit y; did you mean '--out'?; see assay run --help",
        ),
        (["run", "-f", "x", "--cadidate", "y"], "did you mean '--candidate'?; see assay run --help"),
        (["baseline", "show", "--nonsense-of-mine", "y"], "see assay baseline show --help"),
        (["plan", "-f", "x", "--backend", "tensorrt"], "without --backend each candidate is run by the backend that"),
        (["--frob"], "see assay --help"),
    ],
)
def test_wrong_usage_names_the_command_and_what_comes_close(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    [sentence] = assay(capsys, *words).complaints
    assert told in sentence


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_is_help(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    ended = assay(capsys, *words)
    assert ended.code == 0
    assert "assay" in ended.out


@pytest.mark.parametrize("words", [["--help"], ["validate", "-f", str(EXAMPLES / "digits" / "digits-cnn.yaml")]])
def test_quick_commands_load_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom assay_runner.cli import run_command\n"
        f"try:\n    run_command({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'onnxruntime', 'onnx', 'boto3', 'botocore', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
