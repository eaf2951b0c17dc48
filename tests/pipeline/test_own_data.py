"""Data of one's own, end to end: `params.yaml`, `dvc repro`, a score and a model card."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from fashion_mnist.dataset import HALVES
from fashion_mnist.files import CHECKSUMS, sha256
from review import card
from tests.conftest import FIXTURE, change, clone, commit, repro
from tests.forked import run_module

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

STAGES = ["download", "split", "preprocess", "train", "evaluate"]
SMALL = {
    "model": "dense",
    "arguments": {},
    "optimizer": {"name": "adam"},
    "augmentation": None,
    "selection": None,
    "batch_size": 32,
    "epochs": 4,
}
COLOURS = {"Red": 0, "Green": 1, "Deep blue": 2}  # and their channels


def use(folder: Path, *names: str, size: int, **settings: Any) -> None:
    """Let a clone use the files in its folder data/mine, and train a small model on them."""
    pins = {}
    for name in names:
        path = folder / "data/mine" / name
        pins[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    change(folder, "download", sources=["data/mine"], files=pins, **settings)
    change(folder, "split", size=size)
    change(folder, "train", **SMALL)
    change(folder, "evaluate", mirror_average=False)
    (folder / "dvc.lock").unlink()


def scored(folder: Path, floor: float) -> dict[str, Any]:
    """Run the pipeline and return what the data is; the model must be right more often than this.

    A second run has nothing to do, and the model card speaks of these classes.
    """
    assert repro(folder) == STAGES
    commit(folder, "own data")
    metrics = json.loads((folder / "metrics/evaluate.json").read_text())
    assert metrics["accuracy"] > floor
    found: dict[str, Any] = json.loads((folder / "metrics/dataset.json").read_text())
    done = run_module("review", "card", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / card.CARD).read_text()
    assert [name for name in [*found["classes"].values()][:3] if name not in text] == []
    assert repro(folder) == []
    return found


def coloured(name: str, count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Return images of the fixture in a colour, which no model that sees them in grey can know."""
    channel = COLOURS[name]
    path = FIXTURE / f"{HALVES['train'][0]}.gz"
    values = np.frombuffer(gzip.decompress(path.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
    found = []
    for grey in values[channel::3][:count]:
        colours = np.stack([grey // 4] * 3, axis=-1)
        colours[..., channel] = grey
        found.append(Image.fromarray(colours).resize(size[::-1]))
    return found


def content(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_a_zip_of_colour_pictures(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (folder / "data/mine").mkdir()
    with zipfile.ZipFile(folder / "data/mine/clothes.zip", "w") as archive:
        for name in COLOURS:
            for number, picture in enumerate(coloured(name, 100, (32, 32))):
                half = "train" if number < 80 else "test"
                archive.writestr(f"clothes/{half}/{name}/{number}.png", content(picture))
    use(folder, "clothes.zip", size=30, classes=None)
    found = scored(folder, 0.6)
    assert (found["height"], found["width"], found["channels"]) == (32, 32, 3)
    assert found["classes"] == {"deep_blue": "Deep blue", "green": "Green", "red": "Red"}
    split = json.loads((folder / "metrics/split.json").read_text())
    assert [split[name]["images"] for name in ("train", "validation", "test")] == [210, 60, 30]


def test_a_listed_folder_of_pictures_of_other_sizes_without_a_test_folder(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    mine = folder / "data/mine"
    for size, name in zip([(40, 36), (32, 48), (64, 64)], COLOURS, strict=True):
        (mine / name).mkdir(parents=True)
        for number, picture in enumerate(coloured(name, 100, size)):
            picture.save(mine / name / f"{number}.png")
    pictures = sorted(path.relative_to(mine).as_posix() for path in mine.rglob("*.png"))
    lines = [f"{sha256(mine / name)}  {name}\n" for name in pictures]
    (mine / CHECKSUMS).write_text("".join(lines))
    use(folder, CHECKSUMS, size=60, classes=None, resize=[32, 32])
    found = scored(folder, 0.6)
    assert (found["height"], found["width"], found["channels"]) == (32, 32, 3)
    split = json.loads((folder / "metrics/split.json").read_text())
    assert [split[name]["images"] for name in ("train", "validation", "test")] == [180, 60, 60]


def letters(count: int, seed: int) -> tuple[Any, Any]:
    """Return images of the letters, turned and moved a little, no two equal; and their labels."""
    generator = np.random.default_rng(seed)
    font = ImageFont.load_default(size=20)
    images, labels = [], []
    for label in range(26):
        for _ in range(count):
            picture = Image.new("L", (28, 28))
            place = tuple((generator.random(2) * 4 + 5).tolist())
            ImageDraw.Draw(picture).text(place, chr(ord("A") + label), fill=255, font=font)
            turned = picture.rotate(generator.normal() * 8, Image.Resampling.BICUBIC)
            images.append(np.asarray(turned))
            labels.append(label)
    return np.stack(images), np.array(labels)


def test_26_classes_in_an_npz_file(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (folder / "data/mine").mkdir()
    (x_train, y_train), (x_test, y_test) = letters(40, 1), letters(10, 2)
    np.savez_compressed(
        folder / "data/mine/letters.npz",
        x_train=x_train,
        y_train=y_train + 1,
        x_test=x_test,
        y_test=y_test + 1,
    )
    names = [chr(ord("A") + label) for label in range(26)]
    use(folder, "letters.npz", size=130, classes=names, first_label=1)
    change(folder, "train", epochs=6)
    found = scored(folder, 0.3)
    assert [*found["classes"].values()] == names
    assert found["channels"] == 1


def test_digits_by_their_recipe(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    done = run_module("recipes", "digits", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert scored(folder, 0.97)["classes"] == {str(number): str(number) for number in range(10)}
