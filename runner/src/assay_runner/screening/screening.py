"""One screening: every device scanned, those that deviate scanned once more, all of it put into one report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry, Difference
from assay_runner.errors import NAMED, Internal, InvalidInput
from assay_runner.screening.answers import counted, differences, kept
from assay_runner.screening.judging import Device, Truth, entry, runs_to_confirm, suspected, truth_of
from assay_runner.screening.orders import Order, Scan
from assay_runner.screening.processes import Scanner

MOST_DIFFERENCES: Final = 8
SECOND_TIMES: Final = 3
"""A second scan takes at most so many times the first one's time: what shows rarely takes longer to show again."""


@dataclass(frozen=True)
class Screened:
    """What came of all devices.

    Attributes:
        entries: one per device, in order.
        truths: what counted as right, by class.
        inputs: digest of the inputs; empty where nothing was scanned.
    """

    entries: tuple[DeviceEntry, ...]
    truths: Mapping[DeviceClass, Truth] = field(default_factory=dict)
    inputs: str = ""


def screen(
    devices: Sequence[Device],
    order: Callable[[Device, str], Order],
    scanner: Scanner,
    records: Mapping[DeviceClass, AnswerRecord],
    at_once: int,
    note: Callable[[str], None] = lambda text: None,
) -> Screened:
    """Screen devices.

    Args:
        devices: all that there are; some may be skipped.
        order: what one is asked to do, in its first or second scan.
        scanner: has it done.
        records: right answers that are stored, by class.
        at_once: devices scanned at the same time.
        note: told what goes on.

    Raises:
        InvalidInput: records are of other inputs, or the subject or its inputs cannot be used.
        Unavailable: no device could run it, all for one reason.
    """
    free = [device for device in devices if not device.skipped]
    first = _scans({device: order(device, "first") for device in free}, scanner, at_once, note)
    _check_refused(first.values())
    _check_inputs(first.values(), records)
    truths = _truths(first, records)
    doubtful = [device for device, scan in first.items() if suspected(scan, truths[device.kind])]
    seconds = {each: _second(order(each, "second"), first[each], truths[each.kind]) for each in doubtful}
    again = _scans(seconds, scanner, at_once, note)
    entries = tuple(_entry(device, first, truths, again) for device in devices)
    inputs = next((scan.inputs for scan in first.values() if scan.inputs), "")
    return Screened(entries, truths, inputs)


def _scans(
    orders: Mapping[Device, Order], scanner: Scanner, at_once: int, note: Callable[[str], None]
) -> dict[Device, Scan]:
    """The scans of some devices, in their order."""
    with ThreadPoolExecutor(max(at_once, 1)) as pool:
        try:
            told = list(pool.map(lambda each: _told(scanner.scan(each), note), orders.values()))
        except BaseException:
            # Else leaving the pool would wait for devices that nobody asks about any more.
            scanner.stop()
            raise
    return dict(zip(orders, told, strict=True))


def _check_refused(scans: Collection[Scan]) -> None:
    """Do nothing where a device could be run. Where all refuse with one sentence, no device is to blame."""
    said = {(scan.error, scan.message) for scan in scans}
    if len(said) == 1 and all(scan.ended == "Refused" for scan in scans):
        ((error, message),) = said
        raise NAMED.get(error, Internal)(message)


def _told(scan: Scan, note: Callable[[str], None]) -> Scan:
    note(f"{scan.device}: {scan.runs} runs in {scan.seconds:.0f} s" + (f", {scan.message}" if scan.message else ""))
    return scan


def _check_inputs(scans: Iterable[Scan], records: Mapping[DeviceClass, AnswerRecord]) -> None:
    told = {scan.inputs for scan in scans if scan.inputs}
    for record in records.values():
        if told and record.inputs not in told:
            raise InvalidInput(
                "the record is of other inputs: give the --data, --count and --batch that it was recorded with"
            )


def _truths(scans: Mapping[Device, Scan], records: Mapping[DeviceClass, AnswerRecord]) -> dict[DeviceClass, Truth]:
    """What counts as right, by class."""
    by_class: dict[DeviceClass, list[Scan]] = {}
    for device, scan in scans.items():
        by_class.setdefault(device.kind, [])
        if scan.ended == "Done":
            by_class[device.kind].append(scan)
    return {kind: truth_of(told, records.get(kind)) for kind, told in by_class.items()}


def _second(order: Order, scan: Scan, truth: Truth) -> Order:
    """The second scan of a device: until it deviates again, or for as many runs as that should take."""
    inputs = len(scan.by_input())
    complete = inputs and all(which in truth.answers for which in range(inputs))
    right = tuple(truth.answers[which] for which in range(inputs)) if complete else ()
    runs = runs_to_confirm(scan, truth, order.runs * SECOND_TIMES)
    return order.model_copy(update={"right": right, "runs": runs, "seconds": order.seconds * SECOND_TIMES})


def _entry(
    device: Device, first: Mapping[Device, Scan], truths: Mapping[DeviceClass, Truth], again: Mapping[Device, Scan]
) -> DeviceEntry:
    truth, scan = truths.get(device.kind, Truth()), first.get(device)
    others = [s for d, s in first.items() if d.kind == device.kind and d != device and s.ended != "Refused"]
    made = entry(device, scan, truth, again.get(device), others)
    if scan is None or scan.ended != "Done" or made.state == "Skipped":
        return made
    return made.model_copy(update={"differences": _differences(scan, truth, others)})


def _differences(scan: Scan, truth: Truth, others: Sequence[Scan]) -> tuple[Difference, ...]:
    """Where the answers of a device differ from the right ones, as far as both are kept.

    Where nothing says which is right they are held against the device's own commonest; that of another device serves
    where the device never gave the right one.
    """
    files = {(a.input, a.digest): a.file for s in (scan, *others) for a in s.answers if a.file}
    own = scan.by_input()
    found: list[Difference] = []
    for answer in scan.answers:
        right = truth.answers.get(answer.input) or counted(own[answer.input])
        file, mine = files.get((answer.input, right)), answer.file
        if answer.digest != right and file and mine:
            told = {"digest": answer.digest, "runs": answer.count}
            made = differences(answer.input, kept(Path(file)), kept(Path(mine)))
            found += (each.model_copy(update=told) for each in made)
        if len(found) >= MOST_DIFFERENCES:
            break
    return tuple(found[:MOST_DIFFERENCES])
