"""Pictures have the same bytes whatever the user's own Matplotlib settings are."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

DRAW = """
from pathlib import Path
import numpy as np
from fashion_mnist import figures
images = np.arange(7 * 784, dtype=np.uint32).astype(np.uint8).reshape(7, 28, 28)
figures.gallery(images, [f"actual {n}" for n in range(7)], Path("gallery.png"))
figures.samples([images[:2], images[2:3], images[3:6]], ["a", "b", "c"], Path("samples.png"))
figures.gallery(np.stack([images] * 3, axis=3), [f"{n}" for n in range(7)], Path("colour.png"))
figures.gallery(images[:0], [], Path("empty.png"))
"""


def draw(folder: Path, matplotlibrc: str) -> list[str]:
    folder.mkdir()
    (folder / "matplotlibrc").write_text(matplotlibrc)
    subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))]


def test_same_bytes(tmp_path: Path) -> None:
    plain = draw(tmp_path / "a", "")
    assert len(set(plain)) == 4
    assert draw(tmp_path / "b", "axes.titlesize: 30\nsavefig.facecolor: red\n") == plain
