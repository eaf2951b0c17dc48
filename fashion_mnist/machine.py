"""Describes this kind of machine by what decides how a model's numbers are rounded."""

import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fashion_mnist import files
from fashion_mnist.errors import InputError

RECORD = "docs/machine.json"

LIBRARIES = ("keras", "numpy", "scikit-learn", "tensorflow")
# From the widest vectors to the narrowest, by their names in Linux. AVX-512 counts as AVX2, since
# `determinism` limits the training to AVX2: both gave the same bytes.
INSTRUCTION_SETS = ("avx2", "avx", "sse4_1", "asimd")


class Machine(BaseModel):
    """A kind of machine: two of the same kind, with any number of cores, give the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    processor: str
    instruction_set: str
    """Widest vectors that the training may use and the processor has."""
    libraries: dict[str, str]


def flags(cpuinfo: str) -> set[str]:
    """Return the processor's features, by their names in Linux, from the text of /proc/cpuinfo."""
    found: set[str] = set()
    for line in cpuinfo.splitlines():
        if line.lower().startswith(("flags", "features")):
            found |= set(line.partition(":")[2].split())
    return found


def here() -> Machine:
    """Return the kind of this machine."""
    described = Path("/proc/cpuinfo")
    text = described.read_text(encoding="utf-8", errors="replace") if described.exists() else ""
    able = flags(text)
    known = [name for name in INSTRUCTION_SETS if name in able]
    return Machine(
        system=platform.system(),
        processor=platform.machine(),
        instruction_set=known[0] if known else "unknown",
        libraries={name: version(name) for name in LIBRARIES},
    )


def recorded(root: Path) -> Machine | None:
    """Return the kind of machine that made the committed files; None without docs/machine.json.

    Raises:
        InputError: That file is damaged.
    """
    path = root / RECORD
    if not path.exists():
        return None
    try:
        return Machine.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(": ".join(filter(None, (RECORD, where, first["msg"])))) from error


def record(root: Path) -> None:
    """Write that this kind of machine made the committed files."""
    files.write_metrics(root / RECORD, here().model_dump())
