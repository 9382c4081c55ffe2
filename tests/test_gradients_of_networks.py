"""Random networks: gradients against differences and torch, and compiled steps against layers and optimizers."""

import copy
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from by_layers import gradient_while_training, loss_while_training
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FLOATS, assert_within, eps

import fastbp
from fastbp.kernels.batch import shuffle as shuffle_order
from fastbp.layers._layer import Numbering
from fastbp.optimizers import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop
from fastbp.schedules import warm_up

# Batches of one are drawn, too.
pytestmark = pytest.mark.filterwarnings("ignore:BatchNormalization expects at least")

ACTIVATIONS = {
    "relu": fastbp.Relu,
    "leaky_relu": lambda: fastbp.LeakyRelu(0.1),
    "sigmoid": fastbp.Sigmoid,
    "tanh": fastbp.Tanh,
}
# With an eps at which a rounding error grows little more than threefold.
NORMALIZATIONS = {
    "batch": lambda gamma, beta: fastbp.BatchNormalization(gamma, beta, eps=0.1),
    "layer": lambda gamma, beta: fastbp.LayerNormalization(gamma, beta, eps=0.1),
    "scale": fastbp.Scale,
}
LOSSES = ("labels", "one-hot", "soft", "binary", "binary of scores", "squared")
WITH_KINKS = (fastbp.Relu, fastbp.LeakyRelu)

# Large enough an eps that a rounding error in a gradient near 0 does not become one of the size of a step.
OPTIMIZERS = {
    "SGD": (SGD, {}),
    "Momentum": (Momentum, {}),
    "Nesterov": (Nesterov, {}),
    "AdaGrad": (AdaGrad, {"eps": 1e-2}),
    "RMSprop": (RMSprop, {"eps": 1e-2}),
    "Adam": (Adam, {"eps": 1e-2}),
    "AdamW": (AdamW, {"eps": 1e-2}),
}


@dataclass
class Problem:
    net: fastbp.Sequential
    x: np.ndarray
    t: np.ndarray
    weights: np.ndarray | None


def targets(rng, kind, n_rows, n_outputs):
    if kind == "labels":
        return rng.integers(0, n_outputs, n_rows)
    if kind == "one-hot":
        return np.eye(n_outputs)[rng.integers(0, n_outputs, n_rows)]
    if kind == "soft":
        return rng.dirichlet(np.ones(n_outputs), n_rows)
    if kind == "squared":
        return rng.standard_normal((n_rows, n_outputs))
    return rng.integers(0, 2, (n_rows, n_outputs)).astype(float)


@st.composite
def problems(draw, dtype=np.float64):
    """A network of 1 to 5 Affines with anything between them, a batch for it, and perhaps weights of its samples."""
    widths = draw(st.lists(st.integers(1, 70), min_size=2, max_size=6))
    kind = draw(st.sampled_from(LOSSES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dropouts = st.sampled_from([None, None, 0.0, 0.3])
    activations = st.sampled_from([None, *ACTIVATIONS])
    normalizations = st.sampled_from([None, None, None, *NORMALIZATIONS])

    def dropout():
        p = draw(dropouts)
        return [] if p is None else [fastbp.Dropout(p)]

    def normalization(n):
        name = draw(normalizations)
        gamma, beta = (1 + 0.3 * rng.standard_normal(n)).astype(dtype), (0.3 * rng.standard_normal(n)).astype(dtype)
        return [NORMALIZATIONS[name](gamma, beta)] if name else []

    layers = [*dropout(), *normalization(widths[0])]
    for n_inputs, n_outputs in pairwise(widths):
        W = (rng.standard_normal((n_inputs, n_outputs)) / math.sqrt(n_inputs)).astype(dtype)
        b = (0.3 * rng.standard_normal(n_outputs)).astype(dtype) if draw(st.booleans()) else None
        name = draw(activations)
        layers += [fastbp.Affine(W, b), *normalization(n_outputs)]
        layers += [*([ACTIVATIONS[name]()] if name else []), *dropout()]
    if kind == "binary":
        layers.append(fastbp.Sigmoid())
    loss = {
        "binary": fastbp.BinaryCrossEntropy,
        "binary of scores": fastbp.SigmoidWithLoss,
        "squared": fastbp.MeanSquaredError,
    }.get(kind, lambda: fastbp.SoftmaxWithLoss(eps=0, label_smoothing=draw(st.sampled_from([0.0, 0.1]))))()
    n_rows = draw(st.integers(1, 33))
    x = rng.standard_normal((n_rows, widths[0])).astype(dtype)
    t = targets(rng, kind, n_rows, widths[-1])
    weights = rng.uniform(0, 2, n_rows) if draw(st.booleans()) else None
    return Problem(fastbp.Sequential(layers, loss), x, t if kind == "labels" else t.astype(dtype), weights)


def sides(net):
    """On which side of its kink each element was in the last forward pass."""
    return [layer.mask.copy() for layer in net.layers.values() if isinstance(layer, WITH_KINKS)]


@given(problems(), st.integers(0, 2**32 - 1))
def test_gradient_is_the_central_difference_along_random_directions(problem, seed):
    net, batch = problem.net, (problem.x, problem.t, problem.weights)
    rng, step = np.random.default_rng(seed), 1e-5
    gradients = gradient_while_training(net, *batch)[1]
    assert gradients.keys() == net.params.keys()
    before = sides(net)
    for name, parameter in net.params.items():
        direction = rng.standard_normal(parameter.shape)
        direction /= np.linalg.norm(direction)
        kept, losses = parameter.copy(), []
        for sign in (1, -1):
            parameter[...] = kept + sign * step * direction
            losses.append(loss_while_training(net, *batch))
            assume(all(map(np.array_equal, before, sides(net))))
        parameter[...] = kept
        # A difference is off by about step^2 and by eps / step.
        difference = (losses[0] - losses[1]) / (2 * step)
        assert abs(np.sum(direction * gradients[name]) - difference) < 2e-8, name


@given(problems())
def test_gradient_of_the_network_is_that_of_its_layers(problem):
    net, x, t = problem.net, problem.x, problem.t
    for layer in net.layers.values():
        if isinstance(layer, fastbp.Dropout):
            layer.p = 0.0
    expected = gradient_while_training(net, x, t)[1]
    got = net.gradient(x, t)
    assert got.keys() == expected.keys() == net.params.keys()
    for name, g in got.items():
        np.testing.assert_array_equal(g, expected[name])


def torch_loss(torch, net, params, x, t, weights):
    """The loss of ``net`` in torch, with its parameters from ``params`` and the last masks of its Dropouts."""
    F, out, numbering = torch.nn.functional, x, Numbering()
    for layer in net.layers.values():
        first, second = [params.get(name) for name in numbering(layer).values()][:2] or (None, None)
        if isinstance(layer, fastbp.Affine):
            out = F.linear(out, first.T, second)
        elif isinstance(layer, fastbp.BatchNormalization):  # torch's own takes no batch of one row
            mean, var = out.mean(dim=0), out.var(dim=0, unbiased=False)
            out = (out - mean) / (var + layer.eps).sqrt() * first + second
        elif isinstance(layer, fastbp.LayerNormalization):
            out = F.layer_norm(out, out.shape[1:], first, second, layer.eps)
        elif isinstance(layer, fastbp.Scale):
            out = out * first + second
        elif isinstance(layer, fastbp.Dropout):
            out = out * torch.tensor(layer.mask) / (1 - layer.p)
        elif isinstance(layer, fastbp.LeakyRelu):
            out = F.leaky_relu(out, layer.slope)
        else:
            out = {fastbp.Relu: F.relu, fastbp.Sigmoid: torch.sigmoid, fastbp.Tanh: torch.tanh}[type(layer)](out)
    kind = type(net.loss_layer)
    if kind is fastbp.SoftmaxWithLoss:
        losses = F.cross_entropy(out, t, reduction="none", label_smoothing=net.loss_layer.label_smoothing)
    else:
        losses = {
            fastbp.BinaryCrossEntropy: F.binary_cross_entropy,
            fastbp.SigmoidWithLoss: F.binary_cross_entropy_with_logits,
            fastbp.MeanSquaredError: F.mse_loss,
        }[kind](out, t, reduction="none").mean(dim=1)
    return (losses if weights is None else losses * weights).mean()


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_loss_and_gradient_are_those_of_torch(dtype, data):
    torch = pytest.importorskip("torch")
    problem = data.draw(problems(dtype))
    net, x, t, weights = problem.net, problem.x, problem.t, problem.weights
    loss, gradients, _ = gradient_while_training(net, x, t, weights)
    # torch in float64 even beside float32, whose own errors would otherwise count twice.
    params = {name: torch.tensor(p.astype(np.float64), requires_grad=True) for name, p in net.params.items()}
    tensors = [torch.tensor(a if a is None or a.dtype.kind == "i" else a.astype(np.float64)) for a in (x, t)]
    weights = None if weights is None else torch.tensor(weights)
    theirs = torch_loss(torch, net, params, *tensors, weights)
    theirs.backward()
    assume(far_from_kinks(net, x, dtype))
    tolerance = 64 * eps(dtype)
    assert loss.dtype == dtype
    assert abs(loss - theirs.item()) <= tolerance * max(1, theirs.item())
    for name, g in gradients.items():
        assert g.dtype == dtype
        expected = params[name].grad.numpy()
        assert_within(g, expected, tolerance * max(1, np.abs(expected).max()))


def far_from_kinks(net, x, dtype):
    """Whether no rounding error changes the side of a kink that an element is on."""
    out = x.astype(np.float64)
    for layer in net.layers.values():
        if isinstance(layer, WITH_KINKS) and np.abs(out[out != 0]).min(initial=1.0) < 30 * eps(dtype):
            return False
        out = np.where(layer.mask, out / (1 - layer.p), 0) if isinstance(layer, fastbp.Dropout) else layer.forward(out)
    return True


def train_by_hand(problem, optimizer, steps, seed, *, batch_size, shuffle, clip_norm):
    """What ``fit`` does, layer by layer; returns the losses of the steps."""
    net, n_samples = problem.net, len(problem.x)
    order, per_epoch, losses = np.arange(n_samples), -(-n_samples // batch_size), []
    for step in range(steps):
        epoch, batch = divmod(step, per_epoch)
        if shuffle and batch == 0:
            shuffle_order(order, seed, epoch)
        rows = order[batch * batch_size : (batch + 1) * batch_size]
        weights = None if problem.weights is None else problem.weights[rows]
        loss, gradients, _ = gradient_while_training(
            net, problem.x[rows], problem.t[rows], weights, seed=seed, step=step
        )
        losses.append(float(loss) * len(rows))
        if clip_norm is not None:
            norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in gradients.values()))
            factor = min(1.0, clip_norm / (norm + 1e-6))
            gradients = {name: (g * factor).astype(g.dtype) for name, g in gradients.items()}
        optimizer.update(net.params, gradients, epoch)
    return losses


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@given(data=st.data())
def test_compiled_steps_are_those_of_layers_and_optimizers(name, dtype, data):
    problem = data.draw(problems(dtype))
    by_hand = copy.deepcopy(problem)
    kind, settings = OPTIMIZERS[name]
    rate = data.draw(st.sampled_from([0.05, warm_up(0.05, steps=3), lambda step, epoch: 0.1 / (1 + step + epoch)]))
    settings = {"lr": rate, "weight_decay": data.draw(st.sampled_from([0.0, 0.1]))} | settings
    # In float32 a rounding error of one step may be enough for another side of a kink in the next.
    steps = data.draw(st.integers(1, 4 if dtype == np.float64 else 1))
    how = {
        "batch_size": data.draw(st.integers(1, 33)),
        "shuffle": data.draw(st.booleans()),
        "clip_norm": data.draw(st.sampled_from([None, 0.1])),
    }
    history = problem.net.fit(
        problem.x,
        problem.t,
        epochs=steps,
        max_steps=steps,
        optimizer=kind(**settings),
        sample_weight=problem.weights,
        seed=data.draw(st.integers(0, 1000)),
        progress=False,
        **how,
    )
    losses = train_by_hand(by_hand, kind(**settings), steps, history.state.seed, **how)
    for key, p in problem.net.params.items():
        assert_within(p, by_hand.net.params[key], 32 * eps(dtype) * max(1, np.abs(p).max()))
    n_samples = len(problem.x)
    per_epoch = -(-n_samples // how["batch_size"])
    means = [sum(losses[i : i + per_epoch]) / n_samples for i in range(0, steps - per_epoch + 1, per_epoch)]
    # What weights are off by, sums of up to 70 products multiply.
    np.testing.assert_allclose(history.loss, means, rtol=0, atol=512 * eps(dtype) * max(1, *losses))
