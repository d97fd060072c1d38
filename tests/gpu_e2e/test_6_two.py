"""Two GPUs: two pods at once, each with one of its own, and one engine that gives the same bits on both."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.data import DATASETS, DIGITS
from tests.e2e.place import Place, Room
from tests.gpu_e2e.audits import engines
from tests.gpu_e2e.conftest import SECONDS
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import allocations, needs_real
from tests.gpu_e2e.pods import SCRIPT, ended, start
from tests.gpu_e2e.watching import watching
from tests.lab.gpus import Gpus

SOURCE = Path(__file__).with_name("both_devices.py")


def test_two_candidates_run_at_once_each_on_its_own(place: Place, two: Gpus, room: Room, evidence: Evidence) -> None:
    before = len(allocations(place))
    with watching(room) as watch:
        room.apply(engines("both", place.inside, two, maxParallel=2))
        room.wait("both", "Complete", SECONDS)
    given = allocations(place)[before:]
    evidence.fact("two GPUs", {"given": given, "at once": watch.most_on_gpus, "pods": watch.told()})
    assert set(given[:2]) == {gpu.id for gpu in two.devices[:2]}
    assert all(len(each.split()) == 1 for each in given)
    candidates = [seen for seen in watch.pods.values() if seen.kind == "candidate"]
    first, second = sorted(seen.since["scheduled"] for seen in candidates)[:2]
    assert second < min(seen.since["ended"] for seen in candidates if seen.since["scheduled"] == first)
    assert watch.most_on_gpus <= 2


def test_one_engine_gives_the_same_bits_on_both(two: Gpus, plan: str, room: Room, evidence: Evidence) -> None:
    needs_real(two, "an engine on two GPUs")
    part = sorted((DIGITS / "data").glob("*.npz"))[0].name
    uris = [plan, f"s3://{DATASETS}/digits/{part}"]
    command = ["python3", f"{SCRIPT}/main.py", *uris, "64"]
    start(room, "bits", {"main.py": SOURCE.read_text()}, command, len(two.devices))
    end = ended(room, "bits", 120)
    log = room.kubectl("logs", "bits")
    assert end["exitCode"] == 0, log
    made = json.loads(log.splitlines()[-1])
    evidence.fact("one engine on every GPU", made)
    assert len(made) == len(two.devices)
    assert all(each == made[0] for each in made)
