"""Trains on a cluster: `python -m cluster --help`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster
from cluster import session, space
from cluster.repro import Project
from cluster.session import Cluster
from fashion_mnist import params
from fashion_mnist.errors import InputError, reported
from repository import dvc_lock, revisions
from repository.commands import dvc

PUBLISHED = "published"
PARAMETERS = "params.yaml"


@contextmanager
def machines() -> Iterator[Cluster]:
    """Connect to the cluster that RAY_ADDRESS names.

    Raises:
        InputError: That is not set, or see `session.connected`.
    """
    if not cluster.wanted():
        raise InputError(
            f"{cluster.ADDRESS} is not set: expected the address of a cluster, "
            f"or '{cluster.LOCAL}' for this machine alone"
        )
    with session.connected() as found:
        yield found


def run_published(root: Path, systems: list[str]) -> None:
    """Run the stale stages of the published systems side by side, and print their names.

    Afterwards `dvc repro` has nothing to do there.

    Args:
        root: Top folder of the project.
        systems: Names of systems; by default all.

    Raises:
        InputError: There is no such system, a stage failed, or see `machines`.
    """
    path = root / PUBLISHED / PARAMETERS
    known = params.parse(path.read_bytes(), str(path))["systems"]
    targets = [f"evaluate@{system}" for system in systems or known]
    dvc_lock.check_names(targets, [f"evaluate@{system}" for system in known])
    with machines() as found:
        # The systems start from what the main pipeline downloads.
        dvc("repro", "download", cwd=root)
        project = Project(root / PUBLISHED, found, cores=1)
        ran = project.repro(targets)
    print(f"{len(ran)} stages ran{': ' if ran else ''}{', '.join(ran)}")


def run_search(root: Path) -> None:
    """Run the trials of section `search`, and print the best.

    Raises:
        InputError: See `machines` and `search.run`.
    """
    parameters = params.parse((root / PARAMETERS).read_bytes(), PARAMETERS)
    settings = params.read(root / PARAMETERS, "search", space.Params)
    space.read(settings.space, parameters["train"])
    with machines() as found:
        from cluster import search

        dvc("repro", "preprocess", cwd=root)
        if parameters.get("split", {}).get("role") == "test":
            print("The official test file is the validation set, while split.role is 'test'.")
        search.run(root, parameters, settings, found)
    print(
        f"{search.TRIALS} has the trials and {search.RECIPE} the best of them; judge it over "
        "several seeds: python -m retraining --recipe search"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m cluster",
        description=f"Trains on the cluster at {cluster.ADDRESS}, or on this machine alone if "
        f"that is '{cluster.LOCAL}', to the same bytes as without: docs/cluster.md.",
    )
    verbs = parser.add_subparsers(required=True, metavar="verb", dest="verb")
    own = verbs.add_parser(PUBLISHED, help="run the stale published systems side by side")
    own.add_argument("systems", nargs="*", metavar="system", help="by default all")
    verbs.add_parser(
        "search",
        help="try values of keys of train, as section search of params.yaml says",
        description="Tries values of keys of train, as section search of params.yaml says, and "
        "writes metrics/search.csv, metrics/search/ and recipes/search.yaml, to be committed or "
        "removed. Interrupted, the same command resumes.",
    )
    args = parser.parse_args()
    with reported("cluster"):
        root = revisions.root(Path())
        if args.verb == PUBLISHED:
            run_published(root, args.systems)
        else:
            run_search(root)


if __name__ == "__main__":
    main()
