"""CONTRIBUTING's recipes, followed in a copy of the tree: how many files each takes, and that what they add works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from recipes import RECIPES, peer

from fastbp.bench.peers import PEERS

ROOT = Path(__file__).parents[1]
ROOMS = ("fastbp", "kernels", "bench")

USE = """
import copy, pathlib, sys
import numpy as np, fastbp, pytest
from fastbp import reference
from test_exports import RUNNERS, assert_agree
folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
x, t = rng.standard_normal((60, 4)), rng.standard_normal((60, 2))
first, relu, last = fastbp.mlp([4, 7, 2], "squareplus", dtype=np.float64, seed=0).layers.values()
gain = fastbp.Gain(np.full(7, 1.5), np.zeros(7))
net = fastbp.Sequential([first, gain, relu, last], "logcosh")
assert type(relu) is fastbp.Squareplus
numerical = net.numerical_gradient(x, t)
assert all(np.allclose(g, numerical[name], atol=1e-7) for name, g in net.gradient(x, t).items())
gains = fastbp.Gain(np.full(4, 1.5), x[0].copy()), reference.Gain(np.full(4, 1.5), x[0])
for own, plain in (gains, (relu, reference.Squareplus())):
    y, expected = own.forward(x), plain.forward(x)
    assert np.allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert np.allclose(own.backward(y), plain.backward(expected), rtol=1e-11, atol=1e-12)
assert np.allclose([gains[0].dgain, gains[0].centre], [gains[1].dgain, gains[1].centre], rtol=1e-12)
own, plain = fastbp.losses.LogCosh(), reference.LogCosh()
assert np.isclose(own.forward(x, x[::-1]), plain.forward(x, x[::-1]), rtol=1e-12)
assert np.allclose(own.backward(), plain.backward(), rtol=1e-11, atol=1e-12)
before = float(net.loss(x, t))
for optimizer in ("sgd", "adam", "signsgd"):
    net.fit(x, t, epochs=3, batch_size=16, optimizer=optimizer, seed=0, progress=False)
    net.step(x, t, optimizer)
assert float(net.loss(x, t)) < before
assert "gain=gain1" in net.program(batch_size=8)

# The state of the layer is part of resume, of files and of exports.
at_first = gain.centre.copy()
options = {"epochs": 2, "batch_size": 16, "optimizer": "adam", "seed": 1, "progress": False}
whole, part = copy.deepcopy(net), copy.deepcopy(net)
whole.fit(x, t, **options)
state = part.fit(x, t, max_steps=5, **options).state
net.fit(x, t, resume=state, **options)
for layer, same in zip(net.layers.values(), whole.layers.values(), strict=True):
    for name in (*layer.parameters, *layer.buffers):
        assert getattr(layer, name).tobytes() == getattr(same, name).tobytes(), name
assert np.abs(gain.centre - at_first).min() > 0
net.save(folder / "net")
loaded = fastbp.load(folder / "net")
assert [layer.centre.tobytes() for layer in loaded.layers.values() if layer.buffers] == [gain.centre.tobytes()]
assert loaded.predict(x).tobytes() == net.predict(x).tobytes()
exported = fastbp.Sequential(net.layers.values(), "mse")  # has names in ONNX
for run in RUNNERS.values():
    try:
        call = run(exported, folder)
    except pytest.skip.Exception:
        continue
    assert_agree(call("predict")(x), net.predict(x))
from fastbp import cli
assert cli.main(["gradcheck", "--layers", "4", "5", "2", "--activation", "squareplus", "--loss", "logcosh"]) == 0
print("trained")
"""


MEASURE = """
from fastbp.bench.bench_predict import ROWS, expected_scores
from fastbp.bench.bench_start import IMPORTED
from fastbp.bench.laboratory import Laboratory
from fastbp.bench.peers import FORMS, providers
from fastbp.bench.plots import style
if __name__ == "__main__":
    laboratory = Laboratory(full=False)
    found = laboratory.measure(ROWS[0], {"matmul": providers("predict")["matmul"]}, expected_scores)
    laboratory.close()
    assert len(found["matmul"].seconds) == 5, found
    assert "matmul" in IMPORTED
    assert style("matmul") == ("#000000", "o")
    print("measured")
"""


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def contents(tree):
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def follow(recipe, tree):
    """Follow a recipe: it touches no more files than it may, all of which its section of CONTRIBUTING names."""
    before = contents(tree)
    recipe(tree)
    after = contents(tree)
    touched = [name for name in after if after[name] != before.get(name)]
    assert 0 < len([name for name in touched if name != "pyproject.toml"]) <= RECIPES[recipe], touched
    said = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)
    (section,) = [text for text in said if re.match(rf"An? {recipe.__name__}\b", text)]
    for name in touched:
        assert name in section or (name not in before and Path(name).parent.as_posix() in section), name


def run(tree, folder, *arguments):
    """What Python prints in ``folder``, with the tree's fastbp and what the tests have."""
    path = os.pathsep.join(map(str, (tree, ROOT / "tests")))
    environment = os.environ | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_recipe_takes_few_files_and_what_it_adds_trains(tree, tmp_path):
    for recipe in RECIPES:
        follow(recipe, tree)
    assert run(tree, tmp_path, "-c", USE, tmp_path).endswith("trained\n")


def test_of_a_peers_library_pyproject_says_what_is_to_be_installed_and_nothing_else(tree):
    before = (tree / "pyproject.toml").read_text().splitlines()
    peer(tree)
    after = (tree / "pyproject.toml").read_text().splitlines()
    assert [line.split(" = ")[0] for line in after if line not in before] == ["bench"]
    of_mypy = (ROOT / "pyproject.toml").read_text().partition("[tool.mypy]")[2]
    named = {known.module for known in PEERS if f'"{known.module}.' in of_mypy}
    assert named == {"fastbp", "numpy"}, "mypy goes by no list of libraries"


def test_a_peer_of_the_benchmark_is_one_file_and_is_measured(tree, tmp_path):
    follow(peer, tree)
    script = tmp_path / "measure.py"  # which other processes import
    script.write_text(MEASURE)
    assert run(tree, tmp_path, script) == "measured\n"
