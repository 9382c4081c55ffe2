"""How the house is kept."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

import fastbp.book.layers
import fastbp.reference.book.layers
from fastbp.losses._loss import Loss

ASKED_BY_NAME: dict[str, list[str]] = {}  # files in which the class of a layer or a loss is asked for all the same

TESTS = Path(__file__).parent
ROOT = TESTS.parent


def test_no_file_is_longer_than_400_lines():
    files = [file for room in ("fastbp", "kernels", "bench", "tests") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 500
    lengths = {str(file.relative_to(ROOT)): file.read_text("utf-8").count("\n") for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_kernels_have_nothing_that_swallows_errors_stale_numbers_or_other_libraries_threads():
    """Numba's parallel loops lose exceptions, its object mode interrupts, its np.random seeds; fastmath loses NaN."""
    lost = re.compile(r"\b(prange|objmode|jitclass|guvectorize|np\.random|np\.dot|parallel=|fastmath=True)")
    sources = [*ROOT.glob("kernels/*.py")]
    assert len(sources) > 50
    assert [file.name for file in sources if lost.search(file.read_text("utf-8"))] == []


def test_the_version_stands_in_one_place():
    version = re.compile(rf"(?<![\d.]){re.escape(fastbp.__version__)}(?![\d.])")
    read = [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *ROOT.glob("docs/**/*.rst"), *ROOT.glob("fastbp/**/*.py")]
    assert [file.name for file in read if version.search(file.read_text("utf-8"))] == ["__init__.py"]


KINDS_IN = re.compile(r"fastbp\.(layers\.(?!_torch_modules)|activations|losses|book\.layers|reference\.)")


@cache
def kinds_in(module: str) -> set[str]:
    """The names in a module of fastbp that are of a class of layers or losses, but for that which all of them have."""
    found = vars(sys.modules[module]) if module in sys.modules else {}
    return {
        name
        for name, value in found.items()
        if hasattr(value, "forward")
        and KINDS_IN.match(getattr(value, "__module__", ""))
        and value not in (fastbp.Layer, Loss)
    }


def imported(tree: ast.AST) -> dict[str, str]:
    """What a file's imports call modules, and names in them: ``module`` or ``module:name``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(name.asname or name.name).partition(".")[0]: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {name.asname or name.name: f"{node.module}:{name.name}" for name in node.names}
    return found


def compared(node: ast.AST) -> list[ast.expr]:
    """What something is compared with, as classes are."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
        return node.args[1:]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    return [node.cls] if isinstance(node, ast.MatchClass) else []


def asked(text: str) -> list[str]:
    """Where a file asks whether something is of the class of a layer or a loss that another file has."""
    tree = ast.parse(text)
    names = imported(tree)

    def is_a_kind(node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            module, _, name = names.get(node.id, "").partition(":")
            return name in kinds_in(module)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr in kinds_in(names.get(node.value.id, "").replace(":", "."))
        return isinstance(node, ast.Tuple) and any(map(is_a_kind, node.elts))

    return [ast.unparse(node) for node in ast.walk(tree) if any(map(is_a_kind, compared(node)))]


def test_nobody_asks_for_a_class_of_layers_or_losses_where_they_can_be_asked_themselves():
    files = [*ROOT.glob("fastbp/**/*.py"), *ROOT.glob("bench/**/*.py")]
    assert len(files) > 150
    found = {file.relative_to(ROOT).as_posix(): asked(file.read_text("utf-8")) for file in files}
    assert {name: places for name, places in found.items() if places} == ASKED_BY_NAME


@pytest.mark.parametrize(
    "question",
    [
        "isinstance(layer, Affine)",
        "isinstance(layer, (Relu, Affine))",
        "issubclass(kind, losses.Huber)",
        "type(layer) is fastbp.Dropout",
        "type(layer) in (Affine, Relu)",
        "Affine not in kinds",
    ],
)
def test_such_a_question_is_found(question):
    imports = "import fastbp\nfrom fastbp import losses\nfrom fastbp.book.layers import Relu, Affine\n"
    assert asked(f"{imports}kind = {question}") == [question]
    assert asked(f"from torch.nn import Relu, Affine\nkind = {question.replace('fastbp', 'torch')}") == []
