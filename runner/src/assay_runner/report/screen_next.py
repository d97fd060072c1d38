"""What to do about what a screening found, as docs/screening.md advises it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from assay_api.names import ANNOTATION_RERUN
from assay_api.report import Verdict
from assay_runner.report.markup import Html, el
from assay_runner.report.screen_shown import DeviceShown

Line = list[Html | str]


def steps_for(shown: DeviceShown) -> Iterator[Line]:
    """What to do about one device that differs, hangs or died: steps, in order."""
    if shown.entry.verdict is Verdict.FAILED:
        yield from _named(shown)
        return
    if shown.entry.confirmed:
        yield ["No other device of its class did better: try a plan that is known to run here before blaming any."]
        return
    yield [
        "It is not named. Screen it again, with more runs where it was seen in few of them (",
        _code("spec.runs"), ", ", _code("--runs"), "): a second scan that says the same names it.",
    ]  # fmt: skip


def _named(shown: DeviceShown) -> Iterator[Line]:
    yield [
        "Take its node out of service, for nothing was cordoned: in a cluster ", _code("kubectl", "cordon", shown.host),
        ", and stop what computes on it there: its results since the last screening that passed may be wrong.",
    ]  # fmt: skip
    if shown.whole_node:
        yield [
            "See what the driver says on it (", _code("nvidia-smi"), " and Xid messages in ", _code("dmesg"),
            "), and start it again.",
        ]  # fmt: skip
    else:
        yield [
            "Find the board: on its node ", _code("nvidia-smi", "-q", "-i", shown.entry.device),
            " tells serial number, bus and ECC errors",
            *([" and ", _code("dmesg"), " the driver's Xid messages"] if shown.outcome == "hung" else []),
            ". Give it to its vendor's diagnosis, together with this page.",
        ]  # fmt: skip
    yield [
        "After the repair screen the node again before it serves: a ", _code("GpuScreening"), " that tolerates ",
        _code("node.kubernetes.io/unschedulable"), ", or ", _code("assay", "screen", "PLAN", "--digest", "ANSWERS"),
        " on it.",
    ]  # fmt: skip


def steps_unclear() -> Iterator[Line]:
    """What to do about devices that were scanned, and of which nothing can be said."""
    yield [
        "Where nothing says which answer is right, screen against a record of the same plan (",
        _code("spec.record"), ", ", _code("--digest"), "), or three devices of the class together.",
    ]  # fmt: skip


def steps_skipped(of: str) -> Iterator[Line]:
    """What to do about devices that were not scanned; `of`: `namespace/name` in the cluster, or nothing."""
    yield ["Mend what each reason names, then screen again", *_again(of), ": what was skipped is no pass."]


def steps_kept() -> Iterator[Line]:
    """What to do where most devices said what is right, and all agreed."""
    yield [
        "Where three GPUs of a class or more agreed, keep what they answered as the record (",
        _code("status.report.record"), " into ", _code("spec.record"), ", ", _code("--record"),
        "): from then on one GPU alone can be judged, and a majority that is wrong is told.",
    ]  # fmt: skip


def _again(of: str) -> Line:
    namespace, _, name = of.partition("/")
    if not name:
        return []
    words = ("kubectl", "annotate", "screening", name, "-n", namespace, "--overwrite", f"{ANNOTATION_RERUN}=again-1")
    return [" (", _code(*words), ", with a word that is new)"]


def _code(*words: str) -> Html:
    return el("code", None, shlex.join(words))
