"""An error in params.yaml is reported with its key, the value and what is allowed."""

from pathlib import Path

import pytest

from fashion_mnist import params
from fashion_mnist.errors import InputError
from stages import download, evaluate, preprocess, split, train
from tests.conftest import ROOT

SCHEMAS = {
    module.__name__.removeprefix("stages."): module.Params
    for module in (download, split, preprocess, train, evaluate)
}
TEXT = (ROOT / "params.yaml").read_text()


def complaint(tmp_path: Path, section: str, old: str, new: str) -> str:
    """Return the error that replacing `old` by `new` in params.yaml causes."""
    assert TEXT.count(old) == 1
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError) as error:
        params.read(path, section, SCHEMAS[section])
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("section", SCHEMAS)
def test_the_shipped_file_is_valid(section: str) -> None:
    assert params.read(ROOT / "params.yaml", section, SCHEMAS[section])


@pytest.mark.parametrize(
    ("section", "old", "new", "expected"),
    [
        ("train", "epochs: 14", "epochs: 0", "train.epochs: got 0, expected greater than 0"),
        (
            "train",
            "epochs: 14",
            "epochs: five",
            "train.epochs: got 'five', expected a valid integer",
        ),
        ("train", "epochs: 14", "epochs: 5.0", "train.epochs: got 5.0, expected a valid integer"),
        ("train", "epochs: 14", "epochs: true", "train.epochs: got True, expected a valid integer"),
        ("train", "  epochs: 14", "  epoch: 8", "train.epochs: missing; train.epoch: unknown key"),
        ("train", "select: last", "select: first", "expected 'last' or 'best'"),
        (
            "train",
            "model: fast_cnn",
            "model: resnet",
            "got 'resnet', expected one of cnn_1, cnn_2",
        ),
        (
            "train",
            "name: muon",
            "name: adagrad",
            "train.optimizer.name: got 'adagrad', expected one of adam, adamw, muon, rmsprop, sgd",
        ),
        ("train", "name: muon", "name: null", "train.optimizer.name: got None, expected one of"),
        ("train", "name: muon # or", "# or", "train.optimizer.name: missing"),
        (
            "train",
            "name: cosine_decay",
            "name: step",
            "train.schedule.name: got 'step', expected one of constant, cosine_decay, inverse",
        ),
        (
            "train",
            "  schedule:\n    name: cosine_decay # of the learning rate; or constant, "
            "inverse_time_decay\n    warmup: 0.2 #",
            "  schedule: constant #",
            "train.schedule: got 'constant', expected a section with keys",
        ),
        ("train", "arguments: {}", "arguments: []", "train.arguments: got [], expected a section"),
        ("train", "shards: 8", "shards: 0", "train.shards: got 0, expected greater than 0"),
        (
            "train",
            "shards: 8",
            "shards: 257",
            "train.batch_size: got 256, expected at least train.shards, which is 257",
        ),
        ("train", "name: cosine_decay", "name: inverse_time_decay", "schedule.decay_rate: missing"),
        ("train", "steps: null", "steps: 0", "train.steps: got 0, expected greater"),
        (
            "train",
            " learning_rate: 0.24",
            " learning_rate: -1",
            "train.optimizer.learning_rate: got -1, expected greater",
        ),
        (
            "train",
            " learning_rate: 0.24",
            " learning_rate: .inf",
            "train.optimizer.learning_rate: got inf, expected",
        ),
        ("train", " learning_rate: 0.24", " lr: 0.24", "train.optimizer.lr: unknown key"),
        ("train", "loss: categorical_crossentropy", "loss: hinge", "train.loss: got 'hinge'"),
        (
            "train",
            "smoothing: 0.0",
            "smoothing: 1",
            "train.label_smoothing: got 1, expected less than 1",
        ),
        (
            "train",
            "loss: categorical_crossentropy\n  label_smoothing: 0.0",
            "loss: mean_squared_error\n  label_smoothing: 0.1",
            "train.label_smoothing: got 0.1, expected 0, since train.loss is mean_squared_error",
        ),
        ("train", "flip: true", "flip: both", "train.augmentation.flip: got 'both'"),
        ("train", "shift: 1", "shift: -1", "train.augmentation.shift: got -1, expected greater"),
        (
            "train",
            "share: 0.5",
            "share: 1.0",
            "train.selection.share: got 1.0, expected less than 1",
        ),
        ("train", "share: 0.5", "shares: 0.5", "train.selection.shares: unknown key"),
        ("train", "warmup: 0.2", "warmup: 1.0", "train.schedule.warmup: got 1.0, expected less"),
        ("train", "ns_steps: 3", "ns_steps: 0", "train.optimizer.ns_steps: got 0, expected"),
        ("evaluate", "average: true", "average: 1", "evaluate.mirror_average: got 1, expected"),
        (
            "split",
            "size: 10000",
            "size: -10",
            "split.size: got -10, expected greater than or equal",
        ),
        ("split", "size: 10000", "size: 0", "a size above 0, or role: validation"),
        ("split", "sample: balanced", "sample: any", "split.sample: got 'any', expected"),
        ("split", "role: test", "role: train", "split.role: got 'train', expected 'test' or"),
        ("preprocess", "scale: unit", "scale: 255", "expected 'unit', 'standard' or 'none'"),
        ("evaluate", "bins: 15", "bins: 0", "evaluate.bins: got 0"),
        ("download", "attempts: 3", "attempts: 0", "download.attempts: got 0"),
        ("download", "bytes: 60008", "bytes: many", "download.files.train-labels-idx1-ubyte.bytes"),
        (
            "download",
            "    t10k-labels-idx1-ubyte:",
            "    t10k:",
            "download.files: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, with",
        ),
        (
            "download",
            "    t10k-labels-idx1-ubyte:",
            "    fashion-mnist_test.csv:",
            "download.files: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, with",
        ),
        (
            "download",
            "    - Bag\n",
            "    - Bag\n    - 7\n",
            "download.classes.9: got 7, expected a valid string",
        ),
        ("download", "    - Bag\n", "    - Coat\n", "'Coat' and 'Coat' have the same key"),
        ("download", "first_label: 0", "first_label: 2", "download.first_label: got 2, expected 0"),
        ("download", "resize: null", "resize: [28, 28]", "expected resize: null and channels:"),
        ("download", "resize: null", "resize: [7, 28]", "resize.0: got 7, expected greater than"),
        ("download", "channels: null", "channels: 1", "expected resize: null and channels: null"),
        ("download", "channels: null", "channels: 2", "download.channels: got 2, expected 1 or 3"),
        ("train", "class_weights: null", "class_weights: some", "got 'some', expected 'balanced'"),
        (
            "download",
            "\n  timeout: 20",
            "\n  timeout: 20\n  proxy: x",
            "download.proxy: unknown key",
        ),
        (
            "download",
            "  deliveries: []",
            "  batches: []",
            "download.batches: moved to download.deliveries",
        ),
    ],
)
def test_an_error_names_key_value_and_what_is_allowed(
    tmp_path: Path, section: str, old: str, new: str, expected: str
) -> None:
    assert expected in complaint(tmp_path, section, old, new)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    text = complaint(tmp_path, "evaluate", "bins: 15", "bins: 0\n  beans: 15")
    assert "evaluate.bins" in text
    assert "evaluate.beans" in text


def test_a_section_that_is_not_a_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("preprocess: [unit]")
    with pytest.raises(InputError, match=r"preprocess: got \['unit'\], expected a section"):
        params.read(path, "preprocess", preprocess.Params)


def test_missing_section(tmp_path: Path) -> None:
    assert complaint(tmp_path, "train", "\ntrain:", "\ntrian:") == "no section 'train'"


# The first is not UTF-8; the last seven make the parser let Python's own errors through.
@pytest.mark.parametrize(
    "text",
    [
        b"train: \xff",
        b"train: [1",
        b"a: 1\na: 2",
        b"\x00",
        b"- train",
        b"",
        b"train: 2001-99-99",
        b"train: !!int x",
        b"train: !!float x",
        b"train: !!bool x",
        b'train: "\\UFFFFFFFF"',
        b"train: " + b"[" * 5000,
        b"train: " + b"9" * 5000,
    ],
)
def test_a_file_without_sections_is_rejected(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"not valid YAML|no section"):
        params.read(path, "train", train.Params)


def test_numbers_are_those_that_dvc_reads(tmp_path: Path) -> None:
    """YAML 1.1 would read 1e-3 as a string."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(" learning_rate: 0.24", " learning_rate: 1e-3"))
    assert params.read(path, "train", train.Params).optimizer.learning_rate == 0.001


def test_a_dot_leads_into_a_section(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("systems:\n  lenet:\n    split: {sample: first, size: 0, role: test, seed: 1}")
    with pytest.raises(InputError, match=r"systems\.lenet\.split: expected a size above 0"):
        params.read(path, "systems.lenet.split", split.Params)
    path.write_text(path.read_text().replace("role: test", "role: validation"))
    assert params.read(path, "systems.lenet.split", split.Params).role == "validation"
    for name in ("systems.dense.split", "systems.lenet.split.size.x", "systems.lenet.", "split"):
        with pytest.raises(InputError, match=f"no section '{name}'"):
            params.read(path, name, split.Params)


def test_keys_of_own_data_may_be_absent(tmp_path: Path) -> None:
    """An older params.yaml needs the names of the classes alone."""
    path = tmp_path / "params.yaml"
    added = ("first_label:", "resize:", "channels:", "class_weights:")
    lines = [line for line in TEXT.splitlines() if not line.strip().startswith(added)]
    path.write_text("\n".join(lines))
    for section, schema in SCHEMAS.items():
        assert params.read(path, section, schema) == params.read(
            ROOT / "params.yaml", section, schema
        )
    names = [number for number, line in enumerate(lines) if line.startswith("    - ")][-10:]
    without = [line for number, line in enumerate(lines) if number not in names]
    path.write_text("\n".join(without))
    with pytest.raises(InputError, match="expected classes: the names of the classes in label"):
        params.read(path, "download", download.Params)
