"""Writes a Keras model as a file with the same bytes every time, and reads one with care."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from fashion_mnist.errors import InputError, reason
from fashion_mnist.files import new_file

# The earliest date that a zip archive can hold.
NO_DATE = (1980, 1, 1, 0, 0, 0)


def save(model: keras.Model, path: Path) -> None:
    """Write architecture and weights to a canonical `.keras` file.

    It omits what differs from save to save (date, memory addresses in `shared_object_id`, time
    stamps of the archive) and what only training needs (state of the optimizer). The file loads
    with `keras.saving.load_model`; to train further, compile the model first.
    """
    inference = type(model).from_config(model.get_config())
    inference.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as scratch:
        as_saved = Path(scratch) / "model.keras"
        inference.save(as_saved)
        with zipfile.ZipFile(as_saved) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = _canonical(metadata)
    members["config.json"] = _canonical(_without_addresses(json.loads(members["config.json"])))
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, NO_DATE), content)


def check(model: keras.Model) -> None:
    """Check, before a training, that the file of this model can be loaded after it.

    Raises:
        InputError: It cannot, as with a layer that Keras does not know in another process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        try:
            save(model, Path(scratch) / "model.keras")
            load(Path(scratch) / "model.keras")
        except Exception as error:
            raise InputError(f"train.model: its file would not load: {reason(error)}") from error


def _canonical(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_addresses(v) for k, v in value.items() if k != "shared_object_id"}
    if isinstance(value, list):
        return [_without_addresses(item) for item in value]
    return value


def load(path: Path) -> keras.Model:
    """Return the model in a `.keras` file, not compiled.

    Raises:
        InputError: The file is missing, or is not a complete Keras model.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return keras.saving.load_model(path, compile=False)
    # Damage surfaces in zip, JSON, HDF5 or Keras, whichever meets it first.
    except Exception as error:
        raise InputError(f"{path}: not a Keras model: {reason(error)[:200]}") from error
