"""Files of networks with the state of a run: which states go with a network, and what is kept of it."""

import numpy as np
import pytest

import fastbp
from fastbp.files import _tensor_file, model_file

X, T = np.eye(3, dtype=np.float32), [0, 1, 0]


def trained(dtype=np.float32, **options):
    """A network, and a file's description and tensors of it with its state."""
    net = fastbp.mlp([3, 2, 2], seed=0, dtype=dtype)
    options = {"optimizer": "adam", "seed": 0, "progress": False} | options
    return net, *model_file.described(net, net.fit(X, T, **options).state)


def test_a_batch_of_one_is_a_state_too(tmp_path):
    _, *content = trained(batch_size=1)
    _tensor_file.write(tmp_path / "m", *content)
    assert fastbp.load_checkpoint(tmp_path / "m").state.batch_size == 1


def test_the_shape_of_samples_is_kept_where_it_is_not_a_row():
    """A file without it can be read by older versions."""
    assert "in_shape" not in trained()[1]
    net = fastbp.Sequential([fastbp.Affine(np.ones((3, 2)), np.zeros(2))], in_shape=(3,))
    assert "in_shape" not in model_file.described(net)[0]


DAMAGE = {
    "shorter": (lambda v: v[:-1], "its parameters are 13 numbers of float32, the network has 14 of float32"),
    "empty": (lambda v: v[:0], "its parameters are 0 numbers of float32, the network has 14 of float32"),
    "a matrix": (lambda v: v.reshape(2, 7), r"state.parameters must be float32 of one dimension, got .* \(2, 7\)$"),
    "of another type": (lambda v: v.astype(np.float64), "state.parameters must be float32 of one dimension, got flo"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_parameters_of_a_state_that_do_not_fit_are_refused(tmp_path, damage):
    change, message = DAMAGE[damage]
    _, description, tensors = trained()
    tensors["state.parameters"] = np.ascontiguousarray(change(tensors["state.parameters"]))
    _tensor_file.write(tmp_path / "m", description, tensors)
    with pytest.raises(fastbp.ModelFileError, match=message):
        fastbp.load_checkpoint(tmp_path / "m")


def test_a_state_without_its_parameters_is_refused(tmp_path):
    _, description, tensors = trained()
    del tensors["state.parameters"]
    _tensor_file.write(tmp_path / "m", description, tensors)
    with pytest.raises(fastbp.ModelFileError, match=r"'state\.parameters' is missing"):
        fastbp.load_checkpoint(tmp_path / "m")


def test_a_state_of_another_type_is_not_saved(tmp_path):
    state = fastbp.mlp([3, 2, 2], seed=0).fit(X, T, progress=False).state
    net = fastbp.mlp([3, 2, 2], seed=0, dtype=np.float64)
    with pytest.raises(ValueError, match="14 numbers of float32, the network has 14 of float64"):
        net.save(tmp_path / "m", state=state)
    assert list(tmp_path.iterdir()) == []
