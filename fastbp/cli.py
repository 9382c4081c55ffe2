"""The ``fastbp`` command: its options, and how it ends.

The work itself is imported once the options are known to be right, so that help and mistakes are quick.
"""

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from fastbp import __version__
from fastbp.json_file import check_writable

EPOCHS = {"digits": 150, "mnist": 17, "fashion-mnist": 17}  # 17 times 600 batches: the book's 10,000
LEARNING_RATES = {  # with which each optimizer learns the data above well in these epochs
    "sgd": 0.1,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.1,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
}
MOST_THREADS = 1024
EXAMPLES = """\
examples:
  fastbp train
  fastbp train --data mnist --data-dir ~/mnist --hidden 100 --json mnist.json
  fastbp train --optimizer adam --epochs 50 --threads 1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments ``argv``, by default the process's, and return its exit code.

    0 done; 1 failed: data missing or damaged, loss not finite, disk or memory full; 2 wrong options;
    130 interrupted; 141 nobody reads the output any more.
    """
    try:
        code = _run(argv)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    except BrokenPipeError:
        _abandon_stdout()
        return 141
    except OSError as error:
        _abandon_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(argv)
        _check_together(options)
    except SystemExit as end:  # how argparse ends: with 0 after help, with 2 after a mistake
        return int(end.code or 0)

    from fastbp.train_command import CommandError, run

    try:
        run(options)
    except CommandError as error:
        return _fail(str(error), error.code)
    return 0


def _fail(message: str, code: int = 1) -> int:
    if sys.stderr:
        print(f"fastbp: {message}", file=sys.stderr)
    return code


def _abandon_stdout() -> None:
    """If stdout takes no more, drop what it still holds: the interpreter's last flush must not fail."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """A mistake is told in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    description = "Neural networks trained on the CPU by compiled kernels."
    parser = _Parser("fastbp", description=description, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    about = "Train the book's two-layer network, with a line of loss and accuracy after each epoch."
    short = "train a network"
    train = commands.add_parser("train", help=short, description=about, epilog=EXAMPLES, formatter_class=raw)
    add = train.add_argument
    add("--data", choices=EPOCHS, default="digits", help="what to learn (default: %(default)s)")
    add("--data-dir", metavar="DIR", help="folder with the four IDX files of mnist or fashion-mnist")
    add("--hidden", metavar="N", type=_count, default=50, help="hidden units (default: %(default)s)")
    epochs, rates = _listed(EPOCHS), _listed(LEARNING_RATES)
    add("--epochs", metavar="N", type=_count, help=f"passes over the training images (default: {epochs})")
    add("--batch-size", metavar="N", type=_count, default=100, help="images a step (default: %(default)s)")
    optimizer = "how gradients move the weights (default: %(default)s)"
    add("--optimizer", choices=LEARNING_RATES, default="sgd", help=optimizer)
    add("--lr", metavar="X", type=_rate, help=f"learning rate (default: {rates})")
    add("--seed", metavar="N", type=_seed, default=0, help="of weights and order (default: %(default)s)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(default: %(default)s)")
    threads = "threads to use, which changes no result (default: as many as there are cores)"
    add("--threads", metavar="N", type=_threads, help=threads)
    add("--json", metavar="FILE", type=_output, help="write there what the lines say, for scripts")
    return parser


def _listed(defaults: Mapping[str, float]) -> str:
    return ", ".join(f"{value} for {name}" for name, value in defaults.items())


def _check_together(options: argparse.Namespace) -> None:
    """Check what no option can know alone, and fill in the defaults that depend on others."""
    parser = _Parser("fastbp train")
    if options.data == "digits" and options.data_dir is not None:
        parser.error("--data-dir goes with --data mnist or fashion-mnist; the digits come with fastbp")
    if options.data != "digits" and options.data_dir is None:
        parser.error(f"--data {options.data} needs --data-dir, the folder with its four IDX files")
    if options.epochs is None:
        options.epochs = EPOCHS[options.data]
    if options.lr is None:
        options.lr = LEARNING_RATES[options.optimizer]


def _count(text: str) -> int:
    return _whole(text, 1, 10**9)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**64 - 1)


def _threads(text: str) -> int:
    return _whole(text, 1, MOST_THREADS)


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, got {text!r}")
    return number


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number above 0, got {text!r}")
    return number


def _output(text: str) -> str:
    try:
        check_writable(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror or error}") from None
    return text
