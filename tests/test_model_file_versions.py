"""Model files of older and newer versions and of other software: read, or told what they are."""

import dataclasses
import gzip
import pickle
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_model_file_damaged import changed

import fastbp
from fastbp.files import model_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m"


def trained():
    net = fastbp.mlp([3, 4, 2], seed=0)
    history = net.fit(np.eye(3, dtype=np.float32), [0, 1, 0], epochs=2, seed=0, progress=False)
    return net, history.state


# ---- A scale of the inputs ----


def test_the_scale_is_kept(path):
    net = fastbp.mlp([4, 3], seed=0)
    scaled = fastbp.Sequential(net.layers.values(), scale=1 / 255)
    scaled.save(path)
    loaded = fastbp.load(path)
    assert loaded.scale == 1 / 255
    x = np.arange(40, dtype=np.uint8).reshape(10, 4)
    np.testing.assert_array_equal(loaded.predict(x), scaled.predict(x))


def test_a_file_without_a_scale_is_one_of_scale_1_and_such_a_network_has_none_in_its_file(path):
    fastbp.mlp([4, 3]).save(path)
    assert b"scale" not in path.read_bytes()
    assert fastbp.load(path).scale == 1


# ---- Fields that older versions did not have ----


@dataclass(frozen=True)
class LaterState(fastbp.TrainingState):
    schedule: str | None = None
    best_epoch: int = 0
    best_accuracy: float = 0.5


@pytest.fixture
def later(monkeypatch):
    """fastbp with fields in its state, and a list in its History, that it does not have yet."""
    monkeypatch.setattr(model_file, "TrainingState", LaterState)
    monkeypatch.setattr(model_file, "TEXTS", (*model_file.TEXTS, "schedule"))
    monkeypatch.setattr(model_file, "COUNTS", (*model_file.COUNTS, "best_epoch"))
    monkeypatch.setattr(model_file, "NUMBERS", (*model_file.NUMBERS, "best_accuracy"))
    monkeypatch.setattr(model_file, "LISTS", (*model_file.LISTS, "learning_rate"))
    defaults = model_file.DEFAULTS | {"schedule": None, "best_epoch": 0, "best_accuracy": 0.5}
    monkeypatch.setattr(model_file, "DEFAULTS", defaults)


def in_later_form(state, **changes):
    own = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return LaterState(**own | changes)


def test_what_an_older_file_lacks_has_its_default(path, request):
    net, state = trained()
    net.save(path, state=state)
    request.getfixturevalue("later")
    loaded = fastbp.load_checkpoint(path).state
    assert (loaded.schedule, loaded.best_epoch, loaded.best_accuracy) == (None, 0, 0.5)
    assert loaded.history == state.history | {"learning_rate": []}
    assert loaded.step == state.step


def test_a_newer_file_is_read_by_a_newer_version_and_an_older_one_says_so(path, later, monkeypatch):
    net, state = trained()
    lists = state.history | {"learning_rate": [0.25, 0.5]}
    new = in_later_form(state, schedule="cosine", best_epoch=3, best_accuracy=0.9, history=lists)
    net.save(path, state=new)
    loaded = fastbp.load_checkpoint(path).state
    assert (loaded.schedule, loaded.best_epoch, loaded.best_accuracy) == ("cosine", 3, 0.9)
    assert loaded.history == lists
    monkeypatch.undo()
    with pytest.raises(fastbp.ModelFileError, match=r"state has .*schedule, which .* the file is of a newer version"):
        fastbp.load(path)


def test_text_of_a_state_must_be_text(path, later):
    net, state = trained()
    net.save(path, state=in_later_form(state, schedule="cosine"))
    path.write_bytes(changed(path.read_bytes(), lambda words, table: words["state"].update(schedule=[])))
    with pytest.raises(fastbp.ModelFileError, match=r"schedule of state is \[\]"):
        fastbp.load(path)


# ---- Files of others ----


def npz(path):
    with path.open("wb") as file:
        np.savez(file, W1=np.ones(3))


def npy(path):
    with path.open("wb") as file:
        np.save(file, np.ones((3, 3)))


FOREIGN = {
    "CSV": (lambda path: path.write_text("length,width\n5.1,3.5\n"), "a table of text, such as .csv, for --data"),
    "CSV of umlauts": (lambda path: path.write_text("Länge;Breite\n" * 99, encoding="utf-8"), "a table of text"),
    "text": (lambda path: path.write_text("nothing but words, perhaps", encoding="utf-16"), "no model file, or cut"),
    "words": (lambda path: path.write_text("no model"), "text"),
    "JSON": (lambda path: path.write_text('{"a": 1, "b": 2}'), "text, perhaps JSON"),
    "npz": (npz, "a zip archive, as NumPy's .npz and torch.save's files are"),
    "npy": (npy, "an array of NumPy, .npy, for --data"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2, 3] * 9)), "a pickle, which is never loaded"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"abc")), "compressed with gzip: unpack it first"),
    "parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(99)), "a table, .parquet, for --data"),
    "export to C": (lambda path: fastbp.mlp([2, 2]).to_c(path), "source code, as net.to_c and net.to_numpy write"),
    "export to NumPy": (lambda path: fastbp.mlp([2, 2]).to_numpy(path), "source code"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_kind_is_told_what_it_is(path, name):
    write, kind = FOREIGN[name]
    write(path)
    with pytest.raises(fastbp.ModelFileError) as caught:
        fastbp.load(path)
    assert str(caught.value).startswith(f"{path}: no model file")
    assert kind in str(caught.value)
    if name != "text":
        assert str(caught.value).endswith("; a model is what net.save or fastbp train --save writes")


@pytest.mark.parametrize("metadata", [None, {"format": "np"}])
def test_safetensors_of_others_are_told_the_way_in(path, metadata):
    save_file({"0.weight": np.ones((4, 3), np.float32)}, path, metadata)
    with pytest.raises(fastbp.ModelFileError, match=r"fastbp.from_torch takes the arrays that safetensors.numpy.load"):
        fastbp.load(path)
    assert fastbp.from_torch(load_file(path)).params["W1"].shape == (3, 4)


def test_loading_is_linear_in_the_number_of_layers(path):
    def calls(n_layers):
        rest = [fastbp.Relu() for _ in range(n_layers)]
        fastbp.Sequential([fastbp.Affine(np.ones((2, 2), np.float32), None), *rest]).save(path)
        n = 0

        def count(frame, event, argument):
            nonlocal n
            n += event == "call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            fastbp.load(path)
        finally:
            sys.setprofile(before)
        return n

    calls(1)  # imports
    assert calls(800) < 2.5 * calls(400)
