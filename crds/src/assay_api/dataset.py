"""`Dataset`: what is fed, and how it lies in its files. Field docstrings are what `kubectl explain` prints."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import Self

from assay_api.candidate import AXES
from assay_api.fields import ArrayName, Uri
from assay_api.model import Model, Rule

MOST_VALUES: Final = 4096
"""Numbers that a constant holds at most: what is larger lies in files."""
_NUMBER: Final[dict[str, Any]] = {
    # OpenAPI as Kubernetes has it knows no "number or list". Each keyword binds values of one kind only, and no text
    # and no object has one character or property at least and none at most.
    "x-kubernetes-preserve-unknown-fields": True,
    "minLength": 1,
    "maxLength": 0,
    "minProperties": 1,
    "maxProperties": 0,
}
Number = bool | int | float


def _constant(value: Any) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    many = value if isinstance(value, tuple) else (value,)
    if len(many) > MOST_VALUES:
        raise ValueError(f"a constant holds at most {MOST_VALUES} values: store larger ones as arrays")
    if not all(isinstance(one, bool | int | float) for one in many):
        raise ValueError("a constant is a number, true or false, or a list of such")
    return value


Constant = Annotated[
    Number | tuple[Number, ...],
    BeforeValidator(_constant),
    WithJsonSchema({**_NUMBER, "maxItems": MOST_VALUES, "items": {**_NUMBER, "maxItems": 0}}),
]
"""A number or a truth value, or a list of such."""


class InputFeed(Model):
    """How an input is fed that is not stored with one row per sample along its first axis."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    axis: int | None = Field(default=None, ge=0, le=AXES - 1)
    """The axis of the input along which samples are stacked, from 0; it is stored in that shape. Default 0, or none for
    a constant."""
    constant: Constant | None = None
    """The same values for every sample, in place of an array: a number that fills the input's shape, or a list of all
    its values, the last axis varying fastest. They take the input's element type."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("an input in dataset.inputs is given axis, constant or both")
        return self


class Dataset(Model):
    """Inputs, and labels where there are any: a file, or a prefix of files read in name order."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.layout) || self.layout != 'feeds' || !has(self.batch)",
            lambda s: s.layout != "feeds" or not s.has("batch"),
            "layout feeds runs each feed by itself, in the shapes it has: remove batch",
        ),
        Rule(
            "!has(self.layout) || self.layout != 'feeds' || !has(self.inputs)",
            lambda s: s.layout != "feeds" or not s.has("inputs"),
            "layout feeds takes every input from each feed, as the model takes it: remove inputs",
        ),
    )
    uri: Uri
    """A file or a prefix of files: .npz, .safetensors, ONNX's test_data_set_N folders, Polygraphy's saved inputs
    (.json), or what a reader of yours in the image takes. One array per model input. Arrays that match no input are
    ignored and listed in the report. NaN in an input is refused, unless the model asks for it, as trees do that know
    missing values; it and infinities, as additive masks have them, are fed as they are, and the report says in how many
    samples."""
    layout: Literal["samples", "feeds"] = "samples"
    """samples: arrays hold samples along their first axis, fed in batches. feeds: each file, ONNX test set or saved
    iteration is one feed in the model's exact shapes, scalars included, run by itself and judged as one sample. Default
    samples."""
    inputs: dict[str, InputFeed] = Field(default={}, max_length=64)
    """For layout samples, by name of the input: those that are constant, or whose samples lie along another axis."""
    labels: ArrayName | None = None
    """Name of the array of class labels (integers, one per sample). Needed by labelAccuracy."""
    targets: tuple[ArrayName, ...] = Field(
        default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """Names of arrays that metrics of your own are given beside labels: of any shape and element type, text too, one
    row per sample (boxes, masks, transcripts)."""
    batch: int = Field(default=32, ge=1, le=4096)
    """Samples per inference. A model with a fixed batch is fed in its own; feeds are run one by one. Default 32."""
    samples: int | None = Field(default=None, ge=1, le=100_000_000)
    """Use only the first so many samples. Default: all."""
    synthetic: bool = False
    """Whether the values are made up, as those are that `assay init` makes where it is given none. Nothing passes on
    them: what would is Inconclusive. Default false."""
