"""Ensembles as one file of C, NumPy and ONNX: each run, and compared with the ensemble."""

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest
from strategies import FLOATS, assert_within, eps
from test_exports import CC

import fastbp

LOSSES = ["softmax", "sigmoid", fastbp.BinaryCrossEntropy(), "mse"]


def ensemble(loss, dtype, outputs=3):
    """Networks of different layers, which have functions and arrays of the same names."""
    members = [
        fastbp.mlp([4, 5, outputs], "tanh", loss=loss, dtype=dtype, seed=0),
        fastbp.mlp([4, 6, 7, outputs], "leaky_relu", normalization="layer", loss=loss, dtype=dtype, seed=1, scale=0.5),
        fastbp.mlp([4, 6, 7, outputs], ["tanh", "relu"], dropout=0.2, loss=loss, dtype=dtype, seed=2),
    ]
    if isinstance(loss, fastbp.BinaryCrossEntropy):
        members = [
            fastbp.Sequential([*net.layers.values(), fastbp.Sigmoid()], loss, scale=net.scale) for net in members
        ]
    return fastbp.Ensemble(members, [1, 2, 4])


def samples(dtype, n=7):
    return np.random.default_rng(3).standard_normal((n, 4)).astype(dtype)


def tolerance(dtype, y):
    return 64 * eps(dtype) * max(1, np.abs(y).max())


def in_c(made, x, tmp_path, prefix=""):
    """What the compiled file makes of ``x``."""
    made.to_c(tmp_path / "ensemble.c", prefix=prefix)
    library = tmp_path / "ensemble.so"
    subprocess.run([*CC, "-shared", "-fPIC", "ensemble.c", "-o", library.name, "-lm"], cwd=tmp_path, check=True)
    y = np.full((len(x), made.nets[0].n_outputs), np.nan, x.dtype)
    predict = getattr(ctypes.CDLL(str(library)), f"{prefix}predict")
    predict.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    predict.restype = None
    predict(len(x), x.ctypes.data, y.ctypes.data)
    return y


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_c_gives_what_the_ensemble_does(loss, dtype, tmp_path):
    made, x = ensemble(loss, dtype), samples(dtype)
    assert_within(in_c(made, x, tmp_path), made.predict(x), tolerance(dtype, made.predict(x)))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("prefix", ["own_", "REAL", "W1", "member0_"])
def test_names_in_c_begin_with_a_prefix_and_no_other_is_to_be_seen(prefix, tmp_path):
    made, x = ensemble("softmax", np.float32), samples(np.float32)
    assert_within(in_c(made, x, tmp_path, prefix), made.predict(x), tolerance(np.float32, made.predict(x)))
    if shutil.which("nm"):
        told = subprocess.run(["nm", "-D", "--defined-only", tmp_path / "ensemble.so"], capture_output=True, text=True)
        assert [line.split()[-1] for line in told.stdout.splitlines() if " T " in line] == [f"{prefix}predict"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_numpy_gives_what_the_ensemble_does_and_needs_nothing_else(loss, dtype, tmp_path):
    made, x = ensemble(loss, dtype), samples(dtype)
    made.to_numpy(tmp_path / "exported.py")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, exported; x = np.load('x.npy');"
        "np.savez('y.npz', mean=exported.predict(x), all=exported.predict_all(x));"
        "assert not any(name.startswith(('fastbp', 'numba')) for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, env={"PATH": ""})
    with np.load(tmp_path / "y.npz") as y:
        assert y["mean"].dtype == dtype
        assert_within(y["mean"], made.predict(x), tolerance(dtype, y["mean"]))
        assert_within(y["all"], made.predict_all(x), tolerance(dtype, y["all"]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_onnx_gives_what_the_ensemble_does(loss, dtype, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    made, x = ensemble(loss, dtype), samples(dtype)
    made.to_onnx(tmp_path / "ensemble.onnx")
    session = runtime.InferenceSession(tmp_path / "ensemble.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs() + session.get_outputs()] == ["x", "mean"]
    (y,) = session.run(["mean"], {"x": x})
    assert_within(y, made.predict(x), tolerance(dtype, y))


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_output_too(outputs, tmp_path):
    made, x = ensemble("sigmoid", np.float64, outputs), samples(np.float64)
    made.to_numpy(tmp_path / "exported.py")
    space = {"__name__": "exported"}
    exec((tmp_path / "exported.py").read_text("ascii"), space)
    assert_within(space["predict"](x), made.predict(x), tolerance(np.float64, made.predict(x)))


def test_the_same_ensemble_gives_the_same_text(tmp_path):
    for name in ("a", "b"):
        made = ensemble("softmax", np.float32)
        made.to_c(tmp_path / f"{name}.c")
        made.to_numpy(tmp_path / f"{name}.py")
    assert (tmp_path / "a.c").read_bytes() == (tmp_path / "b.c").read_bytes()
    assert (tmp_path / "a.py").read_bytes() == (tmp_path / "b.py").read_bytes()


def test_numbers_that_are_not_finite_are_not_exported(tmp_path):
    made = ensemble("softmax", np.float32)
    made.nets[1].params["W1"][0, 0] = np.nan
    with pytest.raises(ValueError, match="W1 holds numbers that are not finite"):
        made.to_c(tmp_path / "a.c")
    assert list(tmp_path.iterdir()) == []
