"""What a process loads and compiles before its first step, and what it does without."""

import json
import os

import pytest
from isolation import isolated

import fastbp

LATE = (
    "fastbp._from_torch",
    "fastbp.book",
    "fastbp.cli",
    "fastbp.commands",
    "fastbp.datasets",
    "fastbp.reference",
    "fastbp.sklearn",
    "fastbp.tables",
    "numba.np.arrayobj",
    "safetensors",
    "tqdm",
)


def test_import_loads_nothing_that_is_for_later():
    code = "import fastbp, json, sys; print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))"
    assert json.loads(isolated(code, *LATE)) == []


@pytest.mark.parametrize("name", ["TableModel", "datasets", "from_torch", "show_config"])
def test_what_is_loaded_later_is_there_like_all_else(name):
    code = """
    import sys, fastbp
    name = sys.argv[1]
    assert name in dir(fastbp) and name in fastbp.__all__
    found = getattr(fastbp, name)
    assert vars(fastbp)[name] is found
    everything = {}
    exec("from fastbp import *", everything)
    assert everything[name] is found
    """
    isolated(code, name)


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="module 'fastbp' has no attribute 'tabels'"):
        fastbp.tabels  # noqa: B018


FIRST_STEP = """
    import json, sys
    import numpy as np
    from numba.core import event
    recorder = event.RecordingListener()
    event.register("numba:compile", recorder)
    import fastbp
    net = fastbp.mlp([4, 3, 2], seed=0)
    net.fit(np.ones((7, 4), np.float32), np.zeros(7, int), batch_size=4, threads=1, progress=False)
    compiled = [event.data["dispatcher"] for _, event in recorder.buffer if event.is_start]
    wholes = [one.__name__ for one in compiled if not getattr(one, "is_part", True)]
    late = [name for name in sys.argv[1:] if name in sys.modules]
    print(json.dumps({"compiled": len(compiled), "wholes": sorted(wholes), "late": late}))
"""
NAMED_BY_THE_PROGRAM = {
    "affine_forward",
    "affine_input_gradient",
    "affine_step",
    "gather_labels",
    "gather_rows",
    "relu_back",
    "softmax_loss_of_few",
}
NEEDED_BY_ALL = {"first_outside", "planned_product", "tile_table", "train"}


@pytest.mark.slow
def test_a_first_step_compiles_what_its_program_names_and_a_second_process_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "NUMBA_CACHE_DIR", str(tmp_path))
    first, second = (json.loads(isolated(FIRST_STEP, *LATE)) for _ in range(2))
    assert first["wholes"] == sorted(NAMED_BY_THE_PROGRAM | NEEDED_BY_ALL)
    assert second == {"compiled": 0, "wholes": [], "late": []}
