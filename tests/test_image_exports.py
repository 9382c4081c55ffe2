"""Networks for images as ONNX graphs, C files and NumPy modules: each run, and compared with ``predict``."""

import numpy as np
import pytest
from strategies import assert_within, eps
from test_exports import RUNNERS, run_numpy, run_onnx, runners
from test_image_networks import images, network

import fastbp


def drawn(*shape):
    return (np.random.default_rng(sum(shape)).standard_normal(shape) / 4).astype(np.float32)


NETWORKS = {
    "stride, zeros, both poolings, folded normalisation": lambda: network(scale=0.5),
    "mean of images with zeros around": lambda: fastbp.Sequential(
        [
            fastbp.AveragePooling(3, 2, stride=2, pad=1),
            fastbp.Convolution(drawn(3, 2, 2, 3), drawn(3), stride=1, pad=2),
            fastbp.Sigmoid(),
            fastbp.Flatten(),
            fastbp.Affine(drawn(3 * 8 * 7, 4), drawn(4)),
        ],
        in_shape=(2, 9, 8),
    ),
    "normalised before the convolution": lambda: fastbp.Sequential(
        [
            fastbp.BatchNormalization(1 + drawn(2), drawn(2), running_mean=drawn(2), running_var=1 + drawn(2) ** 2),
            fastbp.MaxPooling(2, 3, stride=2),
            fastbp.Convolution(drawn(3, 2, 3, 2), None, stride=2),
            fastbp.Affine(drawn(3, 3), drawn(3)),
        ],
        in_shape=(2, 9, 8),
    ),
}


@runners
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_and_probabilities_are_those_of_predict(run, name, tmp_path):
    net, (x, _) = NETWORKS[name](), images(5)
    call = run(net, tmp_path)
    assert_within(call("predict")(x), net.predict(x), 64 * eps(np.float32))
    assert_within(call("predict_proba")(x), net.predict_proba(x), 64 * eps(np.float32))


@pytest.mark.parametrize("run", ["c", "numpy"])
def test_float64_is_computed_in_float64(run, tmp_path):
    net, (x, _) = network(np.float64), images(5, np.float64)
    assert_within(RUNNERS[run](net, tmp_path)("predict")(x), net.predict(x), 64 * eps(np.float64))


def test_a_module_of_numpy_takes_images_as_rows(tmp_path):
    net, (x, _) = network(), images(4)
    predict = run_numpy(net, tmp_path)("predict")
    np.testing.assert_array_equal(predict(x.reshape(4, -1)), predict(x))


def test_an_onnx_graph_of_float64_is_of_float32_and_says_so(tmp_path):
    net, (x, _) = network(np.float64), images(4)
    with pytest.warns(UserWarning, match="takes, computes and gives float32, where the network is of float64") as told:
        predict = run_onnx(net, tmp_path)("predict")
    assert told[0].filename.endswith("test_exports.py")
    scores = predict(x)
    assert scores.dtype == np.float32
    assert_within(scores, net.predict(x), 64 * eps(np.float32))
