"""One training step of whole networks: forward, loss, backward and update, on a mini-batch that is chosen already."""

from .networks import Perceptron, expected, tolerance
from .row import Row, rows
from .servers import all_cores

ONE, ALL, BOTH, NEITHER = "1 thread", "all cores", "both", "neither"
NETWORKS = {  # and the threads with which each is in the quick form
    Perceptron((784, 50, 10), 100): BOTH,
    Perceptron((64, 32, 10), 32): ONE,
    Perceptron((784, 512, 512, 10), 128): BOTH,
    Perceptron((4, 16, 16, 2), 16): ONE,
    Perceptron((1024, 1024, 1024, 1024), 1024): ALL,
    Perceptron((4, 32, 16, 4), 10_000, "tanh", "mse", "adam"): ONE,
    # PyTorch's issue 144633, where the second took 144 times the work of all cores that the first takes of one.
    Perceptron((10, 45, 45, 10), 128, "relu", "mse", "adam"): NEITHER,
    Perceptron((10, 46, 46, 10), 128, "relu", "mse", "adam"): NEITHER,
    # The shape of the HIGGS benchmark (Baldi, Sadowski and Whiteson 2014, with 28 features and five layers of 300).
    Perceptron((28, 300, 300, 300, 300, 300, 1), 100, "tanh", "sigmoid"): NEITHER,
}


def step_row(job: str, name: str, network: Perceptron, threads: int, **more) -> Row:
    """A row of steps of ``network``."""
    return Row(
        job,
        name,
        (network,),
        threads=threads,
        flops=network.flops,
        moved=network.moved_bytes,
        working_set=2.0 * network.parameter_bytes + 2.0 * network.activation_bytes,
        tolerance=tolerance,
        **more,
    )


ROWS = [
    step_row("step", network.name, network, threads, quick=quick in (BOTH, ONE if threads == 1 else ALL))
    for network, quick in NETWORKS.items()
    for threads in sorted({1, all_cores()})
]


@rows(ROWS, "step")
def bench_step(measure, row, provider):
    measure(expected)
