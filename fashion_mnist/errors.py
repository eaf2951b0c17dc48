"""How bad input is reported: one line on standard error and exit code 1."""

import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

# What zipfile and NumPy raise on a damaged .npz file, depending on where the damage is.
DAMAGED = (EOFError, KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)


class InputError(Exception):
    """The user's input is wrong; the message says what it is and what was expected."""


def reason(error: BaseException) -> str:
    """Return why something failed on one line, with its type unless it is an InputError."""
    name = "" if isinstance(error, InputError) else type(error).__name__
    return " ".join(f"{name} {error}".split())


@contextmanager
def reported(program: str) -> Iterator[None]:
    """End the process with one line instead of a traceback if the input or the disk is at fault.

    Any other exception is a bug and keeps its traceback.

    Args:
        program: Name at the start of that line.
    """
    try:
        yield
    except InputError as error:
        sys.exit(f"{program}: error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{program}: error: {where}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)
