"""Training steps by PyTorch: eager with its fused optimizers, and compiled."""

import shutil
from collections.abc import Callable
from typing import Any

from . import peers
from .networks import Network, flat
from .row import Unsuitable, Work


def build(network: Network) -> tuple[Any, Any, Callable]:
    """The modules with the network's first parameters, its optimizer, and its loss."""
    torch = peers.torch()
    kind = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[network.activation]
    modules = []
    for W, b in zip(*network.parameters(), strict=True):
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
        modules += [linear, kind()]
    net = torch.nn.Sequential(*modules[:-1])
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[network.optimizer]
    optimizer = rule(net.parameters(), lr=network.rate, fused=True)
    measure = torch.nn.functional.mse_loss if network.loss == "mse" else torch.nn.functional.cross_entropy
    return net, optimizer, measure


def torch_steps(network: Network) -> Work:
    """Eager steps, the optimizer fused."""
    return _work(network, *build(network))


def torch_compiled_steps(network: Network) -> Work:
    """Forward pass and loss are compiled, and their backward pass with them; the optimizer is a fused kernel."""
    if shutil.which("c++") is None and shutil.which("g++") is None:
        raise Unsuitable("needs a C++ compiler")
    net, optimizer, measure = build(network)
    compiled = peers.torch().compile(lambda x, t: measure(net(x), t))
    return _work(network, net, optimizer, measure, compiled)


def _work(network: Network, net: Any, optimizer: Any, measure: Callable, loss_of: Callable | None = None) -> Work:
    torch = peers.torch()
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
