"""ReLU and its gradient."""

from .elementwise import activation_rows, expected
from .row import rows


@rows(activation_rows("Relu", tolerance=0, quick=(1_000, 10_000_000), more=(100_000_000,)), "relu")
def bench_relu(measure, row, provider):
    measure(expected)
