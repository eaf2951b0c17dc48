"""Verbs whose modules do not offer `add_arguments` and `run` yet."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from fashion_mnist import files
from fashion_mnist.errors import InputError
from repository import revisions
from repository.revisions import Revision
from review import arguments, evidence


class Pending(NamedTuple):
    """What a verb's module is to offer."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_revisions(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="default: %(default)s"
    )


def _report(args: argparse.Namespace) -> int:
    from review import comparison, comparison_text, report

    base, head = arguments.sides(args)
    found = comparison.compare(base, head)
    html = report.render(base, head, found)
    with files.new_file(args.output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"{comparison_text.headline(found)}: {args.output}")
    return 0 if found.accepted else 1


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    from review import machine

    parser.add_argument("--stages", nargs="+", default=[], metavar="stage", help="default: all")
    parser.add_argument(
        "--rerun", action="store_true", help="run them again, from nothing, and compare the bytes"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"with --rerun: if all is identical, name this kind of machine in {machine.RECORD}",
    )
    parser.add_argument("--json", action="store_true")


def _verify(args: argparse.Namespace) -> int:
    from review import verify

    if args.record and not args.rerun:
        raise InputError("--record: only with --rerun")
    if args.rerun:
        return _rerun(args)
    found = verify.verify(revisions.root(Path()), args.stages)
    if args.json:
        print(found.model_dump_json(indent=2))
    else:
        verify.terminal(found, Console())
    return 0 if found.verified else 1


def _rerun(args: argparse.Namespace) -> int:
    from review import machine, rerun

    root = revisions.root(Path())
    found = rerun.rerun(root, args.stages)
    if args.json:
        print(found.model_dump_json(indent=2))
    else:
        rerun.terminal(found, Console())
    identical = all(output.state == "identical" for output in found.outputs)
    if args.record and identical and not args.stages:
        machine.record(root)
        print(f"written to {machine.RECORD}: commit it", file=sys.stderr)
    return 0 if found.reproduced else 1


def _spread_arguments(parser: argparse.ArgumentParser) -> None:
    at_least = arguments.at_least
    parser.add_argument(
        "--seeds", type=at_least(2), default=5, help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=at_least(1), help="at a time (default: as the processor has room)"
    )


def _spread(args: argparse.Namespace) -> int:
    from review import spread

    found = spread.measure(Path(), args.seeds, args.jobs)
    for name in spread.SCORES:
        score = getattr(found, name)
        print(
            f"{name}: mean {score.mean:.4f} ({score.low:.4f} to {score.high:.4f}), "
            f"standard deviation {score.standard_deviation:.4f}, {len(score.seeds)} seeds"
        )
    print(f"written to {evidence.SPREAD}: commit it")
    return 0


def _card(args: argparse.Namespace) -> int:
    from review import card

    root = revisions.root(Path())
    text = card.render(evidence.gather(Revision(root, "working tree", None)))
    with files.new_file(root / card.CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written to {card.CARD}")
    return 0


VERBS = {
    "review.report": Pending(_report_arguments, _report),
    "review.spread": Pending(_spread_arguments, _spread),
    "review.card": Pending(lambda parser: None, _card),
    "review.verify": Pending(_verify_arguments, _verify),
}
