"""Networks in files: what comes back, that a run goes on, how a file is written, and what other software reads."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file
from strategies import FLOATS, assert_same_bits

import fastbp
from fastbp.files import model_file
from fastbp.files.architecture import LAYERS, LOSSES
from fastbp.optimizers import Adam, Momentum

EXAMPLES = {  # of each layer and loss, arguments that are not the defaults
    "Affine": lambda: fastbp.Affine(np.ones((3, 3)), None),
    "Relu": fastbp.Relu,
    "LeakyRelu": lambda: fastbp.LeakyRelu(np.float32(0.1)),
    "Sigmoid": fastbp.Sigmoid,
    "Tanh": fastbp.Tanh,
    "Gelu": lambda: fastbp.Gelu("tanh"),
    "Silu": fastbp.Silu,
    "Elu": lambda: fastbp.Elu(0.3),
    "Selu": fastbp.Selu,
    "Mish": fastbp.Mish,
    "Softplus": fastbp.Softplus,
    "BatchNormalization": lambda: fastbp.BatchNormalization(
        np.full(3, 2.0), np.full(3, 0.5), 0.8, np.arange(3.0), np.ones(3), eps=1e-5
    ),
    "LayerNormalization": lambda: fastbp.LayerNormalization(np.full(3, 2.0), np.full(3, 0.5), 1e-3),
    "Scale": lambda: fastbp.Scale(np.full(3, 2.0), np.full(3, 0.5), trained=False),
    "Flatten": fastbp.Flatten,
    "Convolution": lambda: fastbp.Convolution(np.ones((3, 2, 3, 2)), None, stride=2, pad=1),
    "MaxPooling": lambda: fastbp.MaxPooling(2, 3, stride=1, pad=1),
    "AveragePooling": lambda: fastbp.AveragePooling(3, 3, stride=2, pad=1),
    "Dropout": lambda: fastbp.Dropout(0.25, seed=2**63 - 1),
    "SoftmaxWithLoss": lambda: fastbp.SoftmaxWithLoss(eps=1e-7, label_smoothing=0.1),
    "SigmoidWithLoss": fastbp.SigmoidWithLoss,
    "BinaryCrossEntropy": fastbp.BinaryCrossEntropy,
    "MeanSquaredError": fastbp.MeanSquaredError,
    "MeanAbsoluteError": fastbp.MeanAbsoluteError,
    "Huber": lambda: fastbp.Huber(0.3),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def example(layer=None, loss=None, dtype=np.float64):
    rng = np.random.default_rng(0)
    first = fastbp.Affine(rng.standard_normal((4, 3)).astype(dtype), rng.standard_normal(3).astype(dtype))
    if layer is not None and layer.takes_images:
        n = int(np.prod(layer.out_shape((2, 5, 4))))
        return fastbp.Sequential([layer, fastbp.Affine(np.ones((n, 2), dtype), None)], loss, in_shape=(2, 5, 4))
    layers = [first] if layer is None else [first, layer]
    return fastbp.Sequential([*layers, fastbp.Affine(rng.standard_normal((3, 2)).astype(dtype), None)], loss)


def data(rows=50, dtype=np.float32):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, 4)).astype(dtype), rng.integers(0, 2, rows)


def assert_same_network(got, expected):
    assert repr(list(got.layers.items())) == repr(list(expected.layers.items()))
    for a, b in zip(
        [*got.layers.values(), got.loss_layer], [*expected.layers.values(), expected.loss_layer], strict=True
    ):
        for name in ("slope", "alpha", "approximate", "p", "seed", "eps", "label_smoothing", "delta"):
            assert getattr(a, name, None) == getattr(b, name, None)
    assert got.in_shape == expected.in_shape
    assert list(got.params) == list(expected.params)
    for name, array in got.params.items():
        assert_same_bits(array, expected.params[name])


# ---- What comes back ----


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_layer_and_loss_comes_back_with_its_arguments(path, name, dtype):
    part = EXAMPLES[name]()
    net = example(layer=part, dtype=dtype) if name in LAYERS else example(loss=part, dtype=dtype)
    net.save(path)
    assert_same_network(fastbp.load(path), net)


def test_the_table_has_every_layer_and_loss_of_fastbp():
    parts = [getattr(fastbp, name) for name in fastbp.__all__]
    assert set(LAYERS.values()) == {p for p in parts if hasattr(p, "is_lowered") and p.is_lowered()}
    assert set(LOSSES.values()) == {p for p in parts if hasattr(p, "as_targets")}
    assert set(EXAMPLES) == {*LAYERS, *LOSSES}


def test_numbers_that_are_not_finite_keep_their_bits(path):
    net = fastbp.mlp([4, 3])
    net.params["W1"].view(np.uint32)[0, :] = 0x7FC01234, 0xFF800000, 0x80000000  # a NaN, -inf, -0
    net.save(path)
    assert_same_bits(fastbp.load(path).params["W1"], net.params["W1"])


def test_the_books_network_comes_back_as_a_sequential(path):
    net = fastbp.TwoLayerNet(4, 5, 3, seed=0)
    net.save(path)
    loaded = fastbp.load(path)
    assert type(loaded) is fastbp.Sequential
    assert_same_network(loaded, net)


def test_a_loaded_network_trains(path):
    net = fastbp.mlp([4, 7, 2], seed=0)
    net.save(path)
    loaded = fastbp.load(path)
    for n in (net, loaded):
        n.fit(*data(), epochs=2, seed=0, progress=False)
    assert_same_network(loaded, net)


def test_what_is_extra_comes_back(path):
    extra = {"classes": ["eins", "zwöi", "\udc80"], "mean": [0.1, -1e300], "nested": {"a": [None, True, {}]}}
    fastbp.mlp([4, 3]).save(path, extra=extra)
    assert fastbp.load_checkpoint(path).extra == extra


# ---- Going on ----


def deep(seed=0):
    rng = np.random.default_rng(seed)
    sizes = [(4, 16), (16, 16), (16, 2)]
    W = [rng.standard_normal(size).astype(np.float32) / 4 for size in sizes]
    b = [np.zeros(size[1], np.float32) for size in sizes]
    return fastbp.Sequential(
        [
            fastbp.Affine(W[0], b[0]),
            fastbp.Relu(),
            fastbp.Dropout(0.2, seed=1),
            fastbp.Affine(W[1], b[1]),
            fastbp.Tanh(),
            fastbp.Affine(W[2], b[2]),
        ]
    )


@pytest.mark.parametrize("optimizer", ["sgd", Momentum(lr=0.1), Adam(lr=0.01)], ids=str)
def test_a_run_goes_on_from_a_file_to_the_same_bits(path, optimizer):
    x, t = data()
    options = {"epochs": 6, "batch_size": 8, "optimizer": optimizer, "progress": False}
    options |= {"validation_data": data(20), "patience": 6}
    whole, part = deep(), deep()
    expected = whole.fit(x, t, seed=3, **options)
    state = part.fit(x, t, seed=3, max_steps=24, **options).state  # in the middle of the fourth epoch
    part.save(path, state=state)
    checkpoint = fastbp.load_checkpoint(path)
    history = checkpoint.net.fit(x, t, resume=checkpoint.state, **options)
    assert_same_network(checkpoint.net, whole)
    assert (history.val_loss, history.val_accuracy) == (expected.val_loss, expected.val_accuracy)
    # The losses of an epoch's steps are added up in chunks of time.
    np.testing.assert_allclose(history.loss, expected.loss, rtol=7 * np.finfo(float).eps, atol=0)


def test_a_state_saved_before_there_were_training_accuracies_goes_on(path):
    x, t = data()
    net = deep()
    state = net.fit(x, t, epochs=1, progress=False).state
    older = {name: values for name, values in state.history.items() if name != "accuracy"}
    net.save(path, state=dataclasses.replace(state, history=older))
    checkpoint = fastbp.load_checkpoint(path)
    history = checkpoint.net.fit(x, t, epochs=2, resume=checkpoint.state, accuracy=True, progress=False)
    assert history.accuracy == [checkpoint.net.accuracy(x, t)]


def test_every_field_of_a_state_comes_back(path):
    net = deep()
    state = net.fit(*data(), epochs=2, seed=0, optimizer="adam", max_steps=3, progress=False).state
    assert state.best_loss == np.inf  # which JSON does not have
    net.save(path, state=state)
    loaded = fastbp.load_checkpoint(path).state
    for field in dataclasses.fields(state):
        value, expected = getattr(loaded, field.name), getattr(state, field.name)
        assert type(value) is type(expected)
        if isinstance(value, np.ndarray):
            assert_same_bits(value, expected)
        else:
            assert value == expected
    kept = (*model_file.COUNTS, *model_file.TEXTS, *model_file.NUMBERS, *model_file.VECTORS, "history")
    assert sorted(kept) == sorted(field.name for field in dataclasses.fields(state))


def test_without_a_state_there_is_none(path):
    deep().save(path)
    assert fastbp.load_checkpoint(path).state is None


# ---- What cannot be saved ----


class OwnRelu(fastbp.Relu):
    pass


class OwnLoss(fastbp.MeanSquaredError):
    pass


def state_of(net):
    return net.fit(*data(), seed=0, progress=False).state


@pytest.mark.parametrize(
    ("net", "options", "error", "message"),
    [
        (
            lambda: example(OwnRelu()),
            {},
            TypeError,
            r"^OwnRelu\(\) can be neither saved nor exported",
        ),
        (lambda: example(loss=OwnLoss()), {}, TypeError, r"^OwnLoss\(\) can be neither saved nor .* only SoftmaxWith"),
        (deep, {"state": 1}, TypeError, r"^state must be the state of a History, got 1$"),
        (deep, {"state": "other"}, ValueError, r"^state does not fit the network: its parameters are 10 numbers"),
        (deep, {"extra": {"a": np.ones(2)}}, TypeError, "ndarray is not JSON serializable"),
        (deep, {"extra": {"a": float("nan")}}, ValueError, "Out of range float values are not JSON compliant"),
        (deep, {"extra": {"a": "x" * (1 << 18)}}, ValueError, r"too long for a file of \d+ bytes: \d+ bytes, at most"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_file(path, net, options, error, message):
    path.write_bytes(b"old")
    if options.get("state") == "other":
        options = {"state": state_of(fastbp.mlp([4, 2]))}
    with pytest.raises(error, match=message):
        net().save(path, **options)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


# ---- How a file is written ----


def test_the_same_network_gives_the_same_bytes(path):
    net = deep()
    state = state_of(net)
    net.save(path, state=state, extra={"b": 1, "a": 2})
    saved = path.read_bytes()
    checkpoint = fastbp.load_checkpoint(path)
    checkpoint.net.save(path, state=checkpoint.state, extra=checkpoint.extra)
    assert path.read_bytes() == saved


def test_a_file_is_prepared_beside_its_place_synced_and_moved_there(path, monkeypatch):
    calls = []

    def spy(name, key):
        original = getattr(os, name)

        def call(*args, **kwargs):
            calls.append((name, key(*args)))
            return original(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    spy("fsync", lambda fd: os.readlink(f"/proc/self/fd/{fd}"))
    spy("replace", lambda source, target: (os.fspath(source), os.fspath(target)))
    spy("rename", lambda source, target: (os.fspath(source), os.fspath(target)))
    deep().save(path)
    (sync, part), (move, (source, target)), (sync_folder, folder) = calls
    assert (sync, move, sync_folder) == ("fsync", "replace", "fsync")
    assert (source, target, folder) == (part, os.fspath(path), os.fspath(path.parent))
    assert os.path.dirname(part) == folder
    assert os.listdir(folder) == [path.name]


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    deep().save(path)
    before = path.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fastbp.mlp([4, 3]).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_killed_process_leaves_a_whole_file(path):
    code = """if True:
        import sys, fastbp
        net = fastbp.mlp([200, 200, 10], seed=0)
        while True:
            net.save(sys.argv[1])
            print(flush=True)
    """
    for saves in (1, 5):
        with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
            for _ in range(saves):
                process.stdout.readline()
            process.kill()
        assert_same_network(fastbp.load(path), fastbp.mlp([200, 200, 10], seed=0))


def test_threads_that_save_to_one_place_leave_a_whole_file_at_any_time(path):
    def save(seed):
        for _ in range(20):
            fastbp.mlp([4, 3], seed=seed).save(path)
            fastbp.load(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    assert os.listdir(path.parent) == [path.name]


def test_the_file_is_one_of_safetensors(path):
    net = deep()
    net.save(path)
    tensors = load_file(path)
    assert sorted(tensors) == sorted(net.params)
    for name, array in tensors.items():
        assert_same_bits(array, net.params[name])


def test_a_place_without_a_file(path):
    with pytest.raises(FileNotFoundError, match=f"{path}'$"):
        fastbp.load(path)
    with pytest.raises(FileNotFoundError, match=rf"there is no folder {path.parent}/nowhere: '.*/nowhere/m'$"):
        deep().save(path.parent / "nowhere" / "m")
    path.write_text("a file")
    with pytest.raises(NotADirectoryError, match=rf"{path} is no folder: '{path}/m'$"):
        deep().save(path / "m")


def test_reading_needs_no_file_open_afterwards(path):
    deep().save(path)
    before = len(os.listdir("/proc/self/fd"))
    nets = [fastbp.load(path) for _ in range(5)]
    assert len(os.listdir("/proc/self/fd")) == before
    path.unlink()
    nets[0].params["W1"][...] = 0
    assert nets[1].params["W1"].any()
