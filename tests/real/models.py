"""The models that are audited, where each comes from, and what it is fed. A new model is a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.real.boosted import boosted_data, boosted_model
from tests.real.inputs import images, sounds, texts
from tests.real.wheels import Wheel

__all__ = ["LABELS", "MODELS", "QUICK", "RealModel"]

Arrays = dict[str, NDArray[Any]]
LABELS: Final = "label"
"""Name of the array with the class of each sample, where there is one."""

RAPIDOCR = Wheel("rapidocr-onnxruntime", "1.4.4", "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf")
SILERO = Wheel("silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")
NUDENET = Wheel("nudenet", "3.4.2", "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331")
DDDDOCR = Wheel("ddddocr", "1.6.1", "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935")
MAGIKA = Wheel("magika", "1.0.3", "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803")
BASIC_PITCH = Wheel("basic-pitch", "0.4.0", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0")
PIPECAT = Wheel("pipecat-ai", "1.14.0", "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44")
AKIKI = Wheel("akiki", "0.0.6", "7ff58c6874f29fa5b56f38d153e78247f4dbab268b4e32f30e3f222a1e2c3ee7")
TASHKEEL = Wheel("text2tashkeel", "0.1.0", "dd1ad22b6b012a71f1467d95fbaceecc38b22f4882c31389a6d35cdc1669967c")

MAGIKA_KINDS = {"python": 143, "json": 87, "html": 71, "c": 17, "csv": 32, "png": 133}


@dataclass(frozen=True)
class RealModel:
    """A model, its inputs, and how it is fed.

    Attributes:
        kind: what it is, in a few words.
        make: inputs by name for so many samples, drawn from a generator; among them perhaps `LABELS`.
        samples: that are judged; as many others calibrate.
        batch: samples per run.
        wheel: the package that ships it; None where it is trained here.
        member: its path in the wheel.
        trained: makes it, where no package ships it.
        quick: small enough for `make test`.
        scores: output with the scores of the classes, where it is not the first.
        dataset: further fields of the audit's dataset.
        fp32: the verdict of its fp32 candidate: what control flow hides cannot be judged, and 8 bits before a Softmax
            are a breach in the model as it is shipped.
        parts: first and last channel, the second axis of an output, of what has a scale of its own.
    """

    kind: str
    make: Callable[[np.random.Generator, int], Arrays]
    samples: int
    batch: int
    wheel: Wheel | None = None
    member: str = ""
    trained: Callable[[], bytes] | None = None
    quick: bool = False
    scores: str = ""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    fp32: str = "Passed"
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def _detector(random: np.random.Generator, samples: int) -> Arrays:
    return {"x": images.pages(random, samples, 320, 480)}


def _direction(random: np.random.Generator, samples: int) -> Arrays:
    drawn, labels = images.text_lines(random, samples, 48, 192, turned=True)
    return {"x": drawn, LABELS: labels}


def _lines(random: np.random.Generator, samples: int) -> Arrays:
    return {"x": images.text_lines(random, samples, 48, 320)[0]}


def _voice(random: np.random.Generator, samples: int) -> Arrays:
    return {"input": sounds.speech(random, samples, 576), "state": np.zeros((2, samples, 128), np.float32)}


def _files(random: np.random.Generator, samples: int) -> Arrays:
    rows, kinds = texts.files(random, samples)
    return {"bytes": rows, LABELS: np.array([MAGIKA_KINDS[kind] for kind in kinds], np.int64)}


def _music(random: np.random.Generator, samples: int) -> Arrays:
    return {"serving_default_input_2:0": sounds.speech(random, samples, 43844, 22050)[:, :, None]}


def _turns(random: np.random.Generator, samples: int) -> Arrays:
    return {"input_features": sounds.log_mel(sounds.speech(random, samples, 8 * 16000))}


def _windows(random: np.random.Generator, samples: int) -> Arrays:
    return {
        "audio_with_context": sounds.speech(random, samples, 576),
        "h": random.normal(0, 0.3, (samples, 1, 128)).astype(np.float32),
    }


MODELS: Final[dict[str, RealModel]] = {
    "pp-ocr-det": RealModel(
        "text detector, segments pixels (PP-OCRv4)", _detector, 4, 2,
        wheel=RAPIDOCR, member="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
    ),
    "pp-ocr-cls": RealModel(
        "text direction classifier (PP-OCR mobile)", _direction, 24, 8, quick=True,
        wheel=RAPIDOCR, member="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    ),
    "pp-ocr-rec": RealModel(
        "text recogniser with attention (PP-OCRv4)", _lines, 8, 4,
        wheel=RAPIDOCR, member="rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    ),
    "silero-vad": RealModel(
        "voice detector, LSTM inside If", _voice, 64, 32, quick=True,
        wheel=SILERO, member="silero_vad/data/silero_vad.onnx",
        dataset={"inputs": {"sr": {"constant": 16000}, "state": {"axis": 1}}},
    ),
    "nudenet": RealModel(
        "object detector (YOLOv8n)", lambda random, samples: {"images": images.scenes(random, samples, 320)}, 8, 4,
        wheel=NUDENET, member="nudenet/320n.onnx", parts={"output0": (4, 21)},
    ),
    "ddddocr": RealModel(
        "captcha reader, fixed batch", lambda random, samples: {"input1": images.captchas(random, samples, 64, 160)},
        16, 1, wheel=DDDDOCR, member="ddddocr/common.onnx",
    ),
    "ddddocr-old": RealModel(
        "captcha reader, dynamically quantised",
        lambda random, samples: {"input1": images.captchas(random, samples, 64, 160)}, 16, 1,
        wheel=DDDDOCR, member="ddddocr/common_old.onnx",
    ),
    "ddddocr-det": RealModel(
        "character detector (YOLOX)", lambda random, samples: {"images": images.scenes(random, samples, 416, 1.0)},
        4, 1, wheel=DDDDOCR, member="ddddocr/common_det.onnx",
    ),
    "magika": RealModel(
        "file type classifier", _files, 24, 4, quick=True,
        wheel=MAGIKA, member="magika/models/standard_v3_3/model.onnx",
    ),
    "basic-pitch": RealModel(
        "notes in music, spectrogram inside", _music, 6, 2,
        wheel=BASIC_PITCH, member="basic_pitch/saved_models/icassp_2022/nmp.onnx",
    ),
    "smart-turn": RealModel(
        "end of turn in speech: transformer encoder (Whisper tiny), Q/DQ as shipped", _turns, 8, 4,
        wheel=PIPECAT, member="pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", fp32="Failed",
    ),
    "akiki-vad": RealModel(
        "voice detector, GRU step by step, fixed batch", _windows, 32, 1, quick=True,
        wheel=AKIKI, member="akiki/models/akiki-vad.onnx",
    ),
    "tashkeel": RealModel(
        "Arabic vowel marks: LSTM, dynamically quantised",
        lambda random, samples: {"input": texts.arabic(random, samples, 64)}, 16, 8,
        wheel=TASHKEEL, member="text2tashkeel/models/rawi.int8.onnx",
    ),
    "boosted-trees": RealModel(
        "gradient boosting, scikit-learn's digits by skl2onnx", boosted_data, 64, 32, quick=True, trained=boosted_model,
        scores="probabilities",
    ),
}  # fmt: skip
QUICK: Final = tuple(name for name, model in MODELS.items() if model.quick)
