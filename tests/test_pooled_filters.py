"""Filters whose output goes through a max pooling: in a program, their gradient is a sum over windows."""

import numpy as np
import pytest
from strategies import FLOATS, assert_within, eps

import fastbp

RATE = 0.5


def network(image, filters, pool, dtype, activation=fastbp.Relu, **options):
    rng = np.random.default_rng(0)

    def weights(*shape):
        return rng.standard_normal(shape).astype(dtype) / 4

    n_filters, filter_h, filter_w = filters
    W = weights(n_filters, image[0], filter_h, filter_w)
    first = [fastbp.Convolution(W, weights(n_filters), **options), activation(), pool]
    n = int(np.prod(pool.out_shape(first[0].out_shape(image))))
    return fastbp.Sequential([*first, fastbp.Affine(weights(n, 3), weights(3))], in_shape=image)


def batch(n, image, dtype):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, *image)).astype(dtype), rng.integers(0, 3, n)


def moved(net, x, t, **options):
    """What a step makes of each parameter, as its gradient."""
    before = {name: array.copy() for name, array in net.params.items()}
    net.step(x, t, fastbp.optimizers.SGD(RATE), **options)
    return {name: (array - net.params[name]) / RATE for name, array in before.items()}


SUMS = [  # images, filters, pooling, options of the convolution
    ((1, 12, 12), (3, 5, 5), fastbp.MaxPooling(2, 2), {}),
    ((1, 28, 28), (30, 5, 5), fastbp.MaxPooling(2, 2), {}),
    ((3, 9, 8), (4, 3, 3), fastbp.MaxPooling(2, 2), {"pad": 1}),
    ((2, 11, 7), (5, 3, 2), fastbp.MaxPooling(3, 3), {"pad": 2}),
    ((2, 9, 10), (2, 1, 8), fastbp.MaxPooling(2, 3, 3), {}),
    ((1, 7, 6), (1, 7, 1), fastbp.MaxPooling(1, 2, 2), {}),
    ((7, 6, 6), (9, 2, 2), fastbp.MaxPooling(5, 5), {}),
    ((1, 20, 20), (2, 3, 3), fastbp.MaxPooling(16, 16, 1), {}),
    ((2, 8, 8), (3, 3, 3), fastbp.MaxPooling(3, 3, 2), {"pad": 1, "activation": fastbp.Scale}),
]


def made(case, dtype):
    image, filters, pool, options = case
    options = dict(options)
    if options.get("activation") is fastbp.Scale:  # none, so that windows that overlap come at once, too
        net = network(image, filters, pool, dtype, **options | {"activation": fastbp.Relu})
        first, _, *rest = net.layers.values()
        return fastbp.Sequential([first, *rest], in_shape=image)
    return network(image, filters, pool, dtype, **options)


@pytest.mark.parametrize("case", SUMS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 3, 20])
def test_the_gradient_is_that_of_the_layers(case, dtype, n):
    net, (x, t) = made(case, dtype), batch(n, case[0], dtype)
    assert ("PooledWeightGradient" in str(net.program(n))) == (case[2].stride >= case[2].pool_h or len(net.layers) == 3)
    expected = net.gradient(x, t)
    for name, slope in moved(net, x, t).items():
        assert_within(slope, expected[name], 64 * eps(dtype) * max(1, np.abs(expected[name]).max()))


@pytest.mark.parametrize(
    ("pool", "filters", "options"),
    [
        (fastbp.MaxPooling(2, 2, pad=1), (2, 3, 3), {}),
        (fastbp.MaxPooling(2, 2), (2, 3, 3), {"stride": 2}),
        (fastbp.MaxPooling(2, 2), (2, 1, 9), {}),
        (fastbp.MaxPooling(17, 17), (2, 3, 3), {}),
        (fastbp.AveragePooling(2, 2), (2, 3, 3), {}),
    ],
)
def test_what_goes_the_other_way(pool, filters, options):
    net = network((1, 20, 20), filters, pool, np.float64, **options)
    x, t = batch(4, (1, 20, 20), np.float64)
    assert "PooledWeightGradient" not in str(net.program(4))
    expected = net.gradient(x, t)
    for name, slope in moved(net, x, t).items():
        assert_within(slope, expected[name], 1e-13)


def test_a_second_convolution_needs_the_gradient_before_the_pooling():
    rng = np.random.default_rng(0)
    layers = [fastbp.Convolution(rng.standard_normal((2, c, 3, 3)), None, pad=1) for c in (1, 2)]
    pools = fastbp.MaxPooling(2, 2), fastbp.MaxPooling(2, 2)
    net = fastbp.Sequential(
        [layers[0], pools[0], layers[1], pools[1], fastbp.Affine(rng.standard_normal((8, 3)), None)],
        in_shape=(1, 8, 8),
    )
    x, t = batch(5, (1, 8, 8), np.float64)
    assert str(net.program(5)).count("PooledWeightGradient") == 1
    expected = net.gradient(x, t)
    for name, slope in moved(net, x, t).items():
        assert_within(slope, expected[name], 1e-12)


@pytest.mark.parametrize("options", [{}, {"optimizer": "momentum"}, {"clip_norm": 0.5}])
def test_any_number_of_threads_gives_the_same_bits(options, set_threads):
    (image, *_), found = SUMS[1], []
    x, t = batch(40, image, np.float32)
    for threads in (1, 2, 3):
        set_threads(threads)
        net = made(SUMS[1], np.float32)
        net.fit(x, t, epochs=2, batch_size=16, seed=0, progress=False, **options)
        found.append(net.params)
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(array, other[name])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_pixel_that_is_not_finite_goes_no_further_than_its_windows():
    """Where no largest number is made of it: it counts nowhere."""
    net = network((1, 8, 8), (2, 3, 3), fastbp.MaxPooling(2, 2), np.float64)
    net.params["W1"][...] = np.abs(net.params["W1"])
    x, t = batch(3, (1, 8, 8), np.float64)
    x[1, 0, 7, 7] = -np.inf
    slopes = moved(net, x, t)
    assert all(np.isfinite(slope).all() for slope in slopes.values())
