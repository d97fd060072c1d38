"""Do the outputs agree with the golden ones?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from assay_api.fields import ArrayName, Share
from assay_runner.checks.check import Check
from assay_runner.evidence import Need


class OutputDrift(Check):
    """Do the outputs agree with the golden ones?

    Judged per output and per sample: the worst sample decides. Without any limit: cosine 0.99.
    """

    name: ClassVar[str] = "outputDrift"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OUTPUTS})

    outputs: tuple[ArrayName, ...] = Field(
        default=(), max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Names of the outputs that are judged. Default: all."""
    max_abs: float | None = Field(default=None, ge=0)
    """Largest absolute difference of an element."""
    max_rel: float | None = Field(default=None, ge=0)
    """Largest difference of an element, divided by the larger of the golden element's magnitude and 0.1 % of the
    sample's largest golden magnitude (so that elements near zero do not decide)."""
    cosine: float | None = Field(default=None, ge=-1, le=1)
    """Smallest cosine similarity of a sample's output."""
    psnr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest peak signal-to-noise ratio in dB; the peak is the sample's largest golden magnitude."""
    snr: float | None = Field(default=None, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio in dB: golden power over the power of the difference."""
    top_k: int = Field(default=1, ge=1, le=1000)
    """k of topKAgreement. Default 1."""
    top_k_agreement: Share | None = None
    """Share of samples whose set of the k largest elements along the last axis must be the golden one's."""
