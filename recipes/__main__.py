"""Puts a recipe, or a data set, into params.yaml; then train it with `dvc repro`.

python -m recipes accurate
python -m recipes digits
python -m recipes own --data FOLDER
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recipes
from fashion_mnist.errors import InputError, reported
from fashion_mnist.files import CHECKSUMS, new_file
from recipes import digits, own, settings
from recipes.own import Found, Wanted

OWN = "own"
UNBALANCED = 5  # times as many images of one class as of another
FEW = 10  # test images of a class
HELP = {
    OWN: "your own data",
    "digits": "scikit-learn's; also writes its files",
    "kmnist": "needs --data, a folder with its four files",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    lines = ["recipes:", *(f"  {name}" for name in recipes.names()), "data sets:"]
    for name in (*recipes.data_sets(), OWN):
        lines.append(f"  {name:<15}{HELP.get(name, '')}".rstrip())
    found = argparse.ArgumentParser(
        prog="python -m recipes",
        description=__doc__,
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*recipes.names(), *recipes.data_sets(), OWN]
    found.add_argument("name", choices=choices, metavar="NAME", help="recipe or data set to use")
    found.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="file to change (default: %(default)s)",
    )
    data = found.add_argument_group("your own data (docs/data.md has the layouts)")
    data.add_argument("--data", type=Path, help="folder of pictures or files, or one of the files")
    data.add_argument("--classes", help="names in label order, with commas between")
    data.add_argument("--resize", type=int, nargs=2, metavar=("H", "W"), help="size of pictures")
    data.add_argument("--channels", type=int, choices=(1, 3), help="grey or coloured pictures")
    data.add_argument("--first-label", type=int, choices=(0, 1), default=0)
    return found


def wanted(args: argparse.Namespace) -> Wanted:
    """Return what the user says about the data.

    Raises:
        InputError: Options do not fit the data set.
    """
    options = args.classes or args.resize or args.channels or args.first_label
    if args.name != OWN and options:
        raise InputError(f"--classes, --resize, --channels and --first-label are for '{OWN}'")
    classes = [name.strip() for name in args.classes.split(",")] if args.classes else None
    resize = tuple(args.resize) if args.resize else None
    return Wanted(classes, resize, args.channels, args.first_label)


def data_set(name: str, data: Path | None, options: Wanted) -> tuple[dict[str, Any], Found | None]:
    """Return what a data set changes, and what is known about the files of the user.

    Raises:
        InputError: The user's files are missing, or are not those of the data set.
    """
    changes = recipes.read_data_set(name) if name != OWN else {"download": {}}
    pinned = "files" in changes["download"]
    if pinned != (data is None):
        raise InputError(
            f"--data: {name} has files of its own; for other files, use '{OWN}'"
            if pinned
            else f"{name}: expected --data, and your folder or file"
        )
    if data is None:
        return changes, None
    if name != OWN:
        options = options._replace(classes=[*changes["download"]["classes"]])
    found = own.look(data, options)
    changes["download"] |= download(found, options)
    if name == OWN:
        changes |= settings.changes(found.counts, found.images.names)
    return changes, found


def download(found: Found, options: Wanted) -> dict[str, Any]:
    """Return what a user's data changes in section `download`."""
    folder = found.folder.resolve()
    here = Path.cwd()
    return {
        "sources": [str(folder.relative_to(here) if folder.is_relative_to(here) else folder)],
        "classes": found.classes,
        "first_label": options.first_label,
        "resize": list(options.resize) if options.resize else None,
        "channels": options.channels,
        "files": found.pins,
    }


def use_data_set(args: argparse.Namespace) -> None:
    """Put a data set into params.yaml, and write the files that it needs."""
    sections = ("download", "split", "train", "evaluate", "review")
    before = recipes.loaded(args.params, sections)
    changes, found = data_set(args.name, args.data, wanted(args))
    if before["download"].get("files") != changes["download"]["files"]:
        changes["download"]["deliveries"] = []  # they belong to the other data
    if args.name == "digits":
        digits.write(args.params.parent / changes["download"]["sources"][0])
    listing = found.folder / CHECKSUMS if found and found.listing else None
    if found and listing:
        with new_file(listing) as temporary:
            temporary.write_bytes(found.listing)
    try:
        recipes.rewrite(args.params, changes)
    except BaseException:
        if listing:
            listing.unlink()
        raise
    if found:
        print(f"{args.data}: ", end="")
        describe(found, changes, listing)
        if args.name != OWN:
            print("the lengths and hashes in download.files are those of your files")


def describe(found: Found, changes: Mapping[str, Any], listing: Path | None) -> None:
    """Print what was found, and what was chosen for it."""
    images, drawn = found.images, changes["split"]
    colour = "grey" if images.channels == 1 else "in colour"
    shown = ", ".join(images.names[:10]) + ", ..." * (len(images.names) > 10)
    print(f"images of {images.size}, {colour}")
    print(f"{len(images.names)} classes: {shown}")
    for half, counts in found.counts.items():
        name = "training" if half == "train" else "test"
        print(f"{name} file: {sum(counts):,} images, {min(counts):,} to {max(counts):,} of a class")
    if listing:
        print(f"wrote {listing}, which pins the pictures")
    total, size = sum(found.counts["train"]), drawn["size"]
    if "t10k" in found.counts:
        print(
            f"{total - size:,} images train, {size:,} drawn from them validate ({drawn['sample']})"
        )
    else:
        kept = f"{total - 2 * size:,} images train, {size:,} validate, {size:,} test"
        print(f"{kept} ({drawn['sample']} samples)")
    if any(min(counts) * UNBALANCED < max(counts) for counts in found.counts.values()):
        print("note: train.class_weights: balanced would let rare classes weigh as much")
    if min(found.counts.get("t10k", [size // len(images.names)])) < FEW:
        print("note: with so few test images of a class, scores are rough")
    if found.repeated:
        print(f"note: {found.repeated}")


def use_recipe(args: argparse.Namespace) -> None:
    """Put a recipe into params.yaml.

    Other data than Fashion-MNIST keeps its settings for mirror images, which may be wrong there.
    """
    if args.data:
        raise InputError(f"--data: '{args.name}' is a recipe, expected '{OWN}'")
    wanted(args)
    changes = recipes.read(args.name)
    parameters = recipes.loaded(args.params, changes)
    files = (parameters.get("download") or {}).get("files")
    if files and files != recipes.read_data_set("fashion_mnist")["download"]["files"]:
        changes["train"]["augmentation"].pop("flip")
        changes["evaluate"].pop("mirror_average")
        print("kept train.augmentation.flip and evaluate.mirror_average, for this data")
    recipes.rewrite(args.params, changes)


def main() -> None:
    args = parser().parse_args()
    with reported("recipes"):
        is_recipe = args.name in recipes.names()
        (use_recipe if is_recipe else use_data_set)(args)
    kind = "recipe" if is_recipe else "data set"
    print(f"{args.params} now has the {kind} '{args.name}'; train it with: dvc repro")


if __name__ == "__main__":
    main()
