"""Networks as ONNX graphs, C files and NumPy modules: each run, and compared with the network."""

import ctypes
import itertools
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, assert_within, eps

import fastbp
from fastbp.activations import BY_NAME, named

CC = ["cc", "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
numbered = itertools.count()

LOSSES = {
    "softmax": lambda: fastbp.SoftmaxWithLoss(),
    "sigmoid": fastbp.SigmoidWithLoss,
    "identity": fastbp.BinaryCrossEntropy,
    "none": fastbp.MeanSquaredError,
}


def affine(inputs, outputs, dtype, bias=True):
    rng = np.random.default_rng(inputs)
    W = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
    return fastbp.Affine(W.astype(dtype), rng.standard_normal(outputs).astype(dtype) if bias else None)


def normalizing(kind, k, dtype, **options):
    """A layer of numbers for each column, none of which is 0 or 1."""
    rng = np.random.default_rng(k)
    numbers = [(1 + 0.3 * rng.standard_normal(k)).astype(dtype) for _ in range(2)]
    if kind is fastbp.BatchNormalization:
        options = {"running_mean": rng.standard_normal(k), "running_var": rng.uniform(0.5, 2, k)} | options
    return kind(*numbers, **options)


NETWORKS = {
    "all layers": lambda dtype: [
        affine(30, 40, dtype),
        fastbp.Relu(),
        affine(40, 20, dtype, bias=False),
        fastbp.LeakyRelu(0.2),
        fastbp.Dropout(0.3, seed=1),
        affine(20, 20, dtype),
        fastbp.Tanh(),
        affine(20, 5, dtype),
        fastbp.Sigmoid(),
    ],
    "one layer": lambda dtype: [affine(30, 5, dtype)],
    "one output": lambda dtype: [affine(30, 1, dtype), fastbp.Sigmoid()],
    "without bias, dropout last": lambda dtype: [affine(30, 3, dtype, bias=False), fastbp.Dropout(0.5, seed=1)],
    "activations and dropout first": lambda dtype: [
        fastbp.Dropout(0.5, seed=1),
        fastbp.LeakyRelu(-0.3),
        fastbp.Tanh(),
        affine(30, 4, dtype),
        fastbp.Relu(),
    ],
    "normalised": lambda dtype: [
        normalizing(fastbp.Scale, 30, dtype, trained=False),
        affine(30, 20, dtype, bias=False),
        normalizing(fastbp.BatchNormalization, 20, dtype),
        fastbp.Relu(),
        normalizing(fastbp.BatchNormalization, 20, dtype),
        affine(20, 9, dtype),
        normalizing(fastbp.LayerNormalization, 9, dtype),
        fastbp.Tanh(),
        affine(9, 4, dtype),
        normalizing(fastbp.Scale, 4, dtype),
    ],
    "normalised at both ends": lambda dtype: [
        normalizing(fastbp.BatchNormalization, 30, dtype),
        affine(30, 4, dtype),
        normalizing(fastbp.BatchNormalization, 4, dtype),
    ],
    "wide": lambda dtype: [affine(300, 50, dtype), fastbp.Relu(), affine(50, 10, dtype)],
}
networks = pytest.mark.parametrize("name", NETWORKS)
dtypes = pytest.mark.parametrize("dtype", FLOATS)


def network(name, dtype, loss="softmax"):
    if loss == "identity":
        return fastbp.Sequential([*NETWORKS[name](dtype), fastbp.Sigmoid()], LOSSES[loss]())
    return fastbp.Sequential(NETWORKS[name](dtype), LOSSES[loss]())


def samples(net, rows=17):
    W = net.params["W1"]
    return np.random.default_rng(0).standard_normal((rows, len(W))).astype(W.dtype)


def assert_agree(got, expected):
    """Within 1e-6 of the largest number, or of 1, in float32; likewise in float64.

    The rounding of a sum of n terms is about sqrt(n) / 2 eps of a term, and the sum itself is about sqrt(n) terms.
    """
    assert got.dtype == expected.dtype
    assert_within(got, expected, 8 * eps(expected.dtype) * max(1, np.abs(expected).max()))
    assert 8 * eps(np.float32) < 1e-6


# ---- How each of the three is run ----


def run_onnx(net, folder):
    runtime = pytest.importorskip("onnxruntime")
    path = folder / "net.onnx"
    net.to_onnx(path, probabilities=not isinstance(net.loss_layer, fastbp.MeanSquaredError))
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda name: (
        lambda x: session.run([{"predict": "scores", "predict_proba": "probabilities"}[name]], {"x": x})[0]
    )


def compiled(source, *flags):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = source.with_suffix(".so")
    subprocess.run([*CC, *flags, "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    return ctypes.CDLL(os.fspath(library))


def run_c(net, folder):
    net.to_c(folder / f"net{next(numbered)}.c")
    library = compiled(max(folder.glob("*.c")))
    n_outputs = net.n_outputs

    def call(name):
        function = getattr(library, name)
        function.restype, function.argtypes = None, [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]

        def predict(x):
            guarded = np.full(len(x) * n_outputs + 2, 7, x.dtype)
            function(len(x), x.ctypes.data, guarded[1:].ctypes.data)
            assert guarded[0] == guarded[-1] == 7
            return guarded[1:-1].reshape(len(x), n_outputs).copy()

        return predict

    return call


def module(path):
    namespace: dict = {}
    exec(compile(path.read_text(), path.name, "exec"), namespace)
    return namespace


def run_numpy(net, folder):
    net.to_numpy(folder / "net.py")
    return module(folder / "net.py").__getitem__


RUNNERS = {"onnx": run_onnx, "c": run_c, "numpy": run_numpy}
runners = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)


# ---- The same outputs ----


@runners
@networks
@dtypes
def test_scores_are_those_of_predict(run, name, dtype, tmp_path):
    net = network(name, dtype)
    call = run(net, tmp_path)
    for rows in (17, 1, 100):
        x = samples(net, rows)
        assert_agree(call("predict")(x), net.predict(x))


@runners
@dtypes
@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "identity"])
def test_probabilities_are_those_of_predict_proba(run, dtype, loss, tmp_path):
    net = network("one layer", dtype, loss)
    call = run(net, tmp_path)
    for scale in (1, 1e4):  # scores that overflow an exp that is not shifted
        x = samples(net) * dtype(scale)
        with np.errstate(over="raise", invalid="raise"):
            got = call("predict_proba")(x)
        if scale == 1:
            assert_agree(got, net.predict_proba(x))
        assert_within(got, net.predict_proba(x), 1e-3)


@runners
def test_a_loss_without_probabilities_has_none(run, tmp_path):
    net = network("one layer", np.float32, "none")
    call = run(net, tmp_path)
    x = samples(net)
    assert_agree(call("predict")(x), net.predict(x))
    with pytest.raises(Exception, match=r"predict_proba|Invalid output name:probabilities"):
        call("predict_proba")(x)


@runners
@pytest.mark.parametrize("layer", [fastbp.Relu(), fastbp.LeakyRelu(0.1), fastbp.Sigmoid(), fastbp.Tanh()], ids=str)
def test_far_tails_and_numbers_that_are_not_finite_are_as_in_predict(run, layer, tmp_path):
    numbers = [0.0, -0.0, 50, -50, 80, -80, 1e30, -1e30, np.inf, -np.inf, np.nan]
    x = np.array(numbers, np.float32).reshape(-1, 1)
    net = fastbp.Sequential([layer, fastbp.Affine(np.ones((1, 1), np.float32), None)])
    got, expected = run(net, tmp_path)("predict")(x), net.predict(x)
    # The sigmoid of fastbp is within 4 units in the last place, others' within a few; onnxruntime's is 0 far out.
    least = eps(np.float32) if run is run_onnx else 0
    assert_within(got, expected, 8 * eps(np.float32) * np.abs(np.nan_to_num(expected)) + least)


@runners
@dtypes
@pytest.mark.parametrize("activation", BY_NAME)
def test_every_activation_is_in_every_export(run, activation, dtype, tmp_path):
    if run is run_onnx and activation == "gelu" and dtype == np.float64:
        pytest.skip("onnxruntime has the error function in float32 alone")
    net = fastbp.Sequential([affine(30, 40, dtype), named(activation), affine(40, 5, dtype)])
    x = 3 * samples(net, 200)
    assert_agree(run(net, tmp_path)("predict")(x), net.predict(x))


# ---- Exact, the same each time, and what cannot be ----


def hostile(dtype):
    """Numbers of every size, denormal ones, both zeros, and random bits."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, 600, dtype=np.int64).view(dtype)
    info = np.finfo(dtype)
    some = [0.0, -0.0, info.tiny, info.smallest_subnormal, info.max, -info.max, 1 / 3]
    numbers = np.concatenate([np.array(some, dtype), bits[np.isfinite(bits)]])
    return numbers[: len(numbers) // 3 * 3].reshape(-1, 3)


@dtypes
def test_the_numbers_of_a_numpy_module_and_of_a_c_file_are_exact(dtype, tmp_path):
    W = hostile(dtype)
    net = fastbp.Sequential([fastbp.Affine(W, np.zeros(3, dtype)), fastbp.Relu()])
    net.to_numpy(tmp_path / "net.py")
    assert_same_bits(module(tmp_path / "net.py")["W1"], W)
    source = tmp_path / "net.c"
    net.to_c(source)
    source.write_text(source.read_text().replace("static const", "const"))
    library = compiled(source)
    kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    assert_same_bits(np.array((kind * W.size).in_dll(library, "W1"), dtype).reshape(W.shape), W)


@dtypes
def test_the_numbers_of_an_onnx_graph_are_exact(dtype, tmp_path):
    onnx = pytest.importorskip("onnx")
    net = fastbp.Sequential([fastbp.Affine(hostile(dtype), None), fastbp.LeakyRelu(1 / 3)])
    net.to_onnx(tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert_same_bits(arrays["W1"], hostile(dtype))
    assert_same_bits(
        next(a for name, a in arrays.items() if name.startswith("LeakyRelu2_number")), np.full(1, 1 / 3, dtype)
    )


@pytest.mark.parametrize("export", ["to_onnx", "to_c", "to_numpy"])
def test_the_same_network_gives_the_same_file(export, tmp_path):
    for name in "ab":
        getattr(network("all layers", np.float32), export)(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


class OwnTanh(fastbp.Tanh):
    pass


@pytest.mark.parametrize("export", ["to_onnx", "to_c", "to_numpy"])
def test_what_cannot_be_exported_leaves_no_file(export, tmp_path):
    net = network("one layer", np.float32)
    net.params["b1"][0] = np.nan
    with pytest.raises(ValueError, match=r"^b1 holds numbers that are not finite"):
        getattr(net, export)(tmp_path / "a")
    own = fastbp.Sequential([affine(3, 2, np.float32), OwnTanh()])
    with pytest.raises(
        TypeError, match=r"^OwnTanh\(\) can be neither saved nor exported, only Affine, BatchNormalization"
    ):
        getattr(own, export)(tmp_path / "a")
    assert os.listdir(tmp_path) == []


# ---- ONNX ----


def test_an_onnx_graph_is_valid_and_takes_any_number_of_rows(tmp_path):
    onnx = pytest.importorskip("onnx")
    network("all layers", np.float32).to_onnx(tmp_path / "a", probabilities=True)
    model = onnx.load(tmp_path / "a")
    onnx.checker.check_model(model, full_check=True)
    assert [(i.name, i.type.tensor_type.shape.dim[0].dim_param) for i in model.graph.input] == [("x", "N")]
    assert [output.name for output in model.graph.output] == ["scores", "probabilities"]
    network("all layers", np.float32).to_onnx(tmp_path / "a")
    assert [output.name for output in onnx.load(tmp_path / "a").graph.output] == ["scores"]


def test_probabilities_that_a_loss_does_not_have_are_refused(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(TypeError, match=r"^MeanSquaredError is a loss of numbers, .* no probabilities"):
        network("one layer", np.float32, "none").to_onnx(tmp_path / "a", probabilities=True)


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx, .* pip install .*\[onnx\]"):
        network("one layer", np.float32).to_onnx(tmp_path / "a")


# ---- C ----


def test_two_networks_go_into_one_program(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    one, two = network("one layer", np.float32), network("all layers", np.float64)
    one.to_c(tmp_path / "one.c", prefix="one_")
    two.to_c(tmp_path / "two.c", prefix="two_")
    (tmp_path / "main.c").write_text("""
        #include <stddef.h>
        #include <stdio.h>
        void one_predict(size_t rows, const float *x, float *scores);
        void two_predict_proba(size_t rows, const double *x, double *probabilities);
        int main(void)
        {
            static const float x[30] = {1};
            static const double z[30] = {1};
            float scores[5];
            double probabilities[5];
            one_predict(1, x, scores);
            two_predict_proba(1, z, probabilities);
            for (int i = 0; i < 5; i++)
                printf("%.9g %.17g\\n", scores[i], probabilities[i]);
            return 0;
        }
    """)
    subprocess.run([*CC, "-o", "main", "main.c", "one.c", "two.c", "-lm"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    got = np.array([line.split() for line in out.splitlines()], np.float64)
    x = np.eye(30)[:1]
    assert_agree(got[:, 0].astype(np.float32), one.predict(x.astype(np.float32))[0])
    assert_agree(got[:, 1], two.predict_proba(x)[0])


def test_mathematics_is_included_only_where_it_is_used(tmp_path):
    fastbp.Sequential([affine(3, 2, np.float32), fastbp.Relu()], fastbp.MeanSquaredError()).to_c(tmp_path / "a.c")
    text = (tmp_path / "a.c").read_text()
    assert "math.h" not in text
    assert "-lm" not in text
    compiled(tmp_path / "a.c", "-Wl,--no-undefined", "-Wmissing-declarations", "-Wno-error=missing-declarations")


def test_the_lines_of_a_c_file_and_of_a_module_are_short_and_name_every_layer(tmp_path):
    net = fastbp.Sequential([fastbp.Affine(hostile(np.float64), None), fastbp.Tanh(), fastbp.Dropout(0.5)])
    net.to_c(tmp_path / "a")
    net.to_numpy(tmp_path / "b")
    for name in "ab":
        text = (tmp_path / name).read_text(encoding="ascii")
        assert max(map(len, text.splitlines())) <= 120
        assert re.search(r" +\n", text) is None
        assert all(line in text for line in net.summary().splitlines())


@pytest.mark.parametrize("prefix", ["1", "a b", "a;", "é", "a\n", "_x"])
def test_a_prefix_that_is_no_beginning_of_a_name_is_refused(prefix, tmp_path):
    with pytest.raises(ValueError, match=r"^prefix must be the beginning of a name in C"):
        network("one layer", np.float32).to_c(tmp_path / "a.c", prefix=prefix)


# ---- NumPy ----


def test_a_numpy_module_needs_only_numpy(tmp_path):
    net = network("all layers", np.float32)
    net.to_numpy(tmp_path / "net.py")
    code = """if True:
        import sys
        for name in ("fastbp", "numba", "safetensors"):
            sys.modules[name] = None
        import net, numpy as np
        print(repr(net.predict(np.ones((1, 30))).tolist()))
    """
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    out = subprocess.run([sys.executable, "-c", code], **options).stdout
    x = np.ones((1, 30), np.float32)
    assert_agree(np.array(eval(out), np.float32), net.predict(x))
