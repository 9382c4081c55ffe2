"""What a model of a table makes of scores: answers, probabilities, and how well they fit."""

import json

import numpy as np
import pytest

import fastbp
from fastbp.tables import _model
from fastbp.tables._errors import DataError
from fastbp.tables._model import EVALUATED_AT_A_TIME, Model
from fastbp.tables._targets import Classes, Numbers

X = np.random.default_rng(0).random((EVALUATED_AT_A_TIME + 7, 3))
SCORES, T = np.array([[-1.0], [2.0], [0.5], [-3.0]]), np.array([[-2.0], [2.0], [0.0], [0.0]])


class Features:
    """What a model has of its inputs, where nothing of it is asked for."""

    def to_json(self):
        return {"kind": "none"}


def model(targets, loss=None, outputs=1):
    return Model(fastbp.mlp([3, outputs], loss=loss, seed=0), Features(), targets)


def of_numbers():
    return model(Numbers("price", [10.0], [2.0]), fastbp.MeanSquaredError())


def test_one_output_has_the_shares_of_both_classes():
    binary = model(Classes("t", ["no", "yes"], True), fastbp.SigmoidWithLoss())
    shares, yes = binary.shares(SCORES), 1 / (1 + np.exp(-SCORES[:, 0]))
    np.testing.assert_allclose(shares, np.stack([1 - yes, yes], axis=1), rtol=1e-12)
    assert binary.answers(SCORES).tolist() == ["no", "yes", "yes", "no"]
    assert binary.measured(SCORES, np.array([0, 1, 0, 0]))["accuracy"] == 0.75


def test_several_outputs_have_a_share_each():
    several = model(Classes("t", ["a", "b", "c"]), outputs=3)
    scores = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 1.0]])
    e = np.exp(scores)
    np.testing.assert_allclose(several.shares(scores), e / e.sum(axis=1, keepdims=True), rtol=1e-12)
    assert several.answers(scores).tolist() == ["c", "a"]
    measures = several.measured(scores, np.array([2, 1]))
    assert measures["accuracy"] == 0.5
    assert measures["loss"] == pytest.approx(-np.log(several.shares(scores)[[0, 1], [2, 1]]).mean(), abs=1e-6)


def test_scores_of_many_rows_are_those_of_the_network():
    one = of_numbers()
    np.testing.assert_array_equal(one.scores(X), one.net.predict(X.astype(np.float32)))


def test_errors_are_in_the_unit_of_the_targets():
    measures = of_numbers().measured(SCORES, T)
    errors, spread = 2 * (SCORES - T), 2 * (T - T.mean())
    assert measures["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-12)
    assert measures["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-12)
    assert measures["r2"] == pytest.approx(1 - (errors**2).sum() / (spread**2).sum(), rel=1e-12)
    assert measures["loss"] == pytest.approx(((SCORES - T) ** 2).mean(), rel=1e-6)
    assert of_numbers().measured(SCORES, np.ones((4, 1)))["r2"] == 0
    assert of_numbers().answers(SCORES).tolist() == [8, 14, 11, 4]


def test_a_distance_that_is_no_number_is_told():
    assert of_numbers().evaluated(SCORES, T) == of_numbers().measured(SCORES, T)
    with pytest.raises(DataError, match="so far from the targets that their distance is no finite number"):
        of_numbers().evaluated(SCORES * 1e200, T)


def test_what_is_known_of_data_has_room_in_a_file_or_is_told(monkeypatch):
    one = of_numbers()
    size = len(json.dumps(one.description()))
    monkeypatch.setattr(_model, "ROOM", size)
    one.check_room()
    monkeypatch.setattr(_model, "ROOM", size - 1)
    with pytest.raises(DataError, match=f"takes {size} bytes, and a model file has room for {size - 1}: "):
        one.check_room()
