"""Networks to and from PyTorch: same outputs, same names; what is not supported is named."""

import subprocess
import sys

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, assert_within, eps

import fastbp
from fastbp.basics._extra import install

RNG = np.random.default_rng(0)
WIDEST = 40


def network(dtype=np.float32):
    def affine(inputs, outputs, bias=True):
        W = (RNG.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(dtype)
        return fastbp.Affine(W, RNG.standard_normal(outputs).astype(dtype) if bias else None)

    return fastbp.Sequential(
        [
            affine(30, WIDEST),
            fastbp.Relu(),
            affine(WIDEST, 20, bias=False),
            fastbp.LeakyRelu(0.2),
            fastbp.Dropout(0.3, seed=1),
            affine(20, 20),
            fastbp.Tanh(),
            affine(20, 5),
            fastbp.Sigmoid(),
        ]
    )


def samples(dtype=np.float32, rows=100):
    return RNG.standard_normal((rows, 30)).astype(dtype)


def modules(torch):
    nn = torch.nn
    inner = nn.Sequential(nn.Linear(40, 20, bias=False), nn.LeakyReLU(0.2), nn.Dropout(0.3))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(30, 40), nn.ReLU(), inner, nn.Linear(20, 20), nn.Tanh(), nn.Identity(), nn.Linear(20, 5)
    )


def assert_same_outputs(net, module, x):
    """Within 1e-6 in float32: rounding in sums of at most WIDEST terms of order 1, through four layers."""
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(x)).numpy()
    got = net.predict(x)
    assert got.dtype == expected.dtype
    assert_within(got, expected, 8 * eps(x.dtype) * np.maximum(1, np.abs(expected)))
    assert 8 * eps(np.float32) < 1e-6


@pytest.mark.parametrize("dtype", FLOATS)
def test_to_torch_gives_the_same_outputs(dtype):
    pytest.importorskip("torch")
    net = network(dtype)
    assert_same_outputs(net, net.to_torch(), samples(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_from_torch_gives_the_same_outputs(dtype):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = modules(torch).to(torch.float32 if dtype == np.float32 else torch.float64)
    net = fastbp.from_torch(module)
    assert net.params["W1"].dtype == dtype
    names = ["Affine1", "Relu1", "Affine2", "LeakyRelu1", "Dropout1", "Affine3", "Tanh1", "Affine4"]
    assert list(net.layers) == names
    assert net.layers["Dropout1"].p == 0.3
    assert_same_outputs(net, module, samples(dtype))
    images = samples(dtype).reshape(100, 2, 3, 5)
    assert_same_outputs(net, module, images)


def test_there_and_back_keeps_every_bit():
    pytest.importorskip("torch")
    net = network()
    back = fastbp.from_torch(net.to_torch())
    assert repr(list(back.layers.items())) == repr(list(net.layers.items()))
    for name, array in back.params.items():
        assert_same_bits(array, net.params[name])


def test_a_module_trains_without_touching_the_network_it_came_from_or_went_to():
    torch = pytest.importorskip("torch")
    net = network()
    module = net.to_torch()
    assert not module.training
    back, before = fastbp.from_torch(module), net.state_dict()
    loss = module.train()(torch.from_numpy(samples())).square().sum()
    loss.backward()
    torch.optim.SGD(module.parameters(), lr=1).step()
    for name, array in before.items():
        assert not np.array_equal(module.state_dict()[name].numpy(), array)
        for other in (net, back):
            assert_same_bits(other.state_dict()[name], array)


def test_random_numbers_of_torch_are_not_used_up():
    torch = pytest.importorskip("torch")
    before = torch.get_rng_state()
    fastbp.from_torch(network().to_torch())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_may_be_given():
    loss = fastbp.MeanSquaredError()
    assert fastbp.from_torch({"weight": np.ones((1, 4))}, loss=loss).loss_layer is loss


# ---- State dicts ----


def test_state_dict_has_the_names_and_arrays_of_torch():
    pytest.importorskip("torch")
    net = network()
    own, theirs = net.state_dict(), net.to_torch().state_dict()
    assert list(own) == list(theirs)
    for name, array in own.items():
        assert_same_bits(array, theirs[name].numpy())
        assert array.flags.c_contiguous
        assert not np.shares_memory(array, net.params["W1"])


@pytest.mark.parametrize("as_tensors", [False, True])
def test_a_state_dict_loads_into_a_network_and_trains_there(as_tensors):
    net, other = network(), network()
    state = net.state_dict()
    if as_tensors:
        torch = pytest.importorskip("torch")
        state = {name: torch.nn.Parameter(torch.from_numpy(array)) for name, array in state.items()}
    other.load_state_dict(state)
    for name, array in other.params.items():
        assert_same_bits(array, net.params[name])
        assert array.base is other.params["W1"].base


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"9.weight": np.ones(2)}, ValueError, r"it lacks \[\], and has \['9.weight'\]"),
        ({"0.weight": np.ones((30, 40))}, ValueError, r"0.weight must have the shape of the parameter, \(40, 30\)"),
        ({"0.weight": "x"}, TypeError, "0.weight must hold real numbers"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(change, error, message):
    net = network()
    before = net.state_dict()
    state = {name: np.zeros_like(array) for name, array in before.items()} | change
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    with pytest.raises(ValueError, match=r"it lacks \['0.weight'"):
        net.load_state_dict({})
    for name, array in net.state_dict().items():
        assert_same_bits(array, before[name])


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "identity"])
def test_from_a_state_dict_with_an_activation_between(activation):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    kinds = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
    between = kinds.get(activation, nn.Identity)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(30, 20), between(), nn.Linear(20, 10), between(), nn.Linear(10, 4))
    net = fastbp.from_torch(module.state_dict(), activation=activation)
    assert_same_outputs(net, module, samples())
    if activation == "relu":
        assert_same_outputs(fastbp.from_torch(module.state_dict()), module, samples())


def test_from_a_dict_of_arrays_without_torch():
    code = """if True:
        import sys
        sys.modules["torch"] = None  # an import of it fails
        import numpy as np, fastbp
        net = fastbp.from_torch({"a.weight": np.eye(3)[:2], "a.bias": np.ones(2), "z.weight": np.ones((1, 2))})
        net.load_state_dict(net.state_dict())
        print(net.predict([[1.0, -5.0, 7.0]]).tolist(), list(net.layers))
        try:
            net.to_torch()
        except ImportError as error:
            print(error)
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == [
        "[[2.0]] ['Affine1', 'Relu1', 'Affine2']",
        f"this needs torch, which is not installed: {install('torch')}",
    ]


def test_layers_named_by_numbers_come_in_their_order():
    state = {f"{n}.weight": np.full((1, 1), n) for n in (0, 10, 2)}
    assert [W.item() for W in fastbp.from_torch(state).params.values()] == [0, 2, 10]
    state = {"b.weight": np.full((1, 1), 1), "a.weight": np.full((1, 1), 2)}
    assert [W.item() for W in fastbp.from_torch(state).params.values()] == [1, 2]


def test_half_precision_becomes_float32():
    net = fastbp.from_torch({"weight": np.ones((2, 3), np.float16)})
    assert net.params["W1"].dtype == np.float32


# ---- What is not supported ----

WEIGHT = np.ones((2, 3))


@pytest.mark.parametrize(
    ("state", "options", "error", "message"),
    [
        ({"0.running_mean": np.ones(3)}, {}, ValueError, r"^'0.running_mean' is neither the weight nor the bias"),
        (
            {"0.weight": np.ones((8, 3, 3, 3))},
            {},
            ValueError,
            r"^0.weight must be \(outputs, inputs\) .*\(8, 3, 3, 3\)",
        ),
        ({"0.weight": WEIGHT, "0.bias": np.ones(3)}, {}, ValueError, "^0.bias must have one element for each row"),
        ({"0.bias": np.ones(3)}, {}, ValueError, "^'0.bias' has no weight beside it"),
        (
            {"0.weight": WEIGHT, "1.weight": WEIGHT.copy()},
            {},
            ValueError,
            "^Affine2: W of shape .3, 2. does not fit the 2",
        ),
        ({"0.weight": WEIGHT}, {"activation": "gleu"}, ValueError, "^activation must be one of relu, .* got 'gleu'"),
        ({}, {}, ValueError, "at least one Affine"),
        ([WEIGHT], {}, TypeError, "^source must be a module of PyTorch or a mapping"),
    ],
)
def test_state_dicts_that_are_no_stack_of_linear_layers(state, options, error, message):
    with pytest.raises(error, match=message):
        fastbp.from_torch(state, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda nn: nn.Sequential(nn.Linear(2, 2), nn.CELU()),
            r"^Sequential\.1 is CELU\(.*supported are Sequential, Li",
        ),
        (lambda nn: nn.Sequential(nn.Sequential(nn.Conv3d(1, 2, 3))), r"^Sequential\.0\.0 is Conv3d"),
        (
            lambda nn: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1)),
            r"is Softmax\(dim=1\).*softmax is part of the loss",
        ),
        (lambda nn: nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)), r"^Flatten\(start_dim=0, .* flattens other than"),
        (lambda nn: nn.Bilinear(2, 2, 2), "^Bilinear is Bilinear"),
        (lambda nn: type("Linear", (nn.Linear,), {})(2, 2), "^Linear is Linear"),
        (lambda nn: type("Own", (nn.Sequential,), {"forward": lambda self, x: -x})(nn.Linear(2, 2)), "^Own is Own"),
    ],
)
def test_modules_that_are_not_supported_are_named(make, message):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=message):
        fastbp.from_torch(make(torch.nn))


def test_an_activation_for_a_module_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="a module has its own"):
        fastbp.from_torch(torch.nn.Linear(2, 2), activation="relu")


class OwnTanh(fastbp.Tanh):
    pass


def test_layers_of_others_are_not_exported():
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"can be neither saved nor exported"):
        fastbp.Sequential([fastbp.Affine(WEIGHT, None), OwnTanh()]).to_torch()
