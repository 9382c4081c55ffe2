"""One training step of whole networks: forward, loss, backward and update, the mini-batch already chosen; float32.

    python -m bench.bench_step [--threads 1]

Microseconds a step, each provider in a process of its own on the same cores, in turns. fastbp does many steps in one
call of its executor, as ``fit`` does; NumPy writes into arrays made beforehand (``out=``); PyTorch runs eagerly.
"limit" is the time of the step's matrix products at the FMA peak measured in the same run.
"""

import argparse
from itertools import pairwise

import numpy as np

from bench import runner

NETWORKS = [  # sizes, batch, activation, loss, optimizer
    ((784, 50, 10), 100, "relu", "softmax", "sgd"),
    ((64, 32, 10), 32, "relu", "softmax", "sgd"),
    ((784, 512, 512, 10), 128, "relu", "softmax", "sgd"),
    ((4, 16, 16, 2), 16, "relu", "softmax", "sgd"),
    ((1024, 1024, 1024, 1024), 1024, "relu", "softmax", "sgd"),
    ((4, 32, 16, 4), 10_000, "tanh", "mse", "adam"),
]
WIDTHS = (24, 7, 8, 10, 10, 10, 10, 8, 8, 8)


def data(sizes, batch, loss):
    rng = np.random.default_rng(0)
    x = rng.random((batch, sizes[0]), dtype=np.float32)
    if loss == "mse":
        return x, rng.random((batch, sizes[-1]), dtype=np.float32)
    return x, rng.integers(0, sizes[-1], batch)


def parameters(sizes):
    rng = np.random.default_rng(0)
    shapes = list(pairwise(sizes))
    weights = [(np.sqrt(2 / i) * rng.standard_normal((i, o))).astype(np.float32) for i, o in shapes]
    return weights, [np.zeros(o, np.float32) for _, o in shapes]


def flops(sizes, batch):
    """Of the matrix products of a step: x W and x.T dout of every layer, dout W.T of all but the first."""
    products = [i * o for i, o in pairwise(sizes)]
    return 2 * batch * (3 * sum(products) - products[0])


def steps_a_call(sizes, batch):
    return max(1, int(2e8 / flops(sizes, batch)))


def fastbp_steps(sizes, batch, activation, loss, optimizer):
    import fastbp
    from fastbp._run import Run
    from fastbp._samples import Samples

    weights, biases = parameters(sizes)
    kind = {"relu": fastbp.Relu, "tanh": fastbp.Tanh}[activation]
    layers = [layer for W, b in zip(weights, biases, strict=True) for layer in (fastbp.Affine(W, b), kind())]
    net = fastbp.Sequential(layers[:-1], fastbp.MeanSquaredError() if loss == "mse" else None)
    x, t = data(sizes, batch, loss)
    run = Run(
        net,
        Samples("x", x, 1.0),
        t,
        epochs=1,
        batch_size=batch,
        optimizer=fastbp.optimizers.get_optimizer(optimizer),
        shuffle=False,
        seed=0,
        sample_weight=None,
        class_weight=None,
        clip_norm=None,
        resume=None,
    )
    lrs = np.full(steps_a_call(sizes, batch), 1e-3)
    losses = np.zeros(len(lrs))
    return lambda: run.execute(lrs, losses)


def torch_steps(sizes, batch, activation, loss, optimizer):
    import os

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    modules = []
    for W, b in zip(*parameters(sizes), strict=True):
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
        modules += [linear, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]()]
    net = torch.nn.Sequential(*modules[:-1])
    x, t = (torch.from_numpy(a) for a in data(sizes, batch, loss))
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](net.parameters(), lr=1e-3)
    measure = torch.nn.functional.mse_loss if loss == "mse" else torch.nn.functional.cross_entropy

    def step():
        for _ in range(steps_a_call(sizes, batch)):
            rule.zero_grad()
            measure(net(x), t).backward()
            rule.step()

    return step


def numpy_steps(sizes, batch, activation, loss, optimizer):
    """Every array is made beforehand."""
    weights, biases = parameters(sizes)
    x, t = data(sizes, batch, loss)
    outs = [x] + [np.empty((batch, n), np.float32) for n in sizes[1:]]
    grads = [np.empty((batch, n), np.float32) for n in sizes]
    dws = [np.empty_like(W) for W in weights]
    rows, lr = np.arange(batch), np.float32(1e-3)
    states = [[np.zeros_like(p) for p in (*weights, *biases)] for _ in range(2)]

    def update(i, p, g):
        if optimizer == "sgd":
            np.multiply(g, lr, out=g)
            np.subtract(p, g, out=p)
            return
        m, v = states[0][i], states[1][i]
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        p -= lr * m / (np.sqrt(v) + 1e-8)

    def step():
        for _ in range(steps_a_call(sizes, batch)):
            for n, (W, b) in enumerate(zip(weights, biases, strict=True)):
                np.dot(outs[n], W, out=outs[n + 1])
                np.add(outs[n + 1], b, out=outs[n + 1])
                if n < len(weights) - 1:
                    if activation == "relu":
                        np.maximum(outs[n + 1], 0, out=outs[n + 1])
                    else:
                        np.tanh(outs[n + 1], out=outs[n + 1])
            y, d = outs[-1], grads[-1]
            if loss == "mse":
                np.subtract(y, t, out=d)
                np.multiply(d, np.float32(2 / d.size), out=d)
            else:
                np.subtract(y, y.max(axis=1, keepdims=True), out=d)
                np.exp(d, out=d)
                np.divide(d, d.sum(axis=1, keepdims=True), out=d)
                d[rows, t] -= 1
                np.divide(d, np.float32(batch), out=d)
            for n in range(len(weights) - 1, -1, -1):
                if n:
                    np.dot(grads[n + 1], weights[n].T, out=grads[n])
                    if activation == "relu":
                        np.multiply(grads[n], outs[n] > 0, out=grads[n])
                    else:
                        np.multiply(grads[n], 1 - outs[n] * outs[n], out=grads[n])
                np.dot(outs[n].T, grads[n + 1], out=dws[n])
                update(n, weights[n], dws[n])
                update(n + len(weights), biases[n], grads[n + 1].sum(axis=0))

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true", help="fewer turns: the figures are only good for a look")
    given = parser.parse_args()
    from bench.limits import peak_gflops

    makers = [fastbp_steps, numpy_steps]
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        makers.append(torch_steps)
    head = "network", "batch", "threads", "limit", "fastbp", "numpy", "torch", "x limit", "x numpy", "x torch"
    runner.print_row(*head, widths=WIDTHS)
    for network in NETWORKS:
        sizes, batch, *_ = network
        for threads in given.threads:
            limit = flops(sizes, batch) / peak_gflops(np.float32) / 1e9 / threads
            ours, *others = runner.processes_in_turns(
                makers, *network, cores=threads, turns=3 if given.quick else 11, least=0.02 if given.quick else 0.2
            )
            n = steps_a_call(sizes, batch)
            times = [f"{1e6 * timing.median / n:.2f}" for timing in (ours, *others)]
            ratios = [f"{timing.ratio_to(ours):.2f}" for timing in others]
            missing = ["-"] * (2 - len(others))
            cells = "-".join(map(str, sizes)), batch, threads, f"{1e6 * limit:.2f}", *times, *missing
            runner.print_row(*cells, f"{ours.median / n / limit:.2f}", *ratios, *missing, widths=WIDTHS)


if __name__ == "__main__":
    main()
