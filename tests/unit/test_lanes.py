from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.lanes import APART, LANES, LONG, lane

ROOT = Path(__file__).parents[2]


def test_what_a_lane_names_is_there() -> None:
    paths = [*APART, *LONG, *(path for row in LANES.values() for path in row)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_what_needs_one_server_is_one_lane_and_any_other_file_its_own() -> None:
    assert lane("tests/api/test_crd.py::test_a[x::y]") == lane("tests/chart/test_apiserver.py::test_b")
    assert lane("tests/unit/test_docs.py::test_c") == "tests/unit/test_docs.py"
    assert lane("tests/e2e/test_images.py::test_d") != lane("tests/e2e/test_audits.py::test_e") == "a cluster"
    assert lane("tests/operator/test_run.py::test_h") != lane("tests/operator/test_leader.py::test_i")
    assert lane("tests/operator/test_upgrades.py::test_j") != lane("tests/operator/test_upgrade.py::test_k")
    assert lane("tests/e2e/test_getting_started.py::test_f") == lane("tests/lab/test_cluster.py::test_g") != "a cluster"


def test_what_is_known_to_be_long_is_a_lane_of_its_own() -> None:
    assert [file for file in LONG if lane(f"{file}::test_a") != file] == []


def test_lanes_of_an_operator_are_shared_out() -> None:
    """None has so many of the files that it is the end of the run."""
    files = [f"tests/operator/{path.name}" for path in (ROOT / "tests" / "operator").glob("test_*.py")]
    shares = Counter(lane(file) for file in files)
    assert len(shares) == 3
    assert max(shares.values()) <= len(files) / 2
