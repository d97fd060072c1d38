"""Audit the models that PyPI packages ship, hold each answer against a second opinion, and write the table.

python -m tests.real cpu   [--only NAMES] [--precisions P]     every candidate, emulated by ONNX Runtime
python -m tests.real stage DIR [--only NAMES]                  models and inputs for a machine without network
python -m tests.real repair [--only NAMES] [--precisions P]    `assay repair` of every candidate that fails
python -m tests.real gpu   DIR [--only NAMES] [--precisions P] engines of what was staged, by TensorRT
python -m tests.real repair-engines DIR [--json FILE]          `assay repair` of every engine that fails
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.gpu_repair import at_least_one
from tests.bench.programs import ProgramFailed
from tests.lab import Unavailable, say
from tests.real import engine_repairs, repairs
from tests.real.engines import engine_opinion
from tests.real.models import MODELS
from tests.real.runs import audited, disagreements, second_opinion
from tests.real.staging import PRECISIONS, stage, staged
from tests.real.table import PAGE, Row, row, write

ROOT = Path(__file__).parents[2]


def names(text: str, known: Sequence[str]) -> list[str]:
    """A list of the command line."""
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in known]:
        raise argparse.ArgumentTypeError(f"takes {','.join(known)}; got {','.join(unknown)}")
    return chosen


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("cpu", "stage", "repair", "gpu", "repair-engines"))
    parser.add_argument("folder", nargs="?", type=Path, help="where models are staged")
    parser.add_argument("--only", type=lambda text: names(text, tuple(MODELS)), default=list(MODELS), metavar="NAMES")
    parser.add_argument("--precisions", type=lambda text: names(text, PRECISIONS), default=list(PRECISIONS))
    parser.add_argument("--level", type=int, help="optimisation level of engines (default TensorRT's)")
    parser.add_argument("--samples", type=int, help="stage so many of each model, not as many as are audited")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "real", help="where reports are left")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "repair-engines.json", help="results of repair-engines"
    )
    parser.add_argument("--told", type=Path, help="such results of another machine: nothing is run")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of repair-engines")
    parser.add_argument(
        "--each", type=at_least_one, default=engine_repairs.MINUTES, metavar="MINUTES", help="for one of repair-engines"
    )
    parser.add_argument("--builds", type=at_least_one, default=engine_repairs.BUILDS, help="for one of repair-engines")
    parser.add_argument("--workers", type=at_least_one, default=3, help="repairs of engines at once")
    parser.add_argument("--backend", default="tensorrt", help="of repair-engines; onnxruntime tries it without a GPU")
    parser.add_argument("--page", type=Path, help="whose table is written")
    asked = parser.parse_args()
    if asked.command in ("stage", "gpu", "repair-engines") and asked.folder is None:
        parser.error(f"{asked.command} needs the folder of the staged models")
    return asked


def staging(asked: argparse.Namespace) -> int:
    """Write the chosen models and their inputs; what is there already stays."""
    for name in asked.only:
        if not (target := asked.folder / name).is_dir():
            if asked.samples:
                stage(name, target, asked.samples)
            else:
                shutil.copytree(staged(name), target)
            say(f"{target}: {sum(file.stat().st_size for file in target.rglob('*') if file.is_file()) / 1e6:.1f} MB")
    return 0


def one(asked: argparse.Namespace, name: str, precision: str) -> tuple[Row, bool]:
    """Audit one candidate of one model; its row, and whether all is as it should be."""
    on_gpu = asked.command == "gpu"
    folder = (asked.folder / name if on_gpu else staged(name)).absolute()
    try:
        out, backend = asked.out.absolute(), "tensorrt" if on_gpu else "onnxruntime"
        ran = audited(name, precision, folder, out, backend, asked.level if on_gpu else None)
    except ProgramFailed as error:
        lines = str(error).splitlines()
        said = next((line for line in lines if line.startswith("assay: ")), lines[-1])
        return Row((name, precision, "**crashed**", "–", said, "–", "–")), False
    if not ran.report:
        return row(ran, None, ()), False
    other = engine_opinion(ran, folder) if on_gpu else second_opinion(ran, folder)
    wrong = list(disagreements(ran, other)) if other else []
    return row(ran, other, wrong), not wrong


def auditing(asked: argparse.Namespace) -> int:
    """Audit, print and write; 1 where anything disagrees with the second opinion or was no audit."""
    bad = False
    for name in asked.only:
        for precision in asked.precisions:
            line, good = one(asked, name, precision)
            print(line, flush=True)
            write([line], asked.command, asked.page or PAGE)
            bad = bad or not good
    return int(bad)


def repairing(asked: argparse.Namespace) -> int:
    """Repair, print and write; no outcome is a fault, but a command that ends in an error is."""
    for name, precision in repairs.FAILING:
        if name in asked.only and precision in asked.precisions:
            line = repairs.repair_row(repairs.repaired(name, precision, staged(name), asked.out.absolute()))
            print(line, flush=True)
            write([line], "repair", asked.page or repairs.PAGE, repairs.HEAD)
    return 0


def repairing_engines(asked: argparse.Namespace) -> int:
    """Repair engines, print the table and write it, where a page is named."""
    chosen = [row for row in engine_repairs.FAILING if row[0] in asked.only and row[1] in asked.precisions]
    if asked.told:
        rows = engine_repairs.rows_told(asked.told, chosen)
    else:
        rows = engine_repairs.repair_engines(
            asked.folder.absolute(), chosen, asked.json.absolute(), asked.out.absolute(), level=asked.level or 0,
            minutes=asked.minutes, workers=asked.workers, each=asked.each, builds=asked.builds,
            backend=asked.backend,
        )  # fmt: skip
    print(*rows, sep="\n", flush=True)
    if asked.page:
        write(rows, "repair-engines", asked.page, engine_repairs.HEAD)
    return 0


def main() -> int:
    """Do what is asked for."""
    asked = arguments()
    does = {"stage": staging, "repair": repairing, "repair-engines": repairing_engines}
    try:
        return does.get(asked.command, auditing)(asked)
    except (Unavailable, ProgramFailed) as error:
        print(f"tests.real: {error}", file=sys.stderr)
        return 69 if isinstance(error, Unavailable) else 70


if __name__ == "__main__":
    raise SystemExit(main())
