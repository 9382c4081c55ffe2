"""``Sequential.step``: single steps on mini-batches that come from outside."""

import copy
import pickle

import numpy as np
import pytest

import fastbp
from fastbp.optimizers import Adam, Momentum

SIZES = [6, 9, 4]


def batches(n=5, rows=8, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((rows, 6)).astype(dtype), rng.integers(0, 4, rows)) for _ in range(n)]


def flat(net):
    return np.concatenate([p.ravel() for p in net.params.values()])


@pytest.mark.parametrize("optimizer", ["sgd", Momentum(lr=0.1), Adam(lr=0.01)], ids=str)
def test_steps_train_to_the_same_bits_as_fit(optimizer):
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    data = batches()
    losses = [net.step(x, t, optimizer) for x, t in data]
    x, t = (np.concatenate(parts) for parts in zip(*data, strict=True))
    history = other.fit(x, t, batch_size=8, shuffle=False, optimizer=optimizer, progress=False)
    np.testing.assert_array_equal(flat(net), flat(other))
    assert history.loss[0] == pytest.approx(np.mean(losses), rel=1e-12)


def test_a_step_returns_the_loss_before_it():
    net = fastbp.mlp(SIZES, seed=0, dtype=np.float64)
    x, t = batches(1, dtype=np.float64)[0]
    before = float(net.loss(x, t))
    assert net.step(x, t) == pytest.approx(before, rel=1e-14)
    assert float(net.loss(x, t)) < before


def test_batch_sizes_and_kinds_of_targets_may_change_and_the_state_stays():
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    rows = np.eye(4, dtype=np.float32)[t]
    rule = Adam(lr=0.01)
    for n in (8, 3, 8, 1):
        net.step(x[:n], t[:n], rule)
        other.step(x[:n], rows[:n], rule)
    np.testing.assert_allclose(flat(net), flat(other), rtol=1e-5, atol=1e-6)
    assert net._stepper.steps == 4


def test_another_optimizer_starts_afresh():
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    net.step(x, t, Adam(lr=0.01))
    net.step(x, t, "adam")
    assert net._stepper.steps == 1


def test_a_float64_or_integer_batch_is_converted_and_not_written():
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    x = np.round(x * 10)
    wide, small = x.astype(np.float64), x.astype(np.int8)
    wide.flags.writeable = False
    assert net.step(wide, t.astype(np.uint8)) == other.step(small, t)
    np.testing.assert_array_equal(flat(net), flat(other))


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_steps_on_its_own(clone):
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    net.step(x, t)
    twin, before = clone(net), flat(net)
    twin.step(x, t)
    np.testing.assert_array_equal(flat(net), before)
    net.step(x, t)
    np.testing.assert_array_equal(flat(net), flat(twin))


def test_steps_see_what_is_written_into_the_parameters():
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    net.step(x, t)
    for p in net.params.values():
        p[...] = 0
    assert net.step(x, t) == pytest.approx(np.log(4), rel=1e-6)


@pytest.mark.parametrize(
    ("x", "t", "error", "match"),
    [
        (np.ones((8, 5)), np.zeros(8, int), ValueError, r"^x must be \(N, 6\), .* got shape \(8, 5\)"),
        (np.ones(6), np.zeros(1, int), ValueError, r"^x must be \(N, 6\), .* got shape \(6,\)"),
        (np.ones((0, 6)), np.zeros(0, int), ValueError, r"^x must be \(N, 6\), .* got shape \(0, 6\)"),
        (np.ones((8, 6)), np.zeros(7, int), ValueError, "^t .*7"),
        (np.ones((8, 6)), np.full(8, 4), ValueError, r"^t\[0\] is 4, outside 0\.\.3"),
        (np.ones((8, 6), complex), np.zeros(8, int), TypeError, "^x must hold real numbers"),
    ],
)
def test_bad_batches_change_nothing(x, t, error, match):
    net = fastbp.mlp(SIZES, seed=0)
    before = flat(net)
    with pytest.raises(error, match=match):
        net.step(x, t)
    np.testing.assert_array_equal(flat(net), before)


def test_a_loss_that_is_not_finite_updates_nothing():
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    before = flat(net)
    with pytest.raises(FloatingPointError, match="in step 1"):
        net.step(np.full_like(x, np.nan), t)
    np.testing.assert_array_equal(flat(net), before)
    net.step(x, t)
    assert np.isfinite(flat(net)).all()


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_out_of_range_is_an_error_at_a_later_step_too_and_changes_nothing(label):
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1)[0]
    net.step(x, t)
    before, wrong = flat(net), t.copy()
    wrong[3] = label
    with pytest.raises(ValueError, match=rf"t\[3\] is {label}, outside 0..3"):
        net.step(x, wrong)
    np.testing.assert_array_equal(flat(net), before)


def test_views_and_read_only_arrays_take_the_same_steps():
    nets = [fastbp.mlp(SIZES, seed=0) for _ in range(4)]
    x, t = batches(1)[0]
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    locked = x.copy()
    locked.flags.writeable = False
    for _ in range(3):
        losses = [net.step(a, t) for net, a in zip(nets, (x, wide, locked, np.asfortranarray(x)), strict=True)]
        assert len(set(losses)) == 1
    for net in nets[1:]:
        np.testing.assert_array_equal(flat(net), flat(nets[0]))


@pytest.mark.parametrize("form", ["as it is", "read-only", "columns first", "every other row"])
def test_long_samples_are_read_where_they_lie_to_the_same_bits(form):
    net, other = fastbp.mlp([100, 30, 4], seed=0), fastbp.mlp([100, 30, 4], seed=0)
    rng = np.random.default_rng(0)
    for _ in range(4):
        x, t = rng.standard_normal((200, 100), dtype=np.float32), rng.integers(0, 4, 200)
        given = {"columns first": np.asfortranarray(x), "every other row": np.repeat(x, 2, axis=0)[::2]}.get(form, x)
        given.flags.writeable = form != "read-only"
        assert net.step(given, t) == other.step(x.tolist(), t)
        assert given.tobytes() == x.tobytes()
    copied = np.array_equal(net._stepper._batch.x, x)
    assert copied == (form != "as it is")
    np.testing.assert_array_equal(flat(net), flat(other))


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist])
def test_a_number_that_the_networks_type_cannot_hold_is_named_as_it_came(form):
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batches(1, dtype=np.float64)[0]
    x[3, 2] = 1e300
    with pytest.raises(FloatingPointError, match=r"in step 1; x\[3, 2\] is 1e\+300, too large for float32; nothing"):
        net.step(form(x), t)


def test_so_is_one_that_the_scale_makes_too_large_at_each_step():
    net = fastbp.mlp(SIZES, seed=0)
    net.scale = 1e38
    x, t = np.full((8, 6), 200, np.float32), batches(1)[0][1]
    for _ in range(3):
        with pytest.raises(FloatingPointError, match=r"x\[0, 0\] is 200\.0, too large for float32; nothing was"):
            net.step(x, t)


def test_so_is_one_to_which_no_unit_answers_and_that_the_gradient_meets():
    net = fastbp.mlp(SIZES, seed=0)
    net.params["W1"][...] = -1
    x, t = np.zeros((8, 6)), batches(1)[0][1]
    x[3, 2] = 1e300
    with pytest.raises(FloatingPointError, match=r"parameters that are not finite; x\[3, 2\] is 1e\+300, too large"):
        net.step(x, t)


def test_a_number_that_is_not_finite_is_found_in_long_samples():
    net = fastbp.mlp([100, 9, 4], seed=0)
    x, t = np.ones((200, 100), np.float32), np.zeros(200, int)
    net.step(x, t)
    bad = x.copy()
    bad[3, 5] = np.nan
    with pytest.raises(FloatingPointError, match=r"step 2; x\[3, 5\] is nan; nothing was updated"):
        net.step(bad, t)
    assert net.step(x, t) > 0
