"""What is said of a plan that TensorRT does not load: what it said, and the way out of just that."""

from __future__ import annotations

import pytest

from assay_runner.backends.tensorrt.session import unloadable


@pytest.mark.parametrize(
    ("why", "way"),
    [
        (
            "Cannot find plugin: Swish, version: 1, namespace: acme",
            "name their libraries (plugins, or --plugin), or serialize them into it",
        ),
        (
            "getPluginCreator could not find plugin: Swish version: 1",
            "name their libraries (plugins, or --plugin), or serialize them into it",
        ),
        (
            "[stdArchiveReader.cpp::stdArchiveReaderInitCommon::45] Error Code 1: Serialization (Serialization "
            "assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match)",
            "give the file that TensorRT's builder serialised",
        ),
        ("Version tag does not match", "use an image and a node like those, or build it again"),
    ],
)
def test_the_way_out_is_of_what_is_wrong(why: str, way: str) -> None:
    said = unloadable("a.plan", "10.6.0", why)
    assert why in said
    assert said.endswith(way)
    assert ". " not in said
