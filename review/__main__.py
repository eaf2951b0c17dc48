"""Answers for the reviewer of a change: `python -m review --help`."""

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from fashion_mnist.errors import InputError

NO_ANSWER = 2  # exit code
# A missing module of these is a bug, not an incomplete installation.
OURS = ("cluster", "fashion_mnist", "recipes", "repository", "review", "stages")
# `machine` looks these up; `make .venv/installed-review` does not install them.
PIPELINE = ("keras", "scikit-learn", "tensorflow")


class Verb(NamedTuple):
    """A module that offers `add_arguments(parser)` and `run(args) -> exit code`."""

    module: str
    help: str


VERBS = {
    "compare": Verb("review.comparison_text", "compare the metrics of two revisions"),
    "report": Verb("review.report", "draw the comparison as one HTML file"),
    "spread": Verb("review.spread", "train the recipe with several seeds"),
    "card": Verb("review.card", "write metrics/model_card.md"),
    "verify": Verb(
        "review.verify", "check that code, parameters, dvc.lock and metrics are consistent"
    ),
    "result": Verb("review.result", "print the accuracy, and whether it is the committed one"),
}
MOVED = {"retrain": "python -m retraining", "register": "python -m retraining register"}


def main(arguments: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        args = _parser(words).parse_args(words)
        return int(args.run(args))
    except InputError as error:
        return _no_answer(str(error))
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in OURS:
            traceback.print_exc()
            return NO_ANSWER
        target = "installed" if error.name.partition(".")[0] in PIPELINE else "installed-review"
        return _no_answer(f"{error.name} is not installed: run `make .venv/{target}`")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _no_answer(f"{where}{error.strerror or error}")
    except Exception:
        # Python's own exit code for a bug would mean that a rule refuses the change.
        traceback.print_exc()
        return NO_ANSWER


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command line; only the module of its verb is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m review",
        description="Says whether a change is better, worse, or noise.",
        epilog="Exit codes: 0 accepted; 1 refused by a rule in params.yaml (verify: not verified "
        "or not reproduced); 2 no answer, and why; 3 verify --rerun or --fetch: not run, since the "
        "data of a delivery cannot be reached here.",
    )
    verbs = parser.add_subparsers(required=True, metavar="verb")
    chosen = next((word for word in words if not word.startswith("-")), None)
    if chosen in MOVED:
        raise InputError(f"{chosen}: use `{MOVED[chosen]}`")
    for name, verb in VERBS.items():
        own = verbs.add_parser(name, help=verb.help)
        if name == chosen:
            module: Any = importlib.import_module(verb.module)
            module.add_arguments(own)
            own.set_defaults(run=module.run)
    return parser


def _no_answer(message: str) -> int:
    print(f"review: error: {message}", file=sys.stderr)
    return NO_ANSWER


if __name__ == "__main__":
    sys.exit(main())
