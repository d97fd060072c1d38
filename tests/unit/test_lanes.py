from __future__ import annotations

from pathlib import Path

from tests.lanes import APART, LANES, lane

ROOT = Path(__file__).parents[2]


def test_what_a_lane_names_is_there() -> None:
    paths = [*APART, *(path for row in LANES.values() for path in row)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_what_needs_one_server_is_one_lane_and_any_other_file_its_own() -> None:
    assert lane("tests/api/test_crd.py::test_a[x::y]") == lane("tests/chart/test_apiserver.py::test_b")
    assert lane("tests/unit/test_docs.py::test_c") == "tests/unit/test_docs.py"
    assert lane("tests/e2e/test_images.py::test_d") != lane("tests/e2e/test_audits.py::test_e") == "a cluster"
    assert lane("tests/e2e/test_getting_started.py::test_f") == lane("tests/lab/test_cluster.py::test_g") != "a cluster"
