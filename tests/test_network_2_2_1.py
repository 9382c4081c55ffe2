"""The network 2-2-1 with its numbers, recorded and torch's."""

import numpy as np
import pytest
from strategies import FLOATS

import fastbp
from fastbp.optimizers import SGD

X, T = np.array([[1.0, 1.0]]), np.array([[0.0]])
START = {  # weights as in the example, a row for each output
    "W1": [[0.4352, 0.3545], [0.1951, 0.4835]],
    "b1": [-0.1419, 0.0439],
    "W2": [[-0.1725, 0.1129]],
    "b2": [-0.3043],
}
# The following are torch's, in float64.
LOSS = 0.536884190555
GRADIENTS = {
    "W1": [[-0.016160061076, -0.016160061076], [0.010319305679, 0.010319305679]],
    "b1": [-0.016160061076, 0.010319305679],
    "W2": [[0.272737919757, 0.279651878586]],
    "b2": [0.415433183439],
}
AFTER_ONE_STEP = {
    "W1": [[0.451360061076, 0.370660061076], [0.184780694321, 0.473180694321]],
    "b1": [-0.125739938924, 0.033580694321],
    "W2": [[-0.445237919757, -0.166751878586]],
    "b2": [-0.719733183439],
}


def network_2_2_1(dtype=np.float64):
    W1, b1, W2, b2 = (np.array(a, dtype).T for a in START.values())
    layers = [fastbp.Affine(W1, b1), fastbp.Sigmoid(), fastbp.Affine(W2, b2), fastbp.Sigmoid()]
    return fastbp.Sequential(layers, fastbp.BinaryCrossEntropy())


def assert_are(arrays, numbers):
    assert list(arrays) == list(numbers)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, np.array(numbers[name]).T, rtol=0, atol=1e-6, err_msg=name)


def test_network_2_2_1_has_the_activations_of_the_example():
    out, outputs = X, []
    for layer in network_2_2_1().layers.values():
        out = layer.forward(out)
        outputs.append(np.round(out, 4).tolist())
    assert outputs == [[[0.6478, 0.7225]], [[0.6565, 0.6732]], [[-0.3415]], [[0.4154]]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_network_2_2_1_layer_by_layer_has_the_recorded_loss_gradients_and_weights(dtype):
    net = network_2_2_1(dtype)
    assert net.predict_proba(X)[0, 0] == net.predict(X)[0, 0]
    assert round(float(net.predict(X)[0, 0]), 4) == 0.4154
    assert abs(net.loss(X, T) - LOSS) < 1e-6
    gradients = net.gradient(X, T)
    assert_are(gradients, GRADIENTS)
    SGD(lr=1).update(net.params, gradients)
    assert_are(net.params, AFTER_ONE_STEP)


@pytest.mark.parametrize("dtype", FLOATS)
def test_network_2_2_1_through_fit_has_the_recorded_loss_and_weights(dtype):
    net = network_2_2_1(dtype)
    history = net.fit(X, T, epochs=1, optimizer=SGD(lr=1), progress=False)
    assert len(history.loss) == 1
    assert abs(history.loss[0] - LOSS) < 1e-6
    assert_are(net.params, AFTER_ONE_STEP)


def test_network_2_2_1_has_the_numerical_gradients_recorded():
    assert_are(network_2_2_1().numerical_gradient(X, T), GRADIENTS)


def test_numbers_recorded_for_the_network_2_2_1_are_those_of_torch():
    torch = pytest.importorskip("torch")
    params = {name: torch.tensor(a, dtype=torch.float64, requires_grad=True) for name, a in START.items()}
    hidden = torch.sigmoid(torch.nn.functional.linear(torch.tensor(X), params["W1"], params["b1"]))
    out = torch.sigmoid(torch.nn.functional.linear(hidden, params["W2"], params["b2"]))
    loss = torch.nn.functional.binary_cross_entropy(out, torch.tensor(T))
    loss.backward()
    torch.optim.SGD(params.values(), lr=1).step()
    assert abs(loss.item() - LOSS) < 1e-11
    for name, p in params.items():
        np.testing.assert_allclose(p.grad.numpy(), GRADIENTS[name], rtol=0, atol=1e-11)
        np.testing.assert_allclose(p.detach().numpy(), AFTER_ONE_STEP[name], rtol=0, atol=1e-11)
