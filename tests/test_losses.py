"""Losses of numbers and of probabilities: their answers, extremes, shapes and kinds."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loss_runs import ALL, NAMES, all_names, assert_near, batch, dtypes, names, run, torch_or_skip, weights_for, wide
from strategies import FLOAT_DTYPES, LAYOUTS, SOME, assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference

with_options = pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ALL),
        ("SoftmaxWithLoss", {"label_smoothing": 0.1}),
        ("SoftmaxWithLoss", {"label_smoothing": 0.1, "eps": 0}),
        ("Huber", {"delta": 0.3}),
    ],
)


# --- Against the plain layers and PyTorch ------------------------------------------------------------------


@given(st.sampled_from(NAMES), SOME, SOME, FLOAT_DTYPES, st.booleans(), st.integers(0, 999))
def test_they_agree_with_the_reference(name, rows, columns, dtype, weighted, seed):
    x, t = batch(name, (rows, columns), dtype, seed)
    weights = weights_for(rows).astype(dtype) if weighted else None
    loss, dx, y = run(name, x, t, weights)
    expected = run(name, *wide(x, t, weights), library=reference)
    assert dx.dtype == y.dtype == loss.dtype == dtype
    assert_near((loss, dx), expected, dtype, 32)
    assert_within(y, expected[2], 4 * eps(dtype) * np.abs(expected[2]))


@pytest.mark.parametrize("shape", [(1, 20_001), (9000, 1), (9000,), (821, 10), (3, 8193)])
@names
@dtypes
def test_batches_of_several_parts(dtype, name, shape):
    x, t = batch(name, shape, dtype)
    weights = weights_for(shape[0]).astype(dtype)
    assert_near(run(name, x, t, weights), run(name, *wide(x, t, weights), library=reference), dtype, 32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(33, 7), (33, 1), (33,)])
@names
@dtypes
def test_they_agree_with_torch(dtype, name, shape, weighted):
    torch = torch_or_skip()
    of_torch = {
        "BinaryCrossEntropy": torch.nn.functional.binary_cross_entropy,
        "SigmoidWithLoss": torch.nn.functional.binary_cross_entropy_with_logits,
        "MeanSquaredError": torch.nn.functional.mse_loss,
        "MeanAbsoluteError": torch.nn.functional.l1_loss,
        "Huber": torch.nn.functional.huber_loss,
    }
    x, t = batch(name, shape, dtype)
    weights = weights_for(33).astype(dtype) if weighted else np.ones(33, dtype)
    xt = torch.tensor(x, requires_grad=True)
    losses = of_torch[name](xt, torch.tensor(t), reduction="none")
    loss = (losses * torch.tensor(weights.reshape(-1, *[1] * (x.ndim - 1)))).mean()
    loss.backward()
    assert_near(run(name, x, t, weights if weighted else None), (loss.item(), xt.grad.numpy()), dtype, 32)


OF_SKLEARN = {  # a class of sklearn._loss, its arguments, ours, and how many of its losses one of ours is
    "SigmoidWithLoss": ("HalfBinomialLoss", {}, {}, 1),
    "MeanSquaredError": ("HalfSquaredError", {}, {}, 2),
    "MeanAbsoluteError": ("AbsoluteError", {}, {}, 1),
    "Huber": ("HuberLoss", {"delta": 0.75}, {"delta": 0.75}, 1),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OF_SKLEARN)
@dtypes
def test_they_agree_with_scikit_learn(dtype, name, weighted):
    of_sklearn = pytest.importorskip("sklearn._loss.loss")
    theirs, arguments, options, times = OF_SKLEARN[name]
    x, t = batch(name, (500,), dtype)
    weights = weights_for(500).astype(dtype) if weighted else None
    exact = dict(zip(("raw_prediction", "y_true", "sample_weight"), wide(x, t, weights), strict=True))
    losses, slopes = getattr(of_sklearn, theirs)(**arguments).loss_gradient(**exact)
    assert_near(run(name, x, t, weights, **options), (times * losses.mean(), times * slopes / 500), dtype)


@pytest.mark.parametrize("name", ["MeanSquaredError", "MeanAbsoluteError"])
@dtypes
def test_the_loss_is_the_metric_of_that_name(dtype, name):
    metrics = pytest.importorskip("sklearn.metrics")
    metric = {"MeanSquaredError": metrics.mean_squared_error, "MeanAbsoluteError": metrics.mean_absolute_error}[name]
    x, t = batch(name, (33, 7), dtype)
    expected = metric(*wide(t, x))
    assert_within(run(name, x, t)[0], expected, 4 * eps(dtype) * expected)


def test_where_the_corner_of_the_absolute_error_is_its_slope_is_0():
    loss, dx, _ = run("MeanAbsoluteError", [1.0, 2.0, 3.0, 0.0], [1, 3, 1, -0.0])
    assert loss == 3 / 4
    assert (dx * 4).tolist() == [0, -1, 1, 0]


def test_hubers_slope_ends_at_delta():
    loss, dx, _ = run("Huber", [0.5, -0.5, 0.25, 9.0, -9.0, 0.0], np.zeros(6), delta=0.5)
    assert loss * 6 == 2 * 0.125 + 0.03125 + 2 * 0.5 * (9 - 0.25)
    assert_within(dx * 6, [0.5, -0.5, 0.25, 0.5, -0.5, 0], 1e-15)


# --- Gradients ---------------------------------------------------------------------------------------------


@with_options
def test_central_differences_in_a_random_direction(name, options):
    x, t = batch(name)
    if name == "BinaryCrossEntropy":
        x = 0.05 + 0.9 * x
    direction, weights, h = np.random.default_rng(4).standard_normal(x.shape), weights_for(6), 1e-5
    if name == "SoftmaxWithLoss":
        options = options | {"eps": 0}  # the gradient is that of the exact loss
    ends = [run(name, x + step * direction, t, weights, **options)[0] for step in (h, -h)]
    slope = np.sum(run(name, x, t, weights, **options)[1] * direction)
    assert abs(slope - (ends[0] - ends[1]) / (2 * h)) <= 1e-6 * max(1, abs(slope))


@all_names
def test_dout_multiplies_the_gradient(name):
    layer = getattr(fastbp, name)()
    layer.forward(*batch(name))
    assert_same_bits(layer.backward(), layer.backward(dout=1.0))
    assert_within(layer.backward(0.5), layer.backward() / 2, 1e-16)
    with pytest.raises(TypeError, match=r"^dout must be a number, got None"):
        layer.backward(None)


# --- Extremes ----------------------------------------------------------------------------------------------


@dtypes
def test_probabilities_of_exactly_0_and_1(dtype):
    x, t = np.array([0, 1, 0, 1], dtype), np.array([0, 1, 1, 0], dtype)
    loss, dx, y = run("BinaryCrossEntropy", x, t)
    assert loss == 50  # the mean of 0, 0, 100, 100
    np.testing.assert_allclose(dx, np.array([0, 0, -1e12, 1e12]) / 4, rtol=4 * eps(dtype))
    assert_same_bits(y, x)
    torch = torch_or_skip()
    xt = torch.tensor(x, requires_grad=True)
    exact = torch.nn.functional.binary_cross_entropy(xt, torch.tensor(t))
    exact.backward()
    assert exact.item() == 50
    np.testing.assert_allclose(dx, xt.grad.numpy(), rtol=1e-7)  # PyTorch's 1e-12 is a float32 for either dtype


@dtypes
def test_probabilities_next_to_0_and_1_lose_no_accuracy(dtype):
    tiny = np.finfo(dtype).smallest_normal * 4
    x, t = np.array([tiny, 1e-20, 1 - np.finfo(dtype).epsneg], dtype), np.array([0, 0, 1], dtype)
    for i in range(3):
        p = x[i : i + 1]
        exact = -(t[i] * np.log(p.astype(np.longdouble)) + (1 - t[i]) * np.log1p(-p.astype(np.longdouble)))
        assert_within(run("BinaryCrossEntropy", p, t[i : i + 1])[0], exact[0], 4 * eps(dtype) * exact[0])


@dtypes
def test_scores_of_1e4(dtype):
    x, t = np.array([1e4, -1e4, 1e4, -1e4, 0], dtype), np.array([1, 0, 0, 1, 0.5], dtype)
    loss, dx, y = run("SigmoidWithLoss", x, t)
    assert_within(loss, (2e4 + np.log(2)) / 5, 4 * eps(dtype) * 4e3)
    assert_same_bits(y, np.array([1, 0, 1, 0, 0.5], dtype))
    assert_within(dx, np.array([0, 0, 1, -1, 0]) / 5, 2 * eps(dtype))


@dtypes
def test_the_loss_of_a_certain_score_is_small_but_not_0(dtype):
    for score in (20, 40, 80):
        exact = np.log1p(np.exp(np.longdouble(-score)))
        assert_within(run("SigmoidWithLoss", np.array([score], dtype), [1])[0], exact, 4 * eps(dtype) * exact)
        assert_within(run("SigmoidWithLoss", np.array([-score], dtype), [0])[0], exact, 4 * eps(dtype) * exact)


@names
@dtypes
def test_nan_propagates(dtype, name):
    x, t = batch(name, (6, 5), dtype)
    x[2, 3] = np.nan
    loss, dx, _ = run(name, x, t)
    assert np.isnan(loss)
    assert np.argwhere(np.isnan(dx)).tolist() == [[2, 3]]


def test_squares_that_overflow_are_infinite():
    assert run("MeanSquaredError", np.array([1e200]), [0.0])[0] == np.inf


def test_the_books_sum_squared_error_is_half_the_sum():
    x, t = batch("MeanSquaredError")
    layer = fastbp.MeanSquaredError()
    half = x.size / 2
    assert_within(layer.forward(x, t) * half, 0.5 * np.sum((x - t) ** 2), 1e-13)
    assert_within(layer.backward(half), x - t, 1e-14)


@pytest.mark.parametrize(("value", "index"), [(-1e-6, (0, 0)), (1.5, (4, 2)), (-np.inf, (5, 4)), (np.inf, (2, 2))])
def test_probabilities_outside_0_to_1(value, index):
    x, t = batch("BinaryCrossEntropy")
    x[index] = value
    layer = fastbp.BinaryCrossEntropy()
    with pytest.raises(ValueError, match=rf"x\[{index[0]}, {index[1]}\] is .*, outside 0\.\.1"):
        layer.forward(x, t)
    x[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        layer.forward(x, t)
    assert layer.loss is layer.y is layer.t is None


# --- Shapes, kinds, layouts --------------------------------------------------------------------------------


@names
def test_a_column_and_a_vector_go_together(name):
    x, t = batch(name, (6,))
    loss, dx, y = run(name, x, t)
    assert dx.shape == y.shape == (6,)
    for x_shape, t_shape in (((6, 1), (6, 1)), ((6, 1), (6,)), ((6,), (6, 1))):
        got = run(name, x.reshape(x_shape), t.reshape(t_shape))
        assert got[0] == loss
        assert got[1].shape == got[2].shape == x_shape
        assert_same_bits(got[1].reshape(-1), dx)


@pytest.mark.parametrize(
    ("x_shape", "t_shape"),
    [((6, 5), (6,)), ((6, 5), (5, 6)), ((6, 5), (30,)), ((6, 5), (6, 1)), ((6, 1), (1, 6)), ((6,), (5,)), ((6,), ())],
)
@names
def test_targets_of_another_shape_are_never_broadcast(name, x_shape, t_shape):
    layer = getattr(fastbp, name)()
    with pytest.raises(ValueError, match=r"t of shape .* does not fit x of shape"):
        layer.forward(np.full(x_shape, 0.5), np.zeros(t_shape))
    assert layer.loss is layer.y is layer.t is None


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (5, 0), (2, 3, 4)])
@names
def test_x_that_is_no_batch(name, shape):
    with pytest.raises(ValueError, match=r"x must be \(N, K\) or \(N,\)"):
        getattr(fastbp, name)().forward(np.full(shape, 0.5), np.zeros(shape))


@pytest.mark.parametrize("wrong", [np.ones((6, 5), complex), np.ones((6, 5), object), np.full((6, 5), "1")])
@names
def test_arrays_of_a_wrong_kind(name, wrong):
    x, t = batch(name)
    with pytest.raises(TypeError, match="x must hold real numbers"):
        getattr(fastbp, name)().forward(wrong, t)
    with pytest.raises(TypeError, match="t must hold real numbers"):
        getattr(fastbp, name)().forward(x, wrong)


@names
def test_backward_before_forward(name):
    with pytest.raises(RuntimeError, match=f"{name}.backward was called before forward"):
        getattr(fastbp, name)().backward()


@names
@dtypes
def test_the_dtype_is_that_of_x(dtype, name):
    x, t = batch(name, dtype=dtype)
    for kind in (np.float32, np.float64, np.int8, np.bool_):
        loss, dx, y = run(name, x, t.astype(kind))
        assert loss.dtype == dx.dtype == y.dtype == dtype
    loss, dx, y = run(name, np.array([0, 1, 1]), [0, 1, 0])
    assert loss.dtype == dx.dtype == y.dtype == np.float64


@pytest.mark.parametrize("layout", LAYOUTS)
@names
def test_any_layout(name, layout):
    x, t = batch(name)
    weights = LAYOUTS[layout](weights_for(6))
    x, t = LAYOUTS[layout](x), LAYOUTS[layout](t)
    copies = [np.array(a.astype(a.dtype.newbyteorder("=")), order="C") for a in (x, t, weights)]
    for a, b in zip(run(name, x, t, weights), run(name, *copies), strict=True):
        assert_same_bits(a, b)


@all_names
def test_arrays_are_fresh_and_the_callers_untouched(name):
    x, t = batch(name)
    weights = weights_for(6)
    passed = copy.deepcopy((x, t, weights))
    layer = getattr(fastbp, name)()
    layer.forward(x, t, sample_weight=weights)
    first = [layer.y, layer.backward()]
    kept = copy.deepcopy(first)
    np.testing.assert_array_equal(layer.t, t)
    layer.forward(x, t)
    arrays = [*first, layer.y, layer.backward(), x, weights]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
    for array, saved in zip([*first, x, t, weights], [*kept, *passed], strict=True):
        assert_same_bits(array, saved)


@with_options
@dtypes
def test_the_same_bits_for_any_number_of_threads(set_threads, dtype, name, options):
    for shape in ((7000, 10), (9, 9001)):
        x, t = batch(name, shape, dtype)
        answers = []
        for n in (1, 2, 3, 8):
            set_threads(n)
            answers.append([a.tobytes() for a in run(name, x, t, weights_for(shape[0]), **options)])
        assert all(answer == answers[0] for answer in answers)
