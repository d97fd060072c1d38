"""Docker archives taken apart and put together: layers that images share travel once, and a layer can be added.

A docker archive is a tar of layers, of one configuration for each image, and of a `manifest.json` that names both.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab import LabError
from tests.lab.bases import EPOCH

__all__ = ["Layer", "add_layer", "apart", "tags", "together"]

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Layer:
    """One more layer of an image.

    Attributes:
        path: its tar.
        environment: variables that it adds to the image's.
        says: what made it, for the image's history.
    """

    path: Path
    environment: Mapping[str, str]
    says: str


def apart(archives: Iterable[Path], folder: Path) -> None:
    """Take docker archives apart: each layer and configuration once, and one manifest of all images."""
    folder.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    for path in archives:
        with tarfile.open(path) as archive:
            described = _json(archive, MANIFEST)
            for image in described:
                for name in [image["Config"], *image["Layers"]]:
                    if not (folder / name).exists():
                        with _member(archive, name) as source, (folder / name).open("wb") as target:
                            shutil.copyfileobj(source, target, 1 << 20)
            images += described
    (folder / MANIFEST).write_text(json.dumps(images, indent=1))


def together(folder: Path, tag: str, target: Path) -> Path:
    """Write the docker archive of one image, by its tag, from a folder that `apart` made; returns `target`."""
    image = _image(folder, tag)
    with tarfile.open(target, "w") as archive:
        for name in dict.fromkeys([image["Config"], *image["Layers"]]):
            archive.add(folder / name, name)
        _add_json(archive, MANIFEST, [image], target.parent)
    return target


def add_layer(folder: Path, tag: str, layer: Layer, named: str) -> None:
    """Add to the folder's images another one: that of `tag` and one more layer, called `named`."""
    image = _image(folder, tag)
    with layer.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    layer.path.replace(folder / f"{digest}.tar")
    config = json.loads((folder / image["Config"]).read_text())
    config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
    config.setdefault("history", []).append({"created": EPOCH, "created_by": layer.says})
    told = dict(pair.split("=", 1) for pair in config["config"].get("Env", ()))
    config["config"]["Env"] = [f"{key}={value}" for key, value in (told | dict(layer.environment)).items()]
    text = json.dumps(config)
    name = f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    (folder / name).write_text(text)
    added = {"Config": name, "RepoTags": [named], "Layers": [*image["Layers"], f"{digest}.tar"]}
    kept = [each for each in _images(folder) if named not in each["RepoTags"]]
    (folder / MANIFEST).write_text(json.dumps([*kept, added], indent=1))


def _images(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / MANIFEST).read_text())
    return found


def _image(folder: Path, tag: str) -> dict[str, Any]:
    images = _images(folder)
    for image in images:
        if tag in image["RepoTags"]:
            return image
    known = ", ".join(tag for image in images for tag in image["RepoTags"])
    raise LabError(f"no image {tag} in {folder}: there are {known}")


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    if found is None:
        raise LabError(f"{name} is no file in that archive")
    return found


def _json(archive: tarfile.TarFile, name: str) -> Any:
    with _member(archive, name) as file:
        return json.load(file)


def _add_json(archive: tarfile.TarFile, name: str, content: Sequence[Mapping[str, Any]], folder: Path) -> None:
    path = folder / f".{name}"
    path.write_text(json.dumps(content))
    archive.add(path, name)
    path.unlink()


def tags(folder: Path) -> set[str]:
    """Names of the images in a folder that `apart` made."""
    return {tag for image in _images(folder) for tag in image["RepoTags"]}
