"""What a user waits for: the import, and the first training step of a fresh process; and the installed size.

Every call is a whole process, the interpreter's own start included. "Warm" finds fastbp's machine code on disk, "cold"
finds none; the peers keep none. Sizes are those of a package and all that it needs.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial

import numpy as np

from .installed import installed_bytes, needed
from .row import Expected, Row, Unsuitable, Work, rows
from .servers import all_cores

IMPORTS = {
    "fastbp": "import fastbp",
    "numpy": "import numpy",
    "torch": "import torch",
    "jax": "import jax.numpy",
    "scikit-learn": "import sklearn.neural_network",
}

DATA = """
import numpy as np
rng = np.random.default_rng(0)
x, t = rng.standard_normal((100, 784), np.float32), rng.integers(0, 10, 100)
W1, W2 = 0.05 * rng.standard_normal((784, 50), np.float32), 0.1 * rng.standard_normal((50, 10), np.float32)
b1, b2 = np.zeros(50, np.float32), np.zeros(10, np.float32)
"""
FIRST_STEPS = {  # each prints the sum of absolute entries of W2 after one step of SGD with a rate of 0.1
    "fastbp": """
import fastbp
net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
net.step(x, t, fastbp.optimizers.SGD(lr=0.1))
print(np.abs(net.params["W2"]).sum())
""",
    "numpy": """
h = np.maximum(x @ W1 + b1, 0)
y = h @ W2 + b2
d = np.exp(y - y.max(axis=1, keepdims=True))
d /= d.sum(axis=1, keepdims=True)
d[np.arange(100), t] -= 1
d /= 100
dh = d @ W2.T * (h > 0)
W1, b1 = W1 - 0.1 * x.T @ dh, b1 - 0.1 * dh.sum(axis=0)
W2, b2 = W2 - 0.1 * h.T @ d, b2 - 0.1 * d.sum(axis=0)
print(np.abs(W2).sum())
""",
    "torch": """
import torch
net = torch.nn.Sequential(torch.nn.Linear(784, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
for layer, W, b in (net[0], W1, b1), (net[2], W2, b2):
    layer.weight.data, layer.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(t)).backward()
sgd.step()
print(net[2].weight.abs().sum().item())
""",
    "jax": """
import jax
import jax.numpy as jnp
def loss(p, x, t):
    (W1, b1), (W2, b2) = p
    y = jax.nn.relu(x @ W1 + b1) @ W2 + b2
    return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1).mean()
step = jax.jit(lambda p, x, t: jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p, x, t)))
p = step([(W1, b1), (W2, b2)], x, t.astype("int32"))
print(float(jnp.abs(p[1][0]).sum()))
""",
}

REFERENCE = """
from fastbp import reference
x, W1, b1, W2, b2 = (a.astype(np.float64) for a in (x, W1, b1, W2, b2))
first, relu, second = reference.Affine(W1, b1), reference.Relu(), reference.Affine(W2, b2)
loss = reference.SoftmaxWithLoss(eps=0)
loss.forward(second.forward(relu.forward(first.forward(x))), t)
second.backward(loss.backward())
print(np.abs(W2 - 0.1 * second.dW).sum())
"""


def run(code: str, environment: Mapping[str, str]) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment).stdout


def import_of(provider: str, kind: str) -> Work:
    return Work(lambda: run(IMPORTS[provider], {}), lambda: [np.zeros(0)])


def size_of(provider: str, kind: str) -> Work:
    if not needed(provider):
        raise Unsuitable("runs from a checkout, and what it needs is told by an installation only")
    return Work(lambda: None, lambda: [np.zeros(0)], facts=lambda: {"bytes": installed_bytes(provider)})


def first_step_of(provider: str, kind: str) -> Work:
    printed: list[str] = []
    if kind == "warm" and provider == "fastbp":
        run(DATA + FIRST_STEPS[provider], {})  # which leaves its machine code on disk

    def call() -> None:
        if kind == "warm":
            printed[:] = [run(DATA + FIRST_STEPS[provider], {})]
        else:
            with tempfile.TemporaryDirectory() as cache:
                printed[:] = [run(DATA + FIRST_STEPS[provider], {"NUMBA_CACHE_DIR": cache})]

    return Work(call, lambda: [np.array(float(printed[0]))])


def nothing(kind: str) -> Expected:
    """Imports and sizes have no answer."""
    return [(np.zeros(0), 1.0)]


def expected(kind: str) -> Expected:
    """By the plain layers, in float64."""
    right = float(run(DATA + REFERENCE, {}))
    return [(np.array(right), right)]


IMPORT_PROVIDERS = {provider: partial(import_of, provider) for provider in IMPORTS}
SIZE_PROVIDERS = {provider: partial(size_of, provider) for provider in IMPORTS}
STEP_PROVIDERS = {provider: partial(first_step_of, provider) for provider in FIRST_STEPS}
CORES = all_cores()


@rows([Row("start", "import", ("import",), threads=CORES, turns=2, fresh=True)], IMPORT_PROVIDERS)
def bench_import(measure, row, provider):
    measure(IMPORT_PROVIDERS, nothing)


@rows([Row("start", "installed size", ("size",), threads=CORES, figure="bytes")], SIZE_PROVIDERS)
def bench_installed_size(measure, row, provider):
    measure(SIZE_PROVIDERS, nothing)


@rows(
    [
        Row("start", "first step, warm", ("warm",), threads=CORES, tolerance=1000, turns=2, fresh=True),
        Row("start", "first step, cold", ("cold",), threads=CORES, tolerance=1000, quick=False, turns=2, fresh=True),
    ],
    STEP_PROVIDERS,
)
def bench_first_step(measure, row, provider):
    measure(STEP_PROVIDERS, expected)
