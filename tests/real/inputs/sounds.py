"""Sound like speech: a voice's pitch and formants, hissing consonants, pauses, and the noise of a room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_mel", "speech"]

Floats = NDArray[np.float32]
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))


def speech(random: np.random.Generator, samples: int, length: int, rate: int = 16000) -> Floats:
    """(samples, length) in [-1, 1]."""
    return np.stack([_spoken(random, length, rate) for _ in range(samples)]).astype(np.float32)


def _spoken(random: np.random.Generator, length: int, rate: int) -> NDArray[np.float64]:
    wave = np.zeros(length)
    pitch, start = float(random.uniform(90, 240)), 0
    while start < length:
        size = min(length - start, int(random.uniform(0.06, 0.28) * rate))
        wave[start : start + size] = _sound(random, size, rate, pitch * float(random.uniform(0.9, 1.15)))
        start += size
    noise = random.normal(0, 10 ** random.uniform(-4, -2), length)
    return np.asarray(wave * random.uniform(0.1, 0.8) + noise).clip(-1, 1)


def _sound(random: np.random.Generator, size: int, rate: int, pitch: float) -> NDArray[np.float64]:
    """A vowel, a hiss or a pause."""
    kind = random.random()
    envelope = np.sin(np.linspace(0, np.pi, size)) ** 0.5
    if kind < 0.15:
        return np.zeros(size)
    if kind < 0.35:
        return np.asarray(0.2 * envelope * np.diff(random.normal(0, 1, size + 1)))
    times, formants = np.arange(size) / rate, np.array(VOWELS[int(random.integers(len(VOWELS)))])
    harmonics = np.arange(1, max(2, int(4000 / pitch))) * pitch
    weights = sum(np.exp(-(((harmonics - formant) / 120) ** 2)) for formant in formants) + 0.02
    phases = random.uniform(0, 2 * np.pi, len(harmonics))
    wave = (weights[:, None] * np.sin(2 * np.pi * harmonics[:, None] * times + phases[:, None])).sum(0)
    return np.asarray(envelope * wave / max(1e-9, np.abs(wave).max()))


def log_mel(waves: Floats, bands: int = 80, hop: int = 160, window: int = 400, rate: int = 16000) -> Floats:
    """Whisper's features: log10 of mel energies, clipped 8 below the largest, (samples, bands, frames)."""
    padded = np.pad(waves, ((0, 0), (window // 2, window // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop][:, :-1]
    power = np.abs(np.fft.rfft(frames * np.hanning(window + 1)[:-1])) ** 2
    energies = np.log10(np.maximum(power @ _filters(bands, window, rate), 1e-10))
    clipped = np.maximum(energies, energies.max(axis=(1, 2), keepdims=True) - 8)
    return np.ascontiguousarray(((clipped + 4) / 4).transpose(0, 2, 1), np.float32)


def _filters(bands: int, window: int, rate: int) -> NDArray[np.float64]:
    """Triangles, equally wide in mel, (frequencies, bands)."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges, bins = 700 * (10 ** (mel / 2595) - 1), np.linspace(0, rate / 2, window // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2]))
