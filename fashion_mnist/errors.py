"""How a stage refuses bad input: one line on standard error and exit code 1."""

import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

# What zipfile and NumPy raise at a damaged .npz file, depending on where the damage is.
DAMAGED = (EOFError, KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile)


class InputError(Exception):
    """Something the user handed in is wrong; the message says what it is and what was expected."""


def reason(error: BaseException) -> str:
    """Return why something failed on one line, with the type of any error that is not ours."""
    name = "" if isinstance(error, InputError) else type(error).__name__
    return " ".join(f"{name} {error}".split())


@contextmanager
def reported(stage: str) -> Iterator[None]:
    """End the process with one line instead of a traceback when the input or the disk is at fault.

    Anything else that is raised is a bug of ours and keeps its traceback.
    """
    try:
        yield
    except InputError as error:
        sys.exit(f"{stage}: error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{stage}: error: {where}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)
