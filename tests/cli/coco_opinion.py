"""What pycocotools says of made-up detections, to hold the shipped mAP to: values are recorded in test_coco_map.py.

python -m venv coco && coco/bin/pip install pycocotools==2.0.11 && coco/bin/python tests/cli/coco_opinion.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

SAMPLES, MOST, CLASSES = 40, 12, 4


def made(seed: int, noise: float, few: bool = False) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Detections (samples, rows, 6) and boxes (samples, rows, 5), padded; whole numbers of pixels, so overlaps tie."""
    draw = np.random.default_rng(seed)
    detections = np.zeros((SAMPLES, MOST, 6))
    boxes = np.full((SAMPLES, MOST, 5), np.nan)
    for sample in range(SAMPLES):
        count = int(draw.integers(0, 4 if few else MOST - 2))
        corner, size = draw.integers(0, 60, (count, 2)), draw.integers(4, 30, (count, 2))
        kinds = draw.integers(0, CLASSES, count)
        boxes[sample, :count] = np.column_stack([corner, corner + size, kinds])
        moved = np.column_stack([corner, corner + size]) + np.round(draw.normal(0, noise, (count, 4)))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        scores = np.round(draw.uniform(0.05, 1, count), 2)
        wrong = draw.uniform(size=count) < 0.1
        detections[sample, :count] = np.column_stack([moved, scores, np.where(wrong, (kinds + 1) % CLASSES, kinds)])
        detections[sample, count : count + 2] = [5, 5, 25, 25, 0.3, 0], [5, 5, 24, 26, 0.3, 0]
    return detections, boxes


CASES: dict[str, tuple[int, float, bool]] = {"close": (1, 1.0, False), "apart": (2, 3.0, False), "few": (3, 1.5, True)}


def opinion(detections: np.ndarray[Any, Any], boxes: np.ndarray[Any, Any]) -> float:
    """COCO's AP at 0.50:0.95 over all areas, 100 detections an image."""
    from pycocotools.coco import COCO  # type: ignore[import-untyped]
    from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]

    truth: list[dict[str, Any]] = []
    coco = COCO()
    for image, rows in enumerate(boxes, 1):
        for x1, y1, x2, y2, kind in rows[~np.isnan(rows).any(axis=1)]:
            width, height = x2 - x1, y2 - y1
            truth.append(
                {"id": len(truth) + 1, "image_id": image, "category_id": int(kind), "bbox": [x1, y1, width, height],
                 "area": width * height, "iscrowd": 0}
            )  # fmt: skip
    coco.dataset = {
        "images": [{"id": image} for image in range(1, len(boxes) + 1)], "annotations": truth,
        "categories": [{"id": kind} for kind in range(CLASSES)], "info": {},
    }  # fmt: skip
    coco.createIndex()
    found = [
        {"image_id": image, "category_id": int(kind), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image, rows in enumerate(detections, 1)
        for x1, y1, x2, y2, score, kind in rows[rows[:, 4] > 0]
    ]
    judge = COCOeval(coco, coco.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return float(judge.stats[0])


if __name__ == "__main__":
    print({name: opinion(*made(*case)) for name, case in CASES.items()})
