"""Are the same objects detected?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from assay_api.fields import ArrayName
from assay_api.model import Rule
from assay_api.output_details import DetectionsDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import DetectionsFound, DetectionsWanted, Evidence, Layout
from assay_runner.statistics.detections import Terms

Column = Annotated[int, Field(ge=0, le=65535)]
Part = Annotated[float, Field(ge=0, le=1)]


class Share(NamedTuple):
    """One of what is judged.

    Attributes:
        what: what is counted.
        of: what it is a share of.
        told: in words.
    """

    what: str
    of: str
    told: str


SHARES = (
    Share("lost", "golden", "of golden's {of} detections {count} are lost"),
    Share("gained", "golden", "beside golden's {of} detections {count} are gained"),
    Share("moved", "found", "of {of} detections that both have {count} have moved"),
    Share("rescored", "found", "of {of} detections that both have {count} have another score"),
)


class DetectionsCheck(Check):
    """Are the same objects detected?

    Golden's detections and the candidate's are matched in each sample, the best-scored first, by class and by the
    overlap of their boxes (intersection over union). Judged over the dataset by what is lost, gained, moved and scored
    otherwise.
    """

    name: ClassVar[str] = "detections"
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.scores) || has(self.scoreColumn) || has(self.classScoresFrom)",
            lambda c: c.scores is not None or c.score_column is not None or c.class_scores_from is not None,
            "detections needs to know where scores are: give scores (an output), scoreColumn or classScoresFrom",
        ),
        Rule(
            "!(has(self.classColumn) && has(self.classScoresFrom))",
            lambda c: c.class_column is None or c.class_scores_from is None,
            "a class stands in classColumn or is the best of classScoresFrom, not both",
        ),
    )

    boxes: ArrayName | None = None
    """Output that holds the boxes, one in each row. Default: the first."""
    scores: ArrayName | None = None
    """Output that holds the scores, where that is another: one for each box, or one per class. Columns of scores are
    then counted in it. Default: the output of the boxes."""
    classes: ArrayName | None = None
    """Output that holds the class of each box, where that is another. Default: as classColumn or classScoresFrom say;
    one class where they say nothing."""
    count: ArrayName | None = None
    """Output that says how many rows are meant; those behind them are padding. Default: all rows are."""
    columns: Literal["last", "first"] = "last"
    """Which axis of a sample holds the columns. last (default): (rows, columns). first: (columns, rows)."""
    box_columns: tuple[Column, ...] = Field(
        default=(0, 1, 2, 3), min_length=4, max_length=4, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """The four columns of a box. Default 0, 1, 2, 3."""
    format: Literal["xyxy", "xywh", "cxcywh"] = "xyxy"
    """What they are. xyxy (default): two corners that lie across, x or y first. xywh: one corner, width and height.
    cxcywh: the centre, width and height. In pixels or in shares of the image: overlaps are the same."""
    score_column: Column | None = None
    """Column of the score; beside classScoresFrom, of the objectness that class scores are multiplied by."""
    class_column: Column | None = None
    """Column of the class."""
    class_scores_from: Column | None = None
    """Column from which on, to the last, there is a score for each class; the best is the class."""
    min_score: float = Field(default=0.25, ge=-1e6, le=1e6)
    """Score from which on a row is a detection. Default 0.25."""
    iou: float = Field(default=0.5, gt=0, le=1)
    """Overlap from which on two boxes of a class are the same detection. Default 0.5."""
    most: int = Field(default=300, ge=1, le=3000)
    """Best-scored rows of a sample that are looked at. Default 300."""
    lost: Part = 0.01
    """Largest share of golden's detections that the candidate does not have. Default 0.01."""
    gained: float = Field(default=0.01, ge=0, le=1000)
    """Most detections that the candidate alone has, as a share of golden's. Default 0.01."""
    moved: Part = 0.05
    """Largest share of the detections that both have whose boxes overlap less than movedIou. Default 0.05."""
    moved_iou: float = Field(default=0.75, gt=0, le=1)
    """Overlap below which a box has moved. Default 0.75."""
    rescored: Part = 0.05
    """Largest share of the detections that both have whose scores differ by more than scoreChange. Default 0.05."""
    score_change: float = Field(default=0.1, ge=0, le=1e6)
    """Difference of two scores that counts as none. What falls below minScore by no more, or rises above it, is neither
    lost nor gained. Default 0.1."""

    @property
    def needs(self) -> tuple[DetectionsWanted]:
        """The detections, matched."""
        layout = Layout(
            boxes=self.boxes or "",
            scores=self.scores or "",
            classes=self.classes or "",
            count=self.count or "",
            first=self.columns == "first",
            box_columns=self.box_columns,
            form=self.format,
            score_column=self.score_column,
            class_column=self.class_column,
            class_scores=self.class_scores_from,
        )
        return (
            DetectionsWanted(layout, Terms(self.min_score, self.score_change, self.iou, self.moved_iou, self.most)),
        )

    @property
    def outputs_read(self) -> tuple[str, ...]:
        """The outputs that hold detections."""
        return tuple(name for name in (self.boxes, self.scores, self.classes, self.count) if name)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first limit that is breached, or that all hold."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(*self.needs)
        if found is None:
            return (self.inconclusive(evidence, "no detections were looked for"),)
        golden, samples = found.total("golden"), len(found.outcomes)
        if not golden and not found.total("gained"):
            reason = (
                f"golden detects nothing with a score of {self.min_score:g} or more in {samples} samples, nor does the "
                "candidate: lower detections.minScore, or give data in which there is something"
            )
            return (self.inconclusive(evidence, reason, found.site, details=_details(found)),)
        breached = list(self._breached(found))
        if not breached:
            told = (
                f"of golden's {golden} detections in {samples} samples {found.total('lost')} are lost and "
                f"{found.total('gained')} gained, {found.total('moved')} have moved and {found.total('rescored')} have "
                "another score, within all limits"
            )
            fields = {"metric": "lostDetections", "value": _share(found, SHARES[0]), "limit": self.lost}
            return (self.finding(evidence, Verdict.PASSED, told, found.site, **fields, details=_details(found)),)
        share, limit = breached[0]
        value, worst = _share(found, share), int(np.argmax(found.of(share.what)))
        told = share.told.format(count=found.total(share.what), of=found.total(share.of))
        told += f", {100 * value:.3g} %, and no more than {100 * limit:g} % may be; most in sample {worst}: "
        told += f"{int(found.of(share.what)[worst])}, where golden has {int(found.of('golden')[worst])}"
        told += f"; further limits breached: {len(breached) - 1}" if len(breached) > 1 else ""
        fields = {"metric": f"{share.what}Detections", "value": value, "limit": limit}
        return (self.finding(evidence, Verdict.FAILED, told, found.site, **fields, details=_details(found)),)

    def _breached(self, found: DetectionsFound) -> Iterator[tuple[Share, float]]:
        limits = (self.lost, self.gained, self.moved, self.rescored)
        for share, limit in zip(SHARES, limits, strict=True):
            if not _share(found, share) <= limit:
                yield share, limit


def _share(found: DetectionsFound, share: Share) -> float:
    """Of what there is; of nothing, as many as there are."""
    return found.total(share.what) / max(1, found.total(share.of))


def _details(found: DetectionsFound) -> DetectionsDetails:
    return DetectionsDetails(
        samples=len(found.outcomes),
        golden=found.total("golden"),
        candidate=found.total("candidate"),
        found=found.total("found"),
        lost=found.total("lost"),
        gained=found.total("gained"),
        moved=found.total("moved"),
        rescored=found.total("rescored"),
        least_iou=float(found.of("least").min()),
        largest_score_change=float(found.of("change").max()),
        worst_sample=_worst(found),
    )


def _worst(found: DetectionsFound) -> int | None:
    """The sample with most that is lost or gained; of none, the one with most that moved or is scored otherwise."""
    for names in (("lost", "gained"), ("moved", "rescored")):
        several = found.of(names[0]) + found.of(names[1])
        if several.any():
            return int(np.argmax(several))
    return None
