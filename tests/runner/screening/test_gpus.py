"""GPUs as nvidia-smi lists them; what it prints here was copied from its own documentation and bug reports."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay_api.screening import DeviceClass
from assay_runner.errors import InvalidInput, Unavailable, Unsupported
from assay_runner.screening import gpus as gpus_module
from assay_runner.screening import smi as smi_module
from assay_runner.screening.gpus import Ask, Unresponsive, ask, chosen, gpus
from assay_runner.screening.judging import Device

ONE = "GPU-11111111-0000-0000-0000-000000000000"
TWO = "GPU-22222222-0000-0000-0000-000000000000"
PARTS = [f"MIG-{n}0000000-0000-0000-0000-000000000000" for n in range(2)]
H100 = DeviceClass(product="NVIDIA H100 80GB HBM3", driver="580.65.06", ecc="Enabled")


def smi(listed: str, tree: str = "", held: str = "") -> Ask:
    def asked(arguments: Sequence[str]) -> str:
        return listed if "--query-gpu" in arguments[0] else tree if arguments == ["-L"] else held

    return asked


def line(uuid: str, mig: str = "Disabled", ecc: str = "Enabled") -> str:
    return f"{uuid}, NVIDIA H100 80GB HBM3, 580.65.06, {mig}, {ecc}\n"


def test_every_gpu_with_its_class() -> None:
    found = gpus(smi(line(ONE) + line(TWO, "[N/A]", "[N/A]")))
    assert found == (Device(ONE, H100), Device(TWO, H100.model_copy(update={"ecc": ""})))


def test_a_gpu_in_use_is_left_alone() -> None:
    one, two = gpus(smi(line(ONE) + line(TWO), held=f"{TWO}, 4242\n{TWO}, 4243\n"))
    assert (one.skipped, two.skipped) == ("", "in use by 2 processes, which are left alone")


def test_of_a_gpu_that_is_cut_up_its_parts_are_screened() -> None:
    tree = f"GPU 0: NVIDIA H100 80GB HBM3 (UUID: {ONE})\n" + "".join(
        f"  MIG 3g.40gb     Device  {n}: (UUID: {part})\n" for n, part in enumerate(PARTS)
    )
    found = gpus(smi(line(ONE, "Enabled") + line(TWO, "Enabled"), tree))
    part = H100.model_copy(update={"mig": "3g.40gb"})
    assert found[:2] == tuple(Device(uuid, part) for uuid in PARTS)
    assert found[2].skipped == "MIG is enabled, and it has no MIG device"


def test_a_gpu_that_the_driver_has_lost_is_listed() -> None:
    lost = "Unable to determine the device handle for GPU0000:C1:00.0: Unknown Error\n"
    one, gone = gpus(smi(line(ONE) + lost))
    assert one.skipped == ""
    assert gone.name.upper().endswith("0000:C1:00.0")
    assert "the driver has lost it" in gone.skipped


def test_only_those_that_are_asked_for() -> None:
    found = chosen(gpus(smi(line(ONE) + line(TWO))), [TWO])
    assert [device.skipped for device in found] == ["not asked for (--devices)", ""]
    with pytest.raises(InvalidInput, match="there is no device GPU-3: there is GPU-1"):
        chosen(found, ["GPU-3"])


def test_nvidia_smi_is_found_where_it_is_on_no_path_and_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncase "$1" in -L) echo "GPU 0";; *) exec /bin/sleep 60;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(smi_module, "ELSEWHERE", (str(tmp_path / "nowhere"), str(program)))
    assert ask(["-L"]).strip() == "GPU 0"
    begin = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        smi_module.run(["--query-gpu=uuid"], 0.2)
    assert time.monotonic() - begin < 10
    monkeypatch.setattr(gpus_module, "SECONDS", 0.2)
    with pytest.raises(Unresponsive, match="does not answer within"):
        ask(["--query-gpu=uuid"])


def test_a_machine_without_nvidia_smi_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="there is no nvidia-smi here"):
        ask(["-L"])
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match=r"ended with 18: Failed to initialize NVML"):
        ask(["-L"])
