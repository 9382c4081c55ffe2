"""No kernel reads or writes outside its arrays: all of them on ragged shapes, between pages that nobody may touch."""

import json
import sys
from pathlib import Path

import pytest
from amounts import amounts
from calls import python

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")


@pytest.mark.slow
@amounts("rounds", 0, 30)
def test_every_kernel_runs_between_fences(rounds):
    code = f"import sys; sys.path.append('..'); import every_kernel; every_kernel.main({rounds}, seed=1)"
    found = json.loads(python(code, cwd=HERE, timeout=None).splitlines()[-1])
    print(f"{found['arrays']} arrays on {found['row']}")
    assert found["touched"] == []
    assert found["idle"] == [], "kernels that did not run: have the warm-up use what they are for"
    assert found["arrays"] > 10_000


PRELUDE = """
import os, sys
sys.path.append("../kernels")
import numpy as np
from numba import types, void
from calls import address, uncached
from fastbp.kernels.memory import load, store
from fence import Fence

@uncached
def read(at):
    return load(at)

@uncached
def write(at):
    store(at, 0)

fence = Fence()
with fence.standing():
    fence.at_end = sys.argv[1] == "end"
    x = np.ones(3)
    begin, end = address(x), address(x) + x.nbytes
    read(begin), write(end - 8)
"""


@pytest.mark.slow
@pytest.mark.parametrize("does", ["read", "write"])
@pytest.mark.parametrize(("side", "place"), [("end", "end"), ("begin", "begin - 8")])
def test_an_element_too_many_next_to_a_page_ends_the_process(does, side, place):
    with pytest.raises(AssertionError, match="exit code -"):
        python(PRELUDE + f"    {does}({place})", side, cwd=HERE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "place", "gone"), [("end", "begin - 8", True), ("begin", "end", True), ("begin", "end + 800", False)]
)
def test_an_element_too_many_on_the_other_side_is_seen(side, place, gone):
    code = (
        PRELUDE
        + f"    write({place})\n"
        + ("    del x\n" if gone else "")
        + "print(len(fence.touched), flush=True)\nos._exit(0)"
    )
    assert python(code, side, cwd=HERE).split() == ["1"]


@pytest.mark.slow
def test_what_stays_inside_is_not_reported():
    code = PRELUDE + "    x[...] = 0\n    del x\nprint(len(fence.touched), fence.count > 0, flush=True)\nos._exit(0)"
    assert python(code, "end", cwd=HERE).split() == ["0", "True"]
