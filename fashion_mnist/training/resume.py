"""Follows a training and keeps its state on disk, so that a killed one goes on where it was."""

import hashlib
import json
import math
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_mnist.errors import DAMAGED, InputError
from fashion_mnist.files import new_file, sha256
from fashion_mnist.training.batches import Batches
from fashion_mnist.training.per_image_loss import Recorder

LIBRARIES = ("keras", "numpy", "tensorflow")


def fingerprint(parameters: str, files: Iterable[Path]) -> str:
    """Return a hash of all that decides a training: parameters, data, our code, the libraries.

    Args:
        parameters: Written out.
        files: The data.
    """
    ours = ("__main__", "fashion_mnist", "stages")
    code = {
        Path(file)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ours and (file := getattr(module, "__file__", None))
    }
    parts = [parameters, *(version(name) for name in LIBRARIES)]
    parts += [sha256(path) for path in (*files, *sorted(code))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the order of the batches, records the loss, stops, and saves after each epoch.

    Keras's own BackupAndRestore goes on with fresh weights if those it saved are missing. Here
    the state is one file, written whole or not at all: the variables of model and optimizer
    (among them the seeds of dropout), the weights of the best epoch, the losses by which the next
    images are selected, and the rows recorded.

    Args:
        batches: What the model is trained on.
        path: The file of the state.
        name: Of this training, by `fingerprint`; a state of another one is not used.
        steps: After how many to stop, also within an epoch.
        keep_best: Keep the weights of the epoch with the highest validation accuracy.
    """

    def __init__(
        self, batches: Batches, path: Path, name: str, steps: int | None, keep_best: bool
    ) -> None:
        super().__init__()
        self.batches = batches
        self.path = path
        self.name = name
        self.limit = steps
        self.keep_best = keep_best
        self.best: list[NDArray[Any]] = []
        self.epochs: list[dict[str, float]] = []
        self.steps: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.begin(epoch)
        if isinstance(self.model, Recorder):
            self.model.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        row = {"epoch": len(self.epochs) + 1, "images": self.batches.size(batch)}
        self.steps.append(row | {"loss": float(logs["loss"])})
        self.model.stop_training |= len(self.steps) == self.limit

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the epoch and save the state.

        Raises:
            InputError: The loss became infinite or NaN.
        """
        row = {"epoch": epoch + 1} | {key: float(value) for key, value in logs.items()}
        if not all(math.isfinite(value) for value in row.values()):
            raise InputError(
                f"the loss became {row['loss']} in epoch {epoch + 1}; "
                "a lower train.optimizer.learning_rate may help"
            )
        earlier = [before["val_accuracy"] for before in self.epochs] if self.keep_best else []
        self.epochs.append(row)
        if isinstance(self.model, Recorder):
            self.batches.record(self.model.recorded())
        if self.keep_best and row["val_accuracy"] > max(earlier, default=-1):
            self.best = self.model.get_weights()
        self._save()

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows by epoch and by step."""
        return pd.DataFrame(self.epochs), pd.DataFrame(self.steps)

    def _save(self) -> None:
        variables = [np.asarray(variable) for variable in self._variables(self.model)]
        arrays: dict[str, Any] = {f"variable_{n}": value for n, value in enumerate(variables)}
        arrays |= {f"best_{number}": value for number, value in enumerate(self.best)}
        record = json.dumps({"name": self.name, "epochs": self.epochs, "steps": self.steps})
        arrays["losses"] = self.batches.losses
        with new_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, record=np.frombuffer(record.encode(), np.uint8), **arrays)

    def resume(self, model: keras.Model) -> int:
        """Give a compiled model the state on disk and return how many epochs that has finished.

        A state that is not there or of another training is left alone; one that is damaged is
        told. In each case that is 0, and the model stays as it is.
        """
        if not self.path.exists():
            return 0
        variables = self._variables(model)
        try:
            # An .npz file has a checksum of each array.
            with np.load(self.path, allow_pickle=False) as archive:
                record = json.loads(archive["record"].tobytes())
                if record["name"] != self.name:
                    _say(f"{self.path} is of other parameters, data or code; starts over")
                    return 0
                values = [archive[f"variable_{number}"] for number in range(len(variables))]
                losses = archive["losses"]
                best = [archive[key] for key in archive if key.startswith("best_")]
        except DAMAGED as error:
            _say(f"{self.path} is damaged ({error}); starts over")
            return 0
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.batches.losses = losses
        self.best, self.epochs, self.steps = best, record["epochs"], record["steps"]
        _say(f"goes on after epoch {len(self.epochs)}, from {self.path}")
        return len(self.epochs)

    @staticmethod
    def _variables(model: keras.Model) -> list[keras.Variable]:
        model.optimizer.build(model.trainable_variables)
        return [*model.variables, *model.optimizer.variables]


def _say(text: str) -> None:
    print(f"train: {text}", file=sys.stderr, flush=True)
