"""One step of Adam over a flat vector of parameters."""

from itertools import count

import numpy as np

from fastbp.basics import _team
from fastbp.kernels.optimizer import ADAM, optimizer_step

from . import peers
from .networks import ADAM_EPS, BETA1, BETA2, RATES
from .row import Expected, Row, Work, rows
from .steps_numpy import adam

SIZES = (39_760, 1_000_000, 10_000_000)  # the first is the book's network
RATE = RATES["adam"]
ARRAYS = 4  # parameters, gradients and two states are read, all but the gradients written


def parameters_and_gradients(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n, np.float32) for _ in range(2)]


def expected(n: int) -> Expected:
    """After the first step, in which every parameter moves by RATE against the sign of its gradient, but for eps."""
    p, g = (a.astype(np.float64) for a in parameters_and_gradients(n))
    return [(p - RATE * g / (np.abs(g) + ADAM_EPS), np.maximum(np.abs(p), RATE))]


def fastbp_adam(n: int) -> Work:
    p, g = parameters_and_gradients(n)
    first, second, hyper = np.zeros_like(p), np.zeros_like(p), np.array([BETA1, BETA2, ADAM_EPS, 0.0])
    team, steps = _team.current().address, count(1)
    return Work(lambda: optimizer_step(team, ADAM, p, g, first, second, hyper, RATE, next(steps), 1.0), lambda: [p])


def numpy_adam(n: int) -> Work:
    p, g = parameters_and_gradients(n)
    m, v, scratch = (np.zeros_like(p) for _ in range(3))
    steps = count(1)
    return Work(lambda: adam(p, g, m, v, scratch, RATE, next(steps)), lambda: [p])


def torch_adam(n: int) -> Work:
    torch = peers.torch()
    p, g = map(torch.from_numpy, parameters_and_gradients(n))
    p.grad = g
    optimizer = torch.optim.Adam([p.requires_grad_()], lr=RATE, fused=True)
    return Work(optimizer.step, lambda: [p.detach().numpy()])


def jax_adam(n: int) -> Work:
    jax = peers.jax()

    def step(state, g):
        p, m, v, done = state
        done = done + 1
        m, v = m + (1 - BETA1) * (g - m), BETA2 * v + (1 - BETA2) * g * g
        p = p - RATE / (1 - BETA1**done) * m / (jax.numpy.sqrt(v / (1 - BETA2**done)) + ADAM_EPS)
        return p, m, v, done

    compiled = jax.jit(step, donate_argnums=0)
    p, g = map(jax.numpy.asarray, parameters_and_gradients(n))
    state = [(p, jax.numpy.zeros_like(p), jax.numpy.zeros_like(p), jax.numpy.zeros(()))]

    def call() -> None:
        state[0] = jax.block_until_ready(compiled(state[0], g))

    return Work(call, lambda: [np.asarray(state[0][0])])


PROVIDERS = {"fastbp": fastbp_adam, "numpy": numpy_adam, "torch": torch_adam, "jax": jax_adam}

ROWS = [
    Row(
        "adam",
        f"{n:,}",
        (n,),
        moved=4.0 * n * (2 * ARRAYS - 1),
        working_set=4.0 * n * ARRAYS,
        tolerance=1000,  # 1 - BETA2 of a float32 0.999 is off by so many eps
        quick=n == SIZES[0],
    )
    for n in SIZES
]


@rows(ROWS, PROVIDERS)
def bench_adam(measure, row, provider):
    measure(PROVIDERS, expected)
