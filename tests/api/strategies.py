"""Audits as people write them: mostly right, with one thing or another wrong.

Every field is drawn from values that are right and values that are wrong in a way somebody once wrote, so that about
half of the audits are valid and the other half wrong in one or two places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

RARELY = 30

# Hypothesis likes the ends of a range; the remainder of a large number has none.
DIE = st.integers(0, 10**9)


def mostly(right: Strategy, *wrong: Any) -> Strategy:
    """A right value, and one time in `RARELY` a wrong one."""
    return DIE.flatmap(lambda n: st.sampled_from(wrong) if wrong and n % RARELY == 11 else right)


def fields(required: Mapping[str, Strategy], optional: Mapping[str, Strategy], unknown: str = "bogus") -> Strategy:
    """An object with the required fields, some optional ones, rarely an unknown one or a required one missing."""

    def spoil(data: dict[str, Any], die: int) -> dict[str, Any]:
        draw = die % (4 * RARELY)
        if draw == 11:
            return {**data, unknown: 1}
        if draw == 13 and required:
            missing = sorted(required)[0]
            return {name: value for name, value in data.items() if name != missing}
        if draw == 17 and data:
            return {**data, sorted(data)[-1]: None}
        return data

    return st.builds(spoil, st.fixed_dictionaries(dict(required), optional=dict(optional)), DIE)


URI = mostly(
    st.sampled_from(["s3://models/a.onnx", "s3://data/d/", "file:///data/x.npz", "file://./x.npz", "s3://bucket"]),
    "", "http://host/x", "s3://A/x", "s3:///x", "models/a.onnx", 3, "s3://b/" + "x" * 1100,
)  # fmt: skip
NAME = mostly(st.sampled_from(["fp16", "int8-ptq", "a", "b-1", "x" * 40]), "Upper", "-a", "a-", "x" * 41, "", 7, "a_b")
SHA = mostly(st.just("0" * 64), "0" * 63, "G" * 64, 12)
COUNT = mostly(st.sampled_from([1, 2, 32, 1000]), 0, -1, "32", 1.5, True, 10**12)
BOOL = mostly(st.booleans(), "true", 1)
MODEL = fields({"uri": URI}, {"sha256": SHA})
CALIBRATION = fields(
    {"uri": URI},
    {
        "method": mostly(st.sampled_from(["entropy", "minmax", "percentile", "mse"]), "max", 1),
        "percentile": mostly(st.sampled_from([50, 99, 99.99, 100]), 49, 100.5, "99", True),
        "samples": COUNT,
        "perChannel": BOOL,
    },
)
AXIS = st.tuples(*[st.sampled_from([1, 8, 16])] * 3)


def shapes(axes: list[tuple[int, ...]], die: int) -> dict[str, Any]:
    """A shape profile: rarely out of order, rarely of another rank."""
    ordered = axes if die % RARELY == 11 else [tuple(sorted(axis)) for axis in axes]
    low, best, high = ([*sizes] for sizes in zip(*ordered, strict=True))
    return {"input": "x", "min": low, "opt": best, "max": high[1:] if die % RARELY == 13 else high}


BUILD = fields(
    {},
    {
        "optimizationLevel": mostly(st.sampled_from([0, 3, 5]), 6, -1, "3"),
        "workspace": mostly(st.sampled_from(["4Gi", 1024]), "much", True),
        "flags": mostly(st.sampled_from([["STRICT_NANS"], ["DISABLE_TIMING_CACHE"]]), ["strict"], ["REFIT", "REFIT"]),
        "timingCache": fields({"uri": URI}, {"sha256": SHA}),
        "profile": st.lists(st.builds(shapes, st.lists(AXIS, min_size=1, max_size=3), DIE), max_size=2),
    },
)
CANDIDATE = fields(
    {"name": NAME, "backend": mostly(st.sampled_from(["tensorrt", "onnxruntime"]), "openvino", None)},
    {
        "precision": mostly(st.sampled_from(["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]), "fp64", 16),
        "typing": mostly(st.sampled_from(["weak", "strong"]), "none"),
        "model": MODEL,
        "calibration": CALIBRATION,
        "engine": fields({"uri": URI}, {"sha256": SHA}),
        "build": BUILD,
    },
)
GOOD_CANDIDATE = st.fixed_dictionaries(
    {"name": NAME, "backend": st.just("tensorrt"), "precision": st.sampled_from(["fp16", "bf16"])}
)
QUANTISED = fields(
    {"name": NAME, "backend": st.just("onnxruntime"), "precision": st.sampled_from(["int8", "fp8"])},
    {
        "calibration": CALIBRATION,
        "model": MODEL,
    },
)
SHARE = mostly(st.sampled_from([0.99, 0.5, 1]), 0, 1.5, -1, "0.99", True)
PART = mostly(st.sampled_from([0, 0.01, 1]), 1.5, -0.1, "0.5", True)
ACCUMULATOR = mostly(st.sampled_from(["unknown", "fp16", "fp32"]), "bf16", 16)
OPERATORS = mostly(st.sampled_from([["Softmax"], ["Conv", "Erf"]]), [], "Softmax", [1], ["Exp"] * 65)
LIMIT = mostly(st.sampled_from([0, 0.5, 1, 1e-3]), -1, "0.5", [])
CONDITIONS = mostly(
    st.lists(st.sampled_from(["sameSession", "newProcess", "underLoad"]), max_size=3), ["elsewhere"], "underLoad"
)
COLUMN = mostly(st.sampled_from([4, 5, 84]), -1, 1.5, "4")
PARAMETERS: Mapping[str, Strategy] = {
    "finite": st.just({}),
    "outputDrift": fields({}, {"cosine": LIMIT, "maxAbs": LIMIT, "topK": COUNT, "equal": SHARE}),
    "labelAccuracy": fields({}, {"keep": SHARE, "metric": mostly(st.sampled_from(["top1", "top5"]), "top3")}),
    "layerDrift": fields({}, {"worst": COUNT, "localSnr": LIMIT, "equal": SHARE}),
    "runToRun": fields({}, {"runs": COUNT, "batches": COUNT, "conditions": CONDITIONS}),
    "batchInvariance": fields({}, {"exact": BOOL, "batches": COUNT}),
    "extraOutput": fields({}, {"exact": BOOL, "tensor": mostly(st.just("t"), "", 1)}),
    "latency": fields({}, {"medianMs": LIMIT, "engineMB": LIMIT, "runs": COUNT}),
    "metric": fields({"name": mostly(st.sampled_from(["a", "b"]), "")}, {"keep": SHARE, "atLeast": LIMIT}),
    "detections": fields(
        {"scoreColumn": COLUMN},
        {
            "classColumn": COLUMN,
            "classScoresFrom": mostly(st.just(5), -1),
            "boxColumns": mostly(st.just([0, 1, 2, 3]), [0, 1, 2], [0, 0, 1, 2], "0-3", [0, 1, 2, -1]),
            "format": mostly(st.sampled_from(["xyxy", "xywh", "cxcywh"]), "yolo"),
            "lost": PART,
            "iou": SHARE,
        },
    ),
    "achievedPrecision": fields({}, {"share": PART}),
    "fp16Range": fields({}, {"underflow": PART, "subnormal": PART, "accumulator": ACCUMULATOR}),
    "layerConstraints": fields({}, {"keepWide": OPERATORS}),
}
"""What each check is given."""
CHECK = st.one_of([st.fixed_dictionaries({name: given}) for name, given in PARAMETERS.items()])
ODD_CHECK = st.sampled_from([{}, {"finite": {}, "runToRun": {}}, {"bogus": {}}, {"finite": 1}, {"finite": None}, 3])
QUANTITY = mostly(st.sampled_from([1, "1", "20Gi", "500m", "1.5"]), "20 Gi", "", True, 1.5, -1)
OBJECT = mostly(st.sampled_from(["a", "my-secret", "a.b"]), "A", "", "a b", 1)
TOLERATION = fields(
    {},
    {
        "key": st.just("nvidia.com/gpu"),
        "operator": mostly(st.sampled_from(["Exists", "Equal"]), "In"),
        "effect": mostly(st.sampled_from(["NoSchedule", "NoExecute"]), "Never"),
        "tolerationSeconds": COUNT,
    },
)
TARGET = fields(
    {},
    {
        "gpuProducts": mostly(
            st.lists(st.sampled_from(["NVIDIA-H200", "NVIDIA-L4"]), max_size=2), "NVIDIA-L4", [1], ["not a label!"]
        ),
        "image": st.just("registry.example/assay-runner:1"),
        "resources": st.dictionaries(st.sampled_from(["memory", "nvidia.com/gpu"]), QUANTITY, max_size=2),
        "nodeSelector": mostly(st.just({"zone": "a"}), {"zone": 1}, []),
        "tolerations": st.lists(TOLERATION, max_size=2),
        "requests": st.dictionaries(
            st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "amd.com/gpu"]), QUANTITY, max_size=2
        ),
        "affinity": mostly(
            st.just({"nodeAffinity": {"anything": [1, {"a": "b"}]}}), [], "near", {"a": 1, "b": 2, "c": 3, "d": 4}
        ),
        "topologySpreadConstraints": mostly(st.just([{"maxSkew": 1, "topologyKey": "zone"}]), [1], {}, [{}] * 9),
        "podLabels": mostly(
            st.just({"team": "vision", "empty": ""}),
            {"assay.dev/managed": "true"},
            {"job-name": "a"},
            {"batch.kubernetes.io/job-name": "a"},
            {"a": 1},
            {"a": "b c"},
            {"kueue.x-k8s.io/queue-name": "q"},
            [],
        ),
        "podAnnotations": mostly(
            st.just({"sidecar.istio.io/inject": "false", "a": "x" * 1024}),
            {"assay.dev/rerun": "1"},
            {"container.apparmor.security.beta.kubernetes.io/task": "unconfined"},
            {"a": True},
            {"a": "x" * 1025},
            {f"a{index}": "" for index in range(33)},
        ),
        "imagePullSecrets": st.lists(fields({"name": OBJECT}, {}), max_size=2),
        "runtimeClassName": st.just("nvidia"),
        "scratch": QUANTITY,
    },
)
STORAGE = fields(
    {},
    {
        "secretRef": fields({"name": OBJECT}, {}),
        "serviceAccountName": OBJECT,
        "endpoint": mostly(
            st.sampled_from(["https://s3.example", "http://10.0.0.1:9000"]),
            "s3.example",
            "https://k:s@h",
            "https://h/p",
        ),
        "region": st.just("eu-central-1"),
        "caBundleRef": fields({"name": OBJECT}, {"key": st.just("ca.crt")}),
    },
)
GOLDEN = st.one_of(
    fields({"precision": mostly(st.sampled_from(["fp32", "fp64"]), "fp16")}, {}),
    fields({"uri": URI}, {}),
    fields({}, {"precision": st.just("fp32"), "uri": URI}),
)
CONSTANT = mostly(
    st.sampled_from([16000, 0, -1.5, True, [1, 2, 3], [0.5], [], [True, False]]),
    "16000", {}, {"a": 1}, [1, "2"], [[1]], [{}], [None], [0] * 4097,
)  # fmt: skip
INPUT_FEED = fields({}, {"axis": mostly(st.sampled_from([0, 1, 7]), -1, 8, "1", 1.5, True), "constant": CONSTANT})
DATASET = st.one_of(
    fields({"uri": URI}, {"labels": st.just("label"), "batch": COUNT, "samples": COUNT}),
    fields(
        {"uri": URI},
        {
            "layout": mostly(st.sampled_from(["samples", "feeds"]), "rows", 1),
            "inputs": mostly(st.dictionaries(st.sampled_from(["sr", "state"]), INPUT_FEED, max_size=2), [], "sr"),
            "batch": COUNT,
        },
    ),
    fields({"uri": URI}, {"layout": st.just("feeds"), "samples": COUNT}),
)
SPEC = fields(
    {
        "model": MODEL,
        "dataset": DATASET,
        "candidates": st.one_of(
            st.lists(GOOD_CANDIDATE, min_size=1, max_size=2, unique_by=lambda c: str(c["name"])),
            st.lists(st.one_of(GOOD_CANDIDATE, QUANTISED, CANDIDATE), min_size=1, max_size=3),
            st.lists(CANDIDATE, max_size=2),
        ),
        "artifacts": fields({"uri": URI}, {}),
    },
    {
        "golden": GOLDEN,
        "checks": st.one_of(
            st.lists(CHECK, max_size=3, unique_by=lambda c: next(iter(c))),
            st.lists(CHECK, max_size=3),
            st.lists(st.one_of(CHECK, ODD_CHECK), max_size=3),
        ),
        "target": TARGET,
        "storage": STORAGE,
        "onBreach": mostly(st.sampled_from(["Fail", "Report"]), "Ignore"),
        "suspend": BOOL,
        "managedBy": mostly(st.sampled_from(["assay.dev/operator", "kueue.x-k8s.io/multikueue"]), "", 3),
        "maxParallel": COUNT,
        "priority": mostly(st.sampled_from([0, -1000, 1000]), -1001, 1001, "1", 1.5),
        "deadlines": mostly(
            st.sampled_from([{}, {"golden": 60}, {"repair": 1, "summary": 2}]), {"golden": 0}, {"x": 1}, 5
        ),
        "backoffLimit": mostly(st.sampled_from([0, 3, 20]), -1, 21),
        "activeDeadlineSeconds": COUNT,
        "pendingDeadlineSeconds": COUNT,
        "ttlSecondsAfterFinished": COUNT,
        "deleteSecondsAfterFinished": mostly(st.sampled_from([0, 86400]), -1, "1d"),
        "compareWith": fields({"uri": URI}, {"sha256": SHA}),
    },
)

PLACED = mostly(st.sampled_from(["s3://data/{model}/", "s3://data/d/"]), "", "s3://{model}/x", 3)
TEMPLATE = st.one_of(
    SPEC.map(lambda spec: {key: value for key, value in spec.items() if key != "model"}),
    *[
        fields(
            {
                "dataset": fields({"uri": PLACED}, {"labels": st.just("label")}),
                "candidates": st.lists(GOOD_CANDIDATE, min_size=1, max_size=2, unique_by=lambda c: str(c["name"])),
                "artifacts": fields({"uri": URI}, {}),
            },
            {"target": TARGET, "onBreach": mostly(st.sampled_from(["Fail", "Report"]), "Ignore")},
        )
    ]
    * 3,
)
SCHEDULE = fields(
    {"cron": mostly(st.sampled_from(["30 2 * * *", "*/5 * * * MON-FRI", "0 0 1,15 * *"]), "@daily", "0 2 * *", "", 5)},
    {
        "timeZone": mostly(st.sampled_from(["Europe/Berlin", "Etc/UTC", "Etc/GMT+5"]), "", "Europe Berlin", 1),
        "missedRuns": mostly(st.sampled_from(["RunLatest", "Skip"]), "All"),
        "startingDeadlineSeconds": mostly(st.sampled_from([10, 600]), 9, -1, "600"),
    },
)
MODEL_NAME = mostly(st.sampled_from(["bert", "a/b.v2", "A_1", "x" * 128]), "/a", "a/", "a b", "", ".a", "x" * 129, 1)
MODELS = mostly(
    st.lists(fields({"name": MODEL_NAME, "uri": URI}, {"sha256": SHA}), min_size=1, max_size=3),
    [], "bert", [{"name": "a", "uri": "s3://models/a"}] * 2,
)  # fmt: skip
PREFIX = fields({"uri": URI}, {"match": mostly(st.just("*.onnx"), 1)})


IMAGE = mostly(st.sampled_from(["r:1", "r@sha256:" + "0" * 64]), "r:3", "", 1, "x" * 2000)


def which(spec: dict[str, Any], models: Any, prefix: Any, die: int) -> dict[str, Any]:
    """A sweep of listed models or of those below a prefix; rarely of both or neither, or with images and an upgrade."""
    if "upgrade" in spec and die % RARELY != 7:
        spec = {name: value for name, value in spec.items() if name != "images"}
    named = {} if die % 2 else {"models": models}
    return {**spec, **named, **({"modelPrefix": prefix} if bool(die % 2) != (die % RARELY == 11) else {})}


SWEEP = st.builds(
    which,
    fields(
        {"template": TEMPLATE},
        {
            "fleet": BOOL,
            "images": mostly(st.sampled_from([["r:1"], ["r:1", "r:2"]]), [], ["r", "r"]),
            "upgrade": fields({"fromImage": IMAGE, "toImage": mostly(st.just("r:3"), "", 1)}, {}),
            "schedule": SCHEDULE,
            "budget": fields(
                {"gpuHours": mostly(st.sampled_from([1, 0.5, 1e6]), 0, -1, "1", 1e7)},
                {"whenOver": mostly(st.sampled_from(["Refuse", "Halt"]), "Stop")},
            ),
            "suspend": BOOL,
            "managedBy": mostly(st.sampled_from(["assay.dev/operator", "x.example/y"]), "", 3),
            "maxParallel": COUNT,
            "historyLimit": mostly(st.sampled_from([0, 1, 10]), -1, 11, "1"),
        },
    ),
    MODELS,
    PREFIX,
    DIE,
)
