"""From a fitted estimator to a network of fastbp: the same predictions, in files and exports too."""

import runpy
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError

import fastbp
from fastbp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)


def fitted(kind, **settings):
    """An estimator, its samples, and its predictions made of those of a network as ``to_network`` says."""
    settings = {"hidden_layer_sizes": (8, 5), "max_iter": 10, "random_state": 0} | settings
    if kind == "several labels":
        x, y = make_multilabel_classification(n_samples=130, n_features=7, n_classes=3, random_state=0)
        return MLPClassifier(**settings).fit(x, y), x, lambda net, x: net.predict_proba(x) > 0.5
    if kind in ("one output", "two outputs"):
        y = X[:, 0] if kind == "one output" else X[:, :2]
        return MLPRegressor(**settings).fit(X, y), X, lambda net, x: net.predict(x).reshape(y.shape)
    names = np.array(["a", "b", "c"])[np.minimum(Y, 1 if kind == "two classes" else 2)]
    e = MLPClassifier(**settings).fit(X, names)
    if kind == "two classes":
        return e, X, lambda net, x: e.classes_[(net.predict_proba(x)[:, 0] > 0.5).astype(int)]
    return e, X, lambda net, x: e.classes_[net.predict_proba(x).argmax(axis=1)]


KINDS = {
    "two classes": "SigmoidWithLoss",
    "three classes": "SoftmaxWithLoss",
    "several labels": "SigmoidWithLoss",
    "one output": "MeanSquaredError",
    "two outputs": "MeanSquaredError",
}
SETTINGS = [
    {"activation": "identity", "solver": "lbfgs"},
    {"activation": "logistic", "dtype": "float32"},
    {"activation": "tanh", "dropout": 0.2},
    {"activation": "relu", "hidden_layer_sizes": ()},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_predicts_what_its_estimator_predicts(kind, settings, tmp_path):
    e, x, predictions = fitted(kind, **settings)
    x = x.astype(e.coefs_[0].dtype)
    net = e.to_network()
    assert type(net.loss_layer).__name__ == KINDS[kind]
    assert net.params["W1"].dtype == e.coefs_[0].dtype
    net.save(tmp_path / "net")
    net.to_numpy(tmp_path / "net.py")
    module = SimpleNamespace(**runpy.run_path(str(tmp_path / "net.py")))
    for other in net, fastbp.load(tmp_path / "net"), module:
        if isinstance(e, MLPRegressor):
            np.testing.assert_allclose(predictions(other, x), e.predict(x), rtol=1e-5, atol=1e-6)
            continue
        np.testing.assert_array_equal(predictions(other, x), e.predict(x))
        found, expected = other.predict_proba(x), e.predict_proba(x)
        np.testing.assert_allclose(found, expected[:, 1:] if kind == "two classes" else expected, rtol=1e-4, atol=1e-6)


def test_a_network_goes_its_own_way(tmp_path):
    e, x, _ = fitted("three classes")
    before = e.predict_proba(x)
    net = e.to_network()
    net.fit(x, Y, epochs=5, batch_size=30)
    assert net.loss(x, Y) < e.to_network().loss(x, Y)
    np.testing.assert_array_equal(e.predict_proba(x), before)


def test_an_export_of_an_estimator_in_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    e, x, _ = fitted("two classes", dtype="float32")
    e.to_network().to_onnx(tmp_path / "net.onnx", probabilities=True)
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    (found,) = session.run(["probabilities"], {"x": x.astype(np.float32)})
    np.testing.assert_allclose(found[:, 0], e.predict_proba(x)[:, 1], rtol=1e-4, atol=1e-6)


def test_what_cannot_become_a_network_is_an_error():
    counts = MLPRegressor(loss="poisson", max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match="loss='poisson' cannot become a network: its predictions are exp of"):
        counts.to_network()
    for make in MLPClassifier, MLPRegressor:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            make().to_network()
