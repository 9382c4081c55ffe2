"""``predict`` of a network in one compiled call: the bits of its layers one after the other, whatever is changed."""

import copy
import mmap
import pickle

import numpy as np
import pytest

import fastbp
from fastbp import layers
from fastbp.activations import BY_NAME, named
from fastbp.programs import _predictor

FLOATS = (np.float32, np.float64)


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def batch_normalization(width, dtype):
    numbers = normal((4, width), dtype, seed=width)
    return fastbp.BatchNormalization(numbers[0], numbers[1], running_mean=numbers[2], running_var=numbers[3] ** 2)


def every_layer(dtype):
    """All layers and activations there are, activations also behind something other than a product."""
    widths = iter(range(5, 60))
    width, made = 4, []
    for word in BY_NAME:
        before, width = width, next(widths)
        made += [fastbp.Affine(normal((before, width), dtype) / 2, normal(width, dtype)), named(word), named(word)]
    for cls in layers.CLASSES:
        made.append(
            batch_normalization(width, dtype) if cls is fastbp.BatchNormalization else cls.of_width(width, dtype)
        )
    made.append(fastbp.Scale(normal(width, dtype), normal(width, dtype), trained=False))
    return [*made, fastbp.Dropout(), fastbp.Affine(normal((width, 3), dtype), None)]


def small(dtype=np.float32):
    net = fastbp.mlp([4, 9, 7, 3], ["relu", "gelu"], normalization="batch", dropout=0.5, seed=0, dtype=dtype)
    net.params["b2"] += 1
    return net


def one_by_one(net, x):
    """What the layers predict one after the other, in copies of them."""
    out = np.multiply(x, net.dtype.type(net.scale)) if net.scale != 1 else x
    for layer in net.layers.values():
        out = copy.copy(layer).predict(out)
    return out


def assert_same(got, expected):
    """The same bits; of a NaN only that it is one: which of two NaN a sum keeps, the instruction decides."""
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    got, expected = (np.where(np.isnan(a), a.dtype.type(np.nan), a) for a in (got, expected))
    assert got.tobytes() == expected.tobytes()


def assert_compiled(net, x, monkeypatch):
    """``net.predict(x)`` goes through no layer, and calls compiled code once."""
    calls, run = [], _predictor.predict

    def counted(made):
        calls.extend([1] if made is not None else [])
        return made

    with monkeypatch.context() as patched:
        patched.setattr(type(net), "_scores", None)
        net.predict(x)  # so that its program is there
        own, enter = net._predictor._own, net._predictor._own.enter
        patched.setattr(_predictor, "predict", lambda *arguments: counted(run(*arguments)))
        patched.setattr(own, "enter", lambda *arguments: counted(enter(*arguments)))
        net.predict(x)
    assert calls == [1]


# ---- The numbers ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 7, 33, 600])
def test_all_layers_at_once_give_the_bits_of_one_after_the_other(n, dtype, monkeypatch):
    net, x = fastbp.Sequential(every_layer(dtype)), normal((n, 4), dtype)
    expected = one_by_one(net, x)
    for _ in range(2):
        assert_same(net.predict(x), expected)
    assert_compiled(net, x, monkeypatch)


@pytest.mark.parametrize("dtype", FLOATS)
def test_random_networks_give_the_bits_of_their_layers(dtype):
    rng = np.random.default_rng(0)
    for _ in range(25):
        width = n_inputs = int(rng.integers(1, 40))
        made = []
        for kind in rng.choice(["activation", "Affine", *(cls.__name__ for cls in layers.CLASSES)], 5):
            if kind == "Affine":
                before, width = width, int(rng.integers(1, 70))
                made.append(fastbp.Affine(normal((before, width), dtype), normal(width, dtype)))
            elif kind == "BatchNormalization":
                made.append(batch_normalization(width, dtype))
            elif kind == "activation":
                made.append(named(str(rng.choice(list(BY_NAME)))))
            else:
                made.append(getattr(layers, kind).of_width(width, dtype))
        net = fastbp.Sequential([*made, fastbp.Affine(normal((width, 2), dtype), None)], scale=rng.choice([1.0, 0.25]))
        for n in (1, 5, 100):
            x = normal((n, n_inputs), dtype)
            x[rng.random(x.shape) < 0.05] = rng.choice([np.nan, np.inf, -0.0, 0.0])
            with np.errstate(all="ignore"):
                assert_same(net.predict(x), one_by_one(net, x))


FORMS = {
    "one sample": lambda x: x[0],
    "images": lambda x: x.reshape(len(x), 2, 2),
    "a list": lambda x: x.tolist(),
    "integers": lambda x: (9 * x).astype(np.int64),
    "bytes": lambda x: (99 * x).astype(np.uint8),
    "bools": lambda x: x > 0,
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    "float64": lambda x: x.astype(np.float64),
    "columns first": np.asfortranarray,
    "every other row": lambda x: x[::2],
    "backwards": lambda x: x[::-1],
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "no rows": lambda x: x[:0],
    "a subclass": lambda x: x.view(np.matrix),
}


@pytest.mark.parametrize("scale", [1, 0.25])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("form", FORMS)
def test_x_may_come_in_all_forms_that_layers_take(form, dtype, scale):
    x = FORMS[form](normal((6, 4), dtype))
    for first in ([], [fastbp.Sigmoid()], [fastbp.Dropout()]):
        net = fastbp.Sequential([*first, *small(dtype).layers.values()], scale=scale)
        expected = one_by_one(net, x)
        for _ in range(2):
            assert_same(net.predict(x), expected)


@pytest.mark.parametrize("sizes", [[1, 5, 2], [4, 1, 3], [4, 5, 1]], ids=str)
def test_a_vector_is_a_sample_or_samples_of_one_number_as_the_layers_take_it(sizes):
    net = fastbp.mlp(sizes, seed=0)
    for n in (1, sizes[0], 4):
        x = normal(n, np.float32)
        if n == sizes[0] or sizes[0] == 1:
            assert_same(net.predict(x), one_by_one(net, x))


@pytest.mark.parametrize(
    "x", [np.ones((2, 5)), np.ones(5), np.ones((2, 3, 3)), np.array(1.0), np.ones((2, 4), complex), [[1], [2, 3]], "x"]
)
def test_what_the_layers_do_not_take_is_told_by_them(x):
    net = small(np.float64)
    net.predict(np.ones((2, 4)))
    with pytest.raises((ValueError, TypeError)) as expected:
        one_by_one(net, x)
    with pytest.raises(type(expected.value)) as got:
        net.predict(x)
    assert str(got.value) == str(expected.value)


# ---- What is changed ----


def put(net, name, layer):
    net.layers[name] = layer


class Halved(fastbp.Dropout):
    """Of another prediction than the class that has its instructions."""

    def predict(self, x):
        return np.asarray(x) / 2


CHANGES = {
    "W in place": lambda net: net.layers["Affine1"].W.__imul__(2),
    "params": lambda net: net.params.update(b2=np.arange(7)),
    "a running mean in place": lambda net: net.buffers["running_mean1"].__iadd__(1),
    "a running variance in place": lambda net: net.buffers["running_var1"].__iadd__(1),
    "W": lambda net: setattr(net.layers["Affine1"], "W", np.full((4, 9), 0.2, np.float32)),
    "W of another type": lambda net: setattr(net.layers["Affine2"], "W", np.full((9, 7), 0.2)),
    "no b": lambda net: setattr(net.layers["Affine2"], "b", None),
    "a running mean": lambda net: setattr(net.layers["BatchNormalization1"], "running_mean", np.ones(9, np.float32)),
    "eps": lambda net: setattr(net.layers["BatchNormalization1"], "eps", 0.5),
    "a slope": lambda net: put(net, "Relu1", fastbp.LeakyRelu(0.3)),
    "an option": lambda net: setattr(net.layers["Gelu1"], "approximate", "tanh"),
    "an Affine": lambda net: put(net, "Affine3", fastbp.Affine(np.ones((7, 5), np.float32), None)),
    "a layer less": lambda net: net.layers.pop("Relu1"),
    "another order": lambda net: net.layers.move_to_end("Gelu1"),
    "other layers": lambda net: setattr(net, "layers", fastbp.mlp([4, 2], seed=1).layers),
    "a layer of another prediction": lambda net: put(net, "Dropout1", Halved()),
    "scale": lambda net: setattr(net, "scale", 0.5),
    "trained": lambda net: net.fit(normal((8, 4), np.float32), [0, 1] * 4, progress=False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_counts_at_the_next_call(change):
    net, x = small(), normal((5, 4), np.float32)
    before = net.predict(x)
    change(net)
    for _ in range(3):
        expected = one_by_one(net, x)
        assert_same(net.predict(x), expected)
    assert expected.tobytes() != before.tobytes()
    net.params  # noqa: B018 (takes up what was replaced)
    for _ in range(2):
        assert_same(net.predict(x), one_by_one(net, x))


def test_an_array_that_was_assigned_stays_the_users_own_for_predict():
    net, x = small(), normal((5, 4), np.float32)
    net.predict(x)
    W = net.layers["Affine1"].W = np.ones((4, 9), np.float32)
    for factor in (1, 2, 0.5):
        W *= factor
        assert_same(net.predict(x), one_by_one(net, x))
    assert net.layers["Affine1"].W is W


def test_layers_and_settings_that_move_no_array_are_compiled_at_once(monkeypatch):
    net, x = small(), normal((5, 4), np.float32)
    net.predict(x)
    for name in ("a slope", "an option", "eps"):
        CHANGES[name](net)
        net.predict(x)
        assert_compiled(net, x, monkeypatch)


def test_a_variance_below_zero_is_told_whenever_it_comes_about():
    net, x = small(), normal((5, 4), np.float32)
    net.predict(x)
    net.buffers["running_var1"][3] = -1
    for _ in range(2):
        with pytest.raises(ValueError, match="running_var must be at least 0, got -1"):
            net.predict(x)
    net.buffers["running_var1"][3] = 1
    assert_same(net.predict(x), one_by_one(net, x))


def test_copies_predict_by_their_own_parameters():
    net, x = small(), normal((5, 4), np.float32)
    expected = net.predict(x)
    for other in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        net.params["W1"][...] += 1
        assert_same(other.predict(x), expected)
        assert_same(other.predict(x), expected)
        net.params["W1"][...] -= 1


def test_memory_that_is_gone_is_told_where_a_program_is_at_hand():
    net, block = small(), mmap.mmap(-1, 4096)
    x = np.ndarray((4, 4), np.float32, buffer=block)
    net.predict(x)
    block.close()
    with pytest.raises(ValueError, match="the memory of x is no longer there: mmap closed"):
        net.predict(x)
