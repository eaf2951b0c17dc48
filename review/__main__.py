"""Answers for the reviewer of a change: `python -m review --help`."""

import argparse
import json
import sys
import traceback
from pathlib import Path

from rich.console import Console

import recipes
from fashion_mnist import files
from fashion_mnist.errors import InputError
from repository import revisions
from repository.revisions import Revision
from review import card, comparison, comparison_text, evidence, machine, rerun, spread, verify
from review.evidence import Evidence

CANNOT = 2  # exit code: no answer


def sides(base: str | None, head: str | None) -> tuple[Evidence, Evidence]:
    """Read two revisions of the repository that the current folder is in."""
    root = revisions.root(Path())
    new = revisions.resolve(root, head) if head else revisions.head(root)
    old = revisions.resolve(root, base) if base else revisions.base(new)
    return evidence.gather(old), evidence.gather(new)


def _compare(args: argparse.Namespace) -> int:
    try:
        found = comparison.compare(*sides(args.base, args.head))
    except InputError as error:
        # A pull request shows this too.
        if args.md:
            print(f"### cannot compare\n\n{error}")
        elif args.json:
            print(json.dumps({"cannot_compare": str(error)}))
        raise
    if args.json:
        print(found.model_dump_json(indent=2))
    elif args.md:
        print(comparison_text.markdown(found), end="")
    else:
        comparison_text.terminal(found, Console())
    return 0 if found.accepted else 1


def _report(args: argparse.Namespace) -> int:
    # The libraries that draw are not needed, nor always installed, to compare.
    from review import report

    base, head = sides(args.base, args.head)
    found = comparison.compare(base, head)
    html = report.render(base, head, found)
    with files.new_file(args.output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"{comparison_text.headline(found)}: {args.output}")
    return 0 if found.accepted else 1


def _verify(args: argparse.Namespace) -> int:
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


def _card(args: argparse.Namespace) -> int:
    root = revisions.root(Path())
    text = card.render(evidence.gather(Revision(root, "working tree", None)))
    with files.new_file(root / card.CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written to {card.CARD}")
    return 0


def _register(args: argparse.Namespace) -> int:
    # `compare` needs neither this nor DVC.
    from retraining import registry

    print(registry.register(revisions.root(Path())))
    return 0


def _retrain(args: argparse.Namespace) -> int:
    # It asks the model, and TensorFlow is not needed to compare.
    from retraining import cycle

    _several(args.seeds)
    change = cycle.Change(args.recipe, args.seeds) if args.recipe else None
    found = cycle.retrain(revisions.root(Path()), args.inbox, change, args.push, args.dry_run)
    if not found.judged:
        print("nothing new")
    for one in found.judged:
        print(f"{one.batch.name}:")
        for line in cycle.said(one):
            print(f"  {line}")
    if found.comparison:
        print(comparison_text.headline(found.comparison))
        for sentence in comparison_text.sentences(found.comparison):
            print(f"  {sentence}")
    if found.branch:
        print(f"proposed: branch {found.branch}")
    for command in found.commands:
        print(f"next: {command}")
    return 1 if found.judged and all(one.reasons for one in found.judged) else 0


def _several(seeds: int) -> None:
    if seeds < 2:
        raise InputError(f"--seeds: got {seeds}, expected 2 or more")


def _spread(args: argparse.Namespace) -> int:
    _several(args.seeds)
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs: got {args.jobs}, expected 1 or more")
    found = spread.measure(Path(), args.seeds, args.jobs)
    for name in spread.SCORES:
        score = getattr(found, name)
        print(
            f"{name}: mean {score.mean:.4f} ({score.low:.4f} to {score.high:.4f}), "
            f"standard deviation {score.standard_deviation:.4f}, {len(score.seeds)} seeds"
        )
    print(f"written to {evidence.SPREAD}: commit it")
    return 0


def _revisions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "base",
        nargs="?",
        help="what to compare with (default: the commit where this branch left main; on main the "
        "commit before)",
    )
    parser.add_argument("head", nargs="?", help="what to judge (default: the working tree)")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m review",
        description="Tell whether a change is better, worse, or noise.",
        epilog="Exit code 0: accepted; 1: refused by a rule in params.yaml; 2: no answer, and why.",
    )
    verbs = parser.add_subparsers(required=True, metavar="verb")
    verb = verbs.add_parser("compare", help="compare the metrics of two revisions")
    _revisions(verb)
    form = verb.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="Markdown for a pull request")
    form.add_argument("--json", action="store_true", help="see docs/comparison.schema.json")
    verb.set_defaults(run=_compare)
    verb = verbs.add_parser("report", help="draw the comparison as one HTML file")
    _revisions(verb)
    verb.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="default: %(default)s"
    )
    verb.set_defaults(run=_report)
    verb = verbs.add_parser(
        "verify", help="check that code, parameters, dvc.lock, metrics and answers belong together"
    )
    verb.add_argument("--stages", nargs="+", default=[], metavar="stage", help="default: all")
    verb.add_argument(
        "--rerun", action="store_true", help="run them again, from nothing, and compare the bytes"
    )
    verb.add_argument(
        "--record",
        action="store_true",
        help=f"with --rerun: if all is identical, name this kind of machine in {machine.RECORD}",
    )
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_verify)
    verb = verbs.add_parser("spread", help="train the recipe with several seeds")
    verb.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    verb.add_argument("--jobs", type=int, help="at a time (default: as the processor has room)")
    verb.set_defaults(run=_spread)
    verb = verbs.add_parser("card", help=f"write {card.CARD}")
    verb.set_defaults(run=_card)
    verb = verbs.add_parser(
        "register", help="tag the commit, if its model is another than the last that was tagged"
    )
    verb.set_defaults(run=_register)
    verb = verbs.add_parser("retrain", help="train on new batches and propose what comes of it")
    verb.add_argument("--inbox", help="where they wait (default: retraining.inbox in params.yaml)")
    verb.add_argument(
        "--recipe",
        choices=recipes.names(),
        help="try a recipe instead of batches, over several seeds",
    )
    verb.add_argument(
        "--seeds", type=int, default=5, help="of a recipe, how many (default: %(default)s)"
    )
    verb.add_argument(
        "--no-push",
        dest="push",
        action="store_false",
        help="keep branch and ledger here, and print what is left to do",
    )
    verb.add_argument("--dry-run", action="store_true", help="only look at the batches")
    verb.set_defaults(run=_retrain)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except InputError as error:
        print(f"review: error: {error}", file=sys.stderr)
        return CANNOT
    except Exception:
        # Python's own exit code for a bug would say that a rule refuses the change.
        traceback.print_exc()
        return CANNOT


if __name__ == "__main__":
    sys.exit(main())
