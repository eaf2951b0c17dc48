"""The command line that all stages have in common."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic

from fashion_mnist import orphan, params
from fashion_mnist.errors import InputError, reported


class Stage(Generic[params.S]):
    """The command line of a stage: a section of a parameter file, and paths to read and write.

    Args:
        module: What follows `python -m`; its last part is the name of the stage.
        description: What `--help` says.
        schema: Type of the section.
        section: Default section; None for the name of the stage.
    """

    def __init__(
        self,
        module: str,
        description: str | None,
        schema: type[params.S],
        section: str | None = None,
    ) -> None:
        self.name = module.rpartition(".")[2]
        self.schema = schema
        self.outputs: list[str] = []
        self.parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
        self.parser.add_argument(
            "--params", type=Path, default=Path("params.yaml"), help="parameter file"
        )
        self.parser.add_argument(
            "--section", default=section or self.name, help="section of it (default: %(default)s)"
        )

    def reads(self, option: str, content: str) -> None:
        """Declare the path of a file or folder that the stage reads, and what is in it."""
        self.parser.add_argument(option, type=Path, required=True, help=f"reads {content}")

    def writes(self, option: str, content: str) -> None:
        """Declare the path of a file or folder that the stage writes, and what is in it."""
        self.outputs.append(option.removeprefix("--"))
        self.parser.add_argument(option, type=Path, required=True, help=f"writes {content}")

    @contextmanager
    def running(self) -> Iterator[tuple[argparse.Namespace, params.S]]:
        """Yield the arguments and the parameters, and report bad input from the block in one line.

        The process ends with the DVC that started it.
        """
        args = self.parser.parse_args()
        orphan.watch()
        with reported(self.name):
            for name in self.outputs:
                _check_place(getattr(args, name))
            yield args, params.read(args.params, args.section, self.schema)


def _check_place(output: Path) -> None:
    # DVC would say so too, but after the stage has run.
    folder = output.parent
    if "DVC_STAGE" in os.environ and not folder.resolve().is_relative_to(Path.cwd()):
        raise InputError(
            f"{folder} is a link out of the repository, where DVC has no outputs; "
            "move DVC's cache instead (docs/data.md)"
        )
