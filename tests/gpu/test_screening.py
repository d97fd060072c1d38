"""`assay screen` of plans that TensorRT built here, on every GPU of the machine: as they are, and with injected faults.

The process of these tests holds a GPU itself, so the screenings are told of no process on any: `nvidia-smi` goes
through a script that leaves them out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest

from assay_api.screening import DeviceEntry, ScreenReport
from assay_runner.screening import smi
from assay_runner.screening.gpus import ask, gpus
from tests.gpu.audits import KEEP
from tests.gpu.bare import Bare, check
from tests.gpu.building import BEST, WIDTH, built, half
from tests.runner.screening.faulty import FAULTS as NAMED_IN
from tests.runner.screening.injected import FAULTS

pytestmark = pytest.mark.usefixtures("gpu")

ROOT: Final = Path(__file__).parents[2]
FOUND_SECONDS: Final = 120
RARE: Final = "one run in 10,000"
ENDS: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "hangs": ({"kind": "hangs", "after": 20}, "hangs: no word for 5 s, after "),
    "dies": ({"kind": "dies", "after": 20}, "its process died (signal 11)"),
    "breaks": ({"kind": "breaks", "after": 20}, "a run failed: cudaStreamSynchronize failed with"),
}


@dataclass(frozen=True)
class Told:
    """What a screening came to.

    Attributes:
        code: its exit code.
        seconds: from start to end.
        said: what it printed.
        report: None where it came to none.
    """

    code: int
    seconds: float
    said: str
    report: ScreenReport | None

    @property
    def devices(self) -> Sequence[DeviceEntry]:
        """Its devices, scanned ones first."""
        assert self.report, self.said
        return sorted(self.report.devices, key=lambda each: each.state)


Screen = Callable[..., Told]


@pytest.fixture(scope="module")
def plan(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = onnx.load(str(ROOT / "examples" / "digits" / "digits-cnn.onnx"))
    return built(model, tmp_path_factory.mktemp("plan") / "digits.plan")


@pytest.fixture(scope="module")
def screen(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """`assay screen` in a process of its own, with faults by device."""
    folder = tmp_path_factory.mktemp("screens")
    shim = folder / "bin" / "nvidia-smi"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\ncase "$1" in --query-compute-apps*) exit 0;; esac\nexec "{smi.program()}" "$@"\n')
    shim.chmod(0o755)

    def run(name: str, subject: Path, *words: str, faults: Mapping[str, Any] | None = None) -> Told:
        out = folder / name.replace(" ", "-")
        path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, NAMED_IN: json.dumps(faults or {})}
        command = ["-m", "tests.runner.screening.injected"] if faults else ["-m", "assay_runner", "screen"]
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, *command, str(subject), *words, "--out", str(out)],
            env=env, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = round(time.monotonic() - begin, 1)
        file = out / "screen.json"
        report = ScreenReport.model_validate_json(file.read_text()) if file.exists() else None
        if kept := os.environ.get(KEEP):
            shutil.copytree(out, Path(kept, "screening", out.name), dirs_exist_ok=True)
        print(f"screening, {name}: {seconds} s, {done.returncode}, {report and report.message}")
        return Told(done.returncode, seconds, done.stdout + done.stderr, report)

    return run


@pytest.fixture(scope="module")
def clean(screen: Screen, plan: Path) -> Told:
    """The GPUs as they are, and a record of what they answer."""
    return screen("clean", plan, "--heat", "5", "--record", str(plan.parent / "answers.json"))


@pytest.fixture(scope="module")
def faults(screen: Screen, plan: Path, clean: Told) -> dict[str, Told]:
    """Every fault on the first GPU, held against the record; those that take few runs at once."""
    name = clean.devices[0].device
    one = ["--devices", name, "--heat", "0", "--digest", str(plan.parent / "answers.json")]
    few = [*one, "--runs", "500", "--silence", "5"]
    wrong = {**FAULTS, **{name: fault for name, (fault, _) in ENDS.items()}}
    told = {RARE: screen(RARE, plan, *one, faults={name: wrong.pop(RARE)})}
    with ThreadPoolExecutor(len(wrong)) as pool:
        asked = {key: pool.submit(screen, key, plan, *few, faults={name: fault}) for key, fault in wrong.items()}
        return told | {key: each.result() for key, each in asked.items()}


def test_nvidia_smi_lists_every_gpu_with_its_class_and_who_computes_on_it() -> None:
    from assay_runner.backends.tensorrt.device import call, check_device, device

    check_device()
    listed = ask(["-L"])
    print(listed, ask(["--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"]))
    found = gpus()
    assert len(found) >= call("cudaGetDeviceCount")
    for each in found:
        assert each.name in listed
        assert each.kind.driver.split(".")[0].isdecimal()
        # Whoever computes is left alone; from within a container only its own processes may be seen, or none.
        assert not each.skipped or each.skipped.startswith(("in use by", "MIG is enabled")), each.skipped
    assert device().name in {each.kind.product for each in found}


def test_every_gpu_gives_the_same_bits_throughout_or_is_said_to_differ(clean: Told) -> None:
    devices = clean.devices
    assert {each.state for each in devices} == {"Scanned"}, clean.said
    assert "healthy" not in clean.said.lower()
    # One alone is held against itself; two or more against each other.
    assert clean.code == (2 if len(devices) == 1 else 0), clean.said
    for each in devices:
        phases = {phase.name: phase for phase in each.phases}
        pace = {name: f"{phase.runs / phase.seconds:.0f}/s" for name, phase in phases.items() if phase.seconds}
        print(each.device, pace, f"{each.milliseconds} ms, {each.clock_mhz} MHz, {each.seconds} s")
        assert each.deviations == 0
        assert phases["warm"].runs == 30_000 or each.seconds >= 110
        # A virtual GPU may have none to tell.
        assert each.clock_mhz is None or 100 < each.clock_mhz < 5000


def test_a_record_serves_one_gpu_alone(screen: Screen, plan: Path, clean: Told) -> None:
    held = screen("held", plan, "--heat", "0", "--runs", "2000", "--digest", str(plan.parent / "answers.json"))
    assert held.code == 0, held.said
    assert {each.verdict for each in held.devices} == {"Passed"}
    assert {each.answers for each in held.devices} == {clean.devices[0].answers}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_fault_is_found_within_two_minutes(fault: str, faults: dict[str, Told]) -> None:
    told = faults[fault]
    bad = told.devices[0]
    assert (told.code, bad.verdict, bad.confirmed) == (1, "Failed", True), told.said
    assert told.seconds < FOUND_SECONDS
    # One that is wrong from its first run on is alone here with a record, which holds digests.
    assert fault == "one bit" or bad.differences


@pytest.mark.parametrize("way", ENDS)
def test_a_gpu_that_hangs_or_takes_its_process_down_is_a_finding(way: str, faults: dict[str, Told]) -> None:
    told = faults[way]
    bad = told.devices[0]
    assert (told.code, bad.verdict, bad.confirmed) == (1, "Failed", True), told.said
    assert ENDS[way][1] in bad.message


def test_halves_are_compared_in_bits_of_their_own(screen: Screen, clean: Told, tmp_path: Path) -> None:
    subject = built(half(), tmp_path / "half.plan")
    record, name = tmp_path / "answers.json", clean.devices[0].device
    few = ("--devices", name, "--runs", "200", "--heat", "0")
    assert not [d for d in screen("half", subject, *few, "--record", str(record)).devices if d.deviations]
    fault = {"kind": "bits", "bits": [0], "after": 20}
    told = screen("half wrong", subject, *few, "--digest", str(record), faults={name: fault})
    how = told.devices[0].differences[0]
    assert (how.bits, how.of) == ((0,), BEST * WIDTH), told.said


def test_what_is_no_plan_of_this_tensorrt_is_refused_and_blames_no_gpu(
    screen: Screen, plan: Path, tmp_path: Path
) -> None:
    body = plan.read_bytes()
    spoilt = {"shorter": body[: len(body) // 2], "other": b"xxxx" + body[4:], "none": b"none"}
    for name, content in spoilt.items():
        (tmp_path / f"{name}.plan").write_bytes(content)
    with ThreadPoolExecutor(len(spoilt)) as pool:
        told = list(pool.map(lambda name: screen(f"refused {name}", tmp_path / f"{name}.plan"), spoilt))
    for each in told:
        assert (each.code, each.report) == (64, None), each.said
        assert "cannot be loaded by TensorRT" in each.said


def test_the_answers_are_those_of_plain_tensorrt(plan: Path, clean: Told) -> None:
    """On the first GPU of this process: what was screened is what the plan computes."""
    from assay_runner.screening.answers import digest
    from assay_runner.screening.feeding import made_up
    from assay_runner.tensors import TensorSpec

    bare = Bare(plan)
    (name,) = bare.of_mode("INPUT")
    shape = tuple(bare.engine.get_tensor_profile_shape(name, 0)[1])
    feeds = made_up([TensorSpec(name, np.dtype(np.float32), shape)], 8, 1)
    from cuda.bindings import runtime as cuda

    check(cuda.cudaSetDevice(0))
    assert tuple(digest(bare.run(feed)) for feed in feeds) == clean.devices[0].answers
