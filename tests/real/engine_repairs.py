"""Real models that fail as engines, repaired: several at a time, each in a budget, results written as they come.

What is staged (`python -m tests.real stage DIR`) is audited by TensorRT with two checks that need no other engine, and
repaired by `assay repair`. The table of docs/repair-real.md is printed; the same and more is written as JSON.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import say
from tests.bench.limited import ended_within
from tests.bench.programs import python
from tests.real.repairs import best_of
from tests.real.staging import audit, write_audit
from tests.real.table import Row, shortened

__all__ = ["BUILDS", "FAILING", "HEAD", "MINUTES", "document", "engine_row", "repair_engines", "rows_told", "told_by"]

FAILING: Final = (
    ("nudenet", "int8"),
    ("pp-ocr-rec", "int8"),
    ("pp-ocr-det", "int8"),
    ("pp-ocr-det", "fp16"),
    ("basic-pitch", "fp16"),
    ("magika", "fp16"),
    ("pp-ocr-cls", "int8"),
    ("pp-ocr-rec", "bf16"),
    ("magika", "bf16"),
)
"""Those that TensorRT 10.6 builds and that fail, FP16 and BF16 with types in the graph; what takes long first."""
HEAD: Final = (
    "model", "engine", "what became of it", "nodes kept wider", "builds", "emulations", "seconds", "SNR before",
    "SNR after",
)  # fmt: skip
CHECKS: Final = ("finite", "outputDrift")
BUILDS: Final = 8
MINUTES: Final = 4
PROPOSALS: Final = 300
GRACE: Final = 60.0
"""Seconds for the audit before the search, and for that of what was found."""


def document(
    name: str, precision: str, level: int, backend: str = "tensorrt", minutes: int = MINUTES, builds: int = BUILDS
) -> dict[str, Any]:
    """The audit of one staged model with its repair: types in the graph, so that an engine in FP16 is one."""
    found = audit(name, precision, backend, CHECKS, level if backend == "tensorrt" else None)
    found["metadata"]["name"] = f"{name}-{precision}-engine"
    if backend == "tensorrt" and precision != "int8":
        found["spec"]["candidates"][0]["typing"] = "strong"
    eight_bits: dict[str, Any] = {"calibration": {}, "weightOnly": {}} if precision == "int8" else {}
    budget = {"builds": builds, "minutes": minutes, "proposals": PROPOSALS}
    found["spec"]["remedies"] = {**eight_bits, "precision": {}, "budget": budget}
    return found


def repaired(staged: Path, out: Path, spec: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run `assay repair` on the staged files; what its report says."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    begin = time.monotonic()
    argv = python("assay_runner", "repair", "-f", write_audit(spec, staged), "--out", out / "out")
    code = ended_within(argv, out, out / "assay.log", limit)
    told: dict[str, Any] = {"seconds": round(time.monotonic() - begin, 1), "code": code}
    report = out / "out" / "report.json"
    if code is None or not report.is_file():
        said = (out / "assay.log").read_text(errors="replace").splitlines()[-3:]
        return told | {"outcome": "out of time" if code is None else "no report", "message": " / ".join(said)}
    return told | told_by(json.loads(report.read_bytes()))


def told_by(report: Mapping[str, Any]) -> dict[str, Any]:
    """Outcome, nodes kept, builds, and the worst SNR: of the candidate on all samples, of its cure on unseen ones."""
    first, *others = report["candidates"]
    found: dict[str, Any] = {"verdict": first["verdict"], "before": snr(report, first["name"]), "remedies": []}
    if first.get("error"):
        return found | {"outcome": "refused", "message": first["error"]}
    if not report.get("repair"):
        return found | {"outcome": first["verdict"], "message": "the candidate needs no repair"}
    [entry] = report["repair"]
    remedies = [each for each in entry["remedies"] if each["outcome"] != "DoesNotApply"]
    best = best_of(remedies)
    cure = next((each for each in others if each["name"] == (best or {}).get("repaired")), None)
    recommended = report.get("recommendation", {}).get("candidate")
    return found | {
        "outcome": best["outcome"] if best else "nothing applies",
        "by": best["remedy"] if best else None,
        "message": best["message"] if best else "",
        "remedies": [[each["remedy"], each["outcome"], len(each.get("wide", {}))] for each in remedies],
        "messages": {each["remedy"]: each["message"] for each in remedies},
        "wide": next((each.get("wide", {}) for each in remedies if each["remedy"] == "precision"), {}),
        "builds": entry["builds"], "emulations": entry["proposals"], "repairSeconds": round(entry["seconds"], 1),
        "unseen": entry["unseenSamples"], "after": snr(report, cure["name"]) if cure else None,
        "recommended": recommended,
        "cures": {each["name"]: [each["verdict"], snr(report, each["name"])] for each in others},
    }  # fmt: skip


def snr(report: Mapping[str, Any], candidate: str) -> float | str | None:
    """The worst SNR in dB of any output, and of channels that have a scale of their own; words where it has none."""
    found = [f["details"] for f in report["findings"] if (f["check"], f["candidate"]) == ("outputDrift", candidate)]
    spreads = [each.get("snr") for details in found for each in (details, *details.get("groups", ()))]
    figures = [spread["worst"] for spread in spreads if spread]
    words = [each for each in figures if isinstance(each, str) and each != "Infinity"]
    numbers = [float(each) for each in figures if not isinstance(each, str)]
    return words[0] if words else round(min(numbers), 2) if numbers else "equal" if figures else None


def engine_row(name: str, precision: str, told: Mapping[str, Any]) -> Row:
    """One row of the table."""
    others = "; ".join(
        f"{remedy}: {outcome}" for remedy, outcome, *_ in told.get("remedies", ()) if remedy != told["by"]
    )
    said = f"{told['outcome']}{' by ' + told['by'] if told.get('by') else ''}: {told.get('message', '')}"
    kinds = Counter(told.get("wide", {}).values())
    wide = ", ".join(f"{count} in {kind.upper()}" for kind, count in sorted(kinds.items())) or "–"
    before, after = (
        f"{each} dB" if isinstance(each, float) else each or "–" for each in map(told.get, ("before", "after"))
    )
    counts = (str(told.get(key, "–")) for key in ("builds", "emulations"))
    what = f"{shortened(said)} ({others})" if others else shortened(said)
    return Row((name, precision, what, wide, *counts, f"{told['seconds']:.0f} s", before, after))


def rows_told(file: Path, chosen: Sequence[tuple[str, str]]) -> list[Row]:
    """The rows of results that lie in a file."""
    results = json.loads(file.read_text())
    return [engine_row(*row, results["-".join(row)]) for row in chosen if "-".join(row) in results]


def repair_engines(
    folder: Path, chosen: Sequence[tuple[str, str]], file: Path, out: Path, *, level: int, minutes: float, workers: int,
    each: int = MINUTES, builds: int = BUILDS, backend: str = "tensorrt",
) -> list[Row]:  # fmt: skip
    """Repair all of them, each in `builds` and `each` minutes, all within `minutes`; writes `file` after each."""
    until, lock = time.monotonic() + 60 * minutes, threading.Lock()
    results: dict[str, dict[str, Any]] = {}
    file.parent.mkdir(parents=True, exist_ok=True)

    def one(row: tuple[str, str]) -> Row:
        name, precision = row
        left = min(60.0 * each + GRACE, until - time.monotonic())
        if left <= GRACE / 2:
            told: dict[str, Any] = {"outcome": "not begun", "seconds": 0.0}
        else:
            spec = document(name, precision, level, backend, each, builds)
            told = repaired(folder / name, out / f"{name}-{precision}-engine", spec, left)
        with lock:
            results["-".join(row)] = told
            part = file.with_suffix(".part")
            part.write_text(json.dumps(results, indent=1))
            part.replace(file)
        say(f"{name} {precision}: {told['outcome']} after {told['seconds']} s")
        return engine_row(name, precision, told)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, chosen))
