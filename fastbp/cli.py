"""The ``fastbp`` command: its subcommands, and how it ends.

A subcommand is a file of ``fastbp/commands``, imported when it is the one that runs.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from fastbp import __version__
from fastbp.commands import CommandError
from fastbp.commands._config import words_of
from fastbp.commands._options import Parser

COMMANDS = {
    "train": "train a network on a data set or a file of your own",
    "predict": "say what a trained network makes of new data",
    "evaluate": "measure a trained network on data with known targets",
    "inspect": "show what a model file holds",
    "export": "write a model as ONNX, C, NumPy or PyTorch",
    "gradcheck": "compare a network's gradients with central differences",
    "bench": "run the benchmarks",
    "warmup": "compile all kernels now, so that later runs start at once",
    "info": "show CPU, threads, cache and versions",
}
EXAMPLES = """\
examples:
  fastbp train
  fastbp train --data iris.csv --target species --save iris.safetensors
  fastbp predict iris.safetensors --data new.csv
  fastbp COMMAND --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments ``argv``, by default the process's, and return its exit code.

    0 done; 1 failed: data missing or damaged, loss not finite, disk or memory full; 2 wrong options;
    130 interrupted; 141 nobody reads the output any more.
    """
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
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


def _run(argv: list[str]) -> int:
    try:
        command, options = _parsed(argv)
        command.run(options)
    except SystemExit as end:  # how argparse ends: with 0 after help, with 2 after a mistake
        return int(end.code or 0)
    except CommandError as error:
        return _fail(str(error), error.code)
    except ImportError as error:  # an extra that is not installed
        return _fail(str(error))
    return 0


def _parsed(argv: list[str]) -> tuple[ModuleType, argparse.Namespace]:
    """The command's module and its options. Of the others, only names and summaries are needed."""
    raw = argparse.RawDescriptionHelpFormatter
    description = "Neural networks trained on the CPU by compiled kernels."
    parser = Parser("fastbp", description=description, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, formatter_class=raw)
        if name == chosen:
            module = importlib.import_module(f"fastbp.commands.{name}")
            command.description = module.__doc__
            command.epilog = module.EXAMPLES
            module.add_options(command)
            chosen_parser = command
    options = parser.parse_args(argv)
    if getattr(options, "config", None):
        at = argv.index(options.command) + 1
        options = parser.parse_args([*argv[:at], *words_of(options.config, chosen_parser), *argv[at:]])
    return module, options


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
