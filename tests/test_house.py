"""How the house is kept."""

import re
from pathlib import Path

import fastbp

TESTS = Path(__file__).parent
ROOT = TESTS.parent


def test_no_file_of_tests_is_longer_than_400_lines():
    lengths = {str(file.relative_to(TESTS)): file.read_text("utf-8").count("\n") for file in TESTS.rglob("*.py")}
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
