"""Gathers the metrics of the published systems beside what their sources report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from fashion_mnist import params
from fashion_mnist.errors import InputError
from fashion_mnist.files import DIGITS, read_json, write_metrics, write_table
from fashion_mnist.stage import Stage


class System(params.Section):
    """An entry of section `systems` of params.yaml."""

    source: str
    reported: float | None = Field(default=None, gt=0, lt=1)
    sets: str
    scored_on: Literal["validation", "test"]
    train: dict[str, Any]


class Systems(params.Section, extra="allow"):
    """Section `systems` of params.yaml: any number of systems, by name."""

    __pydantic_extra__: dict[str, System]


def describe(system: System, folder: Path) -> dict[str, Any]:
    """Return what a system's source reports and what was measured here.

    A training step counts as three forward passes, since the backward pass takes about twice the
    operations of one (Kaplan et al. 2020, "Scaling Laws for Neural Language Models").
    """
    found: dict[str, Any] = {}
    if system.reported is not None:
        found["reported"] = system.reported
    if not all((folder / name).exists() for name in ("train.json", "evaluate.json")):
        return {"status": "not run", **found}
    train, evaluate = read_json(folder / "train.json"), read_json(folder / "evaluate.json")
    found["measured"] = evaluate["accuracy"]
    if system.reported is not None:
        found["difference"] = evaluate["accuracy"] - system.reported
    return {
        "status": "run",
        **found,
        "interval": evaluate["accuracy_interval"],
        "macro_f1": evaluate["macro_f1"],
        "train_accuracy": train["train"]["accuracy"],
        "parameters": train["parameters"]["total"],
        "training_flops": 3 * train["flops_per_image"] * train["images_seen"],
    }


def tabulate(systems: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per system; a missing value is an empty string."""
    rows = [
        {
            "system": name,
            "status": system["status"],
            "reported": system.get("reported", ""),
            "measured": system.get("measured", ""),
            "low": system.get("interval", {}).get("low", ""),
            "high": system.get("interval", {}).get("high", ""),
            "difference": round(system["difference"], DIGITS) if "difference" in system else "",
            "parameters": system.get("parameters", ""),
            "training_flops": system.get("training_flops", ""),
        }
        for name, system in systems.items()
    ]
    return pd.DataFrame(rows, dtype=object)


def gather(folder: Path, systems: list[str], name: str) -> pd.DataFrame:
    """Return table `name` of all systems as one, with a first column `system`."""
    # A class may be called "0" or "null".
    texts = dict.fromkeys(("class", "label", "prediction"), str)
    tables = [
        (system, pd.read_csv(folder / system / f"{name}.csv", dtype=texts, na_filter=False))
        for system in systems
    ]
    for system, table in tables:
        table.insert(0, "system", system)
    return pd.concat([table for _, table in tables], ignore_index=True)


def main() -> None:
    stage = Stage("published.aggregate", __doc__, Systems, section="systems")
    stage.reads("--systems", "folder with the metrics of the systems")
    stage.writes("--metrics", "JSON: reported and measured accuracy")
    stage.writes("--table", "CSV: reported and measured accuracy")
    stage.writes("--history", "CSV: curves by epoch")
    stage.writes("--steps", "CSV: curves by step")
    stage.writes("--classes", "CSV: scores by class")
    stage.writes("--confusion", "CSV: confusion matrices")
    with stage.running() as (args, settings):
        entries = settings.model_extra or {}
        systems = {name: describe(entry, args.systems / name) for name, entry in entries.items()}
        run = [name for name, system in systems.items() if system["status"] == "run"]
        if not run:
            raise InputError(f"{args.systems}: no system of {args.params} has run")
        pairs = ["system", "label", "prediction"]
        confusion = gather(args.systems, run, "predictions").groupby(pairs, sort=False)
        write_table(args.confusion, confusion.size().reset_index(name="images"))
        write_table(args.history, gather(args.systems, run, "history"))
        write_table(args.steps, gather(args.systems, run, "steps"))
        write_table(args.classes, gather(args.systems, run, "classes"))
        write_table(args.table, tabulate(systems))
        write_metrics(args.metrics, {"systems": systems})


if __name__ == "__main__":
    main()
