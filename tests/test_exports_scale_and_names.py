"""Exports of networks with a scale, fed with bytes; and names made to break out of what is written."""

import numpy as np
import pytest
from strategies import FLOATS
from test_exports import RUNNERS, affine, assert_agree, compiled, module

import fastbp

dtypes = pytest.mark.parametrize("dtype", FLOATS)


def scaled(dtype, first=()):
    layers = [*first, affine(30, 20, dtype), fastbp.Relu(), affine(20, 5, dtype)]
    return fastbp.Sequential(layers, scale=1 / 255)


def pixels(rows=50):
    return np.random.default_rng(0).integers(0, 256, (rows, 30), np.uint8)


@dtypes
@pytest.mark.parametrize("first", [(), (fastbp.Tanh(),)], ids=["affine", "activation"])
@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_an_export_scales_bytes_as_the_network_does(run, dtype, first, tmp_path):
    net, x = scaled(dtype, first), pixels()
    call = run(net, tmp_path)
    given = x if run is RUNNERS["numpy"] else x.astype(dtype)  # the others take the type of the network
    assert_agree(call("predict")(given), net.predict(x.astype(dtype)))
    assert_agree(call("predict_proba")(given), net.predict_proba(x.astype(dtype)))


@dtypes
def test_a_module_of_torch_scales_bytes_and_has_the_state_dict_of_the_network(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    net, x = scaled(dtype), pixels()
    exported = net.to_torch()
    assert list(exported.state_dict()) == list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    torch.save(exported, tmp_path / "whole")
    for one in (exported, torch.load(tmp_path / "whole", weights_only=False)):
        with torch.no_grad():
            assert_agree(one(torch.from_numpy(x)).numpy(), net.predict(x.astype(dtype)))
    with torch.no_grad():
        assert exported.double()(torch.from_numpy(x)).dtype == torch.float64


def test_the_scale_comes_back_from_torch():
    pytest.importorskip("torch")
    net = scaled(np.float32)
    back = fastbp.from_torch(net.to_torch())
    assert back.scale == net.scale
    assert list(back.layers) == list(net.layers)
    np.testing.assert_array_equal(back.predict(pixels()), net.predict(pixels()))
    net.scale = 1.0
    assert fastbp.from_torch(net.to_torch()).scale == 1


def test_a_scale_that_is_not_first_is_no_layer():
    torch = pytest.importorskip("torch")
    exported = scaled(np.float32).to_torch()
    with pytest.raises(TypeError, match=r"^Sequential.2 is Scale\(0.00392157\)"):
        fastbp.from_torch(torch.nn.Sequential(torch.nn.Linear(30, 30), torch.nn.ReLU(), exported[0]))


# ---- Names that would break out ----

EVIL = ['"""\nraise SystemExit\n"""', "*/ int evil(void) { return 1; } /*", "\\", "??/\n", "{steps}", "é"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("export", ["to_c", "to_numpy", "to_onnx", "save"])
@pytest.mark.parametrize("kind", ["layer", "loss"])
def test_classes_that_are_not_of_fastbp_are_refused_whatever_they_are_called(kind, export, name, tmp_path):
    base = fastbp.Relu if kind == "layer" else fastbp.MeanSquaredError
    own = type(name, (base,), {})()
    layers = [affine(3, 2, np.float32), *([own] if kind == "layer" else [])]
    net = fastbp.Sequential(layers, own if kind == "loss" else None)
    with pytest.raises(TypeError, match="can be neither saved nor exported"):
        getattr(net, export)(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVIL)
def test_the_names_of_layers_stay_in_comments(name, tmp_path):
    net = fastbp.Sequential([affine(3, 2, np.float32)])
    net.summary = lambda: f"{name}  (3, 2)\nwhat comes next"
    net.to_numpy(tmp_path / "net.py")
    assert module(tmp_path / "net.py")["predict"](np.ones(3)).shape == (2,)
    net.to_c(tmp_path / "net.c")
    assert not hasattr(compiled(tmp_path / "net.c"), "evil")
