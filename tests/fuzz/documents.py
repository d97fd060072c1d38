"""Damaged audit files: values of other types and sizes, YAML written otherwise, bytes."""

from __future__ import annotations

import copy
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from tests.cli.audits import document
from tests.fuzz import seeds
from tests.fuzz.case import AUDIT, Case
from tests.fuzz.damage import damaged

FULL: Final = {
    "model": {"uri": "file://./model.onnx"},
    "dataset": {"uri": "file://./data/", "batch": 4, "samples": 6, "inputs": {"x": {"axis": 0}}},
    "golden": {"precision": "fp32"},
    "target": {"gpuProducts": ["NVIDIA-H200"], "nodeSelector": {"a": "b"}, "scratch": "1Gi"},
    "candidates": [
        {
            "name": "fp16",
            "backend": "onnxruntime",
            "precision": "fp16",
        },
        {
            "name": "int8",
            "backend": "onnxruntime",
            "precision": "int8",
            "calibration": {"uri": "file://./data/", "method": "minmax"},
        },
    ],
    "checks": [{"finite": {}}, {"outputDrift": {"snr": 10, "cosine": 0.9}}, {"runToRun": {"runs": 2}}],
    "artifacts": {"uri": "file:///nowhere/"},
    "maxParallel": 2,
    "suspend": False,
}
_SCALARS: Final = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 1e308, float("inf"), float("nan"), 0.5, "", "x",
    "a" * 5000, "²", "é", "\u202e", "\x07", "../..", "file://./fifo", "file:///dev/zero", "file://./", "file://",
    "s3://", "s3://b", "s3://b/k", "s3://b/../k", "memory://x", "http://localhost/x", "file://./data/part-0.npz",
    "file://./model.onnx", "fp64", "tensorrt", "1Ei", "-1", "0x10", "[", "(" * 3000,
)  # fmt: skip
_WRITTEN: Final = (
    "!!int ''", "!!int +", "!!float ''", "!!bool foo", "!!timestamp foo", "!!binary '%%'",
    "!!python/object:os.system x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "&a [*a]", "&s {model: *s}",
    "*nowhere", "0xfff" + "f" * 4000, "9" * 9000, "1" + "_0" * 3000, '"\\ud800"', '"\\ud83d\\ude00"', '"\\0"',
    "? [a]\n: b", "<<: [1]", "<<: {a: 1}", "2001-01-01", "1:30:00", "0o17", ".inf", "~", "|\n  x", "!x y",
    "&a [x, x, x, x, x, x, x, x, x]", "- - - - x", "{a: {a: {a: {a: {}}}}}", "\t", "%YAML 9.9", "--- x", "...", "'",
    '"', "@", "`", "\ufeff",
)  # fmt: skip


@st.composite
def document_values(draw: st.DrawFn) -> Case:
    """An audit of which values were replaced, taken away, or put where they do not belong."""
    whole = document(copy.deepcopy(FULL))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, whole)
    return _case(
        "document-values", yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")
    )


@st.composite
def document_text(draw: st.DrawFn) -> Case:
    """An audit whose YAML was written otherwise: tags, aliases, merges, several documents, bytes."""
    written = yaml.safe_dump(document(FULL), sort_keys=False)
    how = draw(st.sampled_from(["value", "value", "bytes", "anchors", "documents", "lines"]))
    if how == "bytes":
        return _case("document-text", draw(damaged(written.encode())))
    lines = written.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    if how == "value":
        key = lines[at].split(":")[0] if ":" in lines[at] else lines[at]
        lines[at] = f"{key}: {draw(st.sampled_from(_WRITTEN))}"
    elif how == "anchors":
        levels, each = draw(st.sampled_from([(3, 3), (5, 5), (9, 9), (30, 2), (200, 1)]))
        names = ["&a0 [x]", *(f"&a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels))]
        lines[at:at] = [f"{' ' * draw(st.sampled_from([0, 2]))}k{n}: {text}" for n, text in enumerate(names)]
    elif how == "documents":
        lines = [
            *lines,
            *(["---", *lines] * draw(st.sampled_from([1, 2, 30]))),
            *draw(st.sampled_from([[], ["---"], ["--- 1"], ["..."]])),
        ]
    else:
        kept = lines.pop(at)
        lines[draw(st.integers(0, len(lines))) : 0] = [
            draw(st.sampled_from([kept, kept.strip(), f"  {kept}", f"- {kept}", kept * 2]))
        ]
    return _case("document-text", "\n".join(lines).encode("utf-8", "surrogatepass"))


def _case(kind: str, written: bytes) -> Case:
    files = seeds.around(seeds.linear_bytes(), {"part-0.npz": _data()}, written)
    return Case(kind, {**files, AUDIT: written})


def _data() -> bytes:
    from tests.fuzz.datasets import ROWS

    return seeds.npz({"x": ROWS})


def _change(draw: st.DrawFn, whole: Any) -> None:
    """One change somewhere inside a value of dictionaries and lists."""
    at = whole
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and draw(st.integers(0, 5)):
            at = at[key]
            continue
        how = draw(st.sampled_from(["set", "set", "set", "drop", "wrap", "list", "copy", "many"]))
        if how == "drop":
            del at[key]
        else:
            at[key] = _other(draw, how, at[key], whole)
        return
    if isinstance(at, dict):
        at[draw(st.sampled_from(["x", "", "apiVersion", "a" * 300, "é"]))] = draw(st.sampled_from(_SCALARS))


def _other(draw: st.DrawFn, how: str, value: Any, whole: Any) -> Any:
    if how == "set":
        return draw(st.sampled_from(_SCALARS))
    if how == "wrap":
        return {draw(st.sampled_from(["x", "uri", "name"])): value}
    if how == "list":
        return [value] * draw(st.sampled_from([0, 1, 2, 40]))
    if how == "many":
        return {f"k{n}": n for n in range(draw(st.sampled_from([100, 3000])))}
    return copy.deepcopy(draw(st.sampled_from([whole.get("spec"), whole.get("metadata"), value])))
