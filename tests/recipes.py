"""CONTRIBUTING's recipes, each followed by adding a toy one to a copy of the tree, and how many files it may take."""


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

    def onnx(self, node, x):
        return node("Mul", node("Add", x, node("Sqrt", node("Add", node("Mul", x, x), 4.0))), 0.5)


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
    (tree / "kernels/gain.py").write_text('''"""A factor for each column, of how far it is from its running mean."""

from typing import NamedTuple

from ._jit import kernel
from .columns import rate_of
from .instructions import operands, operation
from .memory import matrix, view


@kernel
def gain_forward(x, gain, centre, y):
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            y[n, k] = (x[n, k] - centre[k]) * gain[k]


@kernel
def gain_backward(d, x, gain, centre, rate, adds, dgain):
    for k in range(d.shape[1]):
        total, seen, own, middle = rate * 0, rate * 0, gain[k], centre[k]
        for n in range(d.shape[0]):
            total += d[n, k] * (x[n, k] - middle)
            seen += x[n, k]
            d[n, k] *= own
        dgain[k] = (dgain[k] if adds else 0) + rate * total
        centre[k] += (seen / len(d) - middle) / 10


class Gain(NamedTuple):
    x: int
    gain: int
    centre: int
    y: int
    rows: int
    columns: int


class GainGradient(NamedTuple):
    d: int
    x: int
    gain: int
    centre: int
    dgain: int
    rows: int
    columns: int
    adds: int
    descends: int


@operation(Gain)
def gain(team, row, step, one):
    i = operands(Gain, row)
    x, y = matrix(i.x, i.rows, i.columns, one), matrix(i.y, i.rows, i.columns, one)
    gain_forward(x, view(i.gain, i.columns, one), view(i.centre, i.columns, one), y)


@operation(GainGradient)
def gain_gradient(team, row, step, one):
    i = operands(GainGradient, row)
    d, x = matrix(i.d, i.rows, i.columns, one), matrix(i.x, i.rows, i.columns, one)
    gain, centre = view(i.gain, i.columns, one), view(i.centre, i.columns, one)
    rate, adds = rate_of(step, i.descends, one), i.adds + i.descends > 0
    gain_backward(d, x, gain, centre, rate, adds, view(i.dgain, i.columns, one))
''')
    (
        tree / "fastbp/layers/gain.py"
    ).write_text('''"""A factor for each column, of how far it is from its running mean, as a layer."""

import numpy as np

from fastbp.kernels import gain as of
from fastbp.layers._columns import ColumnLayer
from fastbp.programs._operand import Operand


class Gain(ColumnLayer):
    parameters = ("gain",)
    buffers = ("centre",)
    mixes_rows = True
    _factor = "gain"
    torch = "Gain", {"gain": "gain", "centre": "centre"}
    numpy = "(x - centre) * gain"
    c = """\\
    for (size_t o = 0; o < n_outputs; o++)
        y[o] = (x[o] - centre[o]) * gain[o];
"""

    def __init__(self, gain, centre):
        self.gain, self.centre, self.dgain = gain, centre, None

    def forward(self, x):
        x, rows, _ = self._rows(x, tuple(self._taken("centre")))
        y = np.empty_like(rows)
        of.gain_forward(rows, self.gain, self.centre, y)
        self._last = rows
        return y

    def backward(self, dout):
        d, self.dgain = np.array(dout), np.empty_like(self.gain)
        of.gain_backward(d, self._last, self.gain, self.centre, d.dtype.type(1), False, self.dgain)
        return d

    def onnx(self, node, x):
        return node("Mul", node("Sub", x, self.centre), self.gain)

    def lower(self, p, x):
        (gain, centre), y = self._taken("centre"), p.buffer((self, "y"), x.columns)
        at, middle, shape = p.place_of(gain), p.keep(centre), (p.rows, x.columns)
        p.emit(of.Gain(x.address, at, middle, y, *shape))

        def backward(dy, wanted):
            target = at if p.fused_step else p.gradient_of(gain)
            p.emit(of.GainGradient(dy, x.address, at, middle, target, *shape, p.adds, p.fused_step))
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
    put(tree / "pyproject.toml", floor=("leaky_relu : normalization", "gain : "))
    put(
        tree / "fastbp/reference/layers.py",
        names=('"LayerNormalization", "Scale"', '"Gain", '),
        cls=(
            "class Scale:",
            """class Gain:
    def __init__(self, gain, centre):
        self.gain, self.centre = gain, centre

    def forward(self, x):
        self.x = x
        return (x - self.centre) * self.gain

    def backward(self, dout):
        self.dgain = (dout * (self.x - self.centre)).sum(axis=0)
        self.centre = self.centre + (self.x.mean(axis=0) - self.centre) / 10
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


def peer(tree):
    put(tree / "pyproject.toml", library=('"lightgbm>=4", ', '"matmul>=1", '))
    (tree / "bench/peers/matmul.py").write_text("""import numpy as np
from ..networks import Perceptron
from ..row import Work
from ._peer import Peer

PEER = Peer("matmul", module="numpy", package="numpy", imports="import numpy")
FORM = PEER.form("matmul", "#000000", "o")


@FORM.does("predict")
def predict(network: Perceptron) -> Work:
    (x, _), (weights, biases) = network.data(), network.parameters()

    def call():
        out = x
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            out = np.maximum(out @ W + b, 0)
        return [out @ weights[-1] + biases[-1]]

    return Work(call, call)
""")


# What adding one takes, in files of fastbp/, kernels/ and bench/: tests and pages come on top.
RECIPES = {activation: 3, layer: 4, loss: 3, optimizer: 3, peer: 1}
