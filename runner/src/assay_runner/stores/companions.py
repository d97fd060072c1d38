"""Files that another file names, as a model names its external data: they must belong to it, wherever links lead.

Whoever made a folder with links in it may point them at files that he cannot read and the user of the audit can. So a
link is followed only as far as folders are laid out in practice:

- inside the folder that the model was named in;
- where the model itself is a link, to the file that would be found by naming what it leads to, in that folder: the
  same place in a mirrored tree, as volumes of Kubernetes and symlink farms have it;
- where the model itself is a link, to a file right beside what it leads to, as caches that keep all files of a model
  in one folder of digests have it.
"""

from __future__ import annotations

import os
from pathlib import Path

from assay_runner.errors import InvalidInput


def companion(path: Path, owner: Path, name: str) -> Path:
    """The file, free of links, that `path` below the folder of `owner` leads to.

    Args:
        path: what is named.
        owner: the file that names it.
        name: what to call the companion in a sentence.

    Raises:
        InvalidInput: it belongs to something else.
    """
    real, folder = Path(os.path.realpath(path)), Path(os.path.realpath(owner.parent))
    if real.is_relative_to(folder) or (owner.is_symlink() and _beside_target(path, owner, real)):
        return real
    raise InvalidInput(
        f"{name} is a link that leads out of the model's folder, to {real}: put the file itself into the folder"
    )


def _beside_target(path: Path, owner: Path, real: Path) -> bool:
    there = Path(os.path.realpath(owner)).parent
    mirrored = Path(os.path.realpath(there / path.relative_to(owner.parent)))
    return real.parent == there or (real == mirrored and real.is_relative_to(there))
