"""The classes that a network finds, and how often they are right: ``predict_classes`` and ``accuracy``."""

import numpy as np
import pytest

import fastbp

LOSSES = {"softmax": fastbp.SoftmaxWithLoss, "sigmoid": fastbp.SigmoidWithLoss, "bce": fastbp.BinaryCrossEntropy}
SCORES = np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.8], [0.1, 0.6, 0.5], [0.7, 0.6, 0.5]])
LABELS = np.array([0, 2, 1, 1])  # of which three are found


def identity(n, loss):
    """A network whose scores are its inputs."""
    return fastbp.Sequential([fastbp.Affine(np.eye(n), np.zeros(n))], loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_labels_columns_of_labels_and_rows_are_the_same_classes(loss, dtype):
    net, labels = identity(3, LOSSES[loss]()), LABELS.astype(dtype)
    assert net.predict_classes(SCORES).tolist() == [0, 2, 1, 0]
    for t in (labels, labels.tolist(), labels.reshape(4, 1), np.eye(3, dtype=dtype)[LABELS]):
        assert net.accuracy(SCORES, t) == 0.75


def test_the_class_of_a_row_of_shares_is_its_largest():
    t = [[0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3]]
    assert identity(3, fastbp.SoftmaxWithLoss()).accuracy(SCORES, t) == 0.75


def test_a_single_sample_may_be_a_vector():
    net = identity(3, fastbp.SoftmaxWithLoss())
    assert net.predict_classes(SCORES[1]).tolist() == [2]
    assert net.accuracy(SCORES[1], [2]) == net.accuracy(SCORES[1], 2) == 1
    assert net.accuracy(SCORES[1], [1]) == 0


@pytest.mark.parametrize("loss", [fastbp.SigmoidWithLoss(), fastbp.BinaryCrossEntropy()])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_accuracy_of_one_output_is_of_the_class_above_a_half(loss, shape):
    net = fastbp.Sequential([fastbp.Affine(np.array([[1.0]]), np.zeros(1))], loss)
    x = np.array([[3.0], [0.4], [-2.0], [0.9]]) if loss.__class__ is fastbp.SigmoidWithLoss else None
    x = np.array([[0.99], [0.6], [0.01], [0.9]]) if x is None else x
    assert net.predict_classes(x).tolist() == [1, 1, 0, 1]
    assert net.accuracy(x, np.array([1, 1, 0, 0]).reshape(shape)) == 0.75


@pytest.mark.parametrize(
    ("t", "error", "match"),
    [
        (LABELS + 1, ValueError, r"t\[1\] is 3, outside 0\.\.2"),
        (LABELS - 1, ValueError, r"t\[0\] is -1, outside 0\.\.2"),
        (LABELS + 0.5, ValueError, r"t\[0\] is 0.5, no class label"),
        (LABELS[:3], ValueError, r"t of shape \(3,\) does not fit the scores of shape \(4, 3\)"),
        (np.eye(2)[[0, 1, 0, 1]], ValueError, r"t of shape \(4, 2\) does not fit the scores of shape \(4, 3\)"),
        (LABELS.reshape(1, 4), ValueError, r"t of shape \(1, 4\) does not fit"),
        (list("abca"), TypeError, "t must hold real numbers"),
        (None, TypeError, "t must hold real numbers"),
    ],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_names_no_class_a_row_is_refused(loss, t, error, match):
    with pytest.raises(error, match=match):
        identity(3, LOSSES[loss]()).accuracy(SCORES, t)


def test_several_classes_in_a_row_have_no_accuracy():
    t = [[1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0]]
    with pytest.raises(ValueError, match=r"t\[1\] names 2 classes, and accuracy is of one class a row"):
        identity(3, fastbp.SigmoidWithLoss()).accuracy(SCORES, t)


@pytest.mark.parametrize(
    ("t", "error", "match"),
    [
        ([0, 1, 2, 1], ValueError, r"t\[2, 0\] is 2.0, outside 0..1"),
        ([[0], [1], [0], [0.5]], ValueError, r"t\[3\] is 0.5, neither 0 nor 1"),
        ([0, 1, 0], ValueError, r"t of shape \(3,\) does not fit outputs of shape \(4, 1\)"),
        (list("abca"), TypeError, "t must hold real numbers"),
    ],
)
def test_targets_of_one_output_are_0_or_1(t, error, match):
    with pytest.raises(error, match=match):
        identity(1, fastbp.SigmoidWithLoss()).accuracy(SCORES[:, :1], t)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_samples_have_no_accuracy(loss):
    with pytest.raises(ValueError, match=r"^x must hold at least one sample, got none$"):
        identity(3, LOSSES[loss]()).accuracy(SCORES[:0], LABELS[:0])


@pytest.mark.parametrize("n", [1, 3])
def test_a_network_of_numbers_has_neither_accuracy_nor_classes(n):
    net = identity(n, fastbp.MeanSquaredError())
    with pytest.raises(TypeError, match=r"MeanSquaredError is a loss of numbers.* no accuracy \(loss\(x, t\) says"):
        net.accuracy(SCORES[:, :n], SCORES[:, :n])
    with pytest.raises(TypeError, match=r"MeanSquaredError is a loss of numbers.* no classes"):
        net.predict_classes(SCORES[:, :n])
