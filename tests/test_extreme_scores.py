"""The softmax loss of scores near the largest number of their type: finite wherever its dtype has the answer."""

import numpy as np
import pytest
from strategies import FLOATS, eps

import fastbp

TOP = {np.float32: 3e38, np.float64: 1.7e308}
FORMS = pytest.mark.parametrize("form", ["labels", "rows"])
# Long rows are computed along the row, short ones across.
CLASSES = pytest.mark.parametrize("classes", [3, 40])
DTYPES = pytest.mark.parametrize("dtype", FLOATS)


def scores(dtype, classes, *rows):
    x = np.zeros((len(rows), classes), dtype)
    for n, row in enumerate(rows):
        x[n, : len(row)] = row
    return x


def targets(form, labels, classes, dtype):
    return np.array(labels) if form == "labels" else np.eye(classes, dtype=dtype)[labels]


def losses(x, t, **options):
    """The loss by the layer, and by a compiled step."""
    by_layer = fastbp.SoftmaxWithLoss(**options).forward(x, t)
    net = fastbp.Sequential([fastbp.Affine(np.array(x), None)], fastbp.SoftmaxWithLoss(**options))
    with np.errstate(all="ignore"):
        by_step = net.fit(
            np.eye(len(x), dtype=x.dtype), t, batch_size=len(x), epochs=1, shuffle=False, progress=False,
            optimizer=fastbp.optimizers.SGD(lr=1e-30),
        ).loss[0]  # fmt: skip
    return by_layer, by_step


@FORMS
@CLASSES
@DTYPES
def test_the_exact_loss_of_a_class_far_below(dtype, classes, form):
    top = TOP[dtype]
    x = scores(dtype, classes, [top, 0, -1], [0, 0, 0])
    for loss in losses(x, targets(form, [1, 0], classes, dtype), eps=0):
        assert abs(loss / (top / 2) - 1) < 8 * eps(dtype)


@FORMS
@CLASSES
def test_in_float32_it_is_exact_beyond_the_largest_float32(classes, form):
    x = scores(np.float32, classes, [3e38, -3e38], [0, 0], [0, 0])
    t = targets(form, [1, 0, 0], classes, np.float32)
    for loss in losses(x, t, eps=0):  # the loss of the first row, 6e38, is no float32
        assert abs(loss / 2e38 - 1) < 1e-6
    by_layer, by_step = losses(x[:1], t[:1], eps=0)
    assert by_layer == np.inf
    assert abs(by_step / 6e38 - 1) < 1e-6


@FORMS
@CLASSES
def test_a_mean_is_finite_where_the_sum_is_not(classes, form):
    x = scores(np.float64, classes, [1.7e308, 0], [1.7e308, 0])
    loss = fastbp.SoftmaxWithLoss(eps=0).forward(x, targets(form, [1, 1], classes, np.float64))
    assert abs(loss / 1.7e308 - 1) < 1e-15


@FORMS
@CLASSES
@DTYPES
def test_the_exact_loss_with_label_smoothing(dtype, classes, form):
    top = TOP[dtype]
    x = np.full((1, classes), top, dtype)
    x[0, 1] = 0
    # The part s of the target is spread evenly: class 1, far below, gets s / K.
    for loss in losses(x, targets(form, [0], classes, dtype), eps=0, label_smoothing=0.5):
        assert abs(loss / (0.5 / classes * top) - 1) < 64 * eps(dtype)


@FORMS
@CLASSES
@DTYPES
def test_the_books_loss_is_finite_however_far_scores_are_apart(dtype, classes, form):
    top = TOP[dtype]
    x = scores(dtype, classes, [top, -top], [-top, top])
    for loss in losses(x, targets(form, [1, 1], classes, dtype)):
        assert abs(loss + np.log(1e-7) / 2) < 1e-6


def test_what_is_further_apart_than_the_largest_float64_costs_infinity():
    layer = fastbp.SoftmaxWithLoss(eps=0)
    assert layer.forward(np.array([[1.7e308, -1.7e308]]), [1]) == np.inf
    np.testing.assert_array_equal(layer.backward(), [[1, -1]])
