"""Elementwise layers and the loss, against the NumPy layers and PyTorch's functional forms; one thread, float32.

    python -m bench.bench_elementwise

fastbp and NumPy are called as layers, their checks and fresh outputs included; PyTorch by the fastest function it has
for the same result: ``out=`` where there is one, else the ATen operator that its own layers call.
"""

from bench import runner

runner.pin_to_one_core()

import numpy as np  # noqa: E402

import fastbp  # noqa: E402
from fastbp import reference  # noqa: E402

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)

SIZES = ((100, 10), (128, 1000), (4096, 100))
WIDTHS = (24, 10, 12, 12, 12, 10, 10)


def sample(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, their incoming gradient, and class labels."""
    rng = np.random.default_rng(0)
    x, dout = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    return x, dout, rng.integers(0, shape[-1], shape[0])


def forward_rows(shape, name):
    """``layer.forward(x)`` of one elementwise layer, and PyTorch's function with ``out=``."""
    x, _, _ = sample(shape)
    ours, plain = getattr(fastbp, name)(), getattr(reference, name)()
    calls = [lambda: ours.forward(x), lambda: plain.forward(x)]
    if torch is not None:
        xt = torch.from_numpy(x)
        out = torch.empty_like(xt)
        calls.append({
            "Sigmoid": lambda: torch.sigmoid(xt, out=out).numpy(),
            "Relu": lambda: torch.clamp_min(xt, 0, out=out).numpy(),
        }[name])  # fmt: skip
    return calls


def backward_rows(shape, name):
    """``layer.backward(dout)`` of one elementwise layer after a forward pass."""
    x, dout, _ = sample(shape)
    ours, plain = getattr(fastbp, name)(), getattr(reference, name)()
    ours.forward(x)
    plain.forward(x)
    calls = [lambda: ours.backward(dout), lambda: plain.backward(dout)]
    if torch is not None:
        xt, dt = torch.from_numpy(x), torch.from_numpy(dout)
        yt = torch.sigmoid(xt)
        calls.append({
            "Sigmoid": lambda: torch.ops.aten.sigmoid_backward(dt, yt).numpy(),
            "Relu": lambda: torch.ops.aten.threshold_backward(dt, xt, 0).numpy(),
        }[name])  # fmt: skip
    return calls


def loss_forward(shape):
    x, _, t = sample(shape)
    ours, plain = fastbp.SoftmaxWithLoss(eps=0), reference.SoftmaxWithLoss(eps=0)
    calls = [lambda: ours.forward(x, t), lambda: plain.forward(x, t)]
    if torch is not None:
        xt, tt = torch.from_numpy(x), torch.from_numpy(t)
        calls.append(lambda: torch.nn.functional.cross_entropy(xt, tt).numpy())
    return calls


def loss_backward(shape):
    x, _, t = sample(shape)
    ours, plain = fastbp.SoftmaxWithLoss(eps=0), reference.SoftmaxWithLoss(eps=0)
    ours.forward(x, t)
    plain.forward(x, t)
    calls = [ours.backward, plain.backward]
    if torch is not None:
        tt = torch.from_numpy(t)
        log_y = torch.log_softmax(torch.from_numpy(x), dim=1)
        one, weight = torch.tensor(1.0), torch.tensor(float(len(t)))
        aten = torch.ops.aten

        def torch_backward() -> np.ndarray:
            d = aten.nll_loss_backward(one, log_y, tt, None, 1, -100, weight)
            return aten._log_softmax_backward_data(d, log_y, 1, torch.float32).numpy()

        calls.append(torch_backward)
    return calls


def rows():
    for n in (10_000, 1_000_000):
        yield "Sigmoid forward", (1, n), lambda shape: forward_rows(shape, "Sigmoid")
        yield "Relu forward", (1, n), lambda shape: forward_rows(shape, "Relu")
    for shape in SIZES:
        yield "Relu backward", shape, lambda shape: backward_rows(shape, "Relu")
        yield "Sigmoid backward", shape, lambda shape: backward_rows(shape, "Sigmoid")
        yield "SoftmaxWithLoss forward", shape, loss_forward
        yield "SoftmaxWithLoss backward", shape, loss_backward
    yield "Relu forward", (1, 8), lambda shape: forward_rows(shape, "Relu")


def main() -> None:
    given = runner.options(__doc__.splitlines()[0])
    runner.print_row("layer", "shape", "fastbp us", "numpy us", "torch us", "x numpy", "x torch", widths=WIDTHS)
    for name, shape, calls_of in rows():
        size = "x".join(map(str, shape))
        if given.only not in f"{name} {size}":
            continue
        calls = calls_of(shape)
        answers = [np.asarray(call()) for call in calls]
        for answer in answers[1:]:
            np.testing.assert_allclose(answers[0], answer, rtol=2e-5, atol=1e-6)
        ours, *others = runner.in_turns(calls, seconds=0.1 if given.quick else 1.5)
        times = [f"{1e6 * timing.median:.2f}" for timing in (ours, *others)]
        ratios = [f"{timing.ratio_to(ours):.2f}" for timing in others]
        missing = ["-"] * (3 - len(calls))
        runner.print_row(name, size, *times, *missing, *ratios, *missing, widths=WIDTHS)


if __name__ == "__main__":
    main()
