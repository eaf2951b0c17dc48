"""Kills a process at a chosen moment of its work."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def killed_at(moment: int, how: signal.Signals) -> Iterator[None]:
    """Send this process a signal as it is about to change a file for the n-th time.

    A change is to open a file in the current folder for writing, to rename, make or remove one.
    At the end the process prints how many changes it made.

    Args:
        moment: Which change, from 1; 0 for none.
        how: The signal.
    """
    count, here = 0, str(Path.cwd())

    def hook(event: str, args: Any) -> None:
        nonlocal count
        if event == "open":
            changes = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            changes = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
        if changes and os.path.abspath(os.fsdecode(args[0])).startswith(here):  # noqa: PTH100
            count += 1
            if count == moment:
                os.kill(os.getpid(), how)

    sys.addaudithook(hook)
    try:
        yield
    finally:
        print("changes:", count)
