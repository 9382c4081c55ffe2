"""BinaryCrossEntropy, SigmoidWithLoss, MeanSquaredError; label smoothing and sample weights of SoftmaxWithLoss."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FLOAT_DTYPES, FLOATS, LAYOUTS, SOME, assert_same_bits, assert_within, eps

import fastbp
from fastbp import reference

NAMES = ("BinaryCrossEntropy", "SigmoidWithLoss", "MeanSquaredError")
ALL = (*NAMES, "SoftmaxWithLoss")
names = pytest.mark.parametrize("name", NAMES)
all_names = pytest.mark.parametrize("name", ALL)
with_options = pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ALL),
        ("SoftmaxWithLoss", {"label_smoothing": 0.1}),
        ("SoftmaxWithLoss", {"label_smoothing": 0.1, "eps": 0}),
    ],
)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def batch(name, shape=(6, 5), dtype=np.float64, seed=0):
    """Predictions for a loss, and targets for them; ``shape`` of one number is (N,)."""
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    if name == "BinaryCrossEntropy":
        x = reference.sigmoid(x)
    if name == "SoftmaxWithLoss":
        return x, rng.integers(0, shape[1], shape[0])
    t = rng.random(shape) if name != "MeanSquaredError" else rng.standard_normal(shape)
    return x, t.astype(dtype)


def weights_for(n, seed=3):
    weights = np.random.default_rng(seed).exponential(size=n)
    weights[n // 2] = 0
    return weights


def run(name, x, t, sample_weight=None, library=fastbp, **options):
    layer = getattr(library, name)(**options)
    return layer.forward(x, t, sample_weight=sample_weight), layer.backward(), layer.y


def wide(*arrays):
    return [None if a is None else np.asarray(a, np.float64) for a in arrays]


def torch_or_skip():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        return pytest.importorskip("torch")


def assert_near(got, expected, dtype, factor=16):
    """A loss and its gradient, to ``factor`` eps of the largest number in either."""
    for a, b in zip(got[:2], expected[:2], strict=True):
        assert_within(a, b, factor * eps(dtype) * max(np.max(np.abs(b)), 1e-30))


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
    }
    x, t = batch(name, shape, dtype)
    weights = weights_for(33).astype(dtype) if weighted else np.ones(33, dtype)
    xt = torch.tensor(x, requires_grad=True)
    losses = of_torch[name](xt, torch.tensor(t), reduction="none")
    loss = (losses * torch.tensor(weights.reshape(-1, *[1] * (x.ndim - 1)))).mean()
    loss.backward()
    assert_near(run(name, x, t, weights if weighted else None), (loss.item(), xt.grad.numpy()), dtype, 32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("form", ["labels", "one-hot", "soft"])
@dtypes
def test_label_smoothing_agrees_with_torch(dtype, form, smoothing):
    torch = torch_or_skip()
    x, labels = batch("SoftmaxWithLoss", (33, 10), dtype)
    t = {"labels": labels, "one-hot": np.eye(10)[labels], "soft": np.random.default_rng(1).dirichlet(np.ones(10), 33)}
    xt, weights = torch.tensor(x.astype(np.float64), requires_grad=True), weights_for(33)
    target = torch.tensor(t[form])
    losses = torch.nn.functional.cross_entropy(xt, target, reduction="none", label_smoothing=smoothing)
    loss = (losses * torch.tensor(weights)).mean()
    loss.backward()
    got = run("SoftmaxWithLoss", x, t[form], weights, eps=0, label_smoothing=smoothing)
    assert_near(got, (loss.item(), xt.grad.numpy()), dtype, 64)


# --- Softmax: smoothing and weights ------------------------------------------------------------------------


@given(
    SOME.filter(lambda n: n > 1),
    SOME,
    FLOAT_DTYPES,
    st.sampled_from([0, 1e-7, 1e-3]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from(["labels", "one-hot", "soft"]),
    st.booleans(),
)
def test_smoothing_and_weights_agree_with_the_reference(classes, rows, dtype, offset, smoothing, form, weighted):
    x, t = batch("SoftmaxWithLoss", (rows, classes), dtype)
    if form != "labels":
        soft = np.random.default_rng(1).dirichlet(np.ones(classes), rows)
        t = (np.eye(classes)[t] if form == "one-hot" else soft).astype(dtype)
    weights = weights_for(rows).astype(dtype) if weighted else None
    options = {"eps": offset, "label_smoothing": smoothing}
    got = run("SoftmaxWithLoss", x, t, weights, **options)
    exact_t = t if form == "labels" else t.astype(np.float64)
    expected = run("SoftmaxWithLoss", *wide(x), exact_t, *wide(weights), library=reference, **options)
    assert_near(got, expected, dtype, 64)


def test_labels_and_their_one_hot_rows_are_smoothed_alike():
    x, t = batch("SoftmaxWithLoss")
    for offset in (0, 1e-7):
        a = run("SoftmaxWithLoss", x, t, eps=offset, label_smoothing=0.2)
        b = run("SoftmaxWithLoss", x, np.eye(5)[t], eps=offset, label_smoothing=0.2)
        assert_near(a, b, np.float64)


def test_no_smoothing_and_weights_of_1_change_no_bit():
    x, t = batch("SoftmaxWithLoss")
    expected = run("SoftmaxWithLoss", x, t)
    for got in (run("SoftmaxWithLoss", x, t, np.ones(6)), run("SoftmaxWithLoss", x, t, label_smoothing=0)):
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)


def test_smoothing_stays_exact_for_scores_of_1e4():
    loss, dx, _ = run("SoftmaxWithLoss", np.array([[1e4, -1e4]]), [0], eps=0, label_smoothing=0.1)
    assert_within(loss, 0.05 * 2e4, 1e-11)
    assert_within(dx, np.array([[0.05, -0.05]]), 4 * eps(np.float64))


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, np.nan])
def test_a_smoothing_outside_0_to_1(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be a finite number in 0\.\.1"):
        fastbp.SoftmaxWithLoss(label_smoothing=smoothing)


# --- Weights -----------------------------------------------------------------------------------------------


@all_names
def test_weights_multiply_each_samples_loss_and_the_divisor_stays_N(name):
    x, t = batch(name)
    weights = weights_for(6)
    losses = [run(name, x[n : n + 1], t[n : n + 1])[0] for n in range(6)]
    loss, dx, _ = run(name, x, t, weights)
    assert_within(loss, np.sum(weights * losses) / 6, 32 * eps(np.float64) * loss)
    assert_within(dx, weights[:, None] * run(name, x, t)[1], 8 * eps(np.float64) * np.abs(dx).max())
    assert not dx[3].any()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1, -1, 1, 1, 1], r"sample_weight\[2\] is -1"),
        ([1, 1, 1, 1, 1, np.nan], r"sample_weight\[5\] is nan"),
        ([np.inf, 1, 1, 1, 1, 1], r"sample_weight\[0\] is inf"),
        (np.ones(5), r"sample_weight must hold one number for each of the 6 samples, got shape \(5,\)"),
        (np.ones((6, 1)), r"got shape \(6, 1\)"),
        (1.0, r"got shape \(\)"),
    ],
)
@all_names
def test_weights_that_do_not_fit(name, weights, message):
    x, t = batch(name)
    layer = getattr(fastbp, name)()
    with pytest.raises(ValueError, match=message):
        layer.forward(x, t, sample_weight=weights)
    assert layer.loss is layer.y is layer.t is None


@all_names
def test_weights_of_a_wrong_kind_or_too_large_for_the_dtype(name):
    x, t = batch(name)
    with pytest.raises(TypeError, match="sample_weight must hold real numbers"):
        getattr(fastbp, name)().forward(x, t, sample_weight=np.ones(6, complex))
    with pytest.raises(ValueError, match=r"sample_weight\[0\] is 1e\+300"):
        getattr(fastbp, name)().forward(x.astype(np.float32), t, sample_weight=np.full(6, 1e300))


@all_names
def test_integer_and_boolean_weights(name):
    x, t = batch(name)
    for weights in ([0, 1, 2, 3, 4, 5], np.array([True, False] * 3), np.arange(6, dtype=np.uint8)):
        assert_same_bits(run(name, x, t, weights)[1], run(name, x, t, np.asarray(weights, np.float64))[1])


# --- Gradients ---------------------------------------------------------------------------------------------


@with_options
def test_central_differences_in_a_random_direction(name, options):
    x, t = batch(name)
    if name == "BinaryCrossEntropy":
        x = 0.05 + 0.9 * x
    direction, weights, h = np.random.default_rng(4).standard_normal(x.shape), weights_for(6), 1e-5
    options = options | {"eps": 0} if name == "SoftmaxWithLoss" else {}  # the gradient is that of the exact loss
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
def test_the_same_bits_for_any_number_of_threads(dtype, name, options):
    before = fastbp.get_num_threads()
    try:
        for shape in ((7000, 10), (9, 9001)):
            x, t = batch(name, shape, dtype)
            answers = []
            for n in (1, 2, 3, 8):
                fastbp.set_num_threads(n)
                answers.append([a.tobytes() for a in run(name, x, t, weights_for(shape[0]), **options)])
            assert all(answer == answers[0] for answer in answers)
    finally:
        fastbp.set_num_threads(before)
