"""Downloads of the data sets: by the real pooch from a server on this machine."""

import contextlib
import functools
import gc
import gzip
import hashlib
import http.server
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from test_datasets import SHAPES, X_TRAIN, content, idx

from fastbp import datasets
from fastbp.files import _download


@pytest.fixture
def served(tmp_path, server):
    """A small data set behind HTTP in place of MNIST; returns the folder it is served from."""
    return tmp_path / "origin"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """What serves it, and may be told of a ``fault`` in place of doing so; ``go_on`` ends one that waits."""
    pytest.importorskip("pooch")
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in SHAPES:
        (origin / name).write_bytes(gzip.compress(idx(content(name))))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            if self.server.fault is None:
                super().do_GET()
            else:
                with contextlib.suppress(OSError):
                    self.server.fault(self, (origin / X_TRAIN).read_bytes())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=origin))
    server.fault, server.go_on = None, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sums = {name: hashlib.sha256((origin / name).read_bytes()).hexdigest() for name in SHAPES}
    monkeypatch.setitem(_download.SOURCES, "mnist", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setitem(_download.SHA256, "mnist", sums)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTBP_DATA_DIR", raising=False)
    yield server
    server.go_on.set()
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


# ---- A network, a server or a disk that fails ----


def cut(handler, content):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def cut_without_a_length(handler, content):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])


def in_pieces_that_end(handler, content):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ff\r\n" + content[:10])
    handler.close_connection = True


def closed(handler, content):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def a_page_to_log_in(handler, content):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>Please log in</html>")


def in_a_circle(handler, content):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def to_another_kind_of_place(handler, content):
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/passwd")
    handler.end_headers()


def to_another_file(handler, content):
    if handler.path != "/other":
        handler.send_response(302)
        handler.send_header("Location", "/other")
    else:
        handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(gzip.compress(b"other"))


def missing(handler, content):
    handler.send_error(404)


def broken(handler, content):
    handler.send_error(503)


def no_http(handler, content):
    handler.wfile.write(b"\0\xff" * 100 + b"\r\n\r\n")
    handler.close_connection = True


def silent(handler, content):
    handler.server.go_on.wait(20)
    handler.close_connection = True


FAULTS = [cut, cut_without_a_length, in_pieces_that_end, closed, a_page_to_log_in, in_a_circle]
FAULTS += [to_another_kind_of_place, to_another_file, missing, broken, no_http, silent]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that requests lets fall
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_download_that_fails_is_told_in_one_line_leaves_nothing_and_works_the_next_time(
    server, tmp_path, monkeypatch, fault
):
    downloader = pytest.importorskip("pooch.downloaders").HTTPDownloader
    init = downloader.__init__
    monkeypatch.setattr(
        downloader, "__init__", lambda self, *given, **more: init(self, *given, **more | {"timeout": 1})
    )
    server.fault = fault
    with pytest.raises(datasets.DatasetError, match=r"^mnist is downloaded .* failed: .*FASTBP_DATA_DIR\)$") as error:
        datasets.mnist()
    server.go_on.set()
    assert "\n" not in str(error.value)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    server.fault = None
    gc.collect()
    np.testing.assert_array_equal(datasets.mnist().x_train, content(X_TRAIN).reshape(20, 12))


def test_a_kept_file_that_was_damaged_is_downloaded_again(served, tmp_path):
    expected = datasets.mnist()
    (kept,) = (tmp_path / "cache").rglob(X_TRAIN)
    for damage in (b"", kept.read_bytes()[:-1], b"other"):
        kept.write_bytes(damage)
        np.testing.assert_array_equal(datasets.mnist().x_train, expected.x_train)


def test_a_folder_that_no_file_can_be_kept_in_is_told(served, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(datasets.DatasetError, match=r"^mnist is downloaded .* failed: .*FASTBP_DATA_DIR\)$"):
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
