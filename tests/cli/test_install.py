"""The distributions as a stranger installs them: the built files, an empty environment, a model that is shipped."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.attested import held
from tests.lab import Unavailable

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
UV = ROOT / ".uv" / "bin" / "uv"
NAMES = ("assay_api", "assay_operator", "assay_runner")
LIMIT_MB = 300
"""What an installation without GPU may take."""


def called(*words: str | Path, cwd: Path, code: int = 0) -> str:
    """Output of a command that must end with that code, in an environment that knows nothing of this tree."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON")}
    quiet = {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=kept | quiet, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` leaves; asks the package index for the build's own tools."""
    if not UV.exists():
        raise Unavailable("the distributions are built by uv, which make .venv/.dev installs")
    folder = tmp_path_factory.mktemp("dist")
    probe = [sys.executable, "-m", "venv", str(folder / "probe")]
    subprocess.run(probe, check=True, capture_output=True)
    asked = [str(folder / "probe" / "bin" / "pip"), "download", "-q", "--no-deps", "--dest", str(folder), "hatchling"]
    if (found := subprocess.run(asked, capture_output=True, text=True)).returncode:
        raise Unavailable(f"no package index can be reached: {found.stderr.strip().splitlines()[-1]}")
    built = folder / "dist"
    called("make", "dist", f"DIST={built}", cwd=ROOT)
    return built


def test_each_distribution_is_a_wheel_and_an_sdist_with_its_licence(dist: Path) -> None:
    for name in NAMES:
        [wheel], [source] = dist.glob(f"{name}-*.whl"), dist.glob(f"{name}-*.tar.gz")
        with zipfile.ZipFile(wheel) as archive:
            inside = archive.namelist()
        assert any(path.endswith("licenses/LICENSE") for path in inside)
        assert f"{name}/py.typed" in inside
        assert not [path for path in inside if path.startswith("tests")]
        with tarfile.open(source) as tar:
            assert {"LICENSE", "README.md", "pyproject.toml"} <= {Path(path).name for path in tar.getnames()}


def test_provenance_names_every_file_and_what_it_was_built_from(dist: Path) -> None:
    told = json.loads((dist / "assay.provenance.json").read_text())
    predicate = held(told)
    files = [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]
    assert {each["name"]: each["digest"]["sha256"] for each in told["subject"]} == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
    names = {each["name"] for each in predicate["buildDefinition"]["resolvedDependencies"]}
    assert {"uv.lock", "hatchling"} <= names
    assert len(predicate["runDetails"]["byproducts"]) == len(NAMES)


def audited(command: Path, folder: Path) -> None:
    """Help, a draft and a run, by an installed `assay`, somewhere where nothing of this tree lies."""
    assert "usage: assay" in called(command, "--help", cwd=folder)
    called(command, "init", DIGITS / "digits-cnn.onnx", DIGITS / "data", "-o", "audit.yaml", cwd=folder)
    # One of the drafted candidates may fail, which is an answer; only another code is a fault.
    ended = called(command, "run", "-f", "audit.yaml", "--out", "out", cwd=folder, code=1)
    assert "Recommendation:" in ended
    assert (folder / "out" / "report.html").stat().st_size > 10_000
    assert (folder / "out" / "report.json").exists()


def test_pip_installs_what_was_built_and_it_audits(dist: Path, tmp_path: Path) -> None:
    called(sys.executable, "-m", "venv", "fresh", cwd=tmp_path)
    programs = tmp_path / "fresh" / "bin"
    called(programs / "pip", "install", "-q", "--no-compile", "--find-links", dist, "assay-runner", cwd=tmp_path)
    files = (path for path in (tmp_path / "fresh").rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) < LIMIT_MB * 1_000_000
    audited(programs / "assay", tmp_path)


def python_3_10() -> str:
    """An interpreter of Python 3.10: on the path, or one of pyenv's, whose names on the path need not work."""
    candidates: list[str | Path] = ["python3.10", *sorted(Path.home().glob(".pyenv/versions/3.10.*/bin/python3.10"))]
    for candidate in candidates:
        try:
            subprocess.run([candidate, "-c", "import venv"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(candidate)
    raise Unavailable("no Python 3.10 on this machine")


def test_python_3_10_does(dist: Path, tmp_path: Path) -> None:
    called(UV, "venv", "-q", "--python", python_3_10(), "old", cwd=tmp_path)
    python = tmp_path / "old" / "bin" / "python"
    called(UV, "pip", "install", "-q", "--python", python, "--find-links", dist, "assay-runner", cwd=tmp_path)
    assert called(python, "--version", cwd=tmp_path).startswith("Python 3.10")
    # Names in annotations are looked up when a type is made: every one of the contract is.
    walk = (
        "import importlib, pkgutil, assay_api as api\n"
        "for found in pkgutil.iter_modules(api.__path__):\n"
        "    importlib.import_module(f'assay_api.{found.name}')"
    )
    called(python, "-c", walk, cwd=tmp_path)
    audited(tmp_path / "old" / "bin" / "assay", tmp_path)


def test_uvx_runs_it_and_the_extra_for_gpus_resolves(dist: Path, tmp_path: Path) -> None:
    version = called(
        UV, "tool", "run", "-q", "--find-links", dist, "--from", "assay-runner", "assay", "--version", cwd=tmp_path
    )
    assert version.startswith("assay ")
    called(UV, "venv", "-q", "--python", sys.executable, "gpu", cwd=tmp_path)
    python = tmp_path / "gpu" / "bin" / "python"
    planned = called(
        *(UV, "pip", "install", "--dry-run", "--python", python),
        *("--find-links", dist, "assay-runner[gpu]"),
        cwd=tmp_path,
    )
    assert "cuda-bindings==12.9" in planned
    assert "tensorrt" not in planned


def test_pipx_installs_it(dist: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    called(
        *("env", f"PIPX_HOME={home}", f"PIPX_BIN_DIR={tmp_path / 'bin'}", UV, "tool", "run", "-q", "pipx", "install"),
        *("--python", sys.executable, "--pip-args", f"--no-compile --find-links {dist}", "assay-runner"),
        cwd=tmp_path,
    )
    assert called(tmp_path / "bin" / "assay", "--version", cwd=tmp_path).startswith("assay ")
