"""Download ends with four verified files, or with one error and no output."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd

from fashion_mnist.data import idx
from fashion_mnist.dataset import HALVES
from fashion_mnist.files import sha256
from tests.conftest import FASHION, FILES, FIXTURE, Pipeline, kaggle_table

CSV = {"train": "fashion-mnist_train.csv", "t10k": "fashion-mnist_test.csv"}
ORDER = sorted(FILES)  # in the pipeline's params.yaml


def test_writes_verified_files_and_describes_them(pipeline: Pipeline) -> None:
    pipeline.run_all("download")
    metrics = json.loads((pipeline.folder / "metrics/download.json").read_text())
    assert metrics["train"]["images"] == 300
    assert metrics["t10k"]["classes"]["ankle_boot"] == 10
    described = json.loads((pipeline.folder / "metrics/dataset.json").read_text())
    assert described == FASHION.model_dump()
    assert (metrics["t10k"]["rows"], metrics["t10k"]["columns"]) == (28, 28)
    table = pd.read_csv(pipeline.folder / "metrics/download_classes.csv")
    assert table.groupby("set")["images"].sum().to_dict() == {"train": 300, "t10k": 100}
    assert table["class"].iloc[0] == "T-shirt/top"
    assert sorted(path.name for path in (pipeline.folder / "data/raw").iterdir()) == sorted(FILES)
    assert (pipeline.folder / "data/figures/samples.png").stat().st_size > 10_000


def test_verified_files_are_not_fetched_again(pipeline: Pipeline) -> None:
    pipeline.run_all("download")
    before = pipeline.files()
    pipeline.set("download.sources", ["/nowhere"])
    done = pipeline.run("download")
    assert done.stderr.count("already there") == 4
    before["params.yaml"] = (pipeline.folder / "params.yaml").read_bytes()
    assert pipeline.files() == before


def test_damaged_files_are_fetched_again_and_unknown_ones_removed(pipeline: Pipeline) -> None:
    pipeline.run_all("download")
    before = pipeline.files()
    raw = pipeline.folder / "data/raw"
    images, labels = (raw / name for name in HALVES["t10k"])
    damaged = bytearray(images.read_bytes())
    damaged[1234] ^= 1
    images.write_bytes(damaged)
    labels.unlink()
    (raw / "stranger").touch()
    done = pipeline.run("download")
    assert done.stderr.count("already there") == 2
    assert done.stderr.count(f"from {FIXTURE}") == 2
    assert pipeline.files() == before


def test_the_next_source_is_tried_for_what_is_missing(pipeline: Pipeline) -> None:
    half = pipeline.folder / "half"
    half.mkdir()
    for name in ORDER[:2]:
        (half / f"{name}.gz").write_bytes((FIXTURE / f"{name}.gz").read_bytes())
    down = "http://127.0.0.1:9"
    pipeline.set("download.sources", [down, str(half), str(FIXTURE)])
    pipeline.set("download.attempts", 1)
    done = pipeline.run("download")
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if line.startswith("download:")]
    assert len(said) == 6
    assert f"{down}: " in said[0]
    assert "trying the next source" in said[0]
    assert f"from {half}" in said[1]
    assert f"{half}: FileNotFoundError" in said[3]
    assert f"from {FIXTURE}" in said[5]


def test_all_sources_fail(pipeline: Pipeline) -> None:
    swapped = pipeline.folder / "swapped"
    swapped.mkdir()
    images, labels = ORDER[:2]
    (swapped / f"{images}.gz").write_bytes((FIXTURE / f"{labels}.gz").read_bytes())
    pipeline.set("download.sources", ["ftp2://nowhere", "/nowhere", str(swapped)])
    pipeline.refuses(
        "download",
        f"no source has {', '.join(ORDER)}",
        "ftp2://nowhere: ValueError Protocol not known",
        "/nowhere: FileNotFoundError",
        f"{swapped}: ends after 108 bytes, expected 78416",
    )


def test_a_failure_keeps_the_earlier_files(pipeline: Pipeline) -> None:
    pipeline.run_all("download")
    pipeline.params["download"]["files"][FILES[0]]["sha256"] = "0" * 64
    pipeline.set("download.sources", [str(FIXTURE)])
    pipeline.refuses("download", FILES[0], "SHA-256 is", "0" * 64)


def test_csv_pair_gives_the_same_files(pipeline: Pipeline, raw: Path) -> None:
    """The rows of the fixture, as Kaggle writes them, become the IDX files they came from."""
    as_csv(pipeline, raw)
    pipeline.run_all("download", "split")
    for name in FILES:
        assert (pipeline.folder / "data/raw" / name).read_bytes() == (raw / name).read_bytes()
    assert sorted(path.name for path in (pipeline.folder / "data/raw").iterdir()) == sorted(FILES)


def test_csv_with_a_bad_value_is_refused(pipeline: Pipeline, raw: Path) -> None:
    tables = as_csv(pipeline, raw)
    path = tables / CSV["t10k"]
    lines = path.read_text().splitlines()
    lines[17] = lines[17].replace(",0,", ",256,", 1)
    path.write_text("\n".join(lines))
    pipeline.refuses("download", f"no source has {CSV['t10k']}", f"{tables}: longer than")
    pin(pipeline, tables)
    pipeline.refuses("download", CSV["t10k"], "line 18: pixel", "'256', expected an integer from 0")


def as_csv(pipeline: Pipeline, raw: Path) -> Path:
    """Write the fixture as Kaggle's CSV pair and make that the source of the pipeline."""
    tables = pipeline.folder / "tables"
    tables.mkdir()
    for half, names in HALVES.items():
        pair = idx.read_pair(*(raw / name for name in names))
        kaggle_table(*pair).to_csv(tables / CSV[half], index=False)
    pipeline.set("download.sources", [str(tables)])
    pin(pipeline, tables)
    return tables


def pin(pipeline: Pipeline, tables: Path) -> None:
    """Write length and hash of the CSV files to params.yaml."""
    pins = {
        name: {"bytes": (tables / name).stat().st_size, "sha256": sha256(tables / name)}
        for name in CSV.values()
    }
    pipeline.set("download.files", pins)


def test_help_names_every_input_and_output(pipeline: Pipeline) -> None:
    pipeline.commands["download"] += " --help"
    done = pipeline.run("download")
    assert done.returncode == 0
    assert "folder of the IDX files" in done.stdout


def test_a_folder_may_spell_the_names_in_another_way(pipeline: Pipeline) -> None:
    """As some releases of MNIST do, and some file systems."""
    folder = pipeline.folder / "Mine"
    folder.mkdir()
    content = {name: gzip.decompress((FIXTURE / f"{name}.gz").read_bytes()) for name in FILES}
    spelled = [
        "TRAIN-IMAGES-IDX3-UBYTE",
        "train-labels.idx1-ubyte",
        "t10k-images.idx3-ubyte.GZ",
        "T10K-Labels-idx1-ubyte.gz",
    ]
    for name, other in zip(FILES, spelled, strict=True):
        packed = other.lower().endswith(".gz")
        (folder / other).write_bytes(gzip.compress(content[name]) if packed else content[name])
    pipeline.set("download.sources", ["Mine"])
    pipeline.run_all("download")
    for name in FILES:
        assert (pipeline.folder / "data/raw" / name).read_bytes() == content[name]
    shutil.rmtree(pipeline.folder / "data/raw")
    (folder / spelled[3]).unlink()
    pipeline.refuses("download", f"no source has {', '.join(ORDER[1:])}: Mine: FileNotFoundError")


def test_the_scheme_of_a_source_may_be_in_upper_case(pipeline: Pipeline) -> None:
    pipeline.set("download.sources", [f"FILE://{FIXTURE}"])
    pipeline.run_all("download")
