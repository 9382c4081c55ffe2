"""What every loss says of itself, and who goes by that: networks, ``mlp``, files, exports, the command line."""

import itertools

import numpy as np
import pytest
from strategies import FLOATS, assert_same_bits, assert_within, eps

import fastbp
from fastbp import losses, reference
from fastbp.commands import gradcheck
from fastbp.losses._loss import LABELS, NUMBERS, PROBABILITIES

classes = pytest.mark.parametrize("cls", losses.CLASSES)
words = pytest.mark.parametrize("word", losses.BY_NAME)


def affine(n_outputs=3, dtype=np.float64):
    rng = np.random.default_rng(0)
    return fastbp.Affine(rng.standard_normal((4, n_outputs)).astype(dtype), np.zeros(n_outputs, dtype))


def network(cls, n_outputs=3):
    """Of one layer, and of probabilities where the loss takes these."""
    return fastbp.Sequential(
        [affine(n_outputs), *([fastbp.Sigmoid()] if cls is fastbp.BinaryCrossEntropy else [])], cls()
    )


def targets(loss, n, n_outputs=3):
    rng = np.random.default_rng(1)
    if loss.targets == LABELS:
        return rng.integers(0, n_outputs, n)
    return rng.random((n, n_outputs)) if loss.targets == PROBABILITIES else 3 * rng.standard_normal((n, n_outputs))


@classes
def test_every_class_is_public_and_has_a_twin(cls):
    assert getattr(fastbp, cls.__name__) is cls
    assert cls.__name__ in fastbp.__all__
    assert hasattr(reference, cls.__name__)
    assert cls.targets in (LABELS, PROBABILITIES, NUMBERS)


def test_words_stand_for_one_class_each_here_and_elsewhere():
    said = [*losses.BY_NAME, *itertools.chain(*(cls.elsewhere for cls in losses.CLASSES))]
    assert len(said) == len(set(said))
    assert losses.words(NUMBERS)[:3] == ["mse", "mae", "huber"]
    assert [*losses.words(LABELS), *losses.words(PROBABILITIES)] == ["softmax", "sigmoid"]


# ---- Words ----


@words
@pytest.mark.parametrize(
    "make", [lambda loss: fastbp.Sequential([affine()], loss), lambda loss: fastbp.mlp([4, 3], loss=loss)]
)
def test_networks_take_words(make, word):
    layer, (cls, arguments) = make(word).loss_layer, losses.BY_NAME[word]
    assert type(layer) is cls
    assert repr(layer) == repr(cls(**arguments))
    assert make(word).loss_layer is not layer


@words
def test_a_network_by_a_word_is_trained_as_by_the_layer(word):
    cls, arguments = losses.BY_NAME[word]
    nets = [fastbp.Sequential([affine()], loss) for loss in (word, cls(**arguments))]
    x, t = np.random.default_rng(2).standard_normal((9, 4)), targets(cls, 9)
    for net in nets:
        net.fit(x, t, batch_size=3, seed=0, progress=False)
    assert_same_bits(nets[0].params["W1"], nets[1].params["W1"])


def test_from_torch_takes_words():
    net = fastbp.from_torch({"0.weight": np.ones((3, 4)), "0.bias": np.ones(3)}, loss="huber")
    assert repr(net.loss_layer) == "Huber(delta=1)"


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("MSE", "mse"),
        ("msee", "mse"),
        ("mean_squared_error", "mse"),
        ("squared_error", "mse"),
        ("L1", "mae"),
        ("absolute_error", "mae"),
        ("binary_crossentropy", "sigmoid"),
        ("sparse_categorical_crossentropy", "softmax"),
        ("log_loss", "softmax"),
    ],
)
def test_words_of_other_libraries_are_told_ours(word, ours):
    message = f"^loss must be one of softmax, .*, huber.*, got '{word}'; did you mean '{ours}'"
    with pytest.raises(ValueError, match=message):
        fastbp.Sequential([affine()], loss=word)
    with pytest.raises(ValueError, match=message):
        fastbp.mlp([4, 3], loss=word)


def test_a_word_that_means_nothing_is_told_all():
    with pytest.raises(ValueError, match=r"^loss must be one of softmax, sigmoid, mse, mae, huber.*, got 'xyz'$"):
        fastbp.Sequential([affine()], loss="xyz")


# ---- Classes ----


@classes
def test_only_losses_of_numbers_have_no_classes_accuracy_and_probabilities(cls):
    net, x = network(cls), np.random.default_rng(2).standard_normal((9, 4))
    if cls.targets != NUMBERS:
        assert net.predict_classes(x).tolist() == np.argmax(net.predict(x), axis=1).tolist()
        assert ((net.predict_proba(x) >= 0) & (net.predict_proba(x) <= 1)).all()
        return
    for ask, what in (
        (lambda: net.predict_classes(x), "classes"),
        (lambda: net.accuracy(x, np.zeros(9, int)), "accuracy"),
        (lambda: net.predict_proba(x), "probabilities"),
    ):
        with pytest.raises(TypeError, match=f"^{cls.__name__} is a loss of numbers, not of classes: .* has no {what}"):
            ask()


@classes
def test_how_many_classes_there_are(cls):
    one, three = {LABELS: (1, 3), PROBABILITIES: (2, 3), NUMBERS: (0, 0)}[cls.targets]
    assert (cls().n_classes(1), cls().n_classes(3)) == (one, three)


def test_softmax_of_one_output_knows_one_class():
    net = fastbp.Sequential([affine(1)])
    x = np.random.default_rng(2).standard_normal((9, 4))
    assert net.predict_classes(x).tolist() == [0] * 9
    assert net.accuracy(x, np.zeros(9, int)) == 1


@pytest.mark.parametrize("cls", [cls for cls in losses.CLASSES if cls.targets == PROBABILITIES])
def test_one_probability_is_one_of_two_classes(cls):
    net, x = network(cls, 1), np.random.default_rng(2).standard_normal((9, 4))
    assert net.predict_classes(x).tolist() == (net.predict_proba(x)[:, 0] > 0.5).astype(int).tolist()
    assert 0 < net.predict_classes(x).sum() < 9


# ---- Outputs, gradients, files, programs ----


@classes
def test_outputs_are_what_the_link_makes_of_scores(cls):
    loss, scores = cls(), np.random.default_rng(2).random((9, 3))
    loss.forward(scores, targets(cls, 9))
    assert_same_bits(loss.y, cls.link().forward(scores) if cls.link else scores)
    if cls.targets != NUMBERS:
        assert_same_bits(loss.y, loss.probabilities(scores))


@classes
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_layers_and_programs_agree_with_the_reference(cls, dtype, weighted):
    arguments = {"eps": 0} if cls is fastbp.SoftmaxWithLoss else {}
    x, t = np.random.default_rng(3).random((33, 3)).astype(dtype), targets(cls, 33)
    weights = np.random.default_rng(4).exponential(size=33).astype(dtype) if weighted else None
    theirs = getattr(reference, cls.__name__)(**arguments)
    expected, slope = theirs.forward(x.astype(np.float64), t, weights), theirs.backward()
    ours = cls(**arguments)
    assert_within(ours.forward(x, t, weights), expected, 16 * eps(dtype) * expected)
    assert_within(ours.backward(), slope, 32 * eps(dtype) * np.abs(slope).max())
    net = fastbp.Sequential([fastbp.Affine(np.eye(3, dtype=dtype), np.zeros(3, dtype))], ours)
    assert_within(
        net.step(x, t, fastbp.optimizers.SGD(lr=1.0), sample_weight=weights), expected, 32 * eps(dtype) * expected
    )
    assert_within(-net.params["b1"], slope.sum(axis=0), 33 * 32 * eps(dtype) * np.abs(slope).max())


@classes
def test_gradients_are_central_differences(cls):
    net = network(cls)
    net.loss_layer = cls(eps=0) if cls is fastbp.SoftmaxWithLoss else cls()
    rng = np.random.default_rng(5)
    found = gradcheck.compare_gradients(net, rng.standard_normal((10, 4)), targets(cls, 10), 12, rng)
    assert max(error for _, _, error in found.values()) < 1e-6


@classes
def test_a_loss_is_the_same_from_a_file(cls, tmp_path):
    net = network(cls)
    net.save(tmp_path / "net.safetensors")
    assert repr(fastbp.load(tmp_path / "net.safetensors")) == repr(net)


def test_the_number_of_a_loss_comes_from_a_file_and_is_looked_at_when_it_is_set(tmp_path):
    net = fastbp.Sequential([affine()], fastbp.Huber(0.25))
    net.save(tmp_path / "net.safetensors")
    assert fastbp.load(tmp_path / "net.safetensors").loss_layer.delta == 0.25
    x, t = np.ones((2, 4)), np.full((2, 3), 100.0)
    before = net.step(x, t)
    net.loss_layer.delta = 2.0
    assert net.step(x, t) > 4 * before
    with pytest.raises(ValueError, match=r"^delta must be a finite number above 0, got -1"):
        net.loss_layer.delta = -1
    assert net.loss_layer.delta == 2.0


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_delta_beyond_the_dtype_is_no_bound(dtype):
    x, t = np.array([3, -4], dtype), np.zeros(2, dtype)
    loss = fastbp.Huber(1e300)
    assert loss.forward(x, t) == (9 + 16) / 4
    assert_same_bits(loss.backward(), (x / 2).astype(dtype))


def test_a_program_says_which_kernels_it_calls():
    lines = fastbp.mlp([4, 3], loss="mse").program(batch_size=2).splitlines()
    assert any("function=squared slope=squared_slope in_one_go=squared_in_one_go" in line for line in lines)
    lines = fastbp.mlp([4, 3], loss="huber").program(batch_size=2).splitlines()
    assert any("function=huber slope=huber_slope in_one_go=0 number=1" in line for line in lines)
