"""The same bits for any number of threads, after any stop, on a busy machine, and in other processes."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amounts import amounts
from calls import python
from random_networks import LAYERS, LOSSES, random_problem

import fastbp
from fastbp.optimizers import Optimizer

HERE = Path(__file__).parent
# Widest layer and most rows: small ones; such as are shared by threads; and batches that are cut into slices.
SIZES = [(12, 40), (400, 600), (8, 12_000)]


def problem_and_options(seed):
    rng = np.random.default_rng([7, seed])
    widest, most_rows = SIZES[seed % len(SIZES)]
    subject, dtype = rng.choice([*LAYERS, *LOSSES]), (np.float32, np.float64)[seed % 2]
    problem = random_problem(rng, subject, dtype, widest, most_rows)
    n_rows = len(problem.x)
    options = {
        "batch_size": n_rows if widest == 8 else int(rng.integers(-(-n_rows // 8), n_rows + 1)),
        "epochs": 2,
        "optimizer": rng.choice(Optimizer.__subclasses__())(lr=1e-4),
        "clip_norm": rng.choice([None, 0.1]),
        "shuffle": bool(rng.integers(2)),
        "sample_weight": problem.weights,
        "seed": int(rng.integers(1000)),
        "progress": False,
    }
    return problem, options


def digest(seed, threads=1, every=None, folder=None):
    """Of weights, buffers and outputs after a training, kept in a file after every so many steps if ``every``."""
    problem, options = problem_and_options(seed)
    net, (x, t, _), state, step = problem.net, problem.batch, None, 0
    options |= {"threads": threads}
    steps = options["epochs"] * -(-len(x) // options["batch_size"])
    while every and (step := step + every) < steps:
        history = net.fit(x, t, max_steps=step, resume=state, **options)
        net.save(folder / "run.safetensors", state=history.state)
        net, state = (checkpoint := fastbp.load_checkpoint(folder / "run.safetensors")).net, checkpoint.state
    net.fit(x, t, resume=state, **options)
    arrays = [*net.params.values(), *net.buffers.values(), net.predict(x)]
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


@amounts("networks", 6, 150)
def test_any_number_of_threads(networks):
    for seed in range(networks):
        expected = digest(seed)
        for threads in (2, 3, 8):
            assert digest(seed, threads) == expected, f"network {seed} on {threads} threads"


@amounts("networks", 6, 150)
def test_any_stop(networks, tmp_path):
    """Stopped after every batch, and after every second, third, ... to the one before the last."""
    for seed in range(networks):
        problem, options = problem_and_options(seed)
        steps = options["epochs"] * -(-len(problem.x) // options["batch_size"])
        expected = digest(seed)
        for every in range(1, steps):
            assert digest(seed, 1 + every % 3, every, tmp_path) == expected, f"network {seed}, every {every} steps"


BUSY = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass"


@amounts("networks", 3, 60)
def test_a_busy_machine(networks):
    expected = [digest(seed) for seed in range(networks)]
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        for seed in range(networks):
            for threads in (2, 3, 8):
                assert digest(seed, threads) == expected[seed], f"network {seed} on {threads} threads"
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


OTHER = """
import sys
sys.path += ["..", "../kernels"]
from test_one_result import digest
print(*[digest(seed, int(sys.argv[2])) for seed in range(int(sys.argv[1]))])
"""


@amounts("networks", 3, 60)
@pytest.mark.parametrize("threads", [1, 3])
def test_other_processes(networks, threads):
    settings = {"PYTHONHASHSEED": 1, "NUMBA_NUM_THREADS": 4, "timeout": 3600}
    printed = python(OTHER, str(networks), str(threads), cwd=HERE, **settings).split()
    assert printed == [digest(seed) for seed in range(networks)]
