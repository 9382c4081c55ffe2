"""``fastbp export``: what is exported says what fastbp says, far from 0 too, and names what it takes and gives."""

import ctypes
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from test_exports import compiled, module

import fastbp
from fastbp import cli
from fastbp.tables._features import ArrayFeatures, TableFeatures
from fastbp.tables._model import Model
from fastbp.tables._targets import Classes, Numbers

numbered = itertools.count()
RATIOS = [0, *(100.0**n for n in range(8))]
HOSTILE = ["*/ int main; /*", '"""\nimport os', "'''", "\\", '"; }', "??/", "ä€\udc80", "a" * 5000, "{x}", "%s\x00"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(model, kind):
    """The path of what is written."""
    path = Path(f"net{next(numbered)}.{kind}").resolve()
    model.save("m.st")
    assert cli.main(["export", "m.st", "--format", kind, "--output", str(path)]) == 0
    return path


def run_numpy(model):
    return module(export(model, "numpy"))["predict"]


def run_c(model, kind=np.float64, result=np.float64):
    library = compiled(export(model, "c"))

    def predict(x):
        x = np.ascontiguousarray(x, kind)
        scores = np.empty((len(x), model.targets.n_outputs), result)
        library.predict(ctypes.c_size_t(len(x)), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(scores.ctypes.data))
        return scores

    predict.library = library
    return predict


def run_onnx(model):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(export(model, "onnx"))
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[session.get_inputs()[0].type]
    return lambda x: session.run(None, {"x": x.astype(kind)})[0]


def torch_module(model, torch):
    """The state dict in a module of PyTorch's own, and it, without the units, in a dict of its own."""
    state = torch.load(export(model, "torch"), weights_only=True)
    units = {name: state.pop(name) for name in list(state) if name.endswith((".mean", ".std"))}
    sizes = model.net.params["W1"].shape, model.net.params["W2"].shape
    kind = getattr(torch, model.dtype)
    module = torch.nn.Sequential(torch.nn.Linear(*sizes[0]), torch.nn.ReLU(), torch.nn.Linear(*sizes[1])).to(kind)
    module.load_state_dict(state)
    return module, units


def run_torch(model):
    torch = pytest.importorskip("torch")
    module, units = torch_module(model, torch)

    def predict(x):
        x = torch.from_numpy(x)
        if "inputs.mean" in units:
            x = (x.double() - units["inputs.mean"]) / units["inputs.std"]
        with torch.no_grad():
            scores = module(x.to(module[0].weight.dtype))
        if "outputs.mean" in units:
            scores = scores.double() * units["outputs.std"] + units["outputs.mean"]
        return scores.numpy()

    return predict


RUNNERS = {"numpy": run_numpy, "c": run_c, "onnx": run_onnx, "torch": run_torch}
runners = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)


def standardised(ratio, n=200):
    """Samples whose columns' means are ``ratio`` times their spreads, and a model's features of them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)) * [96, 0.5, 1] + ratio * np.array([96, -0.5, 1])
    return x, ArrayFeatures(3, 1.0, x.mean(axis=0).tolist(), x.std(axis=0).tolist())


def scores_of(model, x):
    return model.scores(model.features.transform(x, model.dtype))


# ---- Far from 0 ----


@runners
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_are_fastbps_own_however_far_the_inputs_lie_from_0(run, dtype):
    net = fastbp.mlp([3, 50, 4], seed=0, dtype=dtype)
    for ratio in RATIOS:
        x, features = standardised(ratio)
        model = Model(net, features, Classes("t", [0, 1, 2, 3]))
        got = run_c(model, result=np.dtype(dtype))(x) if run is run_c else run(model)(x)
        expected = scores_of(model, x)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=64 * np.finfo(dtype).eps * np.abs(expected).max())


@runners
def test_predicted_numbers_are_fastbps_own_however_far_they_lie_from_0(run):
    x, features = standardised(10)
    net = fastbp.mlp([3, 50, 2], seed=0, loss=fastbp.MeanSquaredError())
    for ratio in RATIOS:
        model = Model(net, features, Numbers("t", [96 * ratio, -5.0], [96.0, 0.25]))
        expected = model.answers(scores_of(model, x))
        got = run(model)(x)
        assert got.dtype == np.float64
        for column, std in enumerate((96.0, 0.25)):
            error = 64 * np.finfo(np.float32).eps * std + np.spacing(96 * ratio)
            np.testing.assert_allclose(got[:, column], expected[:, column], rtol=0, atol=error)


@runners
def test_bytes_are_scaled(run):
    x = np.random.default_rng(0).integers(0, 256, (50, 3), np.uint8)
    model = Model(fastbp.mlp([3, 50, 4], seed=0), ArrayFeatures(3, 1 / 255), Classes("t", [0, 1, 2, 3]))
    got = run_c(model, np.float32, np.float32)(x) if run is run_c else run(model)(x)
    expected = scores_of(model, x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("default")
def test_images_of_float64_become_a_graph_of_float32_which_is_said_in_a_line(capsys):
    runtime = pytest.importorskip("onnxruntime")
    net = fastbp.convnet("simple-conv", 10, (1, 12, 12), seed=0, dtype="float64")
    net.save("images.st")
    assert cli.main(["export", "images.st", "--format", "onnx"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith(
        "fastbp: the ONNX graph takes, computes and gives float32, where the network is of float64"
    )
    assert told.err.count("\n") == 1 and "Warning" not in told.err
    assert told.out.endswith("written  images.onnx\n")
    x = np.random.default_rng(0).standard_normal((5, 1, 12, 12))
    session = runtime.InferenceSession("images.onnx")
    assert session.get_inputs()[0].type == "tensor(float)"
    (scores,) = session.run(None, {"x": x.astype(np.float32)})
    expected = net.predict(x)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=64 * np.finfo(np.float32).eps * np.abs(expected).max())


def test_a_scale_that_no_weights_can_take_is_an_error_for_a_state_dict(capsys):
    pytest.importorskip("torch")
    net = fastbp.Sequential([fastbp.Tanh(), fastbp.Affine(np.ones((3, 2)), None)])
    Model(net, ArrayFeatures(3, 1 / 255), Classes("t", [0, 1])).save("m.st")
    assert cli.main(["export", "m.st", "--format", "torch"]) == 1
    told = capsys.readouterr().err
    assert "the first layer must take the scale of the inputs into its weights, as an Affine does, got Tanh()" in told


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_scale_of_images_goes_into_the_filters_of_a_state_dict(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((4, 2, 3, 3)).astype(dtype), rng.standard_normal(4).astype(dtype)
    layers = [fastbp.Convolution(W, b, stride=2, pad=1), fastbp.Relu(), fastbp.Affine(np.ones((64, 3), dtype), None)]
    net = fastbp.Sequential(layers, scale=1 / 255, in_shape=(2, 7, 8))
    net.save("images.st")
    assert cli.main(["export", "images.st", "--format", "torch"]) == 0
    state = torch.load("images.pt", weights_only=True)
    assert {name: array.numpy().dtype for name, array in state.items()} == dict.fromkeys(state, np.dtype(dtype))
    np.testing.assert_array_equal(state["0.weight"].numpy(), (W * np.float64(1 / 255)).astype(dtype))
    x = rng.integers(0, 256, (5, 2, 7, 8)).astype(dtype)
    expected, net.scale = net.predict(x), 1.0
    net.load_state_dict(state)
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=64 * np.finfo(dtype).eps * np.abs(expected).max())


def test_how_to_use_the_units_of_a_state_dict_is_said(capsys):
    pytest.importorskip("torch")
    _, features = standardised(10)
    net = fastbp.mlp([3, 50, 1], seed=0, loss=fastbp.MeanSquaredError())
    export(Model(net, features, Numbers("price", [3.0], [2.0])), "torch")
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "take     ((x.double() - state['inputs.mean']) / state['inputs.std']).to(torch.float32)"
    assert lines[3] == "give     scores.double() * state['outputs.std'] + state['outputs.mean']"


# ---- Names ----


def named(names, classes):
    columns = [{"name": name, "mean": 0.0, "std": 1.0} for name in names[:-1]]
    columns.append({"name": names[-1], "categories": ["x", "y"]})
    net = fastbp.mlp([len(names) + 1, 5, len(classes)], seed=0)
    expected = [*names[:-1], f"{names[-1]}=x", f"{names[-1]}=y"]
    return Model(net, TableFeatures(columns), Classes("kind", list(classes))), expected


NAMED = pytest.mark.parametrize(
    ("names", "classes"), [(["length", "soil"], ["iris", "lily"]), (["a", "b"], [3, 5, 8]), (HOSTILE, HOSTILE)]
)


@NAMED
def test_a_numpy_module_has_the_names(names, classes):
    model, expected = named(names, classes)
    namespace = run_numpy(model).__globals__
    assert namespace["INPUTS"] == tuple(expected)
    assert namespace["CLASSES"] == tuple(classes)
    assert "os" not in namespace


@NAMED
def test_a_c_file_has_the_names(names, classes):
    model, expected = named(names, classes)
    library = run_c(model, np.float32, np.float32).library
    for name, texts in (("input_names", expected), ("class_names", classes)):
        strings = (ctypes.c_char_p * len(texts)).in_dll(library, name)
        for string, text in zip(strings, map(str, texts), strict=True):
            data = text.encode(errors="backslashreplace")
            data = data if len(data) <= 1000 else data[:997] + b"..."
            assert string == data.partition(b"\0")[0]


@NAMED
def test_an_onnx_graph_has_the_names(names, classes):
    onnx = pytest.importorskip("onnx")
    model, expected = named(names, classes)
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(export(model, "onnx")).metadata_props}
    assert properties == {"inputs": expected, "classes": classes}


@NAMED
def test_a_state_dict_has_the_names(names, classes):
    torch = pytest.importorskip("torch")
    model, expected = named(names, classes)
    state = torch.load(export(model, "torch"), weights_only=True)
    assert (state.input_names, state.class_names) == (expected, classes)


def test_arrays_have_no_names_of_inputs_and_numbers_none_of_classes():
    _, features = standardised(10)
    net = fastbp.mlp([3, 50, 1], seed=0, loss=fastbp.MeanSquaredError())
    for kind in ("numpy", "c"):
        text = export(Model(net, features, Numbers("price", [3.0], [2.0])), kind).read_text()
        assert not any(word in text for word in ("INPUTS", "CLASSES", "_names"))
