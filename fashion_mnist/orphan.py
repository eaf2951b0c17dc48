"""Ends a stage once the DVC that runs it is gone, so that no orphan competes with its successor."""

import os
import sys
import threading
import time

INTERVAL = 0.5  # seconds


def watch() -> None:
    """Let this process end soon after its parent does, if DVC started it.

    DVC leaves its stage running when it is killed. A stage that was started by hand may outlive
    its shell, as with `nohup`.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    print("the DVC that ran this stage is gone: stopped", file=sys.stderr, flush=True)
    # At once: half-written files have temporary names, and the next run removes them.
    os._exit(1)
