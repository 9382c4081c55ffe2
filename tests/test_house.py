"""How the house is kept."""

from pathlib import Path

TESTS = Path(__file__).parent


def test_no_file_of_tests_is_longer_than_400_lines():
    lengths = {str(file.relative_to(TESTS)): file.read_text("utf-8").count("\n") for file in TESTS.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
