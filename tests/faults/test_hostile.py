"""Malicious files: each is rejected in one line, and nothing in them is run or followed."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fashion_mnist.data import kaggle_csv
from fashion_mnist.errors import InputError
from tests.conftest import FILES, FIXTURE, Pipeline

pytestmark = [pytest.mark.faults, pytest.mark.slow]


class Payload:
    """Makes a folder when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def pickled(path: Path, name: str, payload: Payload) -> None:
    """Replace an array in an .npz file by a pickle."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    arrays[name] = np.array([payload], dtype=object)
    np.savez(path, allow_pickle=True, **arrays)


@pytest.mark.parametrize(("stage", "name"), [("preprocess", "images"), ("evaluate", "index")])
def test_a_pickle_in_a_set(copy: Pipeline, stage: str, name: str) -> None:
    trace = copy.folder / "trace"
    path = copy.folder / "data/split/test.npz"
    pickled(path, name, Payload(trace))
    # The payload works.
    with np.load(path, allow_pickle=True) as archive:
        assert archive[name].size
    trace.rmdir()
    copy.refuses(stage, "data/split/test.npz")
    assert not trace.exists()


def test_a_pickle_in_a_checkpoint(copy: Pipeline) -> None:
    trace, checkpoint = copy.folder / "trace", copy.folder / "data/checkpoint/train.npz"
    checkpoint.parent.mkdir(exist_ok=True)
    np.savez(checkpoint, allow_pickle=True, record=np.array([Payload(trace)], dtype=object))
    before = copy.files()
    done = copy.run("train")
    assert done.returncode == 0
    assert f"{checkpoint.relative_to(copy.folder)} is damaged" in done.stderr
    assert not trace.exists()
    del before["data/checkpoint/train.npz"]
    assert copy.files() == before


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)


def change_layer(path: Path, class_name: str, config: dict[str, Any], module: str) -> None:
    """Replace the last layer of a model."""
    content = members(path)
    model = json.loads(content["config.json"])
    layer = model["config"]["layers"][-1]
    layer |= {"class_name": class_name, "module": module}
    layer["config"] = {"name": layer["config"]["name"]} | config
    content["config.json"] = json.dumps(model).encode()
    pack(path, content)


def test_a_lambda_in_a_model(copy: Pipeline) -> None:
    """As Keras saves it, with the byte code of a function."""
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
    path = copy.folder / "data/model/model.keras"
    change_layer(path, "Lambda", {"function": code}, "keras.layers")
    copy.refuses("evaluate", "data/model/model.keras", "arbitrary code execution")


def test_a_function_of_another_module_in_a_model(copy: Pipeline) -> None:
    path = copy.folder / "data/model/model.keras"
    change_layer(path, "system", {"command": "mkdir trace"}, "os")
    copy.refuses("evaluate", "data/model/model.keras")
    assert not (copy.folder / "trace").exists()


def test_a_member_of_a_model_with_a_path_outside(copy: Pipeline) -> None:
    path = copy.folder / "data/model/model.keras"
    content = members(path)
    outside = copy.folder.parent / f"{copy.folder.name}-trace"
    for name in (f"../../../{outside.name}", str(outside), "assets/../../trace"):
        content[name] = b"gotcha"
    pack(path, content)
    before = copy.files()
    done = copy.run("evaluate")
    # Keras reads only the members that it knows.
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert not outside.exists()
    assert not (copy.folder.parent / "trace").exists()
    assert copy.files() == before


def test_weights_that_link_to_another_file(copy: Pipeline) -> None:
    """HDF5 can link to any file that the user may read."""
    path = copy.folder / "data/model/model.keras"
    secret = copy.folder / "secret.h5"
    content = members(path)
    weights = io.BytesIO(content["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        found: list[str] = []
        file.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
        )
        with h5py.File(secret, "w") as other:
            other["stolen"] = file[found[0]][()] + 1
        del file[found[0]]
        file[found[0]] = h5py.ExternalLink(str(secret), "stolen")
    pack(path, content | {"model.weights.h5": weights.getvalue()})
    copy.refuses("evaluate", "data/model/model.keras", "ExternalLink")


def test_links_in_a_source(copy: Pipeline, tmp_path_factory) -> None:
    """Only hashes decide what is accepted, and the result is an ordinary file."""
    source, other = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("other")
    first, second, third, fourth = FILES
    secret = other / "secret"
    secret.write_bytes(b"secret of another user")
    (source / first).symlink_to(secret)
    (source / second).symlink_to(source / second)
    (source / third).symlink_to(other / "missing")
    (source / f"{fourth}.gz").symlink_to(FIXTURE / f"{fourth}.gz")
    copy.set("download.sources", [str(source)])
    for name in FILES:
        (copy.folder / "data/raw" / name).unlink()
    done = copy.run("download")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret of another user" not in done.stderr
    for name in (first, second, third):
        assert name in done.stderr
        assert not (copy.folder / "data/raw" / name).exists()
    fetched = copy.folder / "data/raw" / fourth
    assert not fetched.exists() or not fetched.is_symlink()
    # Behind a link too, the right content is accepted; the rest comes from a second source.
    copy.set("download.sources", [str(source), str(FIXTURE)])
    copy.run_all("download")
    assert fetched.is_file()
    assert not fetched.is_symlink()


def test_a_formula_in_a_table(tmp_path: Path) -> None:
    """A spreadsheet would run it; here a cell is a number or an error."""
    path = tmp_path / "fashion-mnist_train.csv"
    header = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))])
    row = ",".join(["=cmd|'/C calc'!A0", *"0" * 784])
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError, match=r"line 2: label is .=cmd\|'/C calc'!A0"):
        list(kaggle_csv.blocks(path, range(10)))
