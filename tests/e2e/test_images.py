"""What is in the two images and what is not."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.attested import held
from tests.e2e.place import ROOT
from tests.lab import LabError, images, toolchain
from tests.lab.provenance import of_image

SITE = re.compile(r"opt/assay/lib/python3\.\d+/site-packages/(.+)")
OPERATOR, RUNNER = images.OURS


@dataclass(frozen=True)
class Image:
    """An image's configuration, the paths of the files in it, and what it says of itself in `/licenses`."""

    config: Mapping[str, Any]
    files: frozenset[str]
    sbom: Mapping[str, Any]

    @staticmethod
    def read(archive: Path) -> Image:
        """Read a docker archive."""
        files: set[str] = set()
        sbom: dict[str, Any] = {}
        with tarfile.open(archive) as outer:
            (manifest,) = json.loads(contents(outer, "manifest.json"))
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=outer.extractfile(name)) as layer:
                    for entry in filter(tarfile.TarInfo.isfile, layer):
                        files.add(entry.name.removeprefix("./"))
                        if re.fullmatch(r"(\./)?licenses/assay-\w+\.cdx\.json", entry.name):
                            sbom = json.loads(contents(layer, entry.name))
            return Image(json.loads(contents(outer, manifest["Config"])), frozenset(files), sbom)

    def modules(self) -> set[str]:
        """Paths of what was installed, from site-packages on."""
        return {found[1] for path in self.files if (found := SITE.match(path))}


def contents(archive: tarfile.TarFile, name: str) -> bytes:
    """A member of a tar archive."""
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


@pytest.fixture(scope="module", params=images.OURS)
def image(request: pytest.FixtureRequest) -> tuple[str, Image]:
    """Each image, with its name."""
    tag: str = request.param
    return tag, Image.read(images.build(Path(images.OURS[tag]), tag))


def test_runs_as_nobody_in_particular(image: tuple[str, Image]) -> None:
    tag, made = image
    config = made.config["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["assay-operator" if tag == OPERATOR else "assay"]
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert environment["PATH"].startswith("/opt/assay/bin:")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == tag.split("/")[1].split(":")[0]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_holds_what_it_needs_and_nothing_else(image: tuple[str, Image]) -> None:
    tag, made = image
    needs, shuns = {"assay_operator", "kopf", "kubernetes"}, {"assay_runner", "numpy", "onnxruntime", "onnx", "boto3"}
    if tag == RUNNER:
        needs, shuns = shuns, needs
    packages = {path.split("/")[0] for path in made.modules()}
    assert needs | {"assay_api"} <= packages
    assert not shuns & packages
    assert not {"pytest", "ruff", "mypy", "uv"} & packages
    assert "licenses/LICENSE" in made.files
    assert not [path for path in made.files if path.startswith("src/") or path.endswith("/uv")]


def test_is_compiled_beforehand(image: tuple[str, Image]) -> None:
    _, made = image
    ours = {path for path in made.modules() if path.startswith("assay_")}
    sources = {path for path in ours if path.endswith(".py")}
    compiled = {re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc$", r"\1.py", path) for path in ours - sources}
    assert sources
    assert sources <= compiled


def test_bears_no_trace_of_where_it_was_built(image: tuple[str, Image]) -> None:
    _, made = image
    assert images.HOST_CA not in json.dumps(made.config)
    assert not [path for path in made.files if "host-ca" in path]


@pytest.mark.parametrize(
    ("dockerfile", "tag", "spoil", "says"),
    [
        (
            "operator/Dockerfile",
            "localhost/assay-no-python:1",
            "rm -rf /usr/bin/python3*",
            "no python3 of 3.11 or newer",
        ),
        ("Dockerfile.runner", "localhost/assay-no-venv:1", "rm -rf /usr/lib/python3*/venv", "neither pip nor venv"),
    ],
)
def test_base_that_does_not_serve_is_refused_in_one_sentence(
    tmp_path: Path, dockerfile: str, tag: str, spoil: str, says: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nUSER 0\nRUN {spoil}\n")
    base = f"--build-arg=BASE_IMAGE={images.default_base()}"
    with toolchain.locked("buildah"):
        images.buildah("bud", "--isolation", "chroot", "--layers", base, "--tag", tag, tmp_path)
    with pytest.raises(LabError, match=f"The base image has {says}"):
        images.build(ROOT / dockerfile, "localhost/assay-never:1", {"BASE_IMAGE": tag})


def test_its_provenance_is_known(image: tuple[str, Image]) -> None:
    tag, made = image
    archive = images.build(Path(images.OURS[tag]), tag)
    told = of_image(archive, tag, images.OURS[tag], "2026-01-01T00:00:00Z", {})
    predicate = held(told)
    file, identity = told["subject"]
    assert file["digest"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert identity["name"] == f"{tag} (image ID)"
    with toolchain.locked("buildah"):
        known = images.buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", tag).strip()
    assert identity["digest"]["sha256"] == known
    materials = {each["name"]: each for each in predicate["buildDefinition"]["resolvedDependencies"]}
    assert materials.keys() >= {"uv.lock", images.OURS[tag], images.default_base()}
    assert len(materials[images.default_base()]["digest"]["sha256"]) == 64
    (listed,) = predicate["runDetails"]["byproducts"]
    assert listed["name"] in made.files


def test_lists_what_is_in_it(image: tuple[str, Image]) -> None:
    tag, made = image
    name = tag.split("/")[1].split(":")[0]
    assert f"licenses/{name}.cdx.json" in made.files
    assert (made.sbom["bomFormat"], made.sbom["metadata"]["component"]["name"]) == ("CycloneDX", name)
    listed = {(same(each["name"]), each["version"]): each for each in made.sbom["components"]}
    there = {path.split("/")[0] for path in made.modules()}
    installed = {re.fullmatch(r"(.+)-([^-]+)\.dist-info", each) for each in there if each.endswith(".dist-info")}
    for found in installed:
        assert found is not None
        key = same(found[1]), found[2]
        # It is itself the component that the list is of.
        assert key in listed or key[0] == name, key
    assert all(each.get("purl", "").startswith("pkg:pypi/") for (key, _), each in listed.items() if "assay" not in key)
    assert sum("licenses" in each for each in listed.values()) > 0.9 * len(listed)
    assert not {"cyclonedx-bom", "pytest", "uv"} & {key for key, _ in listed}


def same(name: str) -> str:
    """A distribution's name as PyPI writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()
