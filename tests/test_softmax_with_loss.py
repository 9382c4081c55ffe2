"""SoftmaxWithLoss, to the quirk: the loss of a batch against classes, one-hot rows or distributions."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    FLOAT_DTYPES,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    SOME,
    assert_same_bits,
    assert_within,
    contiguous,
    eps,
    normal,
)

import fastbp
from fastbp import reference


def batch(rows=6, classes=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return (3 * rng.standard_normal((rows, classes))).astype(dtype), rng.integers(0, classes, rows)


def run(x, t, **options):
    layer = fastbp.SoftmaxWithLoss(**options)
    return layer.forward(x, t), layer.backward(), layer.y


def assert_same_run(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


# --- The book's figures and conventions -------------------------------------------------------------------


def test_the_loss_of_the_books_single_sample():
    loss, dx, y = run(np.array([1, 8, 3]), np.array([0, 1, 0]))
    # The log is of a number near 1 with an eps of error: an absolute error of a few eps.
    assert abs(loss - 0.007620616629495912) <= 4 * eps(np.float64)
    np.testing.assert_array_equal(np.round(dx, 8), [0.00030165, -0.00253058, 0.00222893])
    assert y.dtype == dx.dtype == np.float64


def test_lists_are_taken_as_arrays():
    assert_same_run(run([1, 8, 3], [0, 1, 0]), run(np.array([1, 8, 3]), np.array([0, 1, 0])))


def test_dx_of_a_single_one_hot_sample_is_divided_by_the_number_of_classes():
    _, dx, y = run(np.array([0.5, 2.0, -1.0, 0.0]), np.array([0, 0, 1, 0]))
    assert_within(dx, (y - [0, 0, 1, 0]) / 4, 2 * eps(np.float64))


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_dx_of_a_batch_is_divided_by_its_number_of_rows(rows):
    x, t = batch(rows)
    _, dx, y = run(x, t)
    assert_within(dx, (y - np.eye(5)[t]) / rows, 2 * eps(np.float64))


def test_the_loss_is_averaged_over_the_batch():
    x, t = batch()
    losses = [run(x[i : i + 1], t[i : i + 1])[0] for i in range(len(x))]
    assert_within(run(x, t)[0], np.mean(losses), 8 * eps(np.float64) * np.mean(losses))


def test_the_loss_of_a_single_sample_is_that_of_a_batch_of_one_row():
    x, t = batch(1)
    one_hot = np.eye(5)[t]
    assert_within(run(x[0], one_hot[0])[0], run(x, one_hot)[0], 4 * eps(np.float64))
    assert_within(run(x[0], t)[0], run(x, t)[0], 4 * eps(np.float64))


def test_the_batch_divisor_is_documented():
    text = f"{fastbp.SoftmaxWithLoss.__doc__} {fastbp.SoftmaxWithLoss.backward.__doc__}"
    assert "t.shape[0]" in text or "len(t)" in text


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_is_taken_of_y_plus_1e_7_by_default(dtype):
    impossible = np.array([[0, 1e4]], dtype)
    assert_within(run(impossible, [0])[0], -np.log(1e-7), 32 * eps(dtype))
    certain, _, _ = run(np.array([[0, 1e4]]), [1])
    assert_within(certain, -np.log1p(1e-7), 2 * eps(np.float64))


def test_eps_may_be_any_other_number():
    assert_within(run(np.array([[0, 1e4]]), [0], eps=1e-3)[0], -np.log(1e-3), 32 * eps(np.float64))


def test_attributes_are_none_then_the_loss_the_probabilities_and_the_targets():
    layer = fastbp.SoftmaxWithLoss()
    assert layer.loss is layer.y is layer.t is None
    x, t = batch()
    loss = layer.forward(x, t)
    assert layer.loss == loss
    assert np.ndim(loss) == 0
    assert isinstance(loss, (float, np.floating))
    np.testing.assert_array_equal(layer.t, t)
    assert layer.y.shape == x.shape
    assert_within(layer.y.sum(axis=1), np.ones(6), 8 * eps(np.float64))
    one_hot = np.eye(5)[t]
    layer.forward(x, one_hot)
    np.testing.assert_array_equal(layer.t, one_hot)


def test_backward_takes_dout_1_by_default():
    layer = fastbp.SoftmaxWithLoss()
    layer.forward(*batch())
    assert_same_bits(layer.backward(), layer.backward(1))
    assert_same_bits(layer.backward(), layer.backward(dout=1.0))


# --- Targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_labels_of_any_type_that_holds_integers(dtype):
    x, t = batch()
    assert_same_run(run(x, t.astype(dtype)), run(x, t))


def test_the_label_that_is_none_is_named():
    x, t = batch()
    with pytest.raises(ValueError, match=r"^t\[2\] is 0\.5, no class label: an integer in 0\.\.4$"):
        run(x, np.where(np.arange(6) == 2, 0.5, t))


def test_a_row_of_shares_for_a_single_sample():
    x, t = np.array([0.5, 2.0, 1.0]), np.array([0.0, 0.75, 0.25])
    assert run(x, t[None])[0] == run(x, t)[0]


def test_targets_that_are_set_afterwards_may_be_any_numbers_as_in_the_book():
    x, t = batch()
    layer = fastbp.SoftmaxWithLoss()
    layer.forward(x, np.eye(5)[t])
    layer.t = np.eye(5)[t] - 0.5
    assert_within(layer.backward(), (layer.y - layer.t) / 6, 4 * eps(np.float64))


def test_labels_as_a_list():
    x, t = batch()
    assert_same_run(run(x, t.tolist()), run(x, t))


@pytest.mark.parametrize("one_hot", [True, False])
def test_targets_may_be_read_only_and_are_left_as_they_were(one_hot):
    x, t = batch()
    t = np.eye(5)[t] if one_hot else t
    frozen = t.copy()
    frozen.flags.writeable = False
    assert_same_run(run(x, frozen), run(x, t))


def test_a_label_of_shape_1_1_for_a_batch_of_one():
    x, _ = batch(1)
    for k in range(5):
        assert_same_run(run(x, np.array([[k]])), run(x, np.array([k])))


def test_labels_in_a_column_are_never_broadcast_to_a_square():
    x, t = batch()
    with pytest.raises(ValueError, match=r"t of shape \(6, 1\) does not fit x of shape \(6, 5\)"):
        run(x, t[:, None])


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, np.bool_])
def test_one_hot_rows_give_what_their_classes_give(dtype):
    x, t = batch()
    got, expected = run(x, np.eye(5)[t].astype(dtype)), run(x, t)
    for a, b in zip(got, expected, strict=True):
        assert_within(a, b, 4 * eps(np.float64) * max(1, np.max(np.abs(b))))


def test_integers_are_one_hot_when_t_has_as_many_entries_as_y():
    x = np.array([[0.0, 1.0], [2.0, 0.0]])
    t = np.array([[0, 1], [1, 0]])
    assert_within(run(x, t)[0], run(x, [1, 0])[0], 4 * eps(np.float64))


@pytest.mark.parametrize("eps_of_layer", [0, 1e-7])
def test_soft_distributions_weigh_the_log_of_every_class(eps_of_layer):
    x, _ = batch()
    t = np.random.default_rng(1).dirichlet(np.ones(5), 6)
    loss, dx, y = run(x, t, eps=eps_of_layer)
    expected = -np.sum(t * np.log(y + eps_of_layer)) / 6
    assert_within(loss, expected, 32 * eps(np.float64) * expected)
    assert_within(dx, (y - t) / 6, 2 * eps(np.float64))


# --- Accuracy ---------------------------------------------------------------------------------------------


@st.composite
def problems(draw):
    rows, classes, dtype = draw(SOME), draw(SOME.filter(lambda k: k > 1)), draw(FLOAT_DTYPES)
    x = draw(normal((rows, classes), dtype, scale=draw(st.sampled_from([1, 10]))))
    return x, np.random.default_rng(draw(st.integers(0, 999))).integers(0, classes, rows)


def rounding(x):
    """Half an eps of score - maximum in rounding it, K eps in the sum, a few in exp, log and division."""
    return eps(x.dtype) * (16 + x.shape[1] + np.ptp(x, axis=1, keepdims=True))


@given(problems(), st.booleans())
def test_it_agrees_with_the_reference(problem, one_hot):
    x, t = problem
    targets = np.eye(x.shape[1], dtype=x.dtype)[t] if one_hot else t
    loss, dx, y = run(x, targets)
    plain = reference.SoftmaxWithLoss()
    exact = plain.forward(x.astype(np.float64), targets)
    assert y.dtype == dx.dtype == x.dtype
    unit = 2 * rounding(x)  # the reference in float64 rounds as well
    assert_within(y, plain.y, unit * plain.y)
    assert_within(dx, plain.backward(), (unit * plain.y + 4 * eps(x.dtype)) / len(x))
    assert_within(loss, exact, unit.max() * max(1, exact))


@given(problems())
def test_eps_0_is_the_exact_log_sum_exp(problem):
    x, t = problem
    loss, _, _ = run(x, t, eps=0)
    wide = x.astype(np.longdouble)
    top = wide.max(axis=1)
    exact = np.mean(np.log(np.exp(wide - top[:, None]).sum(axis=1)) + top - wide[np.arange(len(x)), t])
    assert_within(loss, exact, rounding(x).max() * max(1, exact))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("one_hot", [True, False])
def test_eps_0_stays_exact_for_scores_of_1e4(one_hot, dtype):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    t = np.array([1, 2])
    loss, dx, y = run(x, np.eye(3, dtype=dtype)[t] if one_hot else t, eps=0)
    assert_within(loss, (2e4 + np.log(3)) / 2, 16 * eps(dtype) * 1e4)
    third = 1 / 3
    assert_within(y, np.array([[1, 0, 0], [third] * 3]), 4 * eps(dtype))
    assert_within(dx, np.array([[1, -1, 0], [third, third, third - 1]]) / 2, 4 * eps(dtype))


@pytest.mark.parametrize("eps_of_layer", [0, 1e-7])
@pytest.mark.parametrize("form", ["labels", "one-hot", "soft"])
def test_scores_of_minus_infinity_are_classes_of_probability_0(form, eps_of_layer):
    x = np.array([[-np.inf, 0, 0], [1, -np.inf, 1]])
    t = {"labels": [1, 2], "one-hot": np.eye(3)[[1, 2]], "soft": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5]])}[form]
    loss, dx, y = run(x, t, eps=eps_of_layer)
    assert_within(loss, -np.log(0.5 + eps_of_layer), 8 * eps(np.float64))
    assert_within(y, np.array([[0, 0.5, 0.5], [0.5, 0, 0.5]]), 2 * eps(np.float64))
    dense = np.eye(3)[t] if form == "labels" else t
    assert_within(dx, (y - dense) / 2, 2 * eps(np.float64))


def test_a_class_of_probability_0_costs_infinity_only_with_eps_0():
    x = np.array([[-np.inf, 0.0]])
    assert run(x, [0], eps=0)[0] == np.inf
    assert_within(run(x, [0])[0], -np.log(1e-7), 32 * eps(np.float64))


@pytest.mark.parametrize("form", ["labels", "soft"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_it_agrees_with_torch(dtype, form):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's import says is not ours
        torch = pytest.importorskip("torch")
    x, t = batch(33, 10, dtype)
    t = t if form == "labels" else np.random.default_rng(2).dirichlet(np.ones(10), 33)
    scores = torch.tensor(x.astype(np.float64), requires_grad=True)
    exact = torch.nn.functional.cross_entropy(scores, torch.tensor(t))
    exact.backward()
    loss, dx, _ = run(x, t, eps=0)
    unit = 2 * rounding(x).max()
    assert_within(loss, exact.detach().numpy(), unit * max(1, exact.item()))
    assert_within(dx, scores.grad.numpy(), unit / 33)


@pytest.mark.parametrize("form", ["labels", "soft"])
def test_dx_agrees_with_central_differences(form):
    x, t = batch()
    t = t if form == "labels" else np.random.default_rng(2).dirichlet(np.ones(5), 6)
    direction = np.random.default_rng(3).standard_normal(x.shape)
    h = np.cbrt(eps(np.float64))
    numeric = (run(x + h * direction, t, eps=0)[0] - run(x - h * direction, t, eps=0)[0]) / (2 * h)
    # A central difference errs by about h**2, in truncation and in rounding alike.
    assert abs(np.sum(run(x, t, eps=0)[1] * direction) - numeric) <= 100 * h**2


# --- Dtypes, layouts, memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*INTEGERS, np.bool_])
def test_integer_and_bool_scores(dtype):
    x, t = np.array([[0, 1, 1], [1, 0, 0]]).astype(dtype), [2, 1]
    loss, dx, y = run(x, t)
    if x.dtype.itemsize >= 4:  # NumPy's exp of a smaller integer is a smaller float
        assert dx.dtype == y.dtype == np.float64
    exact = run(x.astype(np.float64), t)
    for got, expected in zip((loss, dx, y), exact, strict=True):
        assert_within(got, expected, 8 * eps(y.dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("t_dtype", [None, np.bool_, np.uint8, np.float32])
def test_float32_stays_float32_and_float64_stays_float64(dtype, t_dtype):
    x, t = batch(dtype=dtype)
    _, dx, y = run(x, t if t_dtype is None else np.eye(5)[t].astype(t_dtype))
    assert dx.dtype == y.dtype == dtype


@pytest.mark.parametrize("form", ["labels", "one-hot"])
@pytest.mark.parametrize("layout", LAYOUTS)
@given(problem=problems())
def test_scores_and_targets_of_any_layout_give_the_bits_of_a_contiguous_copy(layout, form, problem):
    x, t = problem
    t = t if form == "labels" else np.eye(x.shape[1], dtype=x.dtype)[t]
    x, t = LAYOUTS[layout](x), LAYOUTS[layout](t)
    assert_same_run(run(x, t), run(contiguous(x), contiguous(t)))


@pytest.mark.parametrize("one_hot", [True, False])
def test_the_callers_arrays_are_never_written(one_hot):
    x, t = batch()
    t = np.eye(5)[t] if one_hot else t
    before = x.copy(), t.copy()
    run(x, t)
    assert_same_bits(x, before[0])
    assert_same_bits(t, before[1])


@pytest.mark.parametrize("one_hot", [True, False])
def test_every_call_returns_fresh_arrays(one_hot):
    x, t = batch()
    t = np.eye(5)[t] if one_hot else t
    layer = fastbp.SoftmaxWithLoss()
    layer.forward(x, t)
    first = [layer.y, layer.backward(), layer.backward()]
    kept = copy.deepcopy(first)
    assert_same_bits(first[1], first[2])
    layer.forward(-x, t)
    arrays = [*first, layer.y, layer.backward(), x, t]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
    for array, saved in zip(first, kept, strict=True):
        assert_same_bits(array, saved)


def test_batch_size_and_number_of_classes_may_change_from_call_to_call():
    layer = fastbp.SoftmaxWithLoss()
    for rows, classes in ((3, 5), (1, 5), (9, 2), (2, 17)):
        x, t = batch(rows, classes)
        assert_same_run((layer.forward(x, t), layer.backward(), layer.y), run(x, t))
