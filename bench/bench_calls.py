"""Calls of layers, functions and networks, from one number to a thousand rows: none may take longer than NumPy's."""

from .bench_layers import expected
from .row import Row, rows

HEIGHTS, WIDTHS = (1, 8, 33, 100, 1000), (1, 10, 48, 100, 784)
QUICK = (1, 100), (10, 100)
CALLS = (
    ("Affine", "forward"),
    ("Affine", "backward"),
    ("Relu", "forward"),
    ("Relu", "backward"),
    ("Sigmoid", "forward"),
    ("Sigmoid", "backward"),
    ("sigmoid", "function"),
    ("softmax", "function"),
    ("SoftmaxWithLoss", "forward"),
    ("SoftmaxWithLoss", "backward"),
    ("TwoLayerNet", "predict"),
    ("TwoLayerNet", "loss"),
    ("TwoLayerNet", "gradient"),
    ("TwoLayerNet", "update"),
)

ROWS = [
    Row(
        "call",
        f"{layer} {call} {n}x{width}",
        (layer, call, (n, width, 10 if layer == "TwoLayerNet" else width), dtype),
        dtype=dtype,
        tolerance=64 + 4 * width**0.5 if layer in ("Affine", "TwoLayerNet") else 64,
        quick=dtype == "float32" and n in QUICK[0] and width in QUICK[1],
        turns=3,
        grid=(f"{layer} {call} {dtype}", n, width),
    )
    for layer, call in CALLS
    for dtype in ("float32", "float64")
    for n in HEIGHTS
    for width in WIDTHS
    if call != "update" or n == 1  # which does not depend on the batch
    if layer != "SoftmaxWithLoss" or width > 1  # one class: the book takes (N,) labels for one-hot rows then
]


@rows(ROWS, "call")
def bench_calls(measure, row, provider):
    measure(expected)
