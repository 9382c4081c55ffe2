"""CONTRIBUTING's recipes, followed in a copy of the tree: how many files each takes, and that what they add trains."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def put(path, **where):
    """Put texts into a file before the first place that each of the others stands at; new files are written."""
    text = path.read_text() if path.exists() else ""
    for place, addition in where.values():
        assert place in text, f"{path.name} has no {place!r}"
        text = text.replace(place, addition + place, 1)
    path.write_text(text)


def activation(tree):
    with (tree / "kernels/activations.py").open("a") as file:
        file.write("""

@kernel
def squareplus(x, y, n, number):
    given, out = view(x, n, number), view(y, n, number)
    for i in range(out.size):
        value = given[i]
        out[i] = (value + (value * value + like(4, number)) ** like(0.5, number)) / like(2, number)


@kernel
def squareplus_back(d, at, n, number):
    d, x = view(d, n, number), view(at, n, number)
    for i in range(d.size):
        root = (x[i] * x[i] + like(4, number)) ** like(0.5, number)
        d[i] = d[i] * (like(1, number) + x[i] / root) / like(2, number)
""")
    put(
        tree / "fastbp/activations.py",
        names=('"Tanh"]', '"Squareplus", '),
        cls=(
            "CLASSES: tuple",
            """class Squareplus(OfInput):
    names: ClassVar = {"squareplus": {}}
    kernel, kernel_back = staticmethod(kernels.squareplus), staticmethod(kernels.squareplus_back)
    torch = "Squareplus", {}
    c = "return (x + sqrt@f(x * x + 4)) / 2;"
    numpy = "return (x + np.sqrt(x * x + 4)) / 2"


""",
        ),
        listed=("    Relu,\n    LeakyRelu,\n", "    Squareplus,\n"),
    )
    put(
        tree / "fastbp/reference/activations.py",
        names=('"Tanh"]', '"Squareplus", '),
        cls=(
            "class Silu(OfInput):",
            """class Squareplus(OfInput):
    def forward(self, x):
        self.x = x
        return (x + np.sqrt(x * x + 4)) / 2

    def backward(self, dout):
        return dout * (1 + self.x / np.sqrt(self.x * self.x + 4)) / 2


""",
        ),
    )


def layer(tree):
    (tree / "kernels/gain.py").write_text('''"""A factor for each column."""

from typing import NamedTuple

from ._jit import kernel
from .columns import rate_of
from .instructions import operands, operation
from .memory import matrix, view


@kernel
def gain_forward(x, gain, y):
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            y[n, k] = x[n, k] * gain[k]


@kernel
def gain_backward(d, x, gain, rate, adds, dgain):
    for k in range(d.shape[1]):
        total, own = rate * 0, gain[k]
        for n in range(d.shape[0]):
            total += d[n, k] * x[n, k]
            d[n, k] *= own
        dgain[k] = (dgain[k] if adds else 0) + rate * total


class Gain(NamedTuple):
    x: int
    gain: int
    y: int
    rows: int
    columns: int


class GainGradient(NamedTuple):
    d: int
    x: int
    gain: int
    dgain: int
    rows: int
    columns: int
    adds: int
    descends: int


@operation(Gain)
def gain(team, row, step, one):
    i = operands(Gain, row)
    x, y = matrix(i.x, i.rows, i.columns, one), matrix(i.y, i.rows, i.columns, one)
    gain_forward(x, view(i.gain, i.columns, one), y)


@operation(GainGradient)
def gain_gradient(team, row, step, one):
    i = operands(GainGradient, row)
    d, x = matrix(i.d, i.rows, i.columns, one), matrix(i.x, i.rows, i.columns, one)
    rate, adds = rate_of(step, i.descends, one), i.adds + i.descends > 0
    gain_backward(d, x, view(i.gain, i.columns, one), rate, adds, view(i.dgain, i.columns, one))
''')
    (tree / "fastbp/layers/gain.py").write_text('''"""A factor for each column as a layer."""

import numpy as np

from fastbp.kernels import gain as of
from fastbp.layers._columns import ColumnLayer
from fastbp.programs._operand import Operand


class Gain(ColumnLayer):
    parameters = ("gain",)
    _factor = "gain"
    torch = "Gain", {"gain": "gain"}
    numpy = "x * gain"
    c = """\\
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = x[o] * gain[o];
"""

    def __init__(self, gain):
        self.gain, self.dgain = gain, None

    @classmethod
    def of_width(cls, n, dtype):
        return cls(np.ones(n, dtype))

    def forward(self, x):
        x, rows, _ = self._rows(x, tuple(self._taken()))
        y = np.empty_like(rows)
        of.gain_forward(rows, self.gain, y)
        self._last = rows
        return y

    def backward(self, dout):
        d, self.dgain = np.array(dout), np.empty_like(self.gain)
        of.gain_backward(d, self._last, self.gain, d.dtype.type(1), False, self.dgain)
        return d

    def onnx(self, node, x):
        return node("Mul", x, self.gain)

    def lower(self, p, x):
        (gain,), y = self._taken(), p.buffer((self, "y"), x.columns)
        at, shape = p.place_of(gain), (p.rows, x.columns)
        p.emit(of.Gain(x.address, at, y, *shape))

        def backward(dy, wanted):
            target = at if p.fused_step else p.gradient_of(gain)
            p.emit(of.GainGradient(dy, x.address, at, target, *shape, p.adds, p.fused_step))
            return dy

        p.on_backward(self, backward)
        return Operand(y, x.shape)
''')
    put(
        tree / "fastbp/layers/__init__.py",
        imported=("from fastbp.layers.layer_normalization", "from fastbp.layers.gain import Gain\n"),
        listed=("LayerNormalization, Scale)", "Gain, "),
        names=('    "LayerNormalization",', '    "Gain",\n'),
    )
    put(
        tree / "fastbp/reference/layers.py",
        names=('"LayerNormalization", "Scale"', '"Gain", '),
        cls=(
            "class Scale:",
            """class Gain:
    def __init__(self, gain):
        self.gain = gain

    def forward(self, x):
        self.x = x
        return x * self.gain

    def backward(self, dout):
        self.dgain = (dout * self.x).sum(axis=0)
        return dout * self.gain


""",
        ),
    )


def loss(tree):
    put(
        tree / "kernels/element_losses.py",
        kernels=(
            "@kernel\ndef absolute(",
            """@kernel
def logcosh(x, t, losses, n, share, number):
    x, t, losses = view(x, n, number), view(t, n, number), view(losses, n, number)
    for i in range(losses.size):
        losses[i] = np.log(np.cosh(x[i] - t[i]))


@kernel
def logcosh_slope(x, t, dx, n, share, number):
    x, t, dx = view(x, n, number), view(t, n, number), view(dx, n, number)
    for i in range(dx.size):
        dx[i] = np.tanh(x[i] - t[i]) * share


""",
        ),
        numpy=("from llvmlite import ir", "import numpy as np\n"),
    )
    put(
        tree / "fastbp/losses/__init__.py",
        names=('    "MeanAbsoluteError",\n', '    "LogCosh",\n'),
        cls=(
            "class MeanAbsoluteError(",
            """class LogCosh(ElementLoss):
    names: ClassVar = {"logcosh": {}}
    kernel, kernel_slope = staticmethod(kernels.logcosh), staticmethod(kernels.logcosh_slope)


""",
        ),
        listed=("    MeanAbsoluteError,\n", "    LogCosh,\n"),
    )
    put(
        tree / "fastbp/reference/losses.py",
        names=('    "MeanAbsoluteError",\n', '    "LogCosh",\n'),
        cls=(
            "class MeanAbsoluteError(",
            """class LogCosh(RealTargetLoss):
    def losses(self, y, t):
        return np.log(np.cosh(y - t))

    def slopes(self, y, t):
        return np.tanh(y - t)


""",
        ),
    )


def optimizer(tree):
    kernels = tree / "kernels/optimizer.py"
    text = kernels.read_text()
    assert "PLAIN = range(8)" in text
    kernels.write_text(text.replace("PLAIN = range(8)", "PLAIN, SIGN = range(9)"))
    put(
        kernels,
        loop=(
            "@kernel\ndef _part(",
            """@kernel
def _sign(params, grads, lr):
    for i in range(params.size):
        params[i] -= lr * np.sign(grads[i])


""",
        ),
        choice=(
            "    else:\n        if kind == ADAMW:",
            "    elif kind == SIGN:\n        _sign(params, grads, lr)\n",
        ),
        numpy=("from ._jit import kernel", "import numpy as np\n\n"),
    )
    put(
        tree / "fastbp/optimizers.py",
        cls=(
            "_BY_NAME = {",
            """@dataclass(frozen=True)
class SignSGD(Optimizer):
    kind = kernels.SIGN
    n_states = 0
    lr: float | Schedule = 0.001


""",
        ),
        listed=("RMSprop, Adam, AdamW)}", "SignSGD, "),
    )
    put(tree / "fastbp/tables/_design.py", rate=('    "adam": 0.001,\n', '    "signsgd": 0.001,\n'))


# What adding one takes, in files of fastbp/ and kernels/; tests and pages come on top.
RECIPES = {activation: 3, layer: 4, loss: 3, optimizer: 3}

USE = """
import sys, numpy as np, fastbp
from fastbp import reference
folder = sys.argv[1]
rng = np.random.default_rng(0)
x, t = rng.standard_normal((60, 4)), rng.standard_normal((60, 2))
first, relu, last = fastbp.mlp([4, 7, 2], "squareplus", dtype=np.float64, seed=0).layers.values()
net = fastbp.Sequential([first, fastbp.Gain(np.full(7, 1.5)), relu, last], "logcosh")
assert type(relu) is fastbp.Squareplus
numerical = net.numerical_gradient(x, t)
assert all(np.allclose(g, numerical[name], atol=1e-7) for name, g in net.gradient(x, t).items())
gains = fastbp.Gain(np.full(4, 1.5)), reference.Gain(np.full(4, 1.5))
for own, plain in (gains, (relu, reference.Squareplus())):
    y, expected = own.forward(x), plain.forward(x)
    assert np.allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert np.allclose(own.backward(y), plain.backward(expected), rtol=1e-11, atol=1e-12)
own, plain = fastbp.losses.LogCosh(), reference.LogCosh()
assert np.isclose(own.forward(x, x[::-1]), plain.forward(x, x[::-1]), rtol=1e-12)
assert np.allclose(own.backward(), plain.backward(), rtol=1e-11, atol=1e-12)
before = float(net.loss(x, t))
for optimizer in ("sgd", "adam", "signsgd"):
    net.fit(x, t, epochs=3, batch_size=16, optimizer=optimizer, seed=0, progress=False)
    net.step(x, t, optimizer)
assert float(net.loss(x, t)) < before
assert "gain=gain1" in net.program(batch_size=8)
net.save(f"{folder}/net")
assert fastbp.load(f"{folder}/net").predict(x).tobytes() == net.predict(x).tobytes()
net.to_numpy(f"{folder}/net.py")
module = {}
exec(open(f"{folder}/net.py").read(), module)
assert np.allclose(module["predict"](x), net.predict(x), rtol=1e-4, atol=1e-5)
from fastbp import cli
assert cli.main(["gradcheck", "--layers", "4", "5", "2", "--activation", "squareplus", "--loss", "logcosh"]) == 0
print("trained")
"""


def contents(tree):
    files = [path for room in ("fastbp", "kernels") for path in (tree / room).rglob("*.py")]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    for room in ("fastbp", "kernels"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.mark.slow
def test_a_recipe_takes_few_files_and_what_it_adds_trains(tree, tmp_path):
    said = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)
    for recipe, allowed in RECIPES.items():
        before = contents(tree)
        recipe(tree)
        after = contents(tree)
        touched = [name for name in after if after[name] != before.get(name)]
        assert 0 < len(touched) <= allowed, touched
        (section,) = [text for text in said if re.match(rf"An? {recipe.__name__}\b", text)]
        for name in touched:
            assert name in section or (name not in before and Path(name).parent.as_posix() in section), name
    environment = os.environ | {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE, tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("trained\n")
