"""Downloads of the data sets: by the real pooch from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from test_datasets import SHAPES, X_TRAIN, content, idx

from fastbp import datasets
from fastbp.files import _download


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A small data set behind HTTP in place of MNIST; returns the folder it is served from."""
    pytest.importorskip("pooch")
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in SHAPES:
        (origin / name).write_bytes(gzip.compress(idx(content(name))))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=origin))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sums = {name: hashlib.sha256((origin / name).read_bytes()).hexdigest() for name in SHAPES}
    monkeypatch.setitem(_download.SOURCES, "mnist", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setitem(_download.SHA256, "mnist", sums)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTBP_DATA_DIR", raising=False)
    yield origin
    server.shutdown()
    server.server_close()


def test_files_are_downloaded_once_and_kept(served):
    data = datasets.mnist()
    np.testing.assert_array_equal(data.x_train, content(X_TRAIN).reshape(20, 12))
    for file in served.iterdir():
        file.unlink()
    np.testing.assert_array_equal(datasets.mnist().t_test, data.t_test)


def test_a_file_that_is_not_the_published_one_is_refused_and_not_kept(served, tmp_path):
    (served / X_TRAIN).write_bytes(gzip.compress(idx(content(X_TRAIN, seed=1))))
    with pytest.raises(datasets.DatasetError, match=f"mnist .* failed: .*{X_TRAIN}.* does not match") as error:
        datasets.mnist()
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").rglob(X_TRAIN))


def test_without_a_network_the_error_says_what_to_do(served, monkeypatch):
    monkeypatch.setitem(_download.SOURCES, "mnist", "http://127.0.0.1:9/")  # where nobody listens
    with pytest.raises(datasets.DatasetError, match=r"mnist .* failed: .*--data-dir, data_dir= or FASTBP_DATA_DIR"):
        datasets.mnist()


def test_without_pooch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    monkeypatch.delenv("FASTBP_DATA_DIR", raising=False)
    with pytest.raises(ImportError, match=r"needs pooch, .* pip install .*\[data\]"):
        datasets.fashion_mnist()


def test_the_environment_says_where_the_files_are(tmp_path, monkeypatch):
    for name in SHAPES:
        (tmp_path / name).write_bytes(gzip.compress(idx(content(name))))
    monkeypatch.setenv("FASTBP_DATA_DIR", str(tmp_path))
    np.testing.assert_array_equal(datasets.mnist().x_train, content(X_TRAIN).reshape(20, 12))


@pytest.mark.skipif("FASTBP_DATA_DIR" not in os.environ, reason="FASTBP_DATA_DIR names no folder with the data")
@pytest.mark.parametrize("name", _download.SHA256)
def test_the_checksums_are_those_of_the_real_files(name):
    assert sorted(_download.SHA256[name]) == sorted(f"{stem}.gz" for stem in datasets.IDX_FILES)
    for file, digest in _download.SHA256[name].items():
        content = (Path(os.environ["FASTBP_DATA_DIR"]) / name / file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
