"""What lies in a folder is described without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay_runner.data.contents import contents_of
from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array
from tests.runner.io.made import normal, shard, store
from tests.runner.io.test_readers import onnx_test_sets, polygraphy, safetensors


def test_shards_are_told_with_their_samples(tmp_path: Path) -> None:
    for number, count in enumerate((4, 5)):
        shard(tmp_path / "data" / f"{number}.npz", x=normal(count, 3), label=np.arange(count))
    found = contents_of(store(tmp_path), "file://./data", tmp_path)
    assert (found.reader, found.samples, found.whole) == ("npz", 9, True)
    assert [(part.name, part.key, part.rows) for part in found.parts] == [("0.npz", "0", 4), ("1.npz", "1", 5)]
    assert found.parts[0].arrays["label"].dtype == np.int64
    assert found.shapes("x") == ((4, 3), (5, 3))


def test_feeds_have_no_common_axis(tmp_path: Path) -> None:
    parts: list[dict[str, Array]] = [{"x": normal(n, 3), "sr": np.asarray(1)} for n in (4, 5, 5)]
    onnx_test_sets(tmp_path / "sets", parts, named=False)
    polygraphy(tmp_path / "json", parts)
    safetensors(tmp_path / "safe", parts)
    for name, reader, key in (("sets", "onnx-test-sets", "test_data_set_0"), ("json", "polygraphy", "#0")):
        found = contents_of(store(tmp_path), f"file://./{name}", tmp_path, names=("x", "sr"), most=2)
        assert (found.reader, found.samples, len(found.parts), found.whole) == (reader, None, 2, False)
        assert found.parts[0].key == key
        assert found.shapes("sr") == ((),)
    assert contents_of(store(tmp_path), "file://./safe", tmp_path).reader == "safetensors"
    assert list(contents_of(store(tmp_path), "file://./sets", tmp_path).parts[0].arrays) == ["input_0", "input_1"]


def test_nothing_that_is_known_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    with pytest.raises(InvalidInput, match="none of which is known here"):
        contents_of(store(tmp_path), "file://./data", tmp_path)
