from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.lab import LabError, staging, unpack
from tests.lab.archives import Layer, add_layer, apart, tags, together
from tests.lab.bases import write_archive


def staged(folder: Path, target: Path) -> None:
    """Lay a folder out in parts, as `stage` does with much more."""
    body = subprocess.run(["tar", "-C", folder, "-cJ", "."], capture_output=True, check=True).stdout
    path = folder.parent / "item-0123456789abcdef.xz"
    path.write_bytes(body)
    staging.write({"item": staging.cut(path)}, target)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parts of something too large for one piece."""
    monkeypatch.setattr(staging, "PIECE_BYTES", 50_000)
    monkeypatch.setattr(staging, "PART_BYTES", 120_000)
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "program").write_bytes(random.Random(0).randbytes(300_000))
    (source / "bin" / "program").chmod(0o755)
    (source / "bin" / "link").symlink_to("program")
    staged(source, tmp_path / "parts")
    return tmp_path / "parts"


def unpacked(parts: Path, target: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", str(parts / "setup" / "unpack.py"), "--to", str(target)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_parts_are_small_and_make_the_whole_again(parts: Path, tmp_path: Path) -> None:
    folders = sorted(path for path in parts.iterdir() if path.name != "setup")
    assert len(folders) > 1
    assert all(sum(file.stat().st_size for file in folder.iterdir()) <= 120_000 for folder in folders)
    done = unpacked(parts, tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    source, whole = tmp_path / "source" / "bin", tmp_path / "whole" / "bin"
    assert (whole / "program").read_bytes() == (source / "program").read_bytes()
    assert (whole / "program").stat().st_mode & 0o777 == 0o755
    assert (whole / "link").is_symlink()


def test_a_part_that_is_missing_is_named(parts: Path, tmp_path: Path) -> None:
    gone = next((parts / "01").iterdir())
    gone.unlink()
    done = unpacked(parts, tmp_path / "whole")
    assert done.returncode == 66
    assert gone.name in done.stderr
    assert not (tmp_path / "whole").exists()


def test_a_part_that_was_spoilt_on_the_way_is_named(parts: Path, tmp_path: Path) -> None:
    piece = next((parts / "00").iterdir())
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    done = unpacked(parts, tmp_path / "whole")
    assert done.returncode == 65
    assert f"{piece.name} is not what was staged" in done.stderr


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(LabError, match="is not empty"):
        staging.stage(tmp_path)


def test_wheels_of_another_python_stay_packed() -> None:
    names = ["a-1-py3-none-any.whl", "b-1-cp312-cp312-linux_x86_64.whl", "c-1-cp311-cp311-linux_x86_64.whl",
             "d-1-cp39-abi3-linux_x86_64.whl", "e-1-py2.py3-none-any.whl"]  # fmt: skip
    found = [path.name[0] for path in unpack.fitting([Path(name) for name in names], "cp312")]
    assert found == ["a", "b", "d", "e"]


def archive(path: Path, tag: str, content: str) -> Path:
    (path.parent / "file").write_text(content)
    os.utime(path.parent / "file", (0, 0))
    with tarfile.open(path.parent / "layer.tar", "w") as layer:
        layer.add(path.parent / "file", "file")
    write_archive(path, tag, path.parent / "layer.tar", {"Env": ["PATH=/bin", "HOME=/"]})
    return path


def read(made: tarfile.TarFile, name: str) -> Any:
    file = made.extractfile(name)
    assert file
    return json.load(file)


def test_a_layer_that_two_images_share_travels_once(tmp_path: Path) -> None:
    archives = [archive(tmp_path / f"{name}.tar", f"localhost/{name}:1", "same") for name in "ab"]
    apart(archives, tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.tar"))) == 1
    assert tags(tmp_path / "parts") == {"localhost/a:1", "localhost/b:1"}
    with tarfile.open(together(tmp_path / "parts", "localhost/b:1", tmp_path / "again.tar")) as made:
        assert len(made.getnames()) == 3


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    apart([archive(tmp_path / "a.tar", "localhost/a:1", "x")], tmp_path / "parts")
    with pytest.raises(LabError, match=r"no image localhost/b:1 .* there are localhost/a:1"):
        together(tmp_path / "parts", "localhost/b:1", tmp_path / "b.tar")


def test_a_layer_added_twice_is_added_once(tmp_path: Path) -> None:
    apart([archive(tmp_path / "a.tar", "localhost/a:1", "x")], tmp_path / "parts")
    for _ in range(2):
        with tarfile.open(tmp_path / "more.tar", "w") as layer:
            layer.add(tmp_path / "file", "more")
        add_layer(tmp_path / "parts", "localhost/a:1", Layer(tmp_path / "more.tar", {"HOME": "/x"}, "a test"), "b:1")
    assert tags(tmp_path / "parts") == {"localhost/a:1", "b:1"}
    with tarfile.open(together(tmp_path / "parts", "b:1", tmp_path / "b.tar")) as made:
        (described,) = read(made, "manifest.json")
        config = read(made, described["Config"])
    assert len(described["Layers"]) == len(config["rootfs"]["diff_ids"]) == len(config["history"]) == 2
    assert config["config"]["Env"] == ["PATH=/bin", "HOME=/x"]
