"""Every block of Python in README and docs runs as it stands, and the reference leaves nothing public out."""

import doctest
import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import fastbp
from fastbp import activations, cli, datasets, losses, optimizers, schedules
from fastbp.commands._config import words_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.rst"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
OPTIONAL = ("torch", "sklearn", "onnxruntime", "polars")
BLOCKS = {
    ".md": re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL),
    ".rst": re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", re.MULTILINE),
}


def blocks():
    for page in (ROOT / "README.md", *PAGES):
        for n, block in enumerate(BLOCKS[page.suffix].findall(page.read_text(encoding="utf-8")), 1):
            yield pytest.param(textwrap.dedent(block), id=f"{page.relative_to(ROOT)}-{n}")


@pytest.mark.parametrize("block", list(blocks()))
def test_a_block_runs_as_it_stands(block, tmp_path, monkeypatch):
    for package in OPTIONAL:
        if re.search(rf"\b{package}\b|fastbp\.{package}", re.sub(r"from_torch|to_torch", "", block)):
            pytest.importorskip(package)
    if "to_onnx" in block:
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "block", "exec"), {"__name__": "block"})


def examples():
    """Of all docstrings, with the names of fastbp and those of their module."""
    for path in sorted((ROOT / "fastbp").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield pytest.param(name, id=name)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", list(examples()))
def test_the_examples_of_docstrings_give_what_they_say(name, tmp_path, monkeypatch):
    if ".sklearn" in name:
        pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {known: getattr(fastbp, known) for known in fastbp.__all__} | {"fastbp": fastbp, "np": np} | vars(module)
    found = [example for example in doctest.DocTestFinder().find(module) if example.examples]
    assert found
    for example in found:
        example.globs = dict(names)
        said: list[str] = []
        assert doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed == 0, "".join(said)


def test_every_page_with_blocks_is_read():
    marks = {page.name: page.read_text(encoding="utf-8").count("code-block:: python") for page in PAGES}
    assert sum(marks.values()) == sum("docs" in case.id for case in blocks())
    assert marks["book.rst"] >= 5


def test_the_reference_has_everything_public():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    documented = set(re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)$", text, re.MULTILINE))
    modules = {"datasets", "optimizers", "schedules", "tables"}  # have pages of their own
    public = set(fastbp.__all__) - modules | {"MLPClassifier", "MLPRegressor"}
    for module in (datasets, optimizers, schedules):
        public |= set(module.__all__)
    assert public - documented == set()


def test_the_file_of_options_on_the_page_is_one(tmp_path):
    page = (ROOT / "docs" / "command_line.rst").read_text(encoding="utf-8")
    block = re.search(r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", page, re.MULTILINE)[1]
    (tmp_path / "run.toml").write_text(textwrap.dedent(block), encoding="utf-8")
    _, parser = cli.command("train")
    options = parser.parse_args(words_of(str(tmp_path / "run.toml"), parser))
    assert (options.hidden, options.no_shuffle, options.setting) == ([64, 32], False, [("weight_decay", 1e-4)])


def test_the_page_on_installing_has_every_extra():
    page = (ROOT / "docs" / "installing.rst").read_text(encoding="utf-8")
    extras = re.search(r"^\[project.optional-dependencies\]\n(.*?)\n\n", PYPROJECT, re.MULTILINE | re.DOTALL)[1]
    names = re.findall(r"^(\w+) = ", extras, re.MULTILINE)
    assert len(names) > 8
    assert [name for name in names if not re.search(rf"^``{name}`` ", page, re.MULTILINE)] == []


def test_the_pages_build_without_a_warning(tmp_path):
    for needed in ("sphinx", "sklearn", "matplotlib"):
        pytest.importorskip(needed)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-d", tmp_path / "doctrees", "docs", tmp_path / "pages"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fit(" in re.sub(r"<[^>]*>", "", (tmp_path / "pages/api/networks.html").read_text(encoding="utf-8"))
    report = (tmp_path / "pages/benchmarks/index.html").read_text(encoding="utf-8")
    assert "One training step" in report and "<svg" in report
    lines = re.sub(r"<[^>]*>", "", (tmp_path / "pages/command_line.html").read_text(encoding="utf-8"))
    for command in cli.COMMANDS:
        section = lines.partition(f"fastbp {command}\u00b6")[2].partition("\u00b6\nfastbp ")[0]
        _, parser = cli.command(command)
        flags = {flag for action in parser._actions for flag in action.option_strings if action.dest != "help"}
        assert [flag for flag in sorted(flags) if not re.search(rf"^{flag}\b", section, re.MULTILINE)] == []
    shown = re.findall(r'"benchmarks/([^"]+)"', (tmp_path / "pages/benchmarks.html").read_text(encoding="utf-8"))
    assert len(shown) >= 3
    assert all((tmp_path / "pages/benchmarks" / name).exists() for name in shown)


def test_the_page_on_activations_and_losses_has_all_of_them():
    page = (ROOT / "docs" / "activations_and_losses.rst").read_text(encoding="utf-8")
    names = [*activations.BY_NAME, *losses.BY_NAME]
    assert [name for name in names if f"  ``{name}``  " not in page] == []
    classes = [*activations.CLASSES, *losses.CLASSES]
    missing = [cls for cls in classes if not re.search(rf"^``{cls.__name__}\b", page, re.MULTILINE)]
    assert missing == []
    of_torch = [cls.torch[0] for cls in activations.CLASSES]
    assert [name for name in of_torch if f" ``{name}" not in page] == []
    kept = {cls.__name__: "y" if cls().of_output else "x" for cls in activations.CLASSES}
    forms = page.split("derivative  ")[1]
    assert {name: re.search(rf"^``{name}[(`].*  ([xy])\b", forms, re.MULTILINE)[1] for name in kept} == kept


def test_the_picture_of_a_program_has_its_rows_and_an_arrow_to_whoever_reads_what_another_wrote(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from draw_program import arrows_of, picture, rows_of

    text = fastbp.mlp([784, 50, 10]).program(batch_size=100)
    rows = rows_of(text)
    assert "\n".join(f"{n:<19}  {' '.join(f'{k}={v}' for k, v in operands.items())}" for n, operands in rows) == text
    assert [(name, begin[0], end) for name, begin, end in arrows_of(rows)] == [
        ("Affine1.y", 0, (1, "x")),
        ("Affine2.y", 1, (2, "x")),
        ("loss dx", 2, (3, "dy")),
        ("Affine1.y", 0, (3, "kept")),
        ("Affine1.y", 0, (4, "x")),
        ("loss dx", 2, (4, "dy")),
        ("Affine2.dx", 3, (5, "dy")),
    ]
    drawn = picture(text)
    assert drawn.count(" l-4 6z") == 7
    assert [drawn.count(f">{name}<") for name in ("AffineForward", "SoftmaxLossOfFew", "relu_back")] == [2, 1, 1]
    assert len(ElementTree.fromstring(drawn)) == 2 * 7 + sum(1 + 3 * len(operands) for _, operands in rows)
