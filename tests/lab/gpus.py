"""GPUs for the pods of the one-node cluster: what there is, and how a container gets one.

A GPU comes into a pod as in any cluster: a device plugin (`device_plugin/main.go`) offers it to the kubelet, the node's
labels say what it is, and what a container needs besides (device nodes, the driver's libraries) stands in a
specification of the Container Device Interface that containerd reads. Where there is no GPU, a stand-in takes the same
way: `/dev/nvidia0` is there in the pod, and is a `/dev/zero`.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.lab import Unavailable
from tests.lab.toolchain import find

__all__ = ["RESOURCE", "Gpu", "Gpus", "here", "libraries_in", "specification", "stand_in"]

RESOURCE: Final = "nvidia.com/gpu"
# Where the dynamic loader of Debian's and Ubuntu's images looks without being told.
PROGRAMS: Final = "/usr/bin"
LIBRARIES: Final = f"/usr/lib/{os.uname().machine}-linux-gnu"
KNOWN_FOLDERS: Final = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", LIBRARIES, "/usr/lib64", "/usr/lib")
# Of a driver's libraries, what computing takes.
COMPUTE: Final = re.compile(r"lib(cuda|nvidia-(ml|ptxjitcompiler|nvvm|nvvm70|gpucomp|tileiras))\.so\.[0-9.]+$")
SHARED_NODES: Final = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
COLUMNS: Final = ("index", "uuid", "name", "memory.total", "driver_version", "pci.bus_id", "compute_cap")


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        id: what the kubelet calls it.
        node: path of its device in a container.
        source: path of its device on this machine.
    """

    id: str
    node: str
    source: str


@dataclass(frozen=True)
class Gpus:
    """The GPUs of this machine, all of one product.

    Attributes:
        devices: each of them.
        product: name, as nvidia-smi has it.
        memory: MiB of one.
        driver: the driver's version; empty for stand-ins.
        capability: compute capability, for example 9.0; empty for stand-ins.
        shared: paths of device nodes that every container with a GPU gets.
        libraries: the driver's, by their names in a container's library folder.
        programs: the driver's, by their names in a container's /usr/bin.
    """

    devices: tuple[Gpu, ...]
    product: str
    memory: int = 0
    driver: str = ""
    capability: str = ""
    shared: tuple[str, ...] = ()
    libraries: Mapping[str, Path] = field(default_factory=dict)
    programs: Mapping[str, Path] = field(default_factory=dict)

    @property
    def real(self) -> bool:
        """Whether anything can be computed on them."""
        return bool(self.driver)

    @property
    def label(self) -> str:
        """The product, as the node's label has it."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.product).strip("-")

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the node, as GPU feature discovery sets them."""
        found = {
            "gpu.present": str(bool(self.devices)).lower(), "gpu.product": self.label,
            "gpu.count": str(len(self.devices)), "gpu.memory": str(self.memory),
        }  # fmt: skip
        if self.driver:
            major, minor, *rest = self.driver.split(".")
            found |= {"cuda.driver-version.full": self.driver, "cuda.driver.major": major, "cuda.driver.minor": minor}
            found |= {"cuda.driver.rev": rest[0]} if rest else {}
        if self.capability:
            major, _, minor = self.capability.partition(".")
            found |= {"gpu.compute.major": major, "gpu.compute.minor": minor}
        return {f"nvidia.com/{name}": value for name, value in found.items()}

    @property
    def offered(self) -> list[dict[str, str]]:
        """What the device plugin offers."""
        return [{"id": gpu.id, "path": gpu.source} for gpu in self.devices]


def stand_in(count: int, product: str = "Stand-In GPU") -> Gpus:
    """GPUs that the scheduler, the kubelet and containerd take for real ones; in a pod each is a `/dev/zero`."""
    devices = tuple(Gpu(f"GPU-stand-in-{index}", f"/dev/nvidia{index}", "/dev/zero") for index in range(count))
    return Gpus(devices, product)


def specification(gpus: Gpus) -> dict[str, Any]:
    """The specification of the Container Device Interface that gives a container one of these GPUs."""
    devices = [
        {"name": gpu.id, "containerEdits": {"deviceNodes": [node(gpu.node, gpu.source)]}} for gpu in gpus.devices
    ]
    options = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
    mounts = [
        {"hostPath": str(path), "containerPath": f"{folder}/{name}", "options": options}
        for folder, files in ((LIBRARIES, gpus.libraries), (PROGRAMS, gpus.programs))
        for name, path in sorted(files.items())
    ]
    shared = {"deviceNodes": [node(path, path) for path in gpus.shared], "mounts": mounts}
    edits = {name: value for name, value in shared.items() if value}
    return {"cdiVersion": "0.6.0", "kind": RESOURCE, "devices": devices} | ({"containerEdits": edits} if edits else {})


def node(path: str, source: str) -> dict[str, Any]:
    """A device node of a container: for everyone, for a pod's user is nobody in particular."""
    return {"path": path, "hostPath": source, "permissions": "rw", "fileMode": 0o666}


def here() -> Gpus:
    """The GPUs of this machine.

    Raises:
        Unavailable: there is none, or its driver is not all there.
    """
    smi = find("nvidia-smi") or Path("/usr/local/nvidia/bin/nvidia-smi")
    try:
        done = subprocess.run(
            [smi, f"--query-gpu={','.join(COLUMNS)}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        raise Unavailable("no NVIDIA GPU: there is no nvidia-smi on this machine that answers") from None
    if done.returncode:
        raise Unavailable(f"no NVIDIA GPU: nvidia-smi says: {(done.stdout + done.stderr).strip()[:200]}")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True)]
    first = rows[0]
    libraries = libraries_in(folders())
    if "libcuda.so.1" not in libraries:
        raise Unavailable("an NVIDIA GPU, but its driver's libcuda.so.1 is in none of the usual folders: ldconfig")
    return Gpus(
        tuple(Gpu(row["uuid"], path, path) for row in rows if (path := device_of(row))),
        first["name"],
        int(float(first["memory.total"])),
        first["driver_version"],
        first["compute_cap"],
        tuple(path for path in SHARED_NODES if Path(path).exists()),
        libraries,
        {smi.name: smi.resolve()},
    )


def device_of(row: Mapping[str, str], proc: Path = Path("/proc/driver/nvidia/gpus")) -> str:
    """Path of a GPU's device: its number is the driver's, not nvidia-smi's."""
    bus = row["pci.bus_id"].lower()
    for told in proc.glob("*/information"):
        minor = re.search(r"Device Minor:\s*(\d+)", told.read_text())
        if minor and bus.endswith(told.parent.name.lower()):
            return f"/dev/nvidia{minor[1]}"
    return f"/dev/nvidia{row['index']}"


def folders() -> Iterator[Path]:
    """Where a driver's libraries may lie, the likeliest first."""
    loader = find("ldconfig")
    told = subprocess.run([loader, "-p"], capture_output=True, text=True, check=False).stdout if loader else ""
    yield from (Path(path).parent for path in re.findall(r"libcuda\.so\.1 .*=> (\S+)", told))
    yield from map(Path, filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")))
    yield from map(Path, KNOWN_FOLDERS)


def libraries_in(candidates: Iterable[Path]) -> dict[str, Path]:
    """A driver's libraries by name, from the first folder that holds libcuda.so.1; nothing where none does.

    Each is named as its file and as the links to it are: programs ask for one, the driver's own parts for the other.
    """
    for folder in candidates:
        if (folder / "libcuda.so.1").exists():
            return {path.name: path.resolve() for path in folder.iterdir() if COMPUTE.match(path.name)}
    return {}
