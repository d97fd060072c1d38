"""What crashes, dies or never ends inside TensorRT costs what it was to measure: the report is complete all the same.

The transformer made TensorRT 10.6 segfault while it built the probe that shows all its tensors. On a version that does
not, the same holds of its report; that a crash of an engine costs no more is provoked.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
import yaml

from assay_api.model import parse
from assay_api.report import Report, Verdict
from tests.cli.test_deaths import CRASH, ENDLESS, KILLED, PATHS, dying
from tests.gpu.audits import audit, trt
from tests.gpu.transformer import WIDTH, WORDS, transformer
from tests.models import random
from tests.timings import shared_by_audits

pytestmark = pytest.mark.usefixtures("gpu")

SAMPLES, BATCH = 16, 8
CHECKS: Final = ("finite", {"layerDrift": {"tensors": "all"}}, "fp16Range")


def written(name: str, folder: Path, checks: Any = CHECKS, **spec: Any) -> Path:
    """The audit's file, its model and data beside it."""
    onnx.save(transformer(), str(folder / "transformer.onnx"))
    (folder / "data").mkdir(exist_ok=True)
    np.savez(folder / "data" / "part-0.npz", x=random(SAMPLES, WORDS, WIDTH))
    candidates = [trt("fp16", level=2, typing="strong"), trt("fp32", "next", level=2)]
    document = audit(name, folder / "transformer.onnx", folder / "data", candidates, checks, batch=BATCH)
    document["spec"] |= spec
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def audited(name: str, folder: Path, *program: str, checks: Any = CHECKS, **spec: Any) -> tuple[int, str, Report]:
    """Run the audit as a process; its exit code, what it said, and its report."""
    file, out = written(name, folder, checks, **spec), folder / "out"
    shared_by_audits(out / "cache")
    ended = subprocess.run(
        [sys.executable, *(program or ("-m", "assay_runner")), "run", "-f", str(file), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(ended.stderr[-6000:])
    return ended.returncode, ended.stderr, parse(Report, json.loads((out / "report.json").read_bytes()))


def verdicts(report: Report, name: str) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in report.findings if finding.candidate == name}


def test_a_crash_inside_the_builder_costs_no_report(tmp_path: Path) -> None:
    code, said, report = audited("crash", tmp_path)
    assert code in (1, 2), said
    crashed, following = report.candidates
    # It was built and run, whatever became of its probes; what golden shows does not depend on them.
    assert crashed.error is None
    assert crashed.samples == SAMPLES
    found = verdicts(report, "fp16")
    assert set(found) == {"finite", "layerDrift", "fp16Range"}
    [ranges] = [f for f in report.findings if f.candidate == "fp16" and f.check == "fp16Range"]
    assert "ended the process" not in ranges.message
    assert "65,504" in ranges.message
    if "ended the process by" in said:
        told = " ".join([*crashed.notes, *(f.message for f in report.findings)])
        assert "ended the process by" in told
    # The next one is judged as if nothing had been.
    assert following.error is None
    assert set(verdicts(report, "next")) == {"finite", "layerDrift", "fp16Range"}
    assert verdicts(report, "next")["finite"] is Verdict.PASSED


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (CRASH, "ended the process by SIGSEGV"),
        (KILLED, "was ended by SIGKILL"),
        (ENDLESS, "gave no sign of life for 3 s"),
    ],
)
def test_a_crash_of_an_engine_that_runs_costs_what_it_showed(tmp_path: Path, way: str, words: str) -> None:
    program = dying(("backends.tensorrt.session:EngineSession:launch", way, "fp16 TappedPass"))
    checks = ("finite", {"outputDrift": {"cosine": 0.0}})
    code, said, report = audited("provoked", tmp_path, "-c", program, checks=checks, stallDeadlineSeconds=60)
    assert code in (1, 2), said
    [finite] = [f for f in report.findings if f.candidate == "fp16" and f.check == "finite"]
    assert words in finite.message
    assert "outputDrift" in verdicts(report, "fp16")
    assert verdicts(report, "next")["finite"] is Verdict.PASSED


def test_a_request_to_stop_a_build_is_one_word(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "assay_runner", "run", "-f", str(written("stopped", tmp_path)), "--out"]
    environment = {**os.environ, "PYTHONPATH": PATHS, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*words, str(tmp_path / "out")], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "build the engine" in line and "steps" in line)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 143, said
    assert said.splitlines()[-1] == "assay: terminated"
    assert "KeyboardInterrupt" not in said
