"""Trains on new deliveries and proposes the result: `python -m retraining --help`."""

import argparse
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_mnist.errors import InputError

# A package that is missing must end in one line, so what needs packages is imported late.
if TYPE_CHECKING:
    from retraining.cycle import Outcome

FAILED = 2  # exit code
SEEDS = 5
INSTALL = "make .venv/installed .venv/installed-review"
OURS = ("cluster", "fashion_mnist", "recipes", "repository", "retraining", "review", "stages")
# Needed only after minutes of a run.
LATE = ("dvc", "tensorflow")


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        parser = _parser()
        args = parser.parse_args(arguments)
        _check(parser, args)
        return _register() if args.register else _retrain(args)
    except InputError as error:
        return _failed(str(error))
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in OURS:
            traceback.print_exc()
            return FAILED
        return _failed(f"{error.name} is not installed: run `{INSTALL}`")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}")
    except Exception:
        # Python's own exit code for a bug would mean that everything new was refused.
        traceback.print_exc()
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m retraining",
        usage="%(prog)s [--dry-run | --no-push] [--inbox PLACE | --recipe NAME [--seeds N]]\n"
        "       %(prog)s register",
        description="Trains on the deliveries in the inbox, and proposes the new model in a pull "
        "request if it is no worse. It touches neither main nor your checkout.",
        epilog="Exit codes: 0 nothing new, or something is proposed; 1 everything new is refused; "
        "2 failed, or another run is active.",
    )
    parser.add_argument(
        "register",
        nargs="?",
        choices=["register"],
        help="train nothing: give the model of this commit a version, as a git tag",
    )
    _add_run_options(parser)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    import recipes

    names = recipes.names()
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--dry-run", action="store_true", help="inspect what is new, train on none of it"
    )
    extent.add_argument(
        "--no-push",
        dest="push",
        action="store_false",
        help="keep branch and ledger here, and print the commands that publish them",
    )
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument(
        "--inbox",
        metavar="PLACE",
        help="folder or URL of the deliveries (default: retraining.inbox in params.yaml)",
    )
    subject.add_argument(
        "--recipe",
        metavar="NAME",
        choices=names,
        help=f"try a recipe instead of deliveries, over several seeds: {', '.join(names)}",
    )
    parser.add_argument(
        "--seeds", metavar="N", type=int, help=f"number of seeds for --recipe (default: {SEEDS})"
    )


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit if mutually exclusive options are combined."""
    options = vars(args) | {"register": None}
    if args.register and options != vars(parser.parse_args([])):
        parser.error("register takes no options")
    if args.seeds is not None and not args.recipe:
        parser.error("--seeds: only with --recipe")
    if args.seeds is not None and args.seeds < 2:
        parser.error(f"--seeds: got {args.seeds}, expected 2 or more")


def _register() -> int:
    from repository import revisions
    from retraining import registry

    print(registry.register(revisions.root(Path())))
    return 0


def _retrain(args: argparse.Namespace) -> int:
    for name in LATE:
        if find_spec(name) is None:
            raise ModuleNotFoundError(name=name)

    from repository import revisions
    from retraining import cycle
    from retraining.candidate import Recipe, accepted

    root = revisions.root(Path())
    outcome = cycle.retrain(
        cycle.Request(
            root,
            remote=revisions.remote(root) if args.push else None,
            inbox=args.inbox,
            recipe=Recipe(args.recipe, args.seeds or SEEDS) if args.recipe else None,
            dry_run=args.dry_run,
        )
    )
    for line in _lines(outcome):
        print(line)
    return 1 if outcome.candidates and not accepted(outcome.candidates) else 0


def _lines(outcome: "Outcome") -> Iterator[str]:
    from retraining.candidate import describe
    from review import comparison_text

    if not outcome.candidates:
        yield "nothing new"
    for candidate in outcome.candidates:
        yield f"{candidate.subject.name}:"
        yield from (f"  {line}" for line in describe(candidate))
    if outcome.comparison:
        yield comparison_text.headline(outcome.comparison)
        yield from (f"  {line}" for line in comparison_text.sentences(outcome.comparison))
    if outcome.branch:
        yield f"proposed: branch {outcome.branch}"
    yield from (f"next: {command}" for command in outcome.commands)


def _failed(message: str) -> int:
    print(f"retraining: error: {message}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
