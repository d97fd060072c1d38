"""The same candidates as `tests.bench.trials`, each in a task and a process of its own: as Pods run them.

python -m tests.bench.held_tasks FOLDER TRIALS            # the golden task, then every candidate's
python -m tests.bench.held_tasks FOLDER TRIALS KEY        # the task of this key
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import Task, cache_folder, plan
from tests.bench.held import candidate, held_nodes, spec
from tests.bench.programs import ROOT, python


def tasks(folder: Path, count: int) -> dict[str, Task]:
    """The golden task and the candidates', by key."""
    asked = [candidate(f"c{number}", node) for number, node in enumerate(held_nodes(count))]
    out = f"file://{folder}/out"
    planned = plan(parse(AuditSpec, spec(asked, folder / "out")), "bench", output=out, cache=cache_folder(out))
    return {task.key: task for task in planned if task.kind in ("golden", "candidate")}


def run(task: Task) -> None:
    """As `assay task` does, but with ONNX Runtime in TensorRT's place."""
    import tempfile

    from assay_runner.allocation import keep_freed_memory

    keep_freed_memory()
    from assay_runner.progress.tracker import Tracker
    from assay_runner.progress.views import PlainView
    from assay_runner.stores import open_store
    from assay_runner.tasks import Context, run_task

    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(task.spec.storage, ROOT)
        view = Tracker(PlainView(sys.stderr))
        run_task(task, Context(store, Path(scratch), view, backend="onnxruntime", resume=False))


def main() -> None:
    """Run one task here, or all of them, each in a process."""
    folder, count, *key = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    if key:
        run(tasks(folder, count)[key[0]])
        return
    for name in tasks(folder, count):
        subprocess.run(python("tests.bench.held_tasks", folder, count, name), check=True)


if __name__ == "__main__":
    main()
