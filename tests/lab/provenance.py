"""The provenance of an image that the lab has built: SLSA's statement, of what is known here (docs/provenance.md)."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab import images
from tests.lab.bases import BASE_TAG
from tools.provenance import Build, Raw, described, source, statement
from tools.provenance import now as this_moment

__all__ = ["of_image"]

SBOM = re.compile(r"(\./)?(licenses/assay-\w+\.cdx\.json)")


def of_image(archive: Path, tag: str, dockerfile: str, started: str, environment: Mapping[str, str]) -> Raw:
    """The statement of an image.

    Args:
        archive: its docker archive.
        tag: its name.
        dockerfile: relative to the repository.
        started: when its build began, in UTC.
        environment: names the builder and the base.

    Raises:
        ProvenanceError: the builder's name is no URI.
        LabError: buildah does not answer.
    """
    base = environment.get("BASE_IMAGE") or BASE_TAG
    locked = [described(images.ROOT / name, name) for name in ("uv.lock", "pyproject.toml", dockerfile)]
    build = Build(
        target="image",
        parameters={"image": tag, "dockerfile": dockerfile, "buildArgs": {"BASE_IMAGE": base}},
        internal={"layers": "steps whose input has not changed are taken from the builder's own cache"},
        materials=(*source(images.ROOT, environment), *locked, _base(base)),
        tools={"buildah": images.buildah("--version").split()[2]},
        started=started,
        byproducts=_lists(archive),
    )
    return statement(
        [described(archive.resolve(), archive.name), _image(archive, tag)], build, environment, this_moment()
    )


def _image(archive: Path, tag: str) -> Raw:
    """The descriptor of an image by its ID, the digest of its configuration: a push does not change it."""
    with tarfile.open(archive) as outer:
        (manifest,) = json.loads(_read(outer, "manifest.json"))
        identity = hashlib.sha256(_read(outer, manifest["Config"])).hexdigest()
    return {"name": f"{tag} (image ID)", "digest": {"sha256": identity}}


def _base(name: str) -> Raw:
    """The descriptor of the base: what buildah built on."""
    digest = images.buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", name).strip()
    algorithm, _, value = digest.partition(":")
    return {"name": name, "digest": {algorithm: value}}


def _lists(archive: Path) -> list[Raw]:
    """Descriptors of the lists of packages that an image holds."""
    found = []
    with tarfile.open(archive) as outer:
        (manifest,) = json.loads(_read(outer, "manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                for entry in inner:
                    if named := SBOM.fullmatch(entry.name):
                        digest = hashlib.sha256(_read(inner, entry.name)).hexdigest()
                        found.append({"name": named[2], "digest": {"sha256": digest}})
    return found


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, f"{name} is no file"
    return member.read()
