"""Writes a checkpoint after each epoch, from which a killed training resumes."""

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
from fashion_mnist.training.shards import ShardedModel

LIBRARIES = ("keras", "numpy", "tensorflow")


def fingerprint(parameters: str, files: Iterable[Path]) -> str:
    """Return a hash of everything that decides a training: parameters, data, code, libraries.

    Args:
        parameters: The parameters as text.
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


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state of a training in one file, and records what happened in it so far.

    Keras's own BackupAndRestore continues with fresh weights if the saved ones are missing. This
    file is written whole or not at all. It holds the variables of model and optimizer (including
    the seeds of dropout), the weights of the best epoch, the losses that the next selection needs,
    and the recorded rows.

    Args:
        batches: The batches that the model trains on.
        path: The file.
        fingerprint: Result of `fingerprint`; a checkpoint with another one is not used.
        steps: Number of steps after which to stop, even within an epoch; None for no limit.
        keep_best: Keep the weights of the epoch with the highest validation accuracy.
    """

    def __init__(
        self, batches: Batches, path: Path, fingerprint: str, steps: int | None, keep_best: bool
    ) -> None:
        super().__init__()
        self.batches = batches
        self.path = path
        self.fingerprint = fingerprint
        self.limit = steps
        self.keep_best = keep_best
        self.best: list[NDArray[Any]] = []
        self.epochs: list[dict[str, float]] = []
        self.steps: list[dict[str, float]] = []

    @property
    def complete(self) -> bool:
        """Whether the limit of steps is reached."""
        return len(self.steps) == self.limit

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.begin(epoch)
        self.model.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        row = {"epoch": len(self.epochs) + 1, "images": self.batches.size(batch)}
        self.steps.append(row | {"loss": float(logs["loss"])})
        self.model.stop_training |= self.complete

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the epoch and write the checkpoint.

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
        self.batches.record(self.model.recorded())
        if self.keep_best and row["val_accuracy"] > max(earlier, default=-1):
            self.best = self.model.get_weights()
        self._write()

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows by epoch and by step."""
        return pd.DataFrame(self.epochs), pd.DataFrame(self.steps)

    def _write(self) -> None:
        variables = [np.asarray(variable) for variable in self._variables(self.model)]
        arrays: dict[str, Any] = {f"variable_{n}": value for n, value in enumerate(variables)}
        arrays |= {f"best_{number}": value for number, value in enumerate(self.best)}
        record = {"fingerprint": self.fingerprint, "epochs": self.epochs, "steps": self.steps}
        arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
        arrays["losses"] = self.batches.losses
        with new_file(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def resume(self, model: ShardedModel) -> int:
        """Restore a compiled model from the checkpoint and return the number of finished epochs.

        Return 0 and leave the model unchanged if the checkpoint is missing, belongs to another
        training, or (with a message) is damaged.
        """
        if not self.path.exists():
            return 0
        variables = self._variables(model)
        try:
            # An .npz file has a checksum for each array.
            with np.load(self.path, allow_pickle=False) as archive:
                record = json.loads(archive["record"].tobytes())
                if record["fingerprint"] != self.fingerprint:
                    _say(
                        f"{self.path} has other parameters, data, code or libraries; "
                        "starting from scratch"
                    )
                    return 0
                values = [archive[f"variable_{number}"] for number in range(len(variables))]
                losses = archive["losses"]
                best = [archive[key] for key in archive if key.startswith("best_")]
        except DAMAGED as error:
            _say(f"{self.path} is damaged ({error}); starting from scratch")
            return 0
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.batches.losses = losses
        self.best, self.epochs, self.steps = best, record["epochs"], record["steps"]
        _say(f"resuming after epoch {len(self.epochs)}, from {self.path}")
        return len(self.epochs)

    @staticmethod
    def _variables(model: ShardedModel) -> list[keras.Variable]:
        model.optimizer.build(model.trainable_variables)
        return [*model.variables, *model.optimizer.variables]


def _say(text: str) -> None:
    print(f"train: {text}", file=sys.stderr, flush=True)
