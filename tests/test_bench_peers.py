"""Who is measured: CONTRIBUTING's recipe for a peer of the benchmark, followed in a copy of the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench_runs import run_of

from fastbp.bench import table
from fastbp.bench.bench_calls import ROWS
from fastbp.bench.peers import FORMS, PEERS, providers

ROOT = Path(__file__).parents[1]

PEER = """
import numpy as np
from ..networks import Network
from ..row import Work
from ._peer import Peer

PEER = Peer("matmul", module="numpy", package="numpy", imports="import numpy")
FORM = PEER.form("matmul", "#000000", "o")


@FORM.does("predict")
def predict(network: Network) -> Work:
    (x, _), (weights, biases) = network.data(), network.parameters()

    def call():
        out = x
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            out = np.maximum(out @ W + b, 0)
        return [out @ weights[-1] + biases[-1]]

    return Work(call, call)
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


@pytest.mark.slow
def test_a_peer_of_the_benchmark_is_one_file(tmp_path):
    tree = tmp_path / "tree"
    for room in ("fastbp", "kernels", "bench"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "bench/peers/matmul.py").write_text(PEER)
    (tree / "measure.py").write_text(MEASURE)
    assert "`bench/peers/name.py`" in (ROOT / "CONTRIBUTING.md").read_text()
    command = [sys.executable, "-W", "error", tree / "measure.py"]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tree)})
    assert run.returncode == 0, run.stderr
    assert run.stdout == "measured\n"


def test_what_needs_no_library_comes_first_and_every_form_has_a_colour_of_its_own():
    assert [peer.is_own for peer in PEERS] == sorted((peer.is_own for peer in PEERS), reverse=True)
    assert len({form.colour for form in FORMS.values()}) == len(FORMS)


def test_the_book_does_every_call_that_is_swept():
    assert {"fastbp", "book"} <= set(providers("call"))
    assert len({row.label for row in ROWS}) == len(ROWS) > 500


def test_a_grid_tells_the_ratios_the_worst_and_the_mean():
    seconds = {
        "call 1x1": {"fastbp": [1e-6] * 3, "book": [2e-6] * 3},
        "call 8x1": {"fastbp": [1e-6] * 3, "book": [0.5e-6] * 3},
        "call 8x10": {"fastbp": [1e-6] * 3, "book": [8e-6] * 3},
    }
    grids = {label: {"grid": ["Relu forward", *map(int, label[5:].split("x"))]} for label in seconds}
    lines = table.text(run_of(seconds, more=grids)).splitlines()
    (first,) = [n for n, line in enumerate(lines) if line.startswith("Relu forward")]
    assert [line.split() for line in lines[first : first + 3]] == [
        ["Relu", "forward", "1", "10"],
        ["1", "2.00"],
        ["8", "0.50<", "8.00"],
    ]
    assert lines[-1] == "call: geometric mean of 3 ratios 2.00, worst 0.50 (call 8x1); the peer takes less in 1."
    assert "fastbp takes least in 0 of 0 rows." in lines
