"""How the house is kept."""

import re
from pathlib import Path

import fastbp

TESTS = Path(__file__).parent
ROOT = TESTS.parent


def test_no_file_of_tests_is_longer_than_400_lines():
    lengths = {str(file.relative_to(TESTS)): file.read_text("utf-8").count("\n") for file in TESTS.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_the_version_stands_in_one_place():
    version = re.compile(rf"(?<![\d.]){re.escape(fastbp.__version__)}(?![\d.])")
    read = [ROOT / "pyproject.toml", ROOT / "CITATION.cff", *ROOT.glob("docs/**/*.rst"), *ROOT.glob("fastbp/**/*.py")]
    assert [file.name for file in read if version.search(file.read_text("utf-8"))] == ["__init__.py"]
