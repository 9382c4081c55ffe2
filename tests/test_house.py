"""How the house is kept."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

import fastbp.book.layers
import fastbp.reference.book.layers
from fastbp.kernels.instructions import OPERATIONS
from fastbp.losses._loss import Loss

# Files in which somebody asks for a class of layers, losses or instructions all the same.
ASKED_BY_NAME = {
    "fastbp/layers/convolution.py": ["p.last_if(MaxPoolingGradient)"],  # a kernel does both, by that one's fields
}

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
    """The names in a module of fastbp that are of a class of layers, losses or instructions.

    The classes that all layers, and all losses, are of are none of these.
    """
    found = vars(sys.modules[module]) if module in sys.modules else {}
    return {name for name, value in found.items() if isinstance(value, type) and is_a_kind(value)}


def is_a_kind(cls: type) -> bool:
    is_layer_or_loss = hasattr(cls, "forward") and KINDS_IN.match(cls.__module__)
    return cls in OPERATIONS or (is_layer_or_loss and cls not in (fastbp.Layer, Loss))


def imported(tree: ast.AST) -> dict[str, str]:
    """What a file's imports call modules, and names in them: ``module`` or ``module:name``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                found[name.asname or top] = name.name if name.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {name.asname or name.name: f"{node.module}:{name.name}" for name in node.names}
    return found


def compared(node: ast.AST) -> list[ast.expr]:
    """What something is compared with, as classes are."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
        return node.args[1:]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "last_if":
        return node.args
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    return [node.cls] if isinstance(node, ast.MatchClass) else []


def asked(text: str) -> list[str]:
    """Where a file asks whether something is of a class of layers, losses or instructions that another file has."""
    tree = ast.parse(text)
    names = imported(tree)

    def names_a_kind(node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            module, _, name = names.get(node.id, "").partition(":")
            return name in kinds_in(module)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr in kinds_in(names.get(node.value.id, "").replace(":", "."))
        return isinstance(node, ast.Tuple) and any(map(names_a_kind, node.elts))

    return [ast.unparse(node) for node in ast.walk(tree) if any(map(names_a_kind, compared(node)))]


def test_nobody_asks_for_a_class_of_layers_losses_or_instructions_where_they_can_be_asked_themselves():
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
        "isinstance(last, of.AffineForward)",
    ],
)
def test_such_a_question_is_found(question):
    imports = "import fastbp\nfrom fastbp import losses\nfrom fastbp.book.layers import Relu, Affine\n"
    imports += "from fastbp.kernels import instructions as of\n"
    assert asked(f"{imports}kind = {question}") == [question]
    assert asked(f"from torch.nn import Relu, Affine\nkind = {question.replace('fastbp', 'torch')}") == []


def test_every_file_of_kernels_and_every_room_of_fastbp_is_in_the_table_of_architecture():
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.M)
    cells = {room: " ".join(cell for cell in table if cell.startswith(f"`{room}/")) for room in ("kernels", "fastbp")}
    said = {room: re.findall(rf"`(?:{room}/)?(\w+)/?`", cell) for room, cell in cells.items()}
    kernels = {file.stem for file in ROOT.glob("kernels/*.py")} - {"__init__"}
    assert sorted(said["kernels"]) == sorted(kernels)
    beside = {"__init__", "__main__", "cli", "functions"}  # doors, and the book's functions under their names
    rooms = {file.stem for file in ROOT.glob("fastbp/*.py")} | {file.parent.name for file in ROOT.glob("fastbp/*/*.py")}
    assert sorted(said["fastbp"]) == sorted(rooms - beside - {"kernels", "bench"})
