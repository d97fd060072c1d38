"""The command: it hears a request to end from its first moment on, then loads and runs the operator."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the operator."""
    # Loading takes a second or two, and to the first process of a container the kernel delivers no signal that nobody
    # handles: one that came meanwhile would be lost, and the kubelet would kill it half a minute later.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    from assay_operator import serving

    serving.main()


if __name__ == "__main__":
    main()
