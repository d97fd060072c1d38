"""Screenings as reports have them, for pages: one of each outcome, one without a fault, and a thousand nodes."""

from __future__ import annotations

from typing import Any, Final

from assay_api.finding import Verdict
from assay_api.screening import DeviceClass, DeviceEntry, Difference, PhaseCount, RightAnswers, ScreenReport
from assay_runner.screening.judging import conclusion

H100: Final = DeviceClass(product="NVIDIA H100 80GB HBM3", driver="580.65.06", ecc="Enabled")
MIG: Final = DeviceClass(product="NVIDIA A100-SXM4-80GB", driver="580.65.06", mig="1g.10gb", ecc="Enabled")
UNKNOWN: Final = DeviceClass(product="unknown")
RIGHT: Final = tuple(f"{which:x}" * 32 for which in range(1, 5))
RUNS: Final = 30_004
EXCLUDED: Final = f"faults in more than 1.0e-04 of runs are excluded (95 %, {RUNS} runs)"
AGREES: Final = f"every answer is that of most devices; {EXCLUDED}"
BUSY: Final = "in use by 1 process: 4711 (python)"
CORDONED: Final = "it is cordoned: uncordon it, or tolerate node.kubernetes.io/unschedulable"
LOOK: Final = "give a record"


def uuid(node: int, gpu: int) -> str:
    return f"GPU-{node:08x}-0000-4000-8000-{gpu:012x}"


def device(node: int, gpu: int, verdict: Verdict = Verdict.PASSED, **fields: Any) -> DeviceEntry:
    """A device of a node that agreed, unless fields say otherwise."""
    whole: dict[str, Any] = {
        "device": uuid(node, gpu), "host": f"worker-{node:03d}", "kind": H100, "state": "Scanned", "verdict": verdict,
        "message": AGREES, "runs": RUNS, "answers": RIGHT, "seconds": 64.2, "milliseconds": 2.04, "clock_mhz": 1755,
        "phases": phases(0),
    }  # fmt: skip
    if verdict is Verdict.PASSED:
        whole["excludes"] = 3 / RUNS
    return DeviceEntry(**{**whole, **fields})


def phases(deviations: int) -> tuple[PhaseCount, ...]:
    cold = PhaseCount(name="cold", runs=4, deviations=0, seconds=0.03)
    return cold, PhaseCount(name="warm", runs=RUNS - 4, deviations=deviations, seconds=61.5)


def rare(node: int, gpu: int) -> DeviceEntry:
    """One that deviates now and then, and did so in its second scan too."""
    part = Difference(
        input=2, tensor="logits", elements=205, of=1024, first=(3, 8, 13, 18), bits=(7, 22), period=5, max_abs=0.125,
        digest="f" * 32, runs=7,
    )  # fmt: skip
    words = f"7 of {RUNS} runs deviate from most devices of its class, on 1 of 4 inputs; again in a second scan of it"
    more = {"deviations": 7, "confirmed": True, "phases": phases(7), "differences": (part,)}
    return device(node, gpu, Verdict.FAILED, message=words, **more)


def always(node: int, gpu: int) -> DeviceEntry:
    """One whose commonest answer is another, alone on its node."""
    words = "its answers deviate from most devices of its class in 2 scans"
    answers = (RIGHT[0], "e" * 32, *RIGHT[2:])
    return device(node, gpu, Verdict.FAILED, message=words, answers=answers, confirmed=True)


def hung(node: int, gpu: int) -> DeviceEntry:
    words = "hangs: no word for 120 s; again in a second scan of it"
    more: dict[str, Any] = {"answers": (), "runs": 411, "phases": (), "confirmed": True, "milliseconds": None}
    return device(node, gpu, Verdict.FAILED, message=words, **more)


def once(node: int, gpu: int) -> DeviceEntry:
    said = f"1 of {RUNS} runs deviate from most devices of its class, on 1 of 4 inputs"
    words = f"{said}; not again in 90012 runs of a second scan"
    return device(node, gpu, Verdict.INCONCLUSIVE, message=words, deviations=1, confirmed=False, phases=phases(1))


def busy(node: int, gpu: int) -> DeviceEntry:
    more: dict[str, Any] = {"answers": (), "runs": 0, "phases": (), "milliseconds": None, "clock_mhz": None}
    return device(node, gpu, Verdict.INCONCLUSIVE, state="Skipped", message=BUSY, **more)


def whole(node: int, message: str = CORDONED, **fields: Any) -> DeviceEntry:
    """A node of which no GPU could be looked at."""
    name = f"worker-{node:03d}"
    fields = {"state": "Skipped", "verdict": Verdict.INCONCLUSIVE, **fields}
    return DeviceEntry(device=f"node/{name}", host=name, kind=UNKNOWN, message=message, **fields)


def stuck(node: int) -> DeviceEntry:
    more = {"state": "Scanned", "verdict": Verdict.FAILED, "confirmed": True}
    return whole(node, "did not come to an end, nor in a second try", **more)


def screened(*devices: DeviceEntry, **fields: Any) -> ScreenReport:
    verdict, message = conclusion(devices)
    right = tuple(
        RightAnswers(kind=kind, rule="majority" if kind == H100 else "none", answers=RIGHT if kind == H100 else ())
        for kind in dict.fromkeys(each.kind for each in devices if each.answers)
    )
    made: dict[str, Any] = {
        "version": "1.0", "subject": "bert-h100.plan", "sha256": "ab12" * 16, "inputs": "9" * 32,
        "host": f"{len({each.host for each in devices})} machines", "made": "2026-11-27T02:14:09Z",
        "rule": "majority", "verdict": verdict, "message": message, "devices": devices, "right": right,
    }  # fmt: skip
    return ScreenReport(**{**made, **fields})


def good(nodes: int = 4, gpus: int = 8) -> ScreenReport:
    """All agreed."""
    return screened(*(device(node, gpu) for node in range(nodes) for gpu in range(gpus)))


def mixed() -> ScreenReport:
    """One of each outcome, in two classes, and nodes of which nothing is known."""
    fleet = {(node, gpu): device(node, gpu) for node in range(6) for gpu in range(8)}
    fleet |= {(1, 2): rare(1, 2), (2, 0): always(2, 0), (3, 7): hung(3, 7), (4, 1): once(4, 1)}
    fleet |= {(5, gpu): busy(5, gpu) for gpu in (4, 5)}
    slices = [device(9, gpu, Verdict.INCONCLUSIVE, kind=MIG, message=LOOK, device=f"MIG-{gpu}") for gpu in range(2)]
    return screened(*fleet.values(), *slices, whole(10), whole(11), stuck(12))


def many(nodes: int = 1000, gpus: int = 8) -> ScreenReport:
    """A fleet of 8,000: a few named, a node in ten busy in part, some skipped as a whole."""
    fleet = {(node, gpu): device(node, gpu) for node in range(nodes) for gpu in range(gpus)}
    fleet |= {(17, 3): rare(17, 3), (404, 0): always(404, 0), (808, 7): hung(808, 7), (900, 1): once(900, 1)}
    fleet |= {(node, 5): busy(node, 5) for node in range(0, nodes, 10)}
    return screened(*fleet.values(), *(whole(node) for node in range(nodes, nodes + 20)))


def all_differ(nodes: int = 1000, gpus: int = 8) -> ScreenReport:
    """The worst for a page: every device is named."""
    return screened(*(rare(node, gpu) for node in range(nodes) for gpu in range(gpus)))
