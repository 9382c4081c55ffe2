"""The ``fastbp`` command: its subcommands, and how it ends.

A subcommand is a file of ``fastbp/commands``, imported when it is the one that runs.
"""

import argparse
import importlib
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Sequence
from types import ModuleType

from fastbp import __version__
from fastbp.commands import CommandError
from fastbp.commands._config import words_of
from fastbp.commands._options import Options, Parser, did_you_mean
from fastbp.commands._report import tell
from fastbp.commands._words import in_a_line, on_the_command_line
from fastbp.files.model_file import ModelFileError
from fastbp.tables._errors import DataError, SettingError

COMMANDS = {
    "train": "train a network on a data set or a file of your own",
    "search": "try many settings side by side, and keep the best",
    "predict": "say what a trained network makes of new data",
    "evaluate": "measure a trained network on data with known targets",
    "inspect": "show what a model file holds",
    "export": "write a model as ONNX, C, NumPy or PyTorch",
    "gradcheck": "compare a network's gradients with central differences",
    "bench": "run the benchmarks",
    "warmup": "compile all kernels now, so that later runs start at once",
    "tune": "measure which limits and sizes suit this machine, and keep them",
    "info": "show CPU, threads, cache and versions",
}
EXAMPLES = """\
examples:
  fastbp train
  fastbp train --data iris.csv --target species --save iris.safetensors
  fastbp predict iris.safetensors --data new.csv
  fastbp COMMAND --help
"""
RAW = argparse.RawDescriptionHelpFormatter


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
        return _fail("interrupted", code=130)
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
        module, options = _parse(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _tell_of_warning
            module.run(options)
    except SystemExit as end:  # how argparse ends: with 0 after help, with 2 after a mistake
        return int(end.code or 0)
    except CommandError as error:
        return _fail(*str(error).split("\n"), code=error.code)
    except DataError as error:
        return _fail(on_the_command_line(error), code=2 if isinstance(error, SettingError) else 1)
    except ModelFileError as error:
        return _fail(str(error))
    except ImportError as error:  # an extra that is not installed
        return _fail(str(error))
    return 0


def _tell_of_warning(message: Warning | str, *where: object, **rest: object) -> None:
    """A line: there is none in a script of the user's to point at."""
    tell(str(message))


def _parse(argv: list[str]) -> tuple[ModuleType, Options]:
    """The command's module and its options; SystemExit after help, the version, or a mistake."""
    fastbp = _all_commands()
    if not argv:
        fastbp.print_help()
        fastbp.exit()
    name, *words = argv
    if name.startswith("-"):
        fastbp.parse_args([name])  # ends the process, unless
        fastbp.error("a command comes first")
    if name not in COMMANDS:
        fastbp.error(f"there is no command {name!r}{did_you_mean(name, COMMANDS)}")
    module, parser = command(name)
    options = parser.parse_args(words)
    if getattr(options, "config", None):
        options = parser.parse_args([*words_of(options.config, parser, getattr(module, "TABLES", ())), *words])
    return module, module.Options.of(vars(options))


def _all_commands() -> Parser:
    """What ``fastbp`` alone takes. Of the commands, only names and summaries are needed."""
    width = max(map(len, COMMANDS))
    lines = ["Neural networks trained on the CPU by compiled kernels.", "", "commands:"]
    lines += [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    settings = {"description": "\n".join(lines), "epilog": EXAMPLES, "formatter_class": RAW}
    parser = Parser("fastbp", usage="fastbp COMMAND [options]", **settings)
    parser.add_argument("--version", action="version", version=f"fastbp {__version__}")
    return parser


def command(name: str) -> tuple[ModuleType, Parser]:
    """The module of the command, imported, and the parser of its options."""
    module = importlib.import_module(f"fastbp.commands.{name}")
    description = _filled(module.__doc__ or "")
    parser = Parser(f"fastbp {name}", description=description, epilog=module.EXAMPLES, formatter_class=RAW)
    module.add_options(parser)
    return module, parser


def _filled(text: str) -> str:
    """Paragraphs in lines as long as the terminal's, as argparse makes those of the options."""
    width = shutil.get_terminal_size().columns - 2
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.strip().split("\n\n"))


def _fail(*lines: str, code: int = 1) -> int:
    if sys.stderr:
        print("fastbp:", "\n".join(map(in_a_line, lines)), file=sys.stderr)
    return code


def _abandon_stdout() -> None:
    """If stdout takes no more, drop what it still holds: the interpreter's last flush must not fail."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
