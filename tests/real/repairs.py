"""Real models that fail, repaired: the table of docs/repair-real.md.

Processor time is told, for what else runs beside it does not change that; it holds the audit and the start, too.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.programs import Usage, python
from tests.real.measured import measured
from tests.real.staging import audit, write_audit
from tests.real.table import Row, shortened

__all__ = ["BUDGET", "FAILING", "PAGE", "Repair", "best_of", "repair_row", "repaired"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "repair-real.md"
HEAD: Final = ("model", "candidate", "what became of it", "nodes kept wider", "emulations", "processor time")
BUDGET: Final[Mapping[str, int]] = {"proposals": 300, "minutes": 60}
FAILING: Final = (
    ("pp-ocr-det", "fp16"),
    ("pp-ocr-det", "int8"),
    ("pp-ocr-cls", "int8"),
    ("pp-ocr-rec", "bf16"),
    ("pp-ocr-rec", "int8"),
    ("silero-vad", "bf16"),
    ("silero-vad", "int8"),
    ("nudenet", "int8"),
    ("ddddocr-old", "fp16"),
    ("ddddocr-det", "int8"),
    ("magika", "fp16"),
    ("magika", "bf16"),
    ("basic-pitch", "fp16"),
    ("basic-pitch", "int8"),
    ("akiki-vad", "int8"),
    ("tashkeel", "fp16"),
)
"""Every candidate of the list that fails and that a repair may look for a cure of."""
ENDED: Final = (0, 1, 2)
OUTCOMES: Final = ("Cured", "SearchOnly", "NotCured", "OutOfBudget", "Inconclusive")


@dataclass(frozen=True)
class Repair:
    """How the repair of one candidate ended.

    Attributes:
        entry: of the report; empty where the candidate needed no repair.
    """

    name: str
    precision: str
    folder: Path
    used: Usage
    entry: dict[str, Any]

    @property
    def remedies(self) -> list[dict[str, Any]]:
        """What came of each remedy that applies."""
        return [each for each in self.entry.get("remedies", ()) if each["outcome"] != "DoesNotApply"]

    @property
    def to_ship(self) -> Path | None:
        """The model to ship; None where there is none."""
        found = self.folder / "out" / "recommended" / "model.onnx"
        return found if found.is_file() else None

    @property
    def cured(self) -> bool:
        """Whether a cure passes on unseen samples."""
        return any(each["outcome"] == "Cured" for each in self.remedies)


def repaired(name: str, precision: str, staged: Path, out: Path, budget: Mapping[str, int] = BUDGET) -> Repair:
    """Run `assay repair` with every remedy.

    Raises:
        ProgramFailed: it ended as no repair may: a bug, or something unavailable.
    """
    folder = out / f"{name}-{precision}-repair"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    document = audit(name, precision)
    document["metadata"]["name"] = folder.name
    document["spec"]["remedies"] = {"auto": {}, "budget": dict(budget)}
    argv = python("assay_runner", "repair", "-f", write_audit(document, staged), "--out", folder / "out")
    used = measured(argv, folder / "assay.log", ENDED)
    report = json.loads((folder / "out" / "report.json").read_bytes())
    entry: dict[str, Any] = next(iter(report.get("repair", ())), {})
    return Repair(name, precision, folder, used, entry)


def best_of(remedies: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The remedy that came to most; None where none applies."""
    return next((each for outcome in OUTCOMES for each in remedies if each["outcome"] == outcome), None)


def repair_row(found: Repair) -> Row:
    """One row of the table."""
    told = found.remedies
    best = best_of(told)
    others = "; ".join(f"{each['remedy']}: {each['outcome']}" for each in told if each is not best)
    nothing = "nothing applies" if found.entry else "the candidate passes, and needs no repair"
    said = f"{best['outcome']} by {best['remedy']}: {best['message']}" if best else nothing
    precision = next((each for each in told if each["remedy"] == "precision"), {})
    kinds = Counter(precision.get("wide", {}).values())
    wide = ", ".join(f"{count} in {kind.upper()}" for kind, count in sorted(kinds.items())) or "–"
    what = f"{shortened(said)} ({others})" if others else shortened(said)
    cells = (found.name, found.precision, what, wide, str(found.entry.get("proposals", 0)))
    return Row((*cells, f"{found.used.cpu_seconds:.0f} s"))
