"""The logistic function and its gradient."""

from .elementwise import activation_rows, expected
from .row import rows


@rows(activation_rows("Sigmoid", tolerance=16), "sigmoid")
def bench_sigmoid(measure, row, provider):
    measure(expected)
