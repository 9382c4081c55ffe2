"""Memory that compiled code reads by address stays where it is for as long, whoever owns it: a test for each place."""

import mmap
from multiprocessing import shared_memory

import numpy as np
import pytest

import fastbp
from fastbp.basics._pin import pin
from fastbp.optimizers import Adam
from fastbp.programs._lowering import Lowering
from fastbp.training._dense_rows import DenseRows

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((40, 4)), RNG.integers(0, 3, 40)


def small(loss=None):
    return fastbp.mlp([4, 7, 3], dtype=np.float64, seed=0, loss=loss)


@pytest.fixture
def shared():
    """Gives arrays in shared memory, each with what closes it."""
    blocks = []

    def give(array):
        block = shared_memory.SharedMemory(create=True, size=array.nbytes)
        blocks.append(block)
        copy = np.ndarray(array.shape, array.dtype, buffer=block.buf)
        copy[...] = array
        return copy, block

    yield give
    for block in blocks:
        block.close()  # nothing of what was held is left
        block.unlink()


def closing(block, seen):
    def callback(history):
        with pytest.raises(BufferError, match="exported pointers exist"):
            block.close()
        seen.append(len(history.loss))

    return callback


@pytest.mark.parametrize("what", ["x", "t", "sample_weight", "validation x", "validation t"])
def test_shared_memory_is_not_closed_while_fit_runs(what, shared):
    net = small(fastbp.MeanSquaredError())
    rows = np.eye(3)[T]
    arrays = {"x": X, "t": rows, "sample_weight": np.ones(40), "validation x": X, "validation t": rows}
    arrays[what], block = shared(arrays[what])
    seen = []
    validation = arrays.pop("validation x"), arrays.pop("validation t")
    net.fit(
        **arrays,
        validation_data=validation,
        epochs=2,
        batch_size=8,
        optimizer="adam",
        callbacks=[closing(block, seen)],
        progress=False,
    )
    assert seen == [1, 2]


@pytest.mark.parametrize("what", ["x", "t"])
def test_arrays_and_what_they_are_views_of_are_not_resized_while_fit_runs(what):
    whole = {"x": X.copy(), "t": np.eye(3)[T]}
    given = whole | {what: whole[what][::-1][::-1]}
    seen = []

    def callback(history):
        with pytest.raises(ValueError, match="cannot resize"):
            whole[what].resize((1, 1), refcheck=False)
        seen.append(1)

    small(fastbp.MeanSquaredError()).fit(**given, callbacks=[callback], progress=False)
    assert seen == [1]


def test_what_fit_held_is_free_afterwards():
    x = X.copy()
    small().fit(x, T, progress=False)
    x.resize((1, 1), refcheck=False)
    assert x.shape == (1, 1)


def test_the_parameters_are_not_resized_while_their_network_lives():
    net = small()
    net.step(X, T)
    with pytest.raises(ValueError, match="cannot resize"):
        net.params["W1"].resize((1, 1), refcheck=False)
    with pytest.raises(ValueError, match="cannot resize"):
        net.params["W1"].base.resize((1,), refcheck=False)


def test_the_parameters_of_programs_have_shapes_of_their_own():
    net, other = small(), small()
    net.step(X, T)
    copies = [layer for layer in net._binding().layers if isinstance(layer, fastbp.Affine)]
    for layer, own in zip(
        [layer for layer in net.layers.values() if isinstance(layer, fastbp.Affine)], copies, strict=True
    ):
        assert own.W is not layer.W
        assert own.W.base is layer.W.base is net._binding().vector
        assert own.W.ctypes.data == layer.W.ctypes.data
    other.step(X, T)
    assert net.step(X[:5], T[:5]) == other.step(X[:5], T[:5])


def test_a_program_keeps_and_pins_what_it_is_given():
    vector, given = np.zeros(5), np.zeros(5)
    program = Lowering(vector, np.zeros(5), 3)
    address = program.keep(given)
    program.buffer("a", 4)
    for array in (vector, given):
        with pytest.raises(ValueError, match="cannot resize"):
            array.resize((9,), refcheck=False)
    assert address == given.ctypes.data
    del program
    given.resize((9,), refcheck=False)


def test_samples_of_a_type_that_is_copied_are_pinned_too():
    x = X.astype(np.float16)
    samples = DenseRows("x", x, 1.0)
    with pytest.raises(ValueError, match="cannot resize"):
        x.resize((1, 1), refcheck=False)
    assert samples.array.dtype == np.float32


def test_a_step_holds_its_batch_only_while_it_runs(shared):
    net = small()
    x, block = shared(X)
    net.step(x, T)
    net.step(x, T)
    block.close()


def test_words_and_buffers_of_a_step_are_in_no_other_hands():
    net = small()
    net.step(X, T, Adam())
    stepper, batch = net._stepper, net._stepper._batch
    kept = [array for array, _ in batch.program.lowering._kept]
    states = stepper.first, stepper.second, net._binding().vector
    for array in (stepper.words, batch.x, batch.t, batch.program.whole, *states):
        assert any(array is own for own in kept)


def test_memory_that_is_gone_is_told():
    block = mmap.mmap(-1, 4096)
    x = np.ndarray((4, 4), buffer=block)
    held = pin("x", x)
    with pytest.raises(BufferError):
        block.close()
    held.release()
    block.close()
    for use in (
        lambda: small().fit(x, [0, 1, 2, 0], progress=False),
        lambda: small().step(x, [0, 1, 2, 0]),
        lambda: small().predict(x),
        lambda: small().gradient(x, [0, 1, 2, 0]),
    ):
        with pytest.raises(ValueError, match="the memory of x is no longer there: mmap closed"):
            use()


def test_a_bytearray_is_not_resized_while_it_lends_its_memory():
    memory = bytearray(8 * 16)
    held = pin("x", np.ndarray((4, 4), buffer=memory))
    with pytest.raises(BufferError):
        memory.extend(b"more")
    held.release()
    memory.extend(b"more")
