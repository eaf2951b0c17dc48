"""Whether a training gives the same bytes on processors that this machine does not have.

Trains the recipe of params.yaml for a few steps, and predicts with the result: on this processor,
and in QEMU's emulation of others (https://www.qemu.org, `apt-get install qemu-user`). QEMU computes
approximating instructions, such as RSQRTPS, in its own way too. Prints the hashes of the weights
and of the predictions; each line should have the same. Exits with 1 otherwise.

Run `dvc repro preprocess` first, then `python -m benchmarks.processors`: about five minutes for
each processor.
"""

import argparse
import hashlib
import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import command_line, isolated_training, markdown
from fashion_mnist import determinism, models, params
from fashion_mnist.data import prepared
from fashion_mnist.data.prepared import Prepared
from fashion_mnist.errors import InputError, reported
from stages import evaluate, train

PARAMS = Path("params.yaml")
DATA = Path("data/prepared/train")
QEMU = "qemu-x86_64"
HERE = "this processor"
# Names of QEMU: AMD's second EPYC, with AVX2; Intel's fourth Core, the first with AVX2.
PROCESSORS = ["EPYC-Rome", "Haswell-noTSX"]
STEPS = 3
PREDICTED = 512  # images


def measure(steps: int) -> dict[str, str]:
    """Return the hashes of the weights after some steps, and of predictions, in this process."""
    settings = params.read(PARAMS, "train", train.Params)
    settings = settings.model_copy(update={"steps": steps, "epochs": 1, "select": "last"})
    data = prepared.load(DATA)
    share = settings.selection.share if settings.selection else 1
    rows = int(np.ceil(steps * settings.batch_size / share))
    if rows > len(data.images):
        raise InputError(f"--steps: got {steps}, more than an epoch of {DATA} has")
    part = Prepared(data.images[:rows], data.labels[:rows])
    determinism.start(settings.seed)
    model = isolated_training.new_model(settings.model, settings.arguments, data)
    models.adapt(settings.model, model, data.images)
    none = Prepared(part.images[:0], part.labels[:0])
    with TemporaryDirectory() as folder:
        train.fit(model, settings, part, none, Path(folder) / "checkpoint.npz", [])
    outputs = evaluate.forward(model, data.images[:PREDICTED], settings.batch_size)
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    return {"weights": _hash(weights), "predictions": _hash(outputs.tobytes())}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def measure_apart(processor: str, steps: int) -> dict[str, str]:
    """Return what `measure` returns, on this processor or in an emulation of another one.

    Raises:
        InputError: QEMU is not installed, or the process failed.
    """
    # An emulated interpreter does not find its virtual environment by itself.
    start = "import runpy; runpy.run_module('benchmarks.processors', run_name='__main__')"
    command = [os.path.realpath(sys.executable), "-c", start, "--child", "--steps", str(steps)]
    if processor != HERE:
        if not shutil.which(QEMU):
            raise InputError(f"{QEMU} is missing: on Debian, apt-get install qemu-user")
        command = [QEMU, "-cpu", processor, *command]
    paths = os.pathsep.join([str(Path.cwd()), *site.getsitepackages()])
    environment = os.environ | {"PYTHONPATH": paths, determinism.CORES: "1"}
    done = subprocess.run(
        command, env=environment, check=False, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
    )
    if done.returncode:
        raise InputError(f"{processor}: the training failed with exit code {done.returncode}")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    print(f"{processor}: {found}", file=sys.stderr, flush=True)
    return found


def render(results: Mapping[str, Mapping[str, str]]) -> str:
    """Return a Markdown table of the hashes by processor."""
    rows = [[name, found["weights"], found["predictions"]] for name, found in results.items()]
    return markdown.table(["processor", "weights", "predictions"], rows)


def main() -> None:
    parser = command_line.parser("processors", __doc__)
    parser.add_argument(
        "--steps",
        type=command_line.count,
        default=STEPS,
        help="steps to train (default: %(default)s)",
    )
    parser.add_argument(
        "--processors",
        nargs="+",
        default=PROCESSORS,
        metavar="NAME",
        help=f"as `{QEMU} -cpu help` lists them (default: {' '.join(PROCESSORS)})",
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with reported("processors"):
        if args.child:
            print(json.dumps(measure(args.steps)))
            return
        names = [HERE, *args.processors]
        results = {name: measure_apart(name, args.steps) for name in names}
        print(render(results), end="")
        if len({tuple(found.values()) for found in results.values()}) > 1:
            sys.exit(1)


if __name__ == "__main__":
    main()
