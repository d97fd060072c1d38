"""One network repaired by `assay repair`, and by Polygraphy: each to its end, or to the end of its time."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.files import MODEL, SNR
from tests.bench.limited import ended_within
from tests.bench.peer_precision import bisected, engine_of
from tests.bench.programs import ROOT, python
from tests.documents import HERE, audit

__all__ = ["AUDIT", "document", "last_json", "ours", "repair_told", "theirs"]

BUILDS: Final = 12
AUDIT: Final = "audit.yaml"
COUNTED: Final = 90.0
"""Seconds that reading a model into a network may take."""


def document(name: str, batch: int, level: int, backend: str, minutes: int) -> dict[str, Any]:
    """An audit of one candidate in FP16, by the limit that Polygraphy's check has, with its repair.

    `rewrite: false`: Polygraphy has nothing like it, and what is compared is which nodes are kept wide.
    """
    candidate: dict[str, Any] = {"name": "fp16", "backend": backend, "precision": "fp16"}
    if backend == "tensorrt":
        candidate |= {"typing": "strong", "build": {"optimizationLevel": level}}
    remedies = {"precision": {"rewrite": False}, "budget": {"builds": BUILDS, "minutes": minutes}}
    checks = [{"outputDrift": {"snr": SNR}}]
    return audit(name, HERE + MODEL, f"{HERE}data", [candidate], checks, {"batch": batch}, remedies=remedies)


def ours(folder: Path, spec: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run `assay repair`; what its report says."""
    out, file = folder / "out", folder / AUDIT
    shutil.rmtree(out, ignore_errors=True)
    file.write_text(json.dumps(spec))
    begin = time.monotonic()
    argv = python("assay_runner", "repair", "-f", file, "--out", out)
    code = ended_within(argv, folder, folder / "assay.log", limit)
    told: dict[str, Any] = {"seconds": round(time.monotonic() - begin, 1), "code": code}
    report = out / "report.json"
    if code is None or not report.is_file():
        lines = (folder / "assay.log").read_text(errors="replace").splitlines()
        return told | {"outcome": "out of time" if code is None else "no report", "said": lines[-3:]}
    return told | repair_told(json.loads(report.read_bytes()), out)


def repair_told(report: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Outcome, builds, nodes kept wide and engine to ship of the one remedy `precision`."""
    remedies = [each for entry in report.get("repair", ()) for each in entry["remedies"]]
    if not remedies:
        return {"outcome": "no repair", "said": [str(report.get("verdict"))]}
    [entry], [remedy] = report["repair"], [each for each in remedies if each["remedy"] == "precision"]
    laid, kept = out / "recommended" / "model.plan", remedy.get("deploy", {}).get("plan")
    plan = laid if laid.is_file() or not kept else Path(kept.removeprefix("file://"))
    return {
        "outcome": remedy["outcome"],
        "minimal": remedy.get("minimal"),
        "nodesKept": len(remedy.get("wide", {})),
        "wide": remedy.get("wide", {}),
        "builds": entry["builds"],
        "emulations": entry["proposals"],
        "repairSeconds": round(entry["seconds"], 1),
        "trials": [[*map(t.get, ("oracle", "split", "wide", "verdict", "seconds"))] for t in entry["trials"]],
        "message": remedy["message"],
        "plan": str(plan) if plan.is_file() else None,
    }


def theirs(folder: Path, level: int, all_fp16: bool, limit: float) -> dict[str, Any]:
    """Run Polygraphy; how many nodes its answer, or the least that it can still come to, keeps in FP32."""
    found = bisected(folder, level, all_fp16, limit)
    told = found.told()
    engine = engine_of(folder, found.steps)
    told["plan"] = str(engine) if engine else None
    for key, first in (("kept", found.kept), ("atLeast", found.least)):
        if first is not None:
            told[key] = _counted(folder, first)
    return told


def _counted(folder: Path, first: int) -> dict[str, Any]:
    words = python("tests.bench.peer_layers", folder / MODEL, first)
    try:
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COUNTED)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {COUNTED:g} s"}
    return last_json(ended.stdout) or {"error": ended.stderr[-300:]}


def last_json(text: str) -> dict[str, Any]:
    """The last line of what a program printed; empty where that is no object."""
    try:
        found = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
