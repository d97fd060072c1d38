"""`assay screen`: one plan on every GPU of this machine, answers compared bit by bit."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay_runner.cli.places import absolute
from assay_runner.cli.screen_end import clear, end
from assay_runner.cli.screen_fleet import compared
from assay_runner.cli.workspace import scratch_folder
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.report.wording import visible
from assay_runner.screening.gpus import chosen, gpus
from assay_runner.screening.judging import Device
from assay_runner.screening.orders import Order
from assay_runner.screening.processes import Processes, Scanner
from assay_runner.screening.records import read_records
from assay_runner.screening.reports import machine_report, stand_ins
from assay_runner.screening.screening import screen
from assay_runner.screening.subjects import is_onnx

NODE_NAME: Final = "NODE_NAME"
POLL_SECONDS: Final = 5.0
MOST_STAND_INS: Final = 64


@dataclass(frozen=True)
class Places:
    """Files of one screening, all absolute.

    Attributes:
        subject: what is run.
        out: folder for page and JSON.
        data: folder of inputs, where one is given.
        plugins: libraries that the plan needs.
    """

    subject: Path
    out: Path
    data: Path | None
    plugins: tuple[str, ...] = ()


def command(arguments: argparse.Namespace) -> int:
    """Screen this machine. 0: no deviation; 1: a device is named; 2: inconclusive or skipped; 64, 69 as everywhere."""
    if (arguments.subject is None) == (arguments.compare is None):
        raise InvalidInput("give a plan to screen this machine with, or --compare and reports: one of both")
    if arguments.expect and not arguments.compare:
        raise InvalidInput("--expect names the machines of --compare: a plan screens this one alone")
    if arguments.compare:
        return compared(arguments)
    scanner = Processes(max(arguments.silence, 1.0))
    try:
        return screened(arguments, scanner)
    finally:
        scanner.stop()


def screened(arguments: argparse.Namespace, scanner: Scanner) -> int:
    """The same with whatever has devices scanned."""
    places = _places(arguments)
    clear(places.out)
    sha256 = file_sha256(places.subject)
    records = read_records(absolute(arguments.digest, "the record"), sha256) if arguments.digest else {}
    devices = _devices(arguments, places.subject)
    with scratch_folder() as scratch:
        found = screen(
            devices,
            lambda device, which: _order(arguments, places, device, scratch / f"{which}-{device.name}"),
            scanner,
            records,
            at_once=len(devices),
            note=lambda text: print(visible(text), file=sys.stderr, flush=True),
        )
    host = os.environ.get(NODE_NAME) or socket.gethostname()
    return end(arguments, places.out, machine_report(places.subject, sha256, host, found, recorded=bool(records)))


def _places(arguments: argparse.Namespace) -> Places:
    subject = absolute(arguments.subject, "the plan")
    if not subject.is_file():
        raise InvalidInput(f"{subject} is no file: name a TensorRT plan, or an .onnx file to try it on the CPU")
    data = absolute(arguments.data, "the folder of inputs") if arguments.data else None
    if data and not data.is_dir():
        raise InvalidInput(f"{data} is no folder: name one with .npz files, one feed each")
    plugins = tuple(str(absolute(each, "a plugin library")) for each in arguments.plugin)
    if plugins and is_onnx(subject):
        raise InvalidInput("--plugin is of a TensorRT plan: an .onnx file is run by ONNX Runtime")
    if missing := next((each for each in plugins if not Path(each).is_file()), None):
        raise InvalidInput(f"{missing} is no file: name a plugin library")
    return Places(subject, absolute(arguments.out, "the folder for the report"), data, plugins)


def _devices(arguments: argparse.Namespace, subject: Path) -> Sequence[Device]:
    """The devices that there are; those in use are waited for as long as is asked."""
    if is_onnx(subject):
        return _stand_ins(arguments.devices or "1")
    names = [name.strip() for name in (arguments.devices or "").split(",") if name.strip()]
    until = time.monotonic() + arguments.wait
    while True:
        found = chosen(gpus(), names)
        left = until - time.monotonic()
        if left <= 0 or not any(device.skipped.startswith("in use") for device in found):
            break
        time.sleep(min(POLL_SECONDS, left))
    if not found:
        raise InvalidInput("nvidia-smi lists no GPU: give the process one (nvidia.com/gpu: 1)")
    return found


def _stand_ins(text: str) -> list[Device]:
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= count <= MOST_STAND_INS:
        raise InvalidInput(f"--devices of an .onnx file is a number of stand-ins, 1 to {MOST_STAND_INS}, got {text!r}")
    return stand_ins(count)


def _order(arguments: argparse.Namespace, places: Places, device: Device, answers: Path) -> Order:
    answers.mkdir(parents=True, exist_ok=True)
    return Order(
        subject=str(places.subject),
        device=device.name,
        plugins=places.plugins,
        feeds=str(places.data) if places.data else None,
        count=arguments.count,
        batch=arguments.batch,
        runs=arguments.runs,
        heat=arguments.heat,
        seconds=arguments.seconds,
        answers=str(answers),
    )
