"""What is told of this machine for reports of bugs: ``fastbp.show_config`` and ``fastbp info``."""

import json
import os
from types import SimpleNamespace

import numpy as np
from cli_runs import run

import fastbp
from fastbp import _show_config
from fastbp.kernels.machine import NUMBERS


def test_info_tells_what_is_there(tmp_path, capsys, monkeypatch):
    assert os.path.isdir(_show_config.cache()[0])
    for name, size in {"one.nbi": 300_000, "one.1.nbc": 500_000, "other.txt": 900_000}.items():
        (tmp_path / name).write_bytes(bytes(size))
    kernel = SimpleNamespace(_cache=SimpleNamespace(cache_path=str(tmp_path)))  # the real folder may grow meanwhile
    monkeypatch.setattr(_show_config, "train", kernel)
    monkeypatch.setenv("NUMBA_OPT", "3")
    run("info")
    lines = capsys.readouterr().out.splitlines()
    run("info", "--json", "-")
    assert json.loads(capsys.readouterr().out) == (report := fastbp.show_config(mode="dicts"))
    assert fastbp.show_config() is None
    assert lines == capsys.readouterr().out.splitlines()
    assert report["environment"]["NUMBA_OPT"] == "3"
    assert list(report["numbers"]) == list(NUMBERS)
    assert lines[-1].startswith(list(NUMBERS)[-1])
    assert report["threads"] == fastbp.get_num_threads()
    assert report["table row"].startswith(fastbp.kernels.isa.ISA.name)
    assert (report["NumPy"], report["cache"], report["cache size"]) == (np.__version__, str(tmp_path), "0.8 MB")
