"""What an emulation cannot answer and only an engine on a GPU can."""

from __future__ import annotations

from assay_api.model import Model


class LeftForGpu(Model):
    """Something that was asked for and not judged, because no engine ran; no verdict says anything of it."""

    check: str | None = None
    """Name of the check; absent where the candidate as a whole is left."""
    message: str
    """What is left and why, in one sentence."""
