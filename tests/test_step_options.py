"""``Sequential.step``: weights of samples, clipping, the seed of dropout, and what it does not leave behind."""

import numpy as np
import pytest

import fastbp
from fastbp.optimizers import SGD, Adam, Momentum
from fastbp.training._stepper import MOST_BATCHES

SIZES = [6, 9, 4]


def batch(rows=8):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, 6)).astype(np.float32), rng.integers(0, 4, rows)


def flat(net):
    return np.concatenate([p.ravel() for p in net.params.values()])


def with_dropout(seed=None):
    layers = [*fastbp.mlp(SIZES, seed=0).layers.values()]
    return fastbp.Sequential([*layers[:2], fastbp.Dropout(0.5, seed), layers[2]])


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Momentum(lr=0.1), Adam(lr=0.01)], ids=str)
@pytest.mark.parametrize("options", [{"weighted": True}, {"clip_norm": 1e-3}, {"weighted": True, "clip_norm": 0.1}])
def test_weights_and_clipping_are_those_of_fit(optimizer, options):
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batch()
    given = {"clip_norm": options.get("clip_norm")}
    if "weighted" in options:
        given["sample_weight"] = np.linspace(0, 2, len(x))
    losses = [net.step(x, t, optimizer, **given) for _ in range(3)]
    history = other.fit(x, t, batch_size=8, epochs=3, shuffle=False, optimizer=optimizer, progress=False, **given)
    np.testing.assert_array_equal(flat(net), flat(other))
    np.testing.assert_allclose(losses, history.loss, rtol=1e-12)


def test_a_schedule_sets_the_rate_of_each_step():
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batch()
    schedule = SGD(lr=lambda step, epoch: 0.1 / (1 + step))
    for _ in range(3):
        net.step(x, t, schedule)
    other.fit(x, t, batch_size=8, epochs=3, shuffle=False, optimizer=schedule, progress=False)
    np.testing.assert_array_equal(flat(net), flat(other))


def test_a_step_without_weights_after_one_with_them_has_none():
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batch()
    net.step(x, t, sample_weight=np.zeros(8), clip_norm=1e-6)
    assert net.step(x, t) == other.step(x, t)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip_norm": 0}, ValueError, "clip_norm must be a finite number above 0, got 0"),
        ({"clip_norm": "1"}, TypeError, "clip_norm must be a finite number above 0, got '1'"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0, got -1"),
        ({"seed": 0.5}, TypeError, "seed must be an integer of at least 0, got 0.5"),
        ({"sample_weight": np.ones(7)}, ValueError, "sample_weight must hold one number for each of the 8 samples"),
        ({"sample_weight": -np.ones(8)}, ValueError, r"sample_weight\[0\] is -1.0"),
    ],
)
def test_options_out_of_range_are_named_and_change_nothing(options, error, message):
    net = fastbp.mlp(SIZES, seed=0)
    before = flat(net)
    with pytest.raises(error, match=message):
        net.step(*batch(), **options)
    np.testing.assert_array_equal(flat(net), before)


# ---- Dropout ----


def test_a_seed_makes_the_steps_of_dropout_those_of_fit_and_of_another_time():
    x, t = batch()
    nets = [with_dropout() for _ in range(4)]
    for _ in range(3):
        nets[0].step(x, t, seed=5)
    nets[1].step(x, t, seed=5)
    for _ in range(2):
        nets[1].step(x, t)
    for _ in range(3):
        nets[2].step(x, t, seed=6)
    nets[3].fit(x, t, epochs=3, batch_size=8, shuffle=False, seed=5, progress=False)
    np.testing.assert_array_equal(flat(nets[1]), flat(nets[0]))
    np.testing.assert_array_equal(flat(nets[3]), flat(nets[0]))
    assert (flat(nets[2]) != flat(nets[0])).any()


def test_a_layer_with_a_seed_of_its_own_keeps_its_stream_in_step_and_fit_as_layer_by_layer():
    x, t = batch()
    nets = [with_dropout(seed=7) for _ in range(4)]
    optimizer = SGD(lr=0.1)
    for n in range(3):
        nets[0].step(x, t, optimizer, seed=n)
        optimizer.update(nets[1].params, nets[1].gradient(x, t))
    nets[2].fit(x, t, epochs=3, batch_size=8, shuffle=False, seed=11, optimizer=optimizer, progress=False)
    nets[3].fit(x, t, epochs=3, batch_size=8, shuffle=False, seed=12, optimizer=optimizer, progress=False)
    np.testing.assert_array_equal(flat(nets[2]), flat(nets[0]))
    np.testing.assert_array_equal(flat(nets[3]), flat(nets[0]))
    np.testing.assert_allclose(flat(nets[1]), flat(nets[0]), rtol=1e-4, atol=1e-6)


def test_a_layer_without_a_seed_is_saved_without_one(tmp_path):
    net = with_dropout()
    net.save(tmp_path / "net.safetensors")
    assert fastbp.load(tmp_path / "net.safetensors").layers["Dropout1"].seed is None


# ---- What it does not leave behind ----


@pytest.mark.parametrize("sizes", [SIZES, [300, 400, 4]], ids=["one part", "several parts"])
@pytest.mark.parametrize("optimizer", [SGD(lr=3e38), Momentum(lr=3e38), Adam(lr=3e38)], ids=str)
def test_parameters_that_are_no_longer_finite_are_told_of_at_once(optimizer, sizes):
    net = fastbp.mlp(sizes, seed=0)
    x, t = np.ones((4, sizes[0]), np.float32), [0, 1, 2, 1]
    before = {name: p.copy() for name, p in net.params.items()}
    with pytest.raises(
        FloatingPointError, match=r"^step 1 left parameters that are not finite: write those of before into net\.params"
    ):
        net.step(1e3 * x, t, optimizer)
    assert not np.isfinite(flat(net)).all()
    net.params = before
    assert net.step(x, t) > 0
    assert np.isfinite(flat(net)).all()


def test_only_a_few_programs_are_kept_and_the_others_are_written_again():
    net, other = fastbp.mlp(SIZES, seed=0), fastbp.mlp(SIZES, seed=0)
    x, t = batch(40)
    for n in [*range(1, 41), *range(1, 41)]:
        assert net.step(x[:n], t[:n]) == other.step(x[:n].astype(np.float64), t[:n])
        assert len(net._stepper._batches) <= MOST_BATCHES


def test_more_kinds_of_batches_than_are_kept_have_one_vector_of_gradients():
    net = fastbp.mlp(SIZES, seed=0)
    x, t = batch()
    for n in range(1, 4):
        net.step(x[:n], t[:n], Adam())
    gradients = {id(b.program.gradients) for b in net._stepper._batches.values()}
    assert len(gradients) == 1
