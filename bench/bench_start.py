"""What a user waits for before the first step is done: import time, and the first training step of a fresh process.

    python -m bench.bench_start

Each figure is the median of whole processes, providers in turns. "Cold" starts from an empty cache of machine code.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

WIDTHS = (44, 10)
TURNS = 7

FASTBP_STEP = """
import numpy as np, fastbp
net = fastbp.TwoLayerNet(784, 50, 10, dtype=np.float32, seed=0)
rng = np.random.default_rng(0)
grads = net.gradient(rng.random((100, 784), dtype=np.float32), rng.integers(0, 10, 100))
for name, param in net.params.items():
    param -= 0.1 * grads[name]
"""
TORCH_STEP = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(784, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
step = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.functional.cross_entropy(net(torch.rand(100, 784)), torch.randint(0, 10, (100,))).backward()
step.step()
"""


def seconds(code: str, cache: str) -> float:
    """Wall time of a process that runs ``code``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as warm:
        seconds(FASTBP_STEP, warm)
        rows = {
            "python -c pass": "pass",
            "import numba": "import numba",
            "import fastbp": "import fastbp",
            "first step, fastbp, warm cache": FASTBP_STEP,
        }
        try:
            import torch  # noqa: F401
        except ImportError:
            pass
        else:
            rows["first step, torch"] = TORCH_STEP
        turns: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(TURNS):
            for name, code in rows.items():
                turns[name].append(seconds(code, warm))
    cold = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as empty:
            cold.append(seconds(FASTBP_STEP, empty))
    turns["first step, fastbp, cold cache"] = cold
    more = [a - b for a, b in zip(turns["import fastbp"], turns["import numba"], strict=True)]
    turns["import fastbp beyond import numba"] = more
    for name, times in turns.items():
        print(f"{name:<{WIDTHS[0]}}{statistics.median(times):>{WIDTHS[1]}.2f} s")


if __name__ == "__main__":
    main()
