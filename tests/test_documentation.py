"""Every block of Python in README and docs runs as it stands, and the reference leaves nothing public out."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastbp
from fastbp import datasets, optimizers, schedules

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.rst"))
OPTIONAL = ("torch", "sklearn", "onnxruntime")
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


def test_every_page_with_blocks_is_read():
    marks = {page.name: page.read_text(encoding="utf-8").count("code-block:: python") for page in PAGES}
    assert sum(marks.values()) == sum("docs" in case.id for case in blocks())
    assert marks["book.rst"] >= 5


def test_the_reference_has_everything_public():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    documented = set(re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)$", text, re.MULTILINE))
    modules = {"datasets", "optimizers", "schedules"}  # have pages of their own
    public = set(fastbp.__all__) - modules | {"MLPClassifier", "MLPRegressor"}
    for module in (datasets, optimizers, schedules):
        public |= set(module.__all__)
    assert public - documented == set()


def test_the_pages_build_without_a_warning(tmp_path):
    for needed in ("sphinx", "sklearn", "matplotlib"):
        pytest.importorskip(needed)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-d", tmp_path / "doctrees", "docs", tmp_path / "pages"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fit(" in re.sub(r"<[^>]*>", "", (tmp_path / "pages/api/networks.html").read_text(encoding="utf-8"))
    report = (tmp_path / "pages/benchmarks/index.html").read_text(encoding="utf-8")
    assert "One training step" in report and "<svg" in report
    shown = re.findall(r'"benchmarks/([^"]+)"', (tmp_path / "pages/benchmarks.html").read_text(encoding="utf-8"))
    assert len(shown) >= 3
    assert all((tmp_path / "pages/benchmarks" / name).exists() for name in shown)
