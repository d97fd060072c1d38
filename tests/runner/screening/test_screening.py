"""Screening with devices that compute wrongly: which are named, by which rule, and what is said of the others."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from assay_api.finding import Verdict
from assay_api.screening import AnswerRecord, DeviceClass, DeviceEntry
from assay_runner.errors import InvalidInput, as_audit_error, name_of
from assay_runner.screening.feeding import made_up
from assay_runner.screening.judging import Device, conclusion
from assay_runner.screening.orders import Order, Scan
from assay_runner.screening.processes import Processes, Scanner
from assay_runner.screening.records import read_records, record_bytes, records_of
from assay_runner.screening.scanning import scan
from assay_runner.screening.screening import Screened, screen
from tests.models import loaded, mlp
from tests.runner.screening.faulty import FAULTS, faulty

CPU = DeviceClass(product="CPU")
Faults = Mapping[str, Mapping[str, Any]]


class Here:
    """Scans in this process, which starts none: whatever does not hang or die."""

    def scan(self, order: Order) -> Scan:
        try:
            with faulty(order) as subject:
                feeds = made_up(subject.specs, order.count, order.batch)
                return scan(subject, feeds, order, lambda runs: None)
        except Exception as error:
            failure = as_audit_error(error)
            return Scan(device=order.device, ended="Refused", message=str(failure), error=name_of(failure))

    def stop(self) -> None:
        """It starts nothing."""


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loaded(mlp(), tmp_path_factory.mktemp("subject")).path


@pytest.fixture
def screening(subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Screened]:
    def run(
        faults: Faults,
        devices: int | list[Device] = 3,
        scanner: Scanner | None = None,
        record: AnswerRecord | None = None,
        **order: Any,
    ) -> Screened:
        monkeypatch.setenv(FAULTS, json.dumps(faults))
        there = [Device(f"cpu-{n}", CPU) for n in range(devices)] if isinstance(devices, int) else devices

        def ordered(device: Device, which: str) -> Order:
            answers = tmp_path / f"{which}-{device.name}"
            answers.mkdir(exist_ok=True)
            fields = {"runs": 200, "seconds": 60.0, **order}
            return Order(subject=str(subject), device=device.name, answers=str(answers), **fields)

        records = {record.kind: record} if record else {}
        return screen(there, ordered, scanner or Here(), records, at_once=1)

    return run


def of(found: Screened, device: str) -> DeviceEntry:
    return next(entry for entry in found.entries if entry.device == device)


def recorded(found: Screened) -> AnswerRecord:
    (record,), lacking = records_of(found.entries, "0" * 64, found.inputs)
    assert not lacking
    return record


def test_three_that_agree_name_nobody_and_say_what_is_excluded(screening: Callable[..., Screened]) -> None:
    found = screening({})
    assert [entry.verdict for entry in found.entries] == [Verdict.PASSED] * 3
    entry = found.entries[0]
    assert (entry.runs, entry.deviations) == (208, 0)
    assert entry.excludes == pytest.approx(3 / 208)
    assert [(phase.name, phase.runs) for phase in entry.phases] == [("cold", 8), ("warm", 200)]
    verdict, message = conclusion(found.entries)
    assert verdict is Verdict.PASSED
    assert "healthy" not in message
    assert "more than 1.4e-02 of runs are excluded" in message


@pytest.mark.parametrize(
    ("fault", "bits", "period", "elements"),
    [
        ({"kind": "bits", "bits": [0]}, (0,), None, 1),
        ({"kind": "bits", "bits": [3, 22, 31], "element": 2}, (3, 22, 31), None, 1),
        ({"kind": "period", "period": 2}, (31,), None, 2),
    ],
)
def test_a_constant_fault_is_named_with_its_bits(
    screening: Callable[..., Screened],
    fault: Mapping[str, Any],
    bits: tuple[int, ...],
    period: int | None,
    elements: int,
) -> None:
    found = screening({"cpu-1": fault})
    entry = of(found, "cpu-1")
    assert (entry.verdict, entry.confirmed, entry.deviations) == (Verdict.FAILED, True, 208)
    assert "208 of 208 runs deviate from most devices of its class, on 8 of 8 inputs" in entry.message
    first = entry.differences[0]
    assert (first.bits, first.period, first.elements, first.of) == (bits, period, elements, 4)
    assert (first.digest, first.runs) == (entry.answers[first.input], 26)
    assert {e.verdict for e in found.entries if e.device != "cpu-1"} == {Verdict.PASSED}
    assert conclusion(found.entries) == (Verdict.FAILED, "3 of 3 devices scanned; named: cpu-1")


def test_a_periodic_fault_tells_its_period(screening: Callable[..., Screened]) -> None:
    entry = of(screening({"cpu-0": {"kind": "period", "period": 5}}, batch=8), "cpu-0")
    assert (entry.differences[0].period, entry.differences[0].first[:3]) == (5, (0, 5, 10))


def test_a_fault_of_one_run_in_ten_thousand_is_found(screening: Callable[..., Screened]) -> None:
    record = recorded(screening({}))
    fault = {"cpu-0": {"kind": "rarely", "one_in": 10_000}}
    entry = of(screening(fault, devices=1, runs=30_000, record=record), "cpu-0")
    assert entry.verdict is Verdict.FAILED, entry.message
    assert 1 <= entry.deviations <= 12
    assert entry.excludes is None


def test_a_fault_that_shows_once_it_is_warm_is_told_by_phase(screening: Callable[..., Screened]) -> None:
    entry = of(screening({"cpu-0": {"kind": "bits", "bits": [1], "after": 151}}), "cpu-0")
    assert [(phase.name, phase.deviations) for phase in entry.phases] == [("cold", 0), ("warm", 58)]
    assert entry.verdict is Verdict.FAILED


def test_what_does_not_show_again_is_not_named(screening: Callable[..., Screened], tmp_path: Path) -> None:
    found = screening({"cpu-0": {"kind": "once", "file": str(tmp_path / "spent")}})
    entry = of(found, "cpu-0")
    assert (entry.verdict, entry.confirmed, entry.deviations) == (Verdict.INCONCLUSIVE, False, 1)
    # One in 208 runs was wrong: it takes three times as many to see it again with 95 %.
    assert "1 of 208 runs deviate" in entry.message
    assert "not again in 624" in entry.message or "not again in 608" in entry.message


def test_two_that_differ_name_nobody_and_a_record_tells_which(screening: Callable[..., Screened]) -> None:
    fault = {"cpu-1": {"kind": "bits", "bits": [4]}}
    two = screening(fault, devices=2)
    assert [entry.verdict for entry in two.entries] == [Verdict.INCONCLUSIVE] * 2
    assert all("two name nobody" in entry.message for entry in two.entries)
    held = screening(fault, devices=2, record=recorded(screening({})))
    assert [entry.verdict for entry in held.entries] == [Verdict.PASSED, Verdict.FAILED]
    assert "deviate from the record" in of(held, "cpu-1").message
    # Two faults of one kind would be most of three: a record names both.
    both = {f"cpu-{n}": {"kind": "bits", "bits": [4]} for n in (0, 1)}
    majority, digest = screening(both), screening(both, record=recorded(screening({})))
    assert [entry.verdict for entry in majority.entries] == [Verdict.PASSED, Verdict.PASSED, Verdict.FAILED]
    assert [entry.verdict for entry in digest.entries] == [Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]


def test_one_alone_is_held_against_itself_only(screening: Callable[..., Screened]) -> None:
    alone = screening({"cpu-0": {"kind": "bits", "bits": [0]}}, devices=1)
    assert alone.entries[0].verdict is Verdict.INCONCLUSIVE
    assert "nothing else to hold it against" in alone.entries[0].message
    varies = screening({"cpu-0": {"kind": "varies"}}, devices=1)
    assert "the plan or the device varies" in varies.entries[0].message
    record = recorded(screening({}))
    assert screening({"cpu-0": {"kind": "varies"}}, devices=1, record=record).entries[0].verdict is Verdict.FAILED


def test_a_plan_that_varies_everywhere_blames_no_device(screening: Callable[..., Screened]) -> None:
    found = screening({f"cpu-{n}": {"kind": "varies"} for n in range(3)})
    assert [entry.verdict for entry in found.entries] == [Verdict.INCONCLUSIVE] * 3
    assert all("the subject itself" in entry.message for entry in found.entries)


def test_classes_are_judged_apart_and_what_is_skipped_is_no_pass(screening: Callable[..., Screened]) -> None:
    other = DeviceClass(product="CPU", ecc="Disabled")
    devices = [*(Device(f"cpu-{n}", CPU) for n in range(3)), Device("cpu-3", other), Device("cpu-4", CPU, "in use")]
    found = screening({}, devices=devices)
    assert [entry.verdict for entry in found.entries] == [Verdict.PASSED] * 3 + [Verdict.INCONCLUSIVE] * 2
    assert "nothing else to hold it against" in of(found, "cpu-3").message
    assert (of(found, "cpu-4").state, of(found, "cpu-4").message) == ("Skipped", "in use")
    assert conclusion(found.entries) == (Verdict.INCONCLUSIVE, "4 of 5 devices scanned; 1 inconclusive, 1 skipped")
    assert conclusion(()) == (Verdict.INCONCLUSIVE, "0 of 0 devices scanned; 0 inconclusive, 0 skipped")


def test_what_hangs_dies_or_is_refused_is_told_and_stops_nobody(screening: Callable[..., Screened]) -> None:
    faults = {
        "cpu-1": {"kind": "hangs", "after": 20},
        "cpu-2": {"kind": "dies", "after": 20},
        "cpu-3": {"kind": "refuses"},
        "cpu-4": {"kind": "breaks", "after": 20},
        "cpu-5": {"kind": "breaks", "after": 20, "refuses": True},
        "cpu-6": {"kind": "breaks", "after": 0, "refuses": True},
    }
    scanner = Processes(silence=4.0, module="tests.runner.screening.faulty")
    found = screening(faults, devices=7, scanner=scanner, runs=2000)
    hung, dead, refused = (of(found, f"cpu-{n}") for n in (1, 2, 3))
    assert (hung.verdict, hung.confirmed) == (Verdict.FAILED, True)
    assert hung.message.startswith("hangs: no word for 4 s, after ")
    assert (dead.verdict, dead.confirmed) == (Verdict.FAILED, True)
    assert "its process died (signal 11)" in dead.message
    assert (refused.state, refused.message) == ("Skipped", "the plan cannot be loaded here")
    broken = of(found, "cpu-4")
    assert (broken.verdict, broken.confirmed) == (Verdict.FAILED, True)
    assert "a run failed: cudaStreamSynchronize failed with cudaErrorECCUncorrectable" in broken.message
    assert "a run failed: the engine did not run: launch failed" in of(found, "cpu-5").message
    assert (of(found, "cpu-5").verdict, of(found, "cpu-6").state) == (Verdict.FAILED, "Skipped")
    assert of(found, "cpu-0").deviations == 0


@pytest.mark.parametrize("when", ["before", "while it starts", "while it runs"])
def test_what_is_stopped_ends_whenever_that_is(
    subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A request to stop may come in one thread while another one has not yet noted the process that it starts."""
    order = Order(subject=str(subject), device="cpu-0", runs=10**8, count=1, answers=str(tmp_path))
    scanner, started = Processes(silence=60.0), list[subprocess.Popen[str]]()

    class Watched(subprocess.Popen[str]):
        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            started.append(self)
            if when == "while it starts":
                scanner.stop()

    monkeypatch.setattr(subprocess, "Popen", Watched)
    if when == "before":
        scanner.stop()
    later = threading.Timer(0.5, scanner.stop)
    later.start()
    told = scanner.scan(order)
    later.join()
    assert told.ended == "Died"
    assert [each.returncode for each in started] == ([] if when == "before" else [-signal.SIGKILL])


def test_what_a_plugin_prints_spoils_nothing(screening: Callable[..., Screened]) -> None:
    scanner = Processes(silence=20.0, module="tests.runner.screening.faulty")
    (one,) = screening({"cpu-0": {"kind": "prints"}}, devices=1, scanner=scanner, runs=20).entries
    assert (one.runs, one.verdict) == (28, Verdict.INCONCLUSIVE), one.message


def test_a_clock_that_is_told_late_is_no_silence_of_the_device(subject: Path, tmp_path: Path) -> None:
    order = Order(subject=str(subject), device="cpu-0", runs=1, count=1, answers=str(tmp_path))
    told: list[int] = []
    with faulty(order) as opened:

        class Slow:
            specs, run = opened.specs, opened.run

            def clock(self) -> int:
                time.sleep(1.2)
                return 1980

        found = scan(Slow(), made_up(opened.specs, 1, 1), order, told.append)
    # Twice, but where this process itself was waited for.
    assert (found.clock_mhz, told[-1:]) == (1980, [2])
    assert [phase.seconds for phase in found.phases if phase.seconds is None or phase.seconds > 1] == []


def test_what_every_device_dies_of_is_the_plans(screening: Callable[..., Screened]) -> None:
    """Died as a worker tells it, without the process."""

    class Dying(Here):
        def scan(self, order: Order) -> Scan:
            return Scan(device=order.device, ended="Died", message="a run failed: out of luck")

    every = screening({}, devices=2, scanner=Dying())
    assert {entry.verdict for entry in every.entries} == {Verdict.INCONCLUSIVE}
    assert "look at the plan" in every.entries[0].message
    alone = screening({}, devices=1, scanner=Dying())
    assert (alone.entries[0].verdict, alone.entries[0].confirmed) == (Verdict.FAILED, True)


def test_a_record_is_of_one_plan_and_of_its_inputs(screening: Callable[..., Screened], tmp_path: Path) -> None:
    found = screening({})
    file = tmp_path / "record.json"
    file.write_bytes(record_bytes([recorded(found)]))
    assert read_records(file, "0" * 64) == {CPU: recorded(found)}
    with pytest.raises(InvalidInput, match="is a record of another file"):
        read_records(file, "1" * 64)
    for text in ("", "[]", "{}", '{"records": [{}]}', '{"records": 1}', "\x00"):
        file.write_text(text)
        with pytest.raises(InvalidInput, match="is no record of answers"):
            read_records(file, "0" * 64)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_records(tmp_path, "0" * 64)
    with pytest.raises(InvalidInput, match="of other inputs"):
        screening({}, record=recorded(found), batch=2)
    records, lacking = records_of(screening({"cpu-0": {"kind": "varies"}}).entries, "0" * 64, found.inputs)
    assert (records, lacking) == ([], "devices of CPU do not agree")
