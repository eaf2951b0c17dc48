"""Measures in a new Python process.

TensorFlow's kernels and threads are settings of a process, and peak memory is one of its figures.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fashion_mnist import determinism
from fashion_mnist.errors import InputError


def run(
    module: str,
    *arguments: str,
    stdin: str | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """Return the JSON value in the last line that `python -m module` prints.

    Args:
        module: The module to run.
        arguments: Its command line.
        stdin: The text of its standard input; None passes on that of this process.
        environment: Variables to set for it.

    Raises:
        InputError: The process failed; standard error already shows its message.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=stdin,
        env={**os.environ, **environment},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise InputError(f"python -m {module} failed with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def share_of_cores(jobs: int) -> dict[str, str]:
    """Return the variables to set for each of some trainings that run side by side."""
    return {determinism.CORES: str(max(1, determinism.cores() // jobs))}
