"""What a newcomer pastes: docs/getting-started.md's way into a cluster, and what other pages go on with there.

A cluster of its own, made and left by the page's own commands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shown
from tests.e2e.place import ROOT, given_kubeconfig
from tests.lab import cache_dir, step
from tests.lab.cluster import require_namespaces
from tests.lab.images import require_buildah
from tests.lab.processes import wait_until
from tests.walk import Shell, Step, section, steps

pytestmark = pytest.mark.skipif(given_kubeconfig() is not None, reason="makes a cluster of its own, as the page does")
GETTING_STARTED = "docs/getting-started.md"
# What makes a shell this one's: a make around the tests, a display to open pages on, another's keys.
OTHERS = ("MAKE", "AWS_", "KUBECONFIG", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "MFLAGS", "S3_FROM_PODS", "PYTEST_")
PAGES = Path("/tmp")
SHARED = ("bin", "containers", "images", "locks")


def page(name: str, title: str) -> list[Step]:
    """The commands that a page has below a heading; some, or there would be nothing to hold it to."""
    found = list(steps(section(ROOT / name, title), name))
    assert found, f"{name} has no command below {title!r}"
    return found


@pytest.fixture(scope="module")
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A newcomer's shell in the root of the repository; the cluster goes with it."""
    with shown(request):
        require_namespaces()
        require_buildah()
    folder = tmp_path_factory.mktemp("walk")
    # Only the record of the cluster that runs is of its own: programs and images come from the usual cache.
    cache = folder / "cache"
    cache.mkdir()
    for name in SHARED:
        (cache / name).symlink_to(cache_dir(name))
    given = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    before = set(PAGES.glob("assay-*"))
    opened = Shell(ROOT, given | {"ASSAY_CACHE": str(cache), "TMPDIR": str(PAGES)}, folder / "shell")
    yield opened
    stopped = opened.run("make down")
    for fetched in set(PAGES.glob("assay-*-cpu-*")) - before:
        shutil.rmtree(fetched)
    assert stopped == (0, "The cluster is stopped.\n")


@pytest.fixture(scope="module")
def walked(shell: Shell, request: pytest.FixtureRequest) -> Shell:
    """The shell after all of the page's commands."""
    with shown(request), step(f"walking {GETTING_STARTED}"):
        for found in page(GETTING_STARTED, "## In a cluster"):
            shell.walk(found)
    return shell


def answer(shell: Shell, command: str) -> str:
    """What a command prints that must succeed."""
    status, printed = shell.run(command)
    assert status == 0, printed
    return printed


def status_of(shell: Shell, audit: str) -> dict[str, Any]:
    """The status of an audit."""
    found: dict[str, Any] = json.loads(answer(shell, f"kubectl get audit {audit} -o json"))["status"]
    return found


def test_getting_started_gets_there(walked: Shell) -> None:
    """Every command ends, and prints, as the page shows; that is held while it is walked."""
    status = status_of(walked, "digits-cpu")
    assert (status["verdict"], status["phase"]) == ("Passed", "Complete")
    assert all(candidate["verdict"] == "Passed" for candidate in status["candidates"])


def test_the_audit_of_the_readme_goes_through_its_own_commands_and_a_pipeline_s(walked: Shell, tmp_path: Path) -> None:
    (audit,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    inside = answer(walked, 'printf %s "$S3_FROM_PODS"')
    (tmp_path / "audit.yaml").write_text(audit.replace("https://s3.example.com", inside))
    here = Shell(tmp_path, {}, tmp_path / "shell")
    shutil.copy(walked.state, here.state)
    of_readme, of_pipelines = page("README.md", "# Assay")[:3], page("docs/gitops.md", "## Without any of them")
    assert "kubectl get" in of_readme[-1].command
    for found in (*of_readme, *of_pipelines):
        here.walk(found)
    assert "Passed" in here.walk(of_readme[-1])


def test_an_endpoint_that_pods_do_not_reach_is_seen_as_the_page_says(walked: Shell) -> None:
    """The example as it lies, without `sed`."""
    name = "nowhere"
    answer(walked, f"sed 's/name: digits-cpu/name: {name}/' examples/cluster/digits-cpu.yaml | kubectl apply -f -")
    text = section(ROOT / GETTING_STARTED, "### An endpoint that Pods do not reach")
    (block,) = re.findall(r"^```shell\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for command in block.replace("NAME", name).splitlines():
        told = "cannot connect to https://s3.example.com"
        wait_until(partial(_says, walked, command, told), f"`{command}` says {told}", 60, every=1)
    answer(walked, f"kubectl delete audit {name}")


def test_the_security_page_is_right_about_an_editor(walked: Shell) -> None:
    """The last: from here on the policies hold."""
    for found in page("docs/security.md", "### To see it"):
        walked.walk(found)


def _says(shell: Shell, command: str, told: str) -> bool:
    return told in shell.run(command)[1]
