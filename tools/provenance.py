"""What was built, from what and by whom: an in-toto Statement with SLSA provenance, of facts known at the build alone.

`make dist` writes one of its wheels and sdists (`python -m tools.provenance DIST --started TIME`), `make image` one of
each image. It is no signature and claims no level: whoever signs it vouches for it (docs/provenance.md). Needs nothing
but the standard library, for `make dist` needs nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "https://assay.dev/build/{}/v1"
SOMEBODYS_MACHINE: Final = "https://assay.dev/builder/unidentified"
BUILDER_ID, INVOCATION_ID, SOURCE = "BUILDER_ID", "INVOCATION_ID", "SOURCE"
INVALID: Final = 64
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
Raw = dict[str, Any]


class ProvenanceError(Exception):
    """What keeps a statement from being written, in one sentence."""


@dataclass(frozen=True)
class Build:
    """One build.

    Attributes:
        target: of the Makefile.
        parameters: what whoever started it could choose.
        materials: descriptors of what went into it.
        tools: versions of what built it, by name.
        started: when, in UTC.
        byproducts: descriptors of what it made beside the subjects.
        internal: what the build chose by itself.
    """

    target: str
    parameters: Mapping[str, Any]
    materials: Sequence[Raw]
    tools: Mapping[str, str]
    started: str
    byproducts: Sequence[Raw] = ()
    internal: Mapping[str, Any] = field(default_factory=dict)


def statement(subjects: Sequence[Raw], build: Build, environment: Mapping[str, str], finished: str) -> Raw:
    """The statement.

    Args:
        subjects: descriptors of what was built.
        build: how.
        environment: names the builder (BUILDER_ID), and the invocation where there is one (INVOCATION_ID).
        finished: when, in UTC.

    Raises:
        ProvenanceError: nothing was built, or the builder's name is no URI.
    """
    if not subjects:
        raise ProvenanceError("nothing was built, so there is nothing to tell the provenance of")
    builder = environment.get(BUILDER_ID) or SOMEBODYS_MACHINE
    if not _URI.fullmatch(builder):
        raise ProvenanceError(f"{BUILDER_ID} is {builder!r}: give a URI, such as https://ci.example/assay/release")
    metadata = {"startedOn": build.started, "finishedOn": finished}
    if invocation := environment.get(INVOCATION_ID):
        metadata["invocationId"] = invocation
    definition = {
        "buildType": BUILD_TYPE.format(build.target),
        "externalParameters": {"target": build.target, **build.parameters},
        "internalParameters": dict(build.internal),
        "resolvedDependencies": list(build.materials),
    }
    run: Raw = {"builder": {"id": builder, "version": dict(build.tools)}, "metadata": metadata}
    if build.byproducts:
        run["byproducts"] = list(build.byproducts)
    predicate = {"buildDefinition": definition, "runDetails": run}
    return {"_type": STATEMENT, "subject": list(subjects), "predicateType": PREDICATE, "predicate": predicate}


def described(path: Path, name: str = "") -> Raw:
    """The descriptor of a file: its name, or another one, and its SHA-256."""
    with path.open("rb") as file:
        return {"name": name or path.name, "digest": {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}}


def source(root: Path, environment: Mapping[str, str]) -> list[Raw]:
    """The descriptor of the checkout that was built; none where it is no checkout of git.

    Where something in it was changed, or is no part of it, its commit is told without a digest: that was not built. The
    repository's address is told where SOURCE gives it. A checkout's own may hold somebody's password.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
    if commit is None or changed is None:
        return []
    where = environment.get(SOURCE, "")
    found: Raw = {"name": "source"}
    if where:
        found["uri"] = f"git+{where}@{commit}"
    if changed:
        return [{**found, "uri": found.get("uri", f"git:{commit}"), "annotations": {"modified": True}}]
    return [{**found, "digest": {"gitCommit": commit}}]


def built_by(wheels: Iterable[Path]) -> list[Raw]:
    """Descriptors of the build backends that wheels say they were made by."""
    told = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/WHEEL")]
            text = archive.read(name).decode()
        told |= {line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Generator:")}
    pairs = sorted(each.split() for each in told)
    return [{"name": name, "uri": f"pkg:pypi/{name}@{version}"} for name, version in pairs]


def now() -> str:
    """This moment, as statements have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def written(told: Raw, path: Path) -> None:
    """Write a statement."""
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")


def of_dist(folder: Path, started: str, uv: str, environment: Mapping[str, str]) -> Raw:
    """The statement of a folder of distributions, whose lists of what they need are its byproducts.

    Raises:
        ProvenanceError: there are none in it.
    """
    wheels, lists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.cdx.json"))
    subjects = [described(path) for path in (*wheels, *sorted(folder.glob("*.tar.gz")))]
    locked = [described(ROOT / name, name) for name in ("uv.lock", "pyproject.toml")]
    build = Build(
        target="dist", parameters={}, materials=(*source(ROOT, environment), *locked, *built_by(wheels)),
        tools={"uv": uv, "python": platform.python_version()}, started=started,
        byproducts=[described(path) for path in lists],
    )  # fmt: skip
    return statement(subjects, build, environment, now())


def _git(root: Path, *arguments: str) -> str | None:
    """What git says; None where it says nothing of this folder."""
    try:
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def main(arguments: Sequence[str]) -> int:
    """Write the statement of a folder of distributions; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.provenance", description=__doc__)
    parser.add_argument("folder", type=Path, help="where wheels and sdists are, and where the statement goes")
    parser.add_argument("--started", default=now(), help="when the build began, in UTC")
    parser.add_argument("--uv", default="", help="version of the uv that built them")
    asked = parser.parse_args(arguments)
    try:
        told = of_dist(asked.folder, asked.started, asked.uv, os.environ)
    except ProvenanceError as error:
        print(f"provenance: {error}", file=sys.stderr)
        return INVALID
    written(told, asked.folder / "assay.provenance.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
