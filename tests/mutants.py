"""Whether the tests notice when a check is changed: mutation testing of what looks at arguments and reads files.

``python tests/mutants.py [MODULE ...]`` changes one thing in a module, a comparison, a condition, a number, a call, and
runs those of its tests that come by the line; then the next. ``MODULE:40-80`` is about these lines. It prints the
changes that no test noticed, the survivors; ``docs/tested.rst`` says what came of them.

pytest collects once. Each change is tried in a fork, by giving the functions of the module another code. Text of errors
and numbers of the module's own level are left as they are, and only tests that run in pytest's process count.
"""

import ast
import gc
import importlib
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
OF_MODELS = (
    "test_tensor_file.py test_model_file*.py test_crafted_extra.py test_resume.py test_buffers.py"
    " test_image_networks.py"
)
TESTS = {  # of each module those that are asked
    "fastbp/basics/_check.py": "test_check.py test_layers_bad_input.py test_layers_at_the_door.py"
    " test_arrays_of_others.py test_affine.py test_softmax_with_loss.py test_dropout.py test_functions.py"
    " test_loss_layers.py",
    "fastbp/basics/_arguments.py": "test_arguments.py test_fit_bad_input.py test_settings.py test_layers_bad_input.py",
    "fastbp/losses/_targets.py": "test_loss_layers.py test_softmax_with_loss.py test_soft_targets.py"
    " test_layers_bad_input.py",
    "fastbp/files/_file_kinds.py": "test_file_kinds.py test_model_file_versions.py",
    "fastbp/files/_files.py": "test_files.py test_json_file.py",
    "fastbp/files/_tensor_file.py": OF_MODELS,
    "fastbp/files/architecture.py": f"{OF_MODELS} test_exports*.py test_image_exports.py",
    "fastbp/files/idx.py": "test_datasets.py",
    "fastbp/files/json_file.py": "test_json_file.py",
    "fastbp/files/model_file.py": f"{OF_MODELS} test_ensemble.py",
    "fastbp/files/pickled.py": "test_book_files.py",
    "fastbp/datasets.py": "test_datasets.py test_download.py",
    "fastbp/tables/_array_samples.py": "test_array_samples.py test_cli_data_refused.py",
    "fastbp/tables/_arrays.py": "test_array_files.py test_cli_tables_damaged.py",
    "fastbp/tables/_frames.py": "test_table_files.py test_cli_tables_text.py test_cli_tables.py",
    "fastbp/tables/_model.py": "test_table_measures.py test_table_model.py",
    "fastbp/tables/_text.py": "test_table_files.py test_cli_tables_text.py",
}
SLACK = 10  # times as long as its tests took a change may take, after so many seconds
ROOM = 4 << 30  # bytes that a change may take more than there are
OTHER_COMPARISON = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OTHER_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
}
OTHER_FUNCTION = {"min": "max", "max": "min", "any": "all", "all": "any"}


def others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of ``node``."""
    match node:
        case ast.Compare(left, ops, comparators):
            for n, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:n], OTHER_COMPARISON[type(op)](), *ops[n + 1 :]], comparators)
        case ast.BoolOp(op, values):
            for n in range(len(values)):
                rest = values[:n] + values[n + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.IfExp(_, body, orelse):
            yield from (body, orelse)
        case ast.If(test, body, orelse):
            for constant in () if isinstance(test, ast.Constant) else (True, False):
                yield ast.If(ast.Constant(constant), body, orelse)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.BinOp(left, op, right) if type(op) in OTHER_ARITHMETIC:
            yield ast.BinOp(left, OTHER_ARITHMETIC[type(op)](), right)
        case ast.Expr(ast.Call()):
            yield ast.Pass()
        case ast.ExceptHandler(ast.Tuple(kinds), name, body):
            for n in range(len(kinds)):
                yield ast.ExceptHandler(ast.Tuple(kinds[:n] + kinds[n + 1 :], ast.Load()), name, body)
        case ast.comprehension(target, values, ifs, is_async):
            for n in range(len(ifs)):
                yield ast.comprehension(target, values, ifs[:n] + ifs[n + 1 :], is_async)
        case ast.Name(name) if name in OTHER_FUNCTION:
            yield ast.Name(OTHER_FUNCTION[name], ast.Load())


def changes(parent: ast.AST, inside: bool = False) -> Iterator[tuple[range, str]]:
    """Change one thing after the other below ``parent``; the lines and the words of the change that is made now."""
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "decorator_list", "args") and isinstance(parent, ast.FunctionDef):
            continue
        nodes = value if isinstance(value, list) else [value]
        for n, node in enumerate(nodes):
            if not isinstance(node, ast.AST) or isinstance(
                node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
            ):
                continue
            for other in others(node) if inside else ():
                other = ast.fix_missing_locations(ast.copy_location(other, node))
                put = list(nodes)
                put[n] = other
                setattr(parent, field, put if isinstance(value, list) else other)
                yield lines(node, parent), f"{said(node)}  ->  {said(other)}"
                setattr(parent, field, value)
            yield from changes(node, inside or isinstance(parent, ast.FunctionDef))


def lines(node: Any, parent: Any) -> range:
    if isinstance(node, ast.If):
        node = node.test
    placed = node if hasattr(node, "lineno") else getattr(node, "target", parent)
    return range(placed.lineno, placed.end_lineno + 1)


def said(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:100]


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from codes(inner)


class Mutants:
    """A plugin of pytest that tries the changes to a module in the place of running the tests."""

    def __init__(self, path: Path, wanted: range) -> None:
        self.path, self.wanted, self.failed, self.said = path, wanted, False, ""
        self.total = self.survived = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed, self.said = True, f"{report.nodeid}: {report.longreprtext}"

    def pytest_runtestloop(self, session: Any) -> bool:
        with tempfile.TemporaryFile() as found:
            self.forked(lambda: self.look(session.items, found), 0)
            found.seek(0)
            reached, took, said = pickle.load(found)
        if said:
            raise pytest.UsageError(f"the tests fail without a change: {said}")
        tree = ast.parse(self.path.read_bytes())
        importlib.import_module(".".join(self.path.relative_to(ROOT).with_suffix("").parts))  # a command does it late
        gc.unfreeze()  # conftest.py froze them
        live = [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__.co_filename == str(self.path)]
        for at, words in changes(tree):
            if at.start not in self.wanted:
                continue
            code = compile(tree, str(self.path), "exec")
            items = sorted((n for n, hit in enumerate(reached) if hit.intersection(at)), key=took.__getitem__)
            self.total += 1
            limit = SLACK + int(SLACK * sum(took[n] for n in items))
            tests = [session.items[n] for n in items]
            if not tests or self.forked(lambda code=code, tests=tests: self.tried(live, code, tests), limit) == 0:
                self.survived += 1
                print(f"{self.path.name}:{at.start}: {words}  ({len(tests)} tests)", flush=True)
        return True

    def forked(self, work: Any, seconds: int) -> int:
        """What a fork ends with that does ``work``, and is ended after ``seconds``."""
        child = os.fork()
        if child == 0:
            try:
                os.setpgid(0, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(seconds)
                nothing = os.open(os.devnull, os.O_RDWR)
                for stream in range(3):
                    os.dup2(nothing, stream)
                os._exit(work())
            finally:
                os._exit(2)
        status = os.waitpid(child, 0)[1]
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        return status

    def look(self, items: list[Any], found: Any) -> int:
        """Write which lines each of ``items`` comes by, and how long it took."""
        reached: list[set[int]] = []
        took = []

        def in_module(frame: Any, event: str, _: Any) -> Any:
            reached[-1].add(frame.f_lineno)
            return in_module

        def anywhere(frame: Any, event: str, _: Any) -> Any:
            return in_module(frame, event, _) if frame.f_code.co_filename == str(self.path) else None

        for item, after in zip_longest(items, items[1:]):
            reached.append(set())
            began = time.monotonic()
            sys.settrace(anywhere)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            sys.settrace(None)
            took.append(time.monotonic() - began)
        pickle.dump((reached, took, self.said), found)
        found.flush()
        return 0

    def tried(self, live: list[FunctionType], code: CodeType, items: list[Any]) -> int:
        """1 where one of ``items`` fails when the functions ``live`` have what they are in ``code``."""
        now = {(part.co_name, part.co_firstlineno): part for part in codes(code)}
        for function in live:
            new = now[function.__code__.co_name, function.__code__.co_firstlineno]
            if new != function.__code__:
                function.__code__ = new
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
        for item, after in zip_longest(items, items[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                return 1
        return 0


def try_module(name: str) -> None:
    """Say which changes to a module, or to some of its lines, its tests let pass, and how many there are."""
    name, _, wanted = name.partition(":")
    first, _, last = wanted.partition("-")
    mutants = Mutants(ROOT / name, range(int(first or 0), int(last or first or sys.maxsize - 1) + 1))
    tests = [str(path) for pattern in TESTS[name].split() for path in sorted((ROOT / "tests").glob(pattern))]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder + "/hypothesis"
        options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder}/tests"]
        if pytest.main([*options, *tests], plugins=[mutants]) not in (0, 5):
            raise SystemExit(f"the tests of {name} could not be run")
    print(f"== {name}: {mutants.total} changes, {mutants.survived} survive", flush=True)


def main(names: list[str]) -> None:
    for name in names or TESTS:
        # A process of its own: what pytest imports stays imported.
        child = os.fork()
        if child == 0:
            try_module(name)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
