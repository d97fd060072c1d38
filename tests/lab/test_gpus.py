from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import Unavailable, gpus
from tests.lab.gpus import Gpu, Gpus, device_of, libraries_in, specification, stand_in

SMI = """#!/bin/sh
echo "0, GPU-a, NVIDIA H100 80GB HBM3, 81559, 580.159.04, 00000000:00:05.0, 9.0"
echo "1, GPU-b, NVIDIA H100 80GB HBM3, 81559, 580.159.04, 00000000:00:06.0, 9.0"
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a driver brings, nvidia-smi among it, as the first that is looked into."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(SMI)
    (folder / "nvidia-smi").chmod(0o755)
    for name in ("libcuda.so.580.159.04", "libnvidia-ml.so.580.159.04", "libnvidia-gpucomp.so.580.159.04"):
        (folder / name).touch()
    (folder / "libcuda.so.1").symlink_to("libcuda.so.580.159.04")
    (folder / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.580.159.04")
    (folder / "libcudart.so.12").touch()
    (folder / "libnvidia-egl-gbm.so.1").touch()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    return folder


def test_a_machines_gpus_are_known_by_what_its_driver_says(driver: Path) -> None:
    found = gpus.here()
    assert [(gpu.id, gpu.node) for gpu in found.devices] == [("GPU-a", "/dev/nvidia0"), ("GPU-b", "/dev/nvidia1")]
    assert found.real
    assert found.labels == {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "2",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/cuda.driver-version.full": "580.159.04",
        "nvidia.com/cuda.driver.major": "580",
        "nvidia.com/cuda.driver.minor": "159",
        "nvidia.com/cuda.driver.rev": "04",
    }


def test_a_driver_that_does_not_answer_is_said(driver: Path) -> None:
    (driver / "nvidia-smi").write_text("#!/bin/sh\necho No devices were found; exit 6\n")
    with pytest.raises(Unavailable, match="nvidia-smi says: No devices were found"):
        gpus.here()


def test_a_driver_without_its_library_is_said(driver: Path) -> None:
    (driver / "libcuda.so.1").unlink()
    if libraries_in(gpus.folders()):
        pytest.skip("this machine has a driver of its own")
    with pytest.raises(Unavailable, match=r"libcuda\.so\.1 is in none of the usual folders"):
        gpus.here()


def test_only_what_computing_takes_of_a_driver_goes_into_containers(driver: Path) -> None:
    found = libraries_in([driver.parent, driver])
    assert set(found) == {
        "libcuda.so.1", "libcuda.so.580.159.04", "libnvidia-ml.so.1", "libnvidia-ml.so.580.159.04",
        "libnvidia-gpucomp.so.580.159.04",
    }  # fmt: skip
    assert found["libcuda.so.1"] == driver.resolve() / "libcuda.so.580.159.04"


def test_a_devices_number_is_the_drivers_and_not_that_of_nvidia_smi(tmp_path: Path) -> None:
    for bus, minor in (("0000:00:05.0", 1), ("0000:00:06.0", 0)):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: x\nDevice Minor: \t {minor}\n")
    row = {"index": "0", "pci.bus_id": "00000000:00:05.0"}
    assert device_of(row, tmp_path) == "/dev/nvidia1"
    assert device_of({**row, "pci.bus_id": "00000000:00:07.0"}, tmp_path) == "/dev/nvidia0"


def test_a_container_gets_its_gpu_and_what_all_share() -> None:
    libraries = {"libcuda.so.1": Path("/usr/local/nvidia/lib64/libcuda.so.580")}
    device = Gpu("GPU-a", "/dev/nvidia3", "/dev/nvidia3")
    programs = {"nvidia-smi": Path("/usr/local/nvidia/bin/nvidia-smi")}
    gpus = Gpus((device,), "P", driver="580.1", shared=("/dev/nvidiactl",), libraries=libraries, programs=programs)
    told = specification(gpus)
    assert told["kind"] == "nvidia.com/gpu"
    (one,) = told["devices"]
    assert one["name"] == "GPU-a"
    assert [node["path"] for node in one["containerEdits"]["deviceNodes"]] == ["/dev/nvidia3"]
    assert [node["path"] for node in told["containerEdits"]["deviceNodes"]] == ["/dev/nvidiactl"]
    mount, program = told["containerEdits"]["mounts"]
    assert (program["hostPath"], program["containerPath"]) == (str(programs["nvidia-smi"]), "/usr/bin/nvidia-smi")
    assert mount["hostPath"] == "/usr/local/nvidia/lib64/libcuda.so.580"
    assert mount["containerPath"].endswith("-linux-gnu/libcuda.so.1")
    assert "ro" in mount["options"]


def test_stand_ins_bring_a_device_and_nothing_else() -> None:
    told = specification(stand_in(2, "Some GPU"))
    assert "containerEdits" not in told
    assert len(told["devices"]) == 2
    assert not stand_in(1).real
    assert stand_in(0).labels["nvidia.com/gpu.present"] == "false"
    assert json.loads(json.dumps(stand_in(1).offered)) == [{"id": "GPU-stand-in-0", "path": "/dev/zero"}]
