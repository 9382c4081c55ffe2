"""Networks for images: trained, predicted, kept and exported."""

import copy

import numpy as np
import pytest
from strategies import FLOATS, assert_within, eps
from test_predict import assert_compiled

import fastbp
from fastbp.programs._predictor import of_any

IN_SHAPE = 2, 9, 8


def normalization(rng, n, dtype):
    numbers = rng.standard_normal((4, n)).astype(dtype) / 4
    arrays = {"running_mean": numbers[2].copy(), "running_var": 1 + numbers[3] ** 2}
    return fastbp.BatchNormalization(1 + numbers[0], numbers[1].copy(), **arrays)


def network(dtype=np.float32, in_shape=IN_SHAPE, **options):
    rng = np.random.default_rng(0)

    def weights(*shape):
        return (rng.standard_normal(shape) / 4).astype(dtype)

    layers = [
        fastbp.Convolution(weights(5, 2, 3, 2), weights(5), pad=1),
        normalization(rng, 5, dtype),
        fastbp.Relu(),
        fastbp.MaxPooling(3, 3, stride=2, pad=1),
        fastbp.Convolution(weights(6, 5, 2, 2), None, stride=2, pad=1),
        fastbp.Tanh(),
        normalization(rng, 6, dtype),
        fastbp.AveragePooling(2, 2, stride=1),
        fastbp.Affine(weights(6 * 2 * 2, 3), weights(3)),
    ]
    return fastbp.Sequential(layers, in_shape=in_shape, **options)


def images(n=20, dtype=np.float32):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, *IN_SHAPE)).astype(dtype), rng.integers(0, 3, n)


def test_a_step_and_a_run_move_by_the_gradient_of_the_layers():
    x, t = images(dtype=np.float64)
    net, stepped, trained = (network(np.float64) for _ in range(3))
    before = {name: array.copy() for name, array in net.params.items()}
    gradients = net.gradient(x, t)
    stepped.step(x, t, fastbp.optimizers.SGD(0.1))
    trained.fit(x, t, epochs=1, batch_size=20, optimizer=fastbp.optimizers.Momentum(0.1, 0.0), shuffle=False)
    for other in (stepped, trained):
        for name, gradient in gradients.items():
            assert_within((before[name] - other.params[name]) / 0.1, gradient, 1e-13)
        for name, statistics in net.buffers.items():
            assert_within(other.buffers[name], statistics, 1e-14)


def test_images_are_taken_as_they_come(tmp_path):
    pixels, t = np.random.default_rng(0).integers(0, 256, (40, *IN_SHAPE), np.uint8), images(40)[1]
    np.save(tmp_path / "x.npy", pixels)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    floats, nets = pixels.astype(np.float32), []
    for x in (
        pixels,
        mapped,
        floats,
        floats.reshape(40, -1),
        pixels.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1),
    ):
        net = network()
        net.fit(x, t, scale=1 / 255, epochs=2, batch_size=15, seed=0, progress=False)
        nets.append(net)
        np.testing.assert_array_equal(net.predict(x), nets[0].predict(pixels))
    for net in nets:
        for name, array in net.params.items():
            np.testing.assert_array_equal(array, nets[0].params[name])


@pytest.mark.parametrize("scale", [1, 0.5])
def test_predict_is_compiled_and_gives_the_bits_of_the_layers(scale, monkeypatch):
    x, _ = images(7)
    net = network(scale=scale)
    expected = net._scores(x)
    for given in (x, x.reshape(7, -1), x.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)):
        for _ in range(2):
            np.testing.assert_array_equal(net.predict(given), expected)
        if given.flags.c_contiguous:
            assert_compiled(net, given, monkeypatch)
    assert net._predictor._own.enter is of_any  # however few its parameters: other threads need not wait
    assert net.predict(x[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"x has samples of shape \(2, 8, 9\)"):
        net.predict(x.reshape(7, 2, 8, 9))


def test_the_size_of_images_is_learned_from_the_first():
    x, t = images()
    for use in (
        lambda net: net.predict(x),
        lambda net: net.step(x, t),
        lambda net: net.fit(x, t, epochs=1, progress=False),
        lambda net: net.loss(x, t),
    ):
        net = network(in_shape=None)
        assert net.in_shape is None
        use(net)
        assert net.in_shape == IN_SHAPE
        assert (net.n_inputs, net.n_outputs) == (144, 3)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda net: net.predict(np.zeros((2, 144), np.float32)),
            r"x must be images .* got shape \(2, 144\)",
        ),
        (lambda net: net.fit(np.zeros((2, 144)), [0, 1]), "the size of the images is not known yet"),
        (lambda net: net.save("x.safetensors") or net.n_outputs, "the size of the images is not known yet"),
        (lambda net: net.to_c("x.c"), "the size of the images is not known yet"),
        (
            lambda net: net.predict(np.zeros((2, 3, 9, 8))),
            "W of shape .* is for images of 2 channels, got 3",
        ),
        (lambda net: setattr(net, "in_shape", (2, 9)), r"in_shape must be \(channels, height, width\)"),
        (lambda net: setattr(net, "in_shape", (2, 9, 30)), "Affine1: W of shape .* does not fit the 6 x 2 x "),
        (lambda net: setattr(net, "in_shape", (2, 0, 9)), r"in_shape\[1\] must be an integer of at least 1"),
    ],
)
def test_what_is_refused_before_the_size_is_known(use, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        use(network(in_shape=None))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda net, t: net.predict(np.zeros((20, 2, 8, 9))), r"x has samples of shape \(2, 8, 9\), the network takes"),
        (lambda net, t: net.fit(np.zeros((20, 9, 8, 2)), t), r"x has samples of shape \(9, 8, 2\), the network takes"),
        (lambda net, t: net.step(np.zeros((20, 2, 8, 9)), t), r"x must be \(N, 2, 9, 8\), of at least one sample"),
        (lambda net, t: net.fit(np.zeros((20, 143)), t), "x has 143 elements a sample, the network has 144 inputs"),
    ],
)
def test_images_of_another_size_are_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use(network(), images()[1])


def test_a_run_goes_on_from_a_file_to_the_same_bits_with_any_number_of_threads(tmp_path):
    x, t = images(30)
    options = {"batch_size": 8, "optimizer": "adam", "seed": 0, "progress": False}
    whole, half = network(), network()
    whole.fit(x, t, epochs=2, threads=1, **options)
    history = half.fit(x, t, epochs=2, max_steps=3, threads=2, **options)
    half.save(tmp_path / "half.safetensors", state=history.state)
    checkpoint = fastbp.load_checkpoint(tmp_path / "half.safetensors")
    loaded = checkpoint.net
    assert loaded.in_shape == IN_SHAPE
    loaded.fit(x, t, epochs=2, resume=checkpoint.state, threads=2, **options)
    for arrays, others in ((whole.params, loaded.params), (whole.buffers, loaded.buffers)):
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, others[name])


@pytest.mark.parametrize("dtype", FLOATS)
def test_batch_normalisation_of_images_is_torchs(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer = normalization(rng, 4, dtype)
    module = layer.module_on(torch.nn, (4, 5, 6)).to_empty(device="cpu").to(getattr(torch, np.dtype(dtype).name))
    theirs = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
    with torch.no_grad():
        for name, own in theirs.items():
            getattr(module, name).copy_(torch.from_numpy(getattr(layer, own)))
        module.num_batches_tracked.zero_()
    x, dout = (rng.standard_normal((3, 4, 5, 6)).astype(dtype) for _ in range(2))
    for training in (True, False):
        layer.running_var = module.running_var.numpy().copy()  # torch's is that of a sample
        module.train(training)
        given = torch.from_numpy(x).requires_grad_()
        y = module(given)
        y.backward(torch.from_numpy(dout))
        assert_within(layer.forward(x, training), y.detach().numpy(), 32 * eps(dtype))
        assert_within(layer.backward(dout), given.grad.numpy(), 64 * eps(dtype))
        for own, gradient in ((layer.dgamma, module.weight.grad), (layer.dbeta, module.bias.grad)):
            assert_within(own, gradient.numpy(), 512 * eps(dtype))
        module.zero_grad()
        assert_within(layer.running_mean, module.running_mean.numpy(), 8 * eps(dtype))


def test_what_torch_has_comes_and_goes():
    torch = pytest.importorskip("torch")
    nn, (x, _) = torch.nn, images(4)
    module = nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2, 1, 1),
        nn.Flatten(), nn.Linear(4 * 5 * 5, 3),
    ).eval()  # fmt: skip
    net = fastbp.from_torch(module)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert_within(net.predict(x), expected, 64 * eps(np.float32))
    for own in (net, network()):
        with torch.no_grad():
            assert_within(own.to_torch()(torch.from_numpy(x)).numpy(), own.predict(x), 64 * eps(np.float32))
        np.testing.assert_array_equal(fastbp.from_torch(own.to_torch()).predict(x), own.predict(x))
    assert {name: tuple(array.shape) for name, array in net.state_dict().items()} == {
        name: tuple(array.shape) for name, array in module.state_dict().items()
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda nn: nn.Conv2d(2, 4, 3, groups=2), "has groups, dilation or padding that Convolution does not have"),
        (
            lambda nn: nn.Conv2d(2, 4, 3, padding="same"),
            "has groups, dilation or padding that Convolution does not have",
        ),
        (lambda nn: nn.Conv2d(2, 4, 3, stride=(1, 2)), r"has stride=\(1, 2\): one number for both directions"),
        (lambda nn: nn.MaxPool2d(3, padding=1), "padding that MaxPooling does not have"),
        (lambda nn: nn.AvgPool2d(3, padding=1, count_include_pad=False), "padding that does not count"),
    ],
)
def test_what_torch_has_and_fastbp_has_not_is_told(make, message):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=message):
        fastbp.from_torch(torch.nn.Sequential(make(torch.nn), torch.nn.Linear(3, 2)))


def test_the_books_networks_have_initial_weights():
    net = fastbp.convnet("deep-conv", 10, scale=1 / 255, seed=0)
    assert [array.shape for array in net.params.values() if array.ndim > 1] == [
        *((16, 1, 3, 3), (16, 16, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3)),
        *((1024, 50), (50, 10)),
    ]
    assert net.params["W6"].std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert net.in_shape == (1, 28, 28)
    np.testing.assert_array_equal(net.params["W1"], fastbp.convnet("deep-conv", 10, seed=0).params["W1"])
    with pytest.raises(ValueError, match="name must be one of simple-conv, deep-conv, got 'simple'"):
        fastbp.convnet("simple", 10)
    with pytest.raises(ValueError, match="a filter of 5 x 5 must be no larger than the padded images, 4 x 4"):
        fastbp.convnet("simple-conv", 10, (1, 4, 4))
    with pytest.raises(ValueError, match=r"in_shape must be \(channels, height, width\), got \(784,\)"):
        fastbp.convnet("simple-conv", 10, (784,))


@pytest.mark.parametrize(
    "after", [fastbp.Flatten, fastbp.Relu, lambda: fastbp.BatchNormalization(np.ones(3), np.zeros(3))]
)
def test_the_slope_of_an_activation_before_flatten_is_taken_by_whoever_comes_after(after):
    rng = np.random.default_rng(0)
    net = fastbp.Sequential(
        [fastbp.Affine(rng.standard_normal((4, 3)), np.zeros(3)), fastbp.Gelu(), fastbp.Flatten(), after()],
        loss=fastbp.MeanSquaredError(),
    )
    x, t = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    by_layers = net.gradient(x, t)
    other = copy.deepcopy(net)
    other.step(x, t, optimizer=fastbp.optimizers.SGD(1.0))
    for name, gradient in by_layers.items():
        assert_within(net.params[name] - other.params[name], gradient, 64 * eps(np.float64))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("after", [None, fastbp.Flatten, fastbp.Relu, lambda: fastbp.AveragePooling(1, 1)])
@pytest.mark.parametrize("activation", [fastbp.Relu, fastbp.Tanh, fastbp.Gelu])
def test_the_slope_of_an_activation_goes_through_the_largest_of_windows(activation, after, stride):
    rng = np.random.default_rng(0)
    pooling = fastbp.MaxPooling(2, 2, stride)
    sides = pooling.out_shape((3, 7, 6))
    layers = [fastbp.Convolution(rng.standard_normal((3, 1, 2, 2)), rng.standard_normal(3)), activation(), pooling]
    layers += [] if after is None else [after()]
    layers += [fastbp.Affine(rng.standard_normal((int(np.prod(sides)), 2)), np.zeros(2))]
    net = fastbp.Sequential(layers, in_shape=(1, 8, 7))
    x, t = rng.standard_normal((5, 1, 8, 7)), rng.integers(0, 2, 5)
    by_layers = net.gradient(x, t)
    before = {name: array.copy() for name, array in net.params.items()}
    net.step(x, t, optimizer=fastbp.optimizers.SGD(1.0))
    for name, gradient in by_layers.items():
        assert_within(before[name] - net.params[name], gradient, 256 * eps(np.float64))
    functions = [line for line in str(net.program(batch_size=5)).splitlines() if line.startswith("ActivationGradient")]
    in_large = [f"n={5 * 3 * 7 * 6} " in line for line in functions]
    assert in_large.count(True) == (activation is fastbp.Gelu or stride == 1)  # computed of its input, or of a sum
