"""The GPUs of this machine, as nvidia-smi lists them: each with its comparison class, and whether it is free."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from assay_api.screening import DeviceClass
from assay_runner.errors import InvalidInput, Unavailable, Unsupported
from assay_runner.screening.judging import Device
from assay_runner.screening.smi import SMI, run

SECONDS: Final = 60.0
FIELDS: Final = ("uuid", "name", "driver_version", "mig.mode.current", "ecc.mode.current")
_GPU: Final = re.compile(r"GPU \d+: .* \(UUID: (GPU-[^)]+)\)")
_PART: Final = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
_LOST: Final = re.compile(r"Unable to determine the device handle for gpu:?\s*(\S+?):? .*", re.IGNORECASE)
Ask = Callable[[Sequence[str]], str]


class Unresponsive(Unavailable):
    """The driver does not answer: all GPUs of the machine hang."""


def ask(arguments: Sequence[str]) -> str:
    """What nvidia-smi prints; devices that it has lost it names, and fails.

    Raises:
        Unsupported: it is not here.
        Unresponsive: it does not answer, as where the driver hangs.
        Unavailable: it fails.
    """
    try:
        done = run(arguments, SECONDS)
    except FileNotFoundError:
        raise Unsupported(
            f"there is no {SMI} here: screen on a machine with a GPU, in an image that its container toolkit gives "
            "the capability utility; an .onnx file is screened on the CPU, as a stand-in"
        ) from None
    except subprocess.TimeoutExpired:
        raise Unresponsive(
            f"{SMI} does not answer within {SECONDS:.0f} s: the driver hangs, see the node's log"
        ) from None
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode and not _LOST.search(said):
        raise Unavailable(f"{SMI} ended with {done.returncode}: {' '.join(said.split())[:300]}")
    return said


def gpus(asked: Ask = ask) -> tuple[Device, ...]:
    """Every GPU, and of one that is cut up every part; those that cannot be screened say why.

    Raises:
        Unsupported: there is no nvidia-smi.
        Unavailable: it does not answer.
    """
    listed = asked([f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"])
    parts = _parts(asked(["-L"]).splitlines())
    held = _held(asked(["--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"]).splitlines())
    found = []
    for line in listed.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if lost := _LOST.search(line):
            name = lost[1].rstrip(":")
            found.append(Device(name, DeviceClass(product="unknown"), f"the driver has lost it: {line.strip()}"))
        elif len(cells) == len(FIELDS) and cells[0].startswith("GPU-"):
            found += _devices(cells, parts.get(cells[0], ()), held)
    return tuple(found)


def chosen(devices: Sequence[Device], names: Sequence[str]) -> tuple[Device, ...]:
    """Those of the devices that are asked for; the others are skipped, and told.

    Raises:
        InvalidInput: one is not there.
    """
    if not names:
        return tuple(devices)
    there = [device.name for device in devices]
    for name in names:
        if name not in there:
            raise InvalidInput(f"there is no device {name}: there is {', '.join(there) or 'none'}")
    return tuple(d if d.name in names else replace(d, skipped="not asked for (--devices)") for d in devices)


def _devices(cells: Sequence[str], parts: Sequence[tuple[str, str]], held: dict[str, int]) -> list[Device]:
    uuid, name, driver, mig, ecc = cells
    kind = DeviceClass(product=name, driver=_told(driver), ecc=_told(ecc))
    if mig != "Enabled":
        return [Device(uuid, kind, _busy(uuid, held))]
    if not parts:
        return [Device(uuid, kind, "MIG is enabled, and it has no MIG device")]
    whole = held.get(uuid, 0)
    return [
        Device(part, kind.model_copy(update={"mig": profile}), _busy(part, {part: held.get(part, 0) or whole}))
        for profile, part in parts
    ]


def _busy(uuid: str, held: dict[str, int]) -> str:
    count = held.get(uuid, 0)
    return (
        f"in use by {count} process{'es' if count > 1 else ''}, which {'are' if count > 1 else 'is'} left alone"
        if count
        else ""
    )


def _parts(lines: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Profile and UUID of the MIG devices of each GPU."""
    found: dict[str, list[tuple[str, str]]] = {}
    gpu = ""
    for line in lines:
        if whole := _GPU.match(line):
            gpu = whole[1]
        elif part := _PART.match(line):
            found.setdefault(gpu, []).append((part[1], part[2]))
    return found


def _held(lines: Iterable[str]) -> dict[str, int]:
    """Processes that compute, by the UUID of what they compute on."""
    found: dict[str, int] = {}
    for line in lines:
        uuid, _, pid = line.partition(",")
        if pid.strip().isdecimal():
            found[uuid.strip()] = found.get(uuid.strip(), 0) + 1
    return found


def _told(text: str) -> str:
    return "" if text.startswith(("[", "N/A")) else text
