"""A damaged object in DVC's cache, which DVC restores as if it were intact."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import FASHION, ROOT, run, run_module

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# What each stage reads, and what its error says: the hash of the file or of its part.
READ = [
    ("split", "data/raw/train-images-idx3-ubyte", "SHA-256 is"),
    ("split", "data/raw/t10k-labels-idx1-ubyte", "SHA-256 is"),
    ("preprocess", "data/split/train.npz", "Bad CRC-32"),
    ("preprocess", "data/split/test.npz", "Bad CRC-32"),
    ("train", "data/prepared/train/images.npy", "SHA-256 is"),
    ("train", "data/prepared/validation/labels.npy", "SHA-256 is"),
    ("evaluate", "data/prepared/test/images.npy", "SHA-256 is"),
    ("evaluate", "data/split/test.npz", "Bad CRC-32"),
    ("evaluate", "data/model/model.keras", "Bad CRC-32"),
]


def cached(repository: Path, path: str) -> Path:
    """Return the cache object of a file."""
    cache = Path(run("dvc", "cache", "dir", cwd=repository).strip(), "files/md5")
    for stage in YAML(typ="safe").load(repository / "dvc.lock")["stages"].values():
        for out in stage["outs"]:
            digest = out["md5"]
            if path.startswith(f"{out['path']}/"):
                members = json.loads((cache / digest[:2] / digest[2:]).read_text())
                below = path.removeprefix(f"{out['path']}/")
                (digest,) = (item["md5"] for item in members if item["relpath"] == below)
            elif path != out["path"]:
                continue
            return cache / digest[:2] / digest[2:]
    raise AssertionError(path)


@pytest.mark.parametrize(("stage", "path", "words"), READ)
def test_a_damaged_object_is_found_by_its_reader(repository, stage, path, words) -> None:
    target, held = repository / path, cached(repository, path)
    whole, mode = held.read_bytes(), held.stat().st_mode
    # One bit in the middle of the file.
    place = len(whole) // 2
    held.chmod(0o644)
    held.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    held.chmod(mode)
    target.chmod(0o644)
    target.unlink()
    run("dvc", "checkout", "--quiet", "dvc.yaml", cwd=repository)
    # DVC reports nothing. Once it does, this test can go.
    assert target.read_bytes() == held.read_bytes() != whole

    _, _, module, *arguments = shlex.split(STAGES[stage]["cmd"])
    done = run_module(module, *arguments, cwd=repository)
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if f"{stage}: error:" in line]
    assert len(complaints) == 1
    assert path in complaints[0]
    assert words in complaints[0]
    assert "Traceback" not in done.stderr


# NumPy does not close a file that turns out not to be an archive.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_bit_in_a_set_is_found_or_harmless(tmp_path: Path) -> None:
    """For each bit of a small .npz file, the reader rejects the file or reads the same."""
    import numpy as np

    from fashion_mnist.data import idx
    from fashion_mnist.errors import InputError
    from stages import evaluate, preprocess, split

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (1, 28, 28), np.uint8)
    labels, index = np.array([3], np.uint8), np.array([5], np.int32)
    idx.write(tmp_path / "images", np.repeat(images, 6, axis=0))
    half = split.Half(tmp_path / "images", labels.repeat(6))
    path = tmp_path / "set.npz"
    split.save(path, split.ImageSet(half, index), FASHION)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        # Most of the file is pixels under one checksum: one bit of each of these bytes is enough.
        for bit in range(8) if len(content) - place < 1024 or place < 256 else [place % 8]:
            changed = content[place] ^ 1 << bit
            path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
            try:
                (pixels,) = preprocess.blocks(path, "images", (28, 28), np.uint8)
                (found,) = preprocess.blocks(path, "labels", (), np.uint8)
                assert (pixels == images).all()
                assert (found == labels).all()
            except InputError:
                refused += 1
            try:
                pixels, places = evaluate.read_pictures(path, np.array([3]))
                assert (pixels == images).all()
                assert (places == index).all()
            except InputError:
                refused += 1
    assert refused > len(content)
