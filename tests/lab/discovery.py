"""Definitions on an API server that tests share, and what kubectl knows of them.

An API server publishes what a definition defines a moment after that is established, and until a moment after it is
gone. kubectl remembers for hours what it was told, and takes a word such as `assay` for all that it remembers of that
category: one definition that is gone fails every later test that says such a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.kubectl import Kubectl
from tests.lab.processes import wait_until

__all__ = ["defined", "establish", "published"]

OURS = ("--server-side", "--force-conflicts")


def establish(kubectl: Kubectl, *files: Path, how: Sequence[str] = OURS) -> None:
    """Apply the definitions in files, and wait until kubectl finds what they define."""
    _establish(kubectl, [*how, *(f"--filename={file}" for file in files)])


@contextmanager
def defined(kubectl: Kubectl, definition: Mapping[str, Any]) -> Iterator[None]:
    """Have a definition on the server, and afterwards neither there nor in what kubectl remembers of it."""
    try:
        _establish(kubectl, [*OURS, "--filename=-"], json.dumps(definition))
        yield
    finally:
        name = definition["metadata"]["name"]
        kubectl("delete", "customresourcedefinition", name, "--ignore-not-found")
        wait_until(lambda: name not in _listed(kubectl, {name}), f"{name} to be gone from discovery", 60)


def _establish(kubectl: Kubectl, words: Sequence[str], stdin: str | None = None) -> None:
    applied = kubectl("apply", *words, "--output=name", stdin=stdin).split()
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *applied)
    published(kubectl, *(each.partition("/")[2] for each in applied))


def published(kubectl: Kubectl, *names: str) -> None:
    """Wait until kubectl finds what definitions of these names define."""
    wait_until(lambda: _listed(kubectl, set()).issuperset(names), f"{', '.join(names)} to be in discovery", 60)


def _listed(kubectl: Kubectl, unknown: set[str]) -> set[str]:
    """What the API server has, as `plural.group`, asked anew: what kubectl remembered is replaced by it.

    `unknown` where it is just changing its mind about a group, for which kubectl then has no answer.
    """
    done = kubectl.attempt("api-resources", "--output=name")
    return unknown if done.returncode else set(done.stdout.split())
