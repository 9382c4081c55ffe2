"""Arrays of other libraries, through ``__array__`` and ``__dlpack__``, wherever fastbp takes arrays."""

import re
import subprocess
import sys

import numpy as np
import pytest
from strategies import assert_same_bits

import fastbp


class OnlyDLPack:
    """An array of a library that knows NumPy only by DLPack."""

    def __init__(self, array):
        self._array = np.array(array)

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class OnGPU(OnlyDLPack):
    def __dlpack__(self, **options):
        raise BufferError("the array is on device cuda:0")

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA


class OnlyArray:
    def __init__(self, array):
        self._array = np.array(array)

    def __array__(self, dtype=None, copy=None):
        return self._array if dtype is None else self._array.astype(dtype)


def of_torch(array):
    return pytest.importorskip("torch").from_numpy(np.array(array))


def of_jax(array):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        return jax.numpy.asarray(array)


OTHERS = {"torch": of_torch, "jax": of_jax, "__dlpack__": OnlyDLPack, "__array__": OnlyArray}
others = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((6, 4)), RNG.integers(0, 3, 6)
W, B, WEIGHTS = RNG.standard_normal((4, 3)), RNG.standard_normal(3), RNG.random(6)
ROWS = np.eye(3)[LABELS]


def network(W=W, b=B, loss=None):
    return fastbp.Sequential([fastbp.Dropout(0.5, seed=0), fastbp.Affine(W, b), fastbp.Tanh()], loss)


def fitted(x, labels, rows, weights):
    net = network()
    options = {"sample_weight": weights, "validation_data": (x, labels), "seed": 0, "progress": False}
    history = net.fit(x, labels, epochs=2, **options)
    return [*net.params.values(), np.array(history.val_loss)]


def stepped(x, labels, rows, weights):
    net = fastbp.Sequential([fastbp.Affine(W, B), fastbp.Tanh()])
    return [np.array([net.step(x, labels), net.step(x, rows)]), *net.params.values()]


def updated(x, labels, rows, weights):
    params = {"a": np.zeros((6, 4))}
    fastbp.optimizers.SGD(lr=1).update(params, {"a": x})
    return params["a"]


def propagated(layer):
    def call(x, labels, rows, weights):
        return [layer.forward(x), layer.backward(x)]

    return call


def assigned(x, labels, rows, weights):
    net = fastbp.Sequential([fastbp.Affine(np.zeros((6, 4)), None)])
    net.params["W1"] = x
    return net.params["W1"].copy()


CALLS = {
    "layer": propagated(fastbp.Sigmoid()),
    "Relu": propagated(fastbp.Relu()),
    "Affine": lambda x, labels, rows, weights: fastbp.Affine(x, None).forward(np.ones((2, 6))),
    "AddLayer": lambda x, labels, rows, weights: fastbp.AddLayer().forward(x, x),
    "softmax": lambda x, labels, rows, weights: fastbp.softmax(x),
    "cross_entropy_error": lambda x, labels, rows, weights: fastbp.cross_entropy_error(rows, labels),
    "loss of labels": lambda x, labels, rows, weights: fastbp.SoftmaxWithLoss().forward(rows, labels, weights),
    "loss of rows": lambda x, labels, rows, weights: fastbp.SoftmaxWithLoss().forward(rows, rows, weights),
    "loss of numbers": lambda x, labels, rows, weights: fastbp.MeanSquaredError().forward(x, x, weights),
    "network of parameters": lambda x, labels, rows, weights: network(x, None).predict(np.ones((2, 6))),
    "predict": lambda x, labels, rows, weights: network().predict(x),
    "accuracy": lambda x, labels, rows, weights: network().accuracy(x, labels),
    "accuracy of rows": lambda x, labels, rows, weights: network().accuracy(x, rows),
    "gradient": lambda x, labels, rows, weights: [*network().gradient(x, labels).values()],
    "params": assigned,
    "fit": fitted,
    "step": stepped,
    "optimizer": updated,
}


@others
@pytest.mark.parametrize("name", CALLS)
def test_they_give_the_bits_of_numpys(other, name):
    arrays = X, LABELS, ROWS, WEIGHTS
    got, expected = CALLS[name](*map(other, arrays)), CALLS[name](*arrays)
    if not isinstance(expected, list):
        got, expected = [got], [expected]
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@others
def test_they_are_not_written_to(other):
    x, w = other(X), other(W)
    net = fastbp.Sequential([fastbp.Affine(w, None), fastbp.Relu()])
    net.fit(x, LABELS, epochs=2, progress=False)
    for array, before in ((x, X), (w, W)):
        after = np.from_dlpack(array) if isinstance(array, OnlyDLPack) else np.asarray(array)
        assert_same_bits(after, before)


def test_torch_tensors_are_read_where_they_lie():
    x = of_torch(X)
    assert np.shares_memory(fastbp.basics._check.as_real("x", x), x.numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda torch: torch.ones((6, 4), requires_grad=True), "requires grad. Use tensor.detach()"),
        (lambda torch: torch.ones((6, 4), device="meta"), "can't convert meta device type tensor to numpy"),
        (lambda torch: torch.ones((6, 4), dtype=torch.bfloat16), "unsupported ScalarType BFloat16"),
        (lambda torch: OnGPU(X), "on device cuda:0"),
    ],
    ids=["requires grad", "elsewhere", "bfloat16", "GPU"],
)
def test_what_cannot_be_read_is_an_error_that_names_the_argument(make, message):
    tensor = make(pytest.importorskip("torch"))
    message = re.escape(message)
    with pytest.raises(TypeError, match=f"^x cannot be read as a NumPy array: .*{message}"):
        network().fit(tensor, LABELS, progress=False)
    with pytest.raises(TypeError, match=f"^t cannot be read as a NumPy array: .*{message}"):
        network(loss=fastbp.MeanSquaredError()).fit(X, tensor, progress=False)
    with pytest.raises(TypeError, match=f"^W cannot be read as a NumPy array: .*{message}"):
        fastbp.Affine(tensor, None).forward(np.ones((2, 6)))


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("it has no numbers today")


def test_what_an_array_says_of_itself_is_said():
    with pytest.raises(ValueError, match=r"^x cannot be read as a NumPy array: it has no numbers today$"):
        network().predict(Broken())


def test_nothing_of_others_is_imported():
    code = "import sys, fastbp; print([m for m in ('torch', 'jax', 'onnx', 'safetensors') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
