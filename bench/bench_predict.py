"""Predictions of whole networks that are trained already: the scores of a few rows, fresh arrays included."""

from .networks import Perceptron, expected_scores
from .row import Row, rows
from .servers import all_cores

NETWORKS = {  # and whether the quick form has them
    Perceptron((4, 16, 16, 2), 1): True,
    Perceptron((784, 50, 10), 1): True,
    Perceptron((784, 50, 10), 100): True,
    Perceptron((784, 512, 512, 10), 1): False,
    Perceptron((784, 50, 10), 10_000): False,
}

ROWS = [
    Row(
        "predict",
        network.name.replace("batch", "rows"),
        (network,),
        threads=threads,
        flops=network.predict_flops,
        moved=float(network.parameter_bytes + 4 * network.batch * (network.sizes[0] + network.sizes[-1])),
        working_set=float(network.parameter_bytes + 4 * network.batch * sum(network.sizes)),
        tolerance=256,
        quick=quick and threads == 1,
    )
    for network, quick in NETWORKS.items()
    for threads in sorted({1, all_cores() if network.batch > 100 else 1})
]


@rows(ROWS, "predict")
def bench_predict(measure, row, provider):
    measure(expected_scores)
