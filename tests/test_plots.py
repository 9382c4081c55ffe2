"""Pictures: what they show is what the network and its history hold, and pyplot has no part in them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastbp

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def trained():
    """A network trained on a few digits, with validation, and its history."""
    data = fastbp.datasets.digits()
    x, t = data.x_train / np.float32(16), data.t_train
    net = fastbp.mlp([64, 20, 10], seed=0)
    history = net.fit(x[:400], t[:400], epochs=12, optimizer="adam", validation_data=(x[400:600], t[400:600]), seed=0)
    return net, history, x[600:900], t[600:900]


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_history_shows_the_losses_and_the_accuracy_by_epoch(trained):
    _, history, _, _ = trained
    losses, accuracy = history.plot().axes
    epochs = list(range(1, 13))
    assert lines(losses) == {"training": (epochs, history.loss), "validation": (epochs, history.val_loss)}
    assert lines(accuracy) == {"validation": (epochs, history.val_accuracy)}
    assert losses.get_xlabel() == accuracy.get_xlabel() == "epoch"


def test_history_shows_the_accuracies_that_there_are():
    both = fastbp.History(loss=[3.0, 2.0], accuracy=[0.5, 0.75], val_accuracy=[0.25, 0.5])
    _, accuracy = both.plot().axes
    assert lines(accuracy) == {"training": ([1, 2], [0.5, 0.75]), "validation": ([1, 2], [0.25, 0.5])}
    _, accuracy = fastbp.History(loss=[3.0, 2.0], accuracy=[0.5, 0.75]).plot().axes
    assert lines(accuracy) == {"training": ([1, 2], [0.5, 0.75])}


def test_history_without_validation_shows_one_curve():
    (axes,) = fastbp.History(loss=[3.0, 2.0]).plot().axes
    assert lines(axes) == {"training": ([1, 2], [3.0, 2.0])}


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([3.0, 2.0], "linear"), ([0.7, 0.01, 0.002], "log"), ([3.0, 0.0], "linear"), ([1.0, -90.0], "linear")],
)
def test_losses_that_fall_a_long_way_stand_on_a_logarithmic_axis(losses, scale):
    (axes,) = fastbp.History(loss=losses).plot().axes
    assert axes.get_yscale() == scale


def test_there_is_nothing_to_plot_before_the_first_epoch():
    with pytest.raises(ValueError, match="nothing to plot"):
        fastbp.History().plot()


@pytest.mark.parametrize("one_hot", [False, True])
def test_confusion_counts_as_scikit_learn_does(trained, one_hot):
    metrics = pytest.importorskip("sklearn.metrics")
    net, _, x, t = trained
    axes, _ = fastbp.plot_confusion(net, x, np.eye(10)[t] if one_hot else t).axes
    shown = np.zeros((10, 10), int)
    for text in axes.texts:
        column, row = text.get_position()
        shown[row, column] = int(text.get_text())
    expected = metrics.confusion_matrix(t, net.predict(x).argmax(axis=1))
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_allclose(axes.images[0].get_array(), expected / expected.sum(axis=1, keepdims=True))


def test_confusion_takes_names(trained):
    net, _, x, t = trained
    names = [f"digit {k}" for k in range(10)]
    axes, _ = fastbp.plot_confusion(net, x, t, names).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    with pytest.raises(ValueError, match="names must be 10, one for each class, got 1"):
        fastbp.plot_confusion(net, x, t, ["a"])


def test_confusion_of_what_does_not_fit(trained):
    net, _, x, t = trained
    with pytest.raises(ValueError, match=r"t\[3\] is 10, outside 0\.\.9"):
        fastbp.plot_confusion(net, x, np.where(np.arange(len(t)) == 3, 10, t))
    with pytest.raises(ValueError, match=r"t of shape \(2,\) does not fit 300 samples"):
        fastbp.plot_confusion(net, x, t[:2])
    with pytest.raises(ValueError, match="at least one sample"):
        fastbp.plot_confusion(net, x[:0], t[:0])
    with pytest.raises(ValueError, match="an output for each class"):
        fastbp.plot_confusion(fastbp.mlp([64, 1]), x, t)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"net": 5}, TypeError, "net must be a network, got 5"),
        ({"x": 3}, ValueError, r"x must be of shape \(N, ...\) and t \(N,\) or \(N, K\), got \(\) and \(300,\)"),
        ({"x": "abc"}, TypeError, "x must hold real numbers"),
        ({"t": 3}, ValueError, r"t \(N,\) or \(N, K\), got \(300, 64\) and \(\)"),
        ({"t": None}, TypeError, "t must hold real numbers"),
        ({"t": ["a"] * 300}, TypeError, "t must hold real numbers"),
        ({"t": np.zeros((300, 11))}, ValueError, r"t must have 10 columns, one for each class, got shape \(300, 11\)"),
        ({"names": 10}, TypeError, "names must be 10 names, one for each class, got 10"),
    ],
)
def test_confusion_of_other_things(arguments, error, message, trained):
    net, _, x, t = trained
    with pytest.raises(error, match=message):
        fastbp.plot_confusion(**{"net": net, "x": x, "t": t} | arguments)


def test_weights_are_an_image_a_unit(trained):
    net, *_ = trained
    figure = fastbp.plot_weights(net)
    images = [axes.images[0].get_array() for axes in figure.axes[:20]]
    np.testing.assert_array_equal([image.ravel() for image in images], net.params["W1"].T)
    assert all(image.shape == (8, 8) for image in images)
    assert fastbp.plot_weights(net, (4, 16)).axes[0].images[0].get_array().shape == (4, 16)
    assert sum(bool(axes.images) for axes in fastbp.plot_weights(net, most=3).axes[:-1]) == 3


@pytest.mark.parametrize(
    ("sizes", "arguments", "error", "message"),
    [
        ([63, 5], {}, ValueError, "63 inputs are no square image"),
        ([64, 5], {"shape": (8, 9)}, ValueError, r"height and width of 64 inputs, got \(8, 9\)"),
        ([64, 5], {"shape": (4, 4, 4)}, ValueError, "height and width of 64 inputs"),
        ([64, 5], {"shape": (-8, -8)}, ValueError, "height and width of 64 inputs"),
        ([64, 5], {"shape": 8}, TypeError, "shape must be height and width, two integers, got 8"),
        ([64, 5], {"shape": (8.0, 8.0)}, TypeError, r"two integers, got \(8.0, 8.0\)"),
        ([64, 5], {"most": 0}, ValueError, "most must be an integer of at least 1, got 0"),
        ([64, 5], {"most": "all"}, TypeError, "most must be an integer of at least 1, got 'all'"),
    ],
)
def test_weights_of_what_is_no_image(sizes, arguments, error, message):
    with pytest.raises(error, match=message):
        fastbp.plot_weights(fastbp.mlp(sizes), **arguments)


def test_weights_of_what_is_no_network():
    with pytest.raises(TypeError, match="net must be a network, got 'net'"):
        fastbp.plot_weights("net")
    net = fastbp.Sequential([fastbp.Affine(np.full((4, 2), np.nan), np.zeros(2))])
    with pytest.raises(ValueError, match="the weights of the first layer are not all finite"):
        fastbp.plot_weights(net)


def test_a_picture_is_written_without_a_screen_and_without_pyplot(tmp_path):
    code = (
        "import sys, fastbp; fastbp.History(loss=[2.0, 1.0]).plot().savefig(sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    path = tmp_path / "a.png"
    screenless = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60, env=screenless)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_importing_fastbp_imports_no_optional_package():
    code = "import sys, fastbp; print([m for m in ('matplotlib', 'pooch', 'pandas', 'polars') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "[]\n"


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"needs matplotlib, .* pip install .*\[plot\]"):
        fastbp.History(loss=[1.0]).plot()
