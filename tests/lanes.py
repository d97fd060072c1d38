"""How several workers share the tests (`pytest -n`): in lanes, of which each runs whole and in order in one worker.

What needs the same server is one lane, so that few workers start a second one; every other file is a lane of its own.
The longest begin first, and those that mostly wait beside those that compute: short lanes fill the end. A run in one
process keeps the order of `testpaths`.
"""

from __future__ import annotations

from typing import Any

import pytest

# What runs beside each other though it lies in one folder, or together though it does not, in the order in which they
# begin. Those of one folder are about as long as each other: one that took half the run would be the end of it.
LANES = {
    "a cluster": ("tests/e2e/",),
    "operators with servers of their own": tuple(
        f"tests/operator/test_{name}.py"
        for name in (
            "definition", "deleted", "disruptions", "leader", "parts", "policy", "resilience", "sweep_faults",
            "upgrade", "waiting",
        )
    ),
    "an API server": ("tests/api/", "tests/chart/", "tests/lab/test_servers.py"),
    "an operator's audits": ("tests/operator/",),
    "a cluster with GPUs": ("tests/gpu_e2e/",),
    "an operator's sweeps": tuple(
        f"tests/operator/test_{name}.py"
        for name in (
            "baselines", "drift", "forged", "kinds", "mutations", "screenings", "skew", "standby", "start",
            "sweep_schedule", "sweeps", "targets", "trace", "upgrades",
        )
    ),
    "clusters of the lab": ("tests/e2e/test_getting_started.py", "tests/lab/test_cluster.py"),
    "a browser": ("tests/pages/",),
    "S3": ("tests/s3/",),
}  # fmt: skip
# Files that take longest among those that are a lane each: what begins last is to be short.
LONG = (
    "tests/cli/test_install.py",
    "tests/real/test_real.py",
    "tests/fuzz/test_fuzz.py",
    "tests/cli/test_damaged_cache.py",
    "tests/cli/test_deaths.py",
    "tests/runner/remedies/test_budgets.py",
    "tests/cli/test_yaml_files.py",
    "tests/runner/remedies/test_repair_by_tactics.py",
    "tests/runner/remedies/test_engines.py",
    "tests/contract/test_seams.py",
    "tests/contract/test_cache.py",
    "tests/runner/remedies/test_killed.py",
    "tests/cli/test_cures.py",
    "tests/cli/test_walked.py",
)
# Reads the images that the cluster runs, and needs no cluster: by then they are built.
APART = ("tests/e2e/test_images.py",)


def lane(nodeid: str) -> str:
    """The lane of a test: of its own file, unless a row of the table names it; the row that names it most closely."""
    file = nodeid.split("::")[0]
    named = ((len(path), name) for name, paths in LANES.items() for path in paths if file.startswith(path))
    return max(named, default=(0, file))[1] if file not in APART else file


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest lanes first where several workers take them in turn."""
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate((*LANES, *APART, *LONG))}
        items.sort(key=lambda item: rank.get(lane(item.nodeid), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out lanes, in the order of the tests."""
    # A machine with a GPU may have no more than pytest.
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lane
    return scheduler
