"""PyTorch: eager with its fused optimizers, ``out=`` or ATen where there is one; and under ``torch.compile``."""

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import mnist
from ..bench_adam import RATE, parameters_and_gradients
from ..bench_book import NETWORK, batches, work
from ..bench_convolution import POOL, operands, passing, pooled, rule
from ..bench_convolution import RATES as CONVOLUTIONAL_RATES
from ..bench_convolution import network as convolutional_network
from ..bench_gemm import factors
from ..bench_layers import inputs
from ..bench_many import RATE as RATE_OF_MANY
from ..bench_many import Many, data
from ..bench_many import work as work_of_many
from ..elementwise import arrays, sample
from ..losses import scores_and_targets
from ..mapped_rows import BATCH as ROWS_OF_BATCH
from ..mapped_rows import NETWORK as OF_ROWS
from ..mapped_rows import accuracy, open_rows
from ..networks import Perceptron, flat
from ..row import Unsuitable, Work
from ._peer import Peer, threads

BATCH_EPS = 1e-6  # of batch normalisation, the book's

FIRST_STEP = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(784, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
for layer, W, b in (net[0], W1, b1), (net[2], W2, b2):
    layer.weight.data, layer.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(t)).backward()
sgd.step()
print(net[2].weight.abs().sum().item())
"""

PEER = Peer("torch", module="torch", package="torch", imports="import torch", first_step=FIRST_STEP)
EAGER = PEER.form("torch", "#CC79A7", "^")
COMPILED = PEER.form("torch compiled", "#882255", "v", quick=False)  # it compiles for long


MOST_PLACES = 10**7  # in the orders of many networks


def _torch() -> Any:
    """PyTorch with this process's number of threads."""
    import torch

    torch.set_num_threads(threads())
    return torch


def build(network: Perceptron) -> tuple[Any, Any, Callable]:
    """The modules with the network's first parameters, its optimizer, and its loss."""
    torch = _torch()
    kind = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[network.activation]
    modules = []
    for W, b in zip(*network.parameters(), strict=True):
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
        modules += [linear, kind()]
    net = torch.nn.Sequential(*modules[:-1])
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[network.optimizer]
    optimizer = rule(net.parameters(), lr=network.rate, fused=True)
    of_loss = torch.nn.functional
    losses = {
        "softmax": of_loss.cross_entropy,
        "mse": of_loss.mse_loss,
        "sigmoid": of_loss.binary_cross_entropy_with_logits,
    }
    return net, optimizer, losses[network.loss]


@EAGER.does("step", "growth")
def steps(network: Perceptron) -> Work:
    """Eager steps, the optimizer fused."""
    return _steps(network, *build(network))


@COMPILED.does("step")
def compiled_steps(network: Perceptron) -> Work:
    """Forward pass and loss are compiled, and their backward pass with them; the optimizer is a fused kernel."""
    if shutil.which("c++") is None and shutil.which("g++") is None:
        raise Unsuitable("needs a C++ compiler")
    net, optimizer, measure = build(network)
    compiled = _torch().compile(lambda x, t: measure(net(x), t))
    return _steps(network, net, optimizer, measure, compiled)


def _steps(network: Perceptron, net: Any, optimizer: Any, measure: Callable, loss_of: Callable | None = None) -> Work:
    torch = _torch()
    x, t = map(torch.from_numpy, network.data())

    def eager(x: Any, t: Any) -> Any:
        return measure(net(x), t)

    loss_of = loss_of or eager

    def call() -> None:
        for _ in range(network.steps):
            optimizer.zero_grad()
            loss_of(x, t).backward()
            optimizer.step()

    def answer() -> list:
        parameters = [p.detach().numpy() for p in net.parameters()]
        return flat([W.T for W in parameters[::2]], parameters[1::2])

    return Work(call, answer, network.steps)


@EAGER.does("book")
def book(steps: int) -> Work:
    torch = _torch()
    images = mnist.images()
    x_train, t_train = torch.from_numpy(mnist.x_train()), torch.from_numpy(images.t_train)
    nets: list = []

    def train() -> None:
        net, optimizer, measure = build(NETWORK)
        nets[:] = [net]
        for mask in torch.from_numpy(batches(steps)):
            optimizer.zero_grad()
            measure(net(x_train[mask]), t_train[mask]).backward()
            optimizer.step()

    return work(train, lambda x: nets[0](torch.from_numpy(x)).detach().numpy())


@EAGER.does("growth by rows")
def epoch(n: int) -> Work:
    torch = _torch()
    x, t = open_rows(n)
    net, optimizer, measure = build(OF_ROWS)

    def epoch() -> None:
        order = torch.randperm(n).numpy()
        for begin in range(0, n, ROWS_OF_BATCH):
            mask = order[begin : begin + ROWS_OF_BATCH]
            optimizer.zero_grad()
            measure(net(torch.from_numpy(x[mask])), torch.from_numpy(t[mask])).backward()
            optimizer.step()

    def answer() -> list[np.ndarray]:
        W1, b1, W2, b2 = (p.detach().numpy() for p in net.parameters())
        return [accuracy((W1.T, b1, W2.T, b2), x, t)]

    return Work(epoch, answer, n)


@EAGER.does("gemm")
def product(form: str, shape: tuple[int, int, int], dtype: str) -> Work:
    torch = _torch()
    a, b = (torch.from_numpy(factor) for factor in factors(form, shape, dtype))
    c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
    return Work(lambda: torch.mm(a, b, out=c), lambda: [c.numpy()])


@EAGER.does("convolution")
def convolution(direction: str, shape: tuple[int, ...]) -> Work:
    """conv2d, and what its backward pass calls, asked for one gradient."""
    torch = _torch()
    a = {name: torch.from_numpy(array) for name, array in operands(shape).items()}
    pad = [shape[-1]] * 2
    made: list[Any] = []

    def keep(results: Any) -> None:
        made[:] = [array for array in results if array is not None]

    if direction == "forward":
        return Work(
            lambda: keep([torch.nn.functional.conv2d(a["x"], a["W"], a["b"], padding=pad)]),
            lambda: [array.numpy() for array in made],
        )
    wanted = [direction == "dx", direction == "dW", direction == "dW"]
    options = [a["b"].numel()], [1, 1], pad, [1, 1], False, [0, 0], 1, wanted
    return Work(
        lambda: keep(torch.ops.aten.convolution_backward(a["dout"], a["x"], a["W"], *options)),
        lambda: [array.numpy() for array in made],
    )


@EAGER.does("convolutional step")
def convolutional_step(name: str) -> Work:
    """Eager steps of the modules that ``to_torch`` makes."""
    torch = _torch()
    net, x, t = convolutional_network(name)
    module = net.to_torch().train()
    samples, targets = torch.from_numpy(x), torch.from_numpy(t)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule(name)]
    optimizer = kind(module.parameters(), lr=CONVOLUTIONAL_RATES[rule(name)], fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(module(samples), targets).backward()
        optimizer.step()

    def answer() -> list[np.ndarray]:
        arrays = [p.detach().numpy() for p in module.parameters()]
        return [array.T if array.ndim == 2 else array for array in arrays]

    return Work(step, answer)


@EAGER.does("layer both ways")
def both_ways(name: str, shape: tuple[int, ...]) -> Work:
    """The ATen functions that autograd would call, without it."""
    torch = _torch()
    aten, arrays = torch.ops.aten, passing(shape)
    x, gamma, beta, dout = (torch.from_numpy(arrays[key]) for key in ("x", "gamma", "beta", "dout"))
    window, smaller = [POOL, POOL], torch.from_numpy(pooled(arrays["dout"])) if name == "MaxPooling" else dout
    mean, variance, eps = torch.zeros_like(beta), torch.ones_like(beta), BATCH_EPS

    def normalize() -> list[Any]:
        y, *kept = aten.native_batch_norm(x, gamma, beta, mean, variance, True, 0.1, eps)
        return [y, *aten.native_batch_norm_backward(dout, x, gamma, mean, variance, *kept, True, eps, [True] * 3)]

    def pool() -> list[Any]:
        y, places = aten.max_pool2d_with_indices(x, window)
        options = window, window, [0, 0], [1, 1], False
        return [y, aten.max_pool2d_with_indices_backward(smaller, x, *options, places)]

    call = pool if name == "MaxPooling" else normalize
    return Work(call, lambda: [array.numpy() for array in call()])


@EAGER.does("adam")
def adam(n: int) -> Work:
    torch = _torch()
    p, g = map(torch.from_numpy, parameters_and_gradients(n))
    p.grad = g
    optimizer = torch.optim.Adam([p.requires_grad_()], lr=RATE, fused=True)
    return Work(optimizer.step, lambda: [p.detach().numpy()])


@EAGER.does("relu", "sigmoid", "tanh")
def activation(layer: str, direction: str, n: int) -> Work:
    torch = _torch()
    inputs = [torch.from_numpy(a) for a in arrays(layer, direction, n)]
    out = torch.empty_like(inputs[0])
    aten = torch.ops.aten
    functions: dict[tuple[str, str], Callable[..., object]] = {
        ("Relu", "forward"): lambda x: torch.clamp_min(x, 0, out=out),
        ("Relu", "backward"): lambda dout, y: aten.threshold_backward.grad_input(dout, y, 0, grad_input=out),
        ("Sigmoid", "forward"): lambda x: torch.sigmoid(x, out=out),
        ("Sigmoid", "backward"): lambda dout, y: aten.sigmoid_backward.grad_input(dout, y, grad_input=out),
        ("Tanh", "forward"): lambda x: torch.tanh(x, out=out),
        ("Tanh", "backward"): lambda dout, y: aten.tanh_backward.grad_input(dout, y, grad_input=out),
    }
    run = functions[layer, direction]
    return Work(lambda: run(*inputs), lambda: [sample(out.numpy())])


@EAGER.does("softmax loss", "squared error")
def loss(loss, shape):
    torch = _torch()
    x, t = map(torch.from_numpy, scores_and_targets(loss, shape))
    x.requires_grad_()
    measure = torch.nn.functional.cross_entropy if loss == "SoftmaxWithLoss" else torch.nn.functional.mse_loss
    last: list = []

    def call():
        value = measure(x, t)
        last[:] = value, *torch.autograd.grad(value, x)

    return Work(call, lambda: [a.detach().numpy() for a in last])


@EAGER.does("layer")
def layer(layer: str, direction: str, shape: tuple, dtype: str) -> Work:
    """The functional form of a forward pass; a backward pass is no call of its own in PyTorch."""
    torch = _torch()
    if direction != "forward":
        raise Unsuitable("no call of its own")
    a = {name: torch.from_numpy(value) for name, value in inputs(shape, dtype).items()}
    W = a["W"].T.contiguous()
    call = {
        "Affine": lambda: torch.nn.functional.linear(a["x"], W, a["b"]),
        "Relu": lambda: torch.relu(a["x"]),
        "Sigmoid": lambda: torch.sigmoid(a["x"]),
        "SoftmaxWithLoss": lambda: torch.nn.functional.cross_entropy(a["x"], a["t"]),
    }[layer]
    return Work(call, lambda: [call().numpy()])


@EAGER.does("predict")
def predict(network: Perceptron) -> Work:
    """In inference mode."""
    torch = _torch()
    net, x = build(network)[0].eval(), torch.from_numpy(network.data()[0])

    def call() -> Any:
        with torch.inference_mode():
            return net(x)

    return Work(call, lambda: [call().numpy()])


@EAGER.does("many")
def many_by_vmap(many: Many) -> Work:
    """All networks in one ``torch.func.vmap`` of the gradient, a call of it a step."""
    torch = _torch()
    if many.n * many.epochs * many.n_rows > MOST_PLACES:
        raise Unsuitable("the orders of all networks would take gigabytes")
    x, t = map(torch.from_numpy, data(many))
    made = [[p for pair in zip(*many.parameters(k), strict=True) for p in pair] for k in range(many.n)]
    state = [torch.stack([torch.from_numpy(own[i]) for own in made]) for i in range(len(made[0]))]
    per_epoch = many.n_rows // many.batch
    orders = many.orders()[:, :, : per_epoch * many.batch].reshape(many.n, -1, many.batch)
    places = torch.from_numpy(np.ascontiguousarray(orders.swapaxes(0, 1))).long()

    def scores(parameters: Any, x: Any) -> Any:
        for i in range(0, len(parameters), 2):
            x = x @ parameters[i] + parameters[i + 1]
            x = torch.relu(x) if i + 2 < len(parameters) else x
        return x

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        y = scores(parameters, x)
        if many.is_ensemble:
            return torch.nn.functional.cross_entropy(y, t)
        return ((y - t) ** 2).mean()

    slopes = torch.func.vmap(torch.func.grad(loss))

    def train() -> None:
        for rows in places:
            for p, g in zip(state, slopes(tuple(state), x[rows], t[rows]), strict=True):
                p.sub_(g, alpha=RATE_OF_MANY)

    return work_of_many(many, train, lambda k, x: scores([p[k] for p in state], torch.from_numpy(x)).numpy())
