"""The hyperbolic tangent and its gradient."""

from .elementwise import activation_rows, expected
from .row import rows


@rows(activation_rows("Tanh", tolerance=1000), "tanh")
def bench_tanh(measure, row, provider):
    measure(expected)
