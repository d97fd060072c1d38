"""Rendered text and drawn scenes, normalised as each model's own package does."""

from __future__ import annotations

import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["Floats", "captchas", "pages", "scenes", "text_lines"]

Floats = NDArray[np.float32]
WORDS = tuple(
    re.findall(
        r"\S+",
        "invoice total amount due date number shipping address receipt order customer payment tax net gross delivery "
        "contract signature reference account branch street city country phone 2024 17.50 EUR 380 No. A-113 page of",
    )
)
SKIN = ((236, 188, 180), (198, 134, 66), (141, 85, 36), (255, 219, 172))


def _font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font: no machine needs to have one installed."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _text(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(WORDS, words))


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _photographed(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """With the blur, the noise and the compression of a camera."""
    image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0, 0.8))))
    noise = random.normal(0, random.uniform(1, 6), (*image.size[::-1], 3))
    image = Image.fromarray((np.asarray(image, np.float64) + noise).clip(0, 255).astype(np.uint8))
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=int(random.integers(70, 95)))
    return Image.open(packed).convert("RGB")


def _normalised(images: list[Image.Image], mean: float = 0.5, deviation: float = 0.5) -> Floats:
    """(samples, 3, height, width), blue first as OpenCV reads them."""
    pixels = np.stack([np.asarray(image, np.float32)[:, :, ::-1] for image in images]) / 255
    return np.ascontiguousarray(((pixels - mean) / deviation).transpose(0, 3, 1, 2), np.float32)


def pages(random: np.random.Generator, samples: int, height: int, width: int) -> Floats:
    """Photographed pages of text in several sizes, with rules and stamps, for a text detector."""
    drawn = []
    for _ in range(samples):
        page = Image.new("RGB", (width, height), _colour(random, 190, 256))
        pen = ImageDraw.Draw(page)
        line = int(random.integers(8, 30))
        while line < height - 40:
            size = int(random.integers(12, 36))
            left = int(random.integers(5, width // 3))
            pen.text((left, line), _text(random, int(random.integers(1, 6))), _colour(random, 0, 110), _font(size))
            line += size + int(random.integers(6, 40))
        box = [int(value) for value in random.integers(0, width // 2, 2)]
        pen.rectangle((*box, box[0] + width // 3, box[1] + height // 5), outline=_colour(random, 60, 200), width=2)
        drawn.append(_photographed(page.rotate(float(random.uniform(-4, 4)), fillcolor=(128, 128, 128)), random))
    return _normalised(drawn)


def text_lines(
    random: np.random.Generator, samples: int, height: int, width: int, turned: bool = False
) -> tuple[Floats, NDArray[np.int64]]:
    """Single lines of text as cut out of a page; where `turned`, every other one stands on its head, label 1."""
    drawn, labels = [], np.zeros(samples, np.int64)
    for index in range(samples):
        image = Image.new("RGB", (width, height), _colour(random, 170, 256))
        pen, size = ImageDraw.Draw(image), random.uniform(0.45, 0.75) * height
        place = (int(random.integers(2, 12)), int(random.integers(0, max(1, height // 5))))
        pen.text(place, _text(random, max(1, width // 90)), _colour(random, 0, 120), _font(size))
        if turned and index % 2:
            image, labels[index] = image.rotate(180), 1
        drawn.append(_photographed(image, random))
    return _normalised(drawn), labels


def captchas(random: np.random.Generator, samples: int, height: int, width: int) -> Floats:
    """Grey captchas of four to six signs with lines across, (samples, 1, height, width) in [-1, 1]."""
    signs = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
    drawn = []
    for _ in range(samples):
        image = Image.new("RGB", (width, height), _colour(random, 200, 256))
        pen = ImageDraw.Draw(image)
        count = int(random.integers(4, 7))
        for index in range(count):
            place = (8 + index * (width - 16) // count, int(random.integers(4, height // 3)))
            pen.text(place, random.choice(list(signs)), _colour(random, 0, 150), _font(float(random.uniform(26, 40))))
        for _ in range(3):
            ends = random.integers(0, [width, height, width, height])
            pen.line([int(value) for value in ends], fill=_colour(random, 60, 180), width=2)
        drawn.append(np.asarray(_photographed(image, random).convert("L"), np.float32))
    return ((np.stack(drawn)[:, None] / 255 - 0.5) / 0.5).astype(np.float32)


def scenes(random: np.random.Generator, samples: int, size: int, scale: float = 1 / 255) -> Floats:
    """Rooms and landscapes with figures of people in them, (samples, 3, size, size), pixels times `scale`."""
    drawn = []
    for _ in range(samples):
        sky, ground = np.array(_colour(random, 90, 256)), np.array(_colour(random, 30, 160))
        slope = np.linspace(0, 1, size)[:, None, None]
        image = Image.fromarray((sky * (1 - slope) + ground * slope + np.zeros((size, size, 3))).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for _ in range(int(random.integers(2, 7))):
            left, top, *sides = (int(value) for value in random.integers(0, size // 2, 4))
            pen.rectangle((left, top, left + sides[0], top + sides[1]), fill=_colour(random, 0, 256))
        for _ in range(int(random.integers(1, 4))):
            _person(pen, random, size)
        drawn.append(_photographed(image, random))
    pixels = np.stack([np.asarray(image, np.float32) for image in drawn]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels * np.float32(scale))


def _person(pen: ImageDraw.ImageDraw, random: np.random.Generator, size: int) -> None:
    skin = SKIN[int(random.integers(len(SKIN)))]
    head = int(random.integers(size // 16, size // 6))
    x, y = (int(value) for value in random.integers(head, size - 2 * head, 2))
    pen.rounded_rectangle((x - head, y + head, x + head, y + 4 * head), head // 2, fill=_colour(random, 0, 256))
    pen.ellipse((x - 2 * head // 3, y - head, x + 2 * head // 3, y + head), fill=skin)
    for side in (-1, 1):
        pen.line((x + side * head, y + head, x + side * 3 * head // 2, y + 3 * head), fill=skin, width=head // 3)
        pen.ellipse((x + side * head // 4 - 2, y - 4, x + side * head // 4 + 2, y), fill=(20, 20, 20))
    pen.arc((x - head // 3, y, x + head // 3, y + head // 2), 20, 160, fill=(150, 40, 40), width=2)
