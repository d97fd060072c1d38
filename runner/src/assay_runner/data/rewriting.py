"""Files that cannot be read where they lie, rewritten part by part as .npz on the scratch disk."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from assay_runner.data.readers.reader import File, Reader, Wanted
from assay_runner.errors import InvalidInput
from assay_runner.stores import Stat, basename
from assay_runner.stores.files import whole_file
from assay_runner.tensors import Array

if TYPE_CHECKING:
    from assay_runner.stores import Gets


def rewritten(reader: Reader, store: Gets, stats: Sequence[Stat], wanted: Wanted, scratch: Path) -> Iterator[Path]:
    """Each part of some files as an .npz, which stays on the disk; what was fetched for it goes.

    Args:
        reader: reads them.
        store: where they lie.
        stats: the files, which belong together.
        wanted: what is looked for in them.
        scratch: folder for it; the same files take the same place there.

    Raises:
        InvalidInput: they cannot be read, or hold no numbers.
        Unavailable: the store does not answer, or the disk is full.
    """
    assert reader.parts is not None
    told = "\n".join([reader.name, reader.version, repr(wanted), *(f"{s.uri}\0{s.version}" for s in stats)])
    folder = scratch / "rewritten" / hashlib.sha256(told.encode()).hexdigest()[:16]
    with ExitStack() as stack:
        files = []
        for number, stat in enumerate(stats):
            path = store.local_path(stat.uri)
            if path is None:
                path = folder / f"{number}-{basename(stat.uri)}"
                stack.callback(path.unlink, missing_ok=True)
                store.get(stat.uri, path, version=stat.version)
            files.append(File(basename(stat.uri), path))
        for number, arrays in enumerate(reader.parts(files, wanted)):
            target = folder / f"{number:06}.npz"
            with whole_file(target) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
                _write(archive, arrays, files[0].name)
            yield target


def _write(archive: zipfile.ZipFile, arrays: Mapping[str, Array], name: str) -> None:
    for key, array in arrays.items():
        if array.dtype.hasobject or array.dtype.kind not in "biufcV":
            raise InvalidInput(f"array {key!r} of {name} holds no numbers: store the numbers that the model is fed")
        # The kin of bfloat16, which NumPy does not name in files, as bare bytes.
        bits = array.view(np.dtype(f"V{array.dtype.itemsize}")) if array.dtype.isbuiltin == 2 else array
        with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
            npy.write_array(member, np.asarray(bits, order="C"), allow_pickle=False)
