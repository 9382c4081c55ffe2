"""How kernels are compiled, and their cache: never stale, never in the way."""

import errno
import hashlib
import itertools
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from calls import KERNELS, NOT_COPIED, python, python_json, uncached
from numba.core import config
from numba.core.caching import IndexDataCacheFile
from test_private import Attack, attack
from victim import Victim

from fastbp.kernels import _jit
from fastbp.kernels._jit import DIGEST_SIZE

# ---- What is part of the cache's key ----


def tag_of(folder, monkeypatch):
    monkeypatch.setattr(_jit, "__file__", str(folder / "_jit.py"))
    return _jit.digest_of_sources()


@pytest.fixture
def sources(tmp_path):
    """A copy of the kernels' files."""
    return Path(shutil.copytree(KERNELS, tmp_path / "kernels", ignore=NOT_COPIED))


def test_tag_changes_with_every_kernel_file(sources, monkeypatch):
    tags = {tag_of(sources, monkeypatch)}
    files = sorted(sources.glob("*.py"))
    assert len(files) > 10
    for file in files:
        text = file.read_bytes()
        file.write_bytes(text + b"\n")
        tags.add(tag_of(sources, monkeypatch))
        file.write_bytes(text)
    assert len(tags) == 1 + len(files)


def test_tag_changes_with_new_and_renamed_files(sources, monkeypatch):
    tags = [tag_of(sources, monkeypatch)]
    (sources / "new.py").write_text("")
    tags.append(tag_of(sources, monkeypatch))
    (sources / "new.py").rename(sources / "renamed.py")
    tags.append(tag_of(sources, monkeypatch))
    assert len(set(tags)) == 3


def test_tag_does_not_depend_on_the_folder_or_on_the_time(sources, monkeypatch):
    before = _jit.digest_of_sources()
    for file in sources.glob("*.py"):
        file.touch()
    assert tag_of(sources, monkeypatch) == before


def test_tag_is_of_the_sources_that_were_loaded_not_of_those_that_came_in_their_place(sources, monkeypatch):
    before = _jit.build_tag.__wrapped__()
    (sources / "new.py").write_text("")
    monkeypatch.setattr(_jit, "__file__", str(sources / "_jit.py"))
    assert _jit.build_tag.__wrapped__() == before


@pytest.mark.parametrize("setting", ["BOUNDSCHECK", "OPT"])
def test_tag_changes_with_numba_settings(monkeypatch, setting):
    before = _jit.build_tag.__wrapped__()
    monkeypatch.setattr(config, setting, "other")
    assert _jit.build_tag.__wrapped__() != before


def test_tag_changes_with_the_row_of_the_table(monkeypatch):
    before = _jit.build_tag.__wrapped__()
    monkeypatch.setattr(_jit, "ISA", "other")
    assert _jit.build_tag.__wrapped__() != before


# ---- Whole processes ----

START = """
import json, sys, threading
import numpy as np
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import fastbp
def report(**facts):
    print(json.dumps(facts | {"compiled": len(recorder.buffer), "file": fastbp.__file__}))
"""
SIGMOID_OF_0 = START + "report(value=float(fastbp.Sigmoid().forward(np.zeros((1, 1)))[0, 0]))"
EVERYTHING = (
    START
    + """
for dtype in (np.float32, np.float64):
    x, t = np.ones((3, 4), dtype), np.array([0, 1, 2])
    affine = fastbp.Affine(np.ones((4, 5), dtype), np.ones(5, dtype))
    for layer in (affine, fastbp.Relu(), fastbp.Sigmoid(), fastbp.Softmax()):
        layer.backward(layer.forward(x))
    for targets in (t, np.eye(3, 4, dtype=dtype)):
        loss = fastbp.SoftmaxWithLoss()
        loss.forward(x, targets)
        loss.backward()
report()
"""
)


def run_in(root, code, **environment):
    environment = {"NUMBA_CACHE_DIR": root / "cache", "NUMBA_NUM_THREADS": 1} | environment
    result = python_json(code, root=root, cwd=root, **environment)
    assert Path(result["file"]).is_relative_to(root)
    return result


def test_importing_compiles_nothing():
    assert python_json(START + "report()")["compiled"] == 0


def test_importing_changes_no_setting_of_numba():
    code = """
import json
from numba.core import config
names = [name for name in dir(config) if name.isupper()]
before = [repr(getattr(config, name)) for name in names]
import fastbp
print(json.dumps([name for name, was in zip(names, before) if repr(getattr(config, name)) != was]))
"""
    assert python_json(code) == []


@pytest.fixture(scope="module")
def first_process():
    """A process that runs every layer, with no SciPy to be found."""
    return python_json("import sys; sys.modules['scipy'] = None" + EVERYTHING)


def test_layers_need_no_scipy(first_process):
    assert first_process["compiled"] >= 0


@pytest.mark.usefixtures("first_process")
def test_a_second_process_compiles_nothing():
    assert python_json(EVERYTHING)["compiled"] == 0


KERNEL = """
import sys
import numpy as np
from numba import types
from fastbp.kernels.batch import begin_epoch

order = np.arange(5)
if sys.argv[1] == "signature":
    begin_epoch.compile(types.void(types.int64[::1], types.int64[::1], types.int64, types.int64))
else:
    begin_epoch(order, order[:0], 1, 2)
print(sum(begin_epoch.stats.cache_hits.values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("ways", [("signature", "call"), ("call", "signature")], ids=str)
def test_what_is_compiled_for_a_signature_is_found_by_a_call_and_the_other_way_round(ways, tmp_path):
    found = [int(python(KERNEL, way, NUMBA_CACHE_DIR=tmp_path)) for way in ways]
    assert found[1] == 1


@pytest.mark.slow
def test_never_stale_when_a_called_function_or_a_constant_changes(checkout):
    first = run_in(checkout, SIGMOID_OF_0)
    assert first["value"] == 0.5
    assert first["compiled"] > 0
    again = run_in(checkout, SIGMOID_OF_0)
    assert again["value"] == 0.5
    assert again["compiled"] == 0

    # What sigmoid.py calls, in another file; then a constant that this one reads.
    source = checkout / "kernels" / "elementary.py"
    original = source.read_text()
    assert "def logistic(x):" in original
    body = "\n\n@kernel(inline=True)\ndef logistic(x):\n    return x + like(ADDED, x)\n"
    for added in (7.0, 8.0):
        source.write_text(f"{original}\nADDED = {added}{body}")
        assert run_in(checkout, SIGMOID_OF_0)["value"] == added
    source.write_text(original)


@pytest.mark.slow
def test_works_where_no_cache_can_be_written(checkout):
    root = checkout / "read-only"
    for folder in ("fastbp", "kernels"):
        shutil.copytree(checkout / folder, root / folder)
        (root / folder / "__pycache__").touch()  # a file: no folder of that name can be made, not even by root
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), "/dev/null/x")
    result = run_in(root, SIGMOID_OF_0, PYTHONDONTWRITEBYTECODE=1, **nowhere)
    assert result["value"] == 0.5
    assert result["compiled"] > 0
    assert not list(root.rglob("*.nb[ic]"))


# ---- One small kernel, loaded again and again ----


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_file_cut_short_is_compiled_again(kept, suffix):
    for part in range(5):
        assert kept.damaged(suffix, lambda content, part=part: content[: len(content) * part // 5]) == (True, True)
    assert kept.damaged(suffix, lambda content: content[:-1]) == (True, True)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_file_of_something_else_is_compiled_again(kept, suffix):
    for other in (bytes(1000), b"\x80\x05garbage", bytes(range(256))):
        assert kept.damaged(suffix, lambda content, other=other: other) == (True, True)


def flipped(content, place, places):
    """``content`` with one bit changed, at one of so many places."""
    changed = bytearray(content)
    changed[len(content) * place // places] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.slow
def test_an_index_with_a_flipped_bit_is_compiled_again(kept):
    for place in range(40):
        assert kept.damaged(".nbi", lambda content, place=place: flipped(content, place, 40)) == (True, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda content, planted: planted,  # as an index was kept before it had a digest
        lambda content, planted: content[:DIGEST_SIZE] + planted,
        lambda content, planted: hashlib.sha256(planted).digest() + planted,
        lambda content, planted: planted + content,
    ],
    ids=["no digest", "another's digest", "not of this build", "before it"],
)
def test_an_index_without_its_digest_is_not_unpickled_and_is_replaced(kept, tmp_path, change):
    planted = pickle.dumps(Attack(tmp_path / "trace"))
    (index,) = [file for file in kept.files() if file.suffix == ".nbi"]
    index.write_bytes(change(index.read_bytes(), planted))
    assert kept() == (True, True)
    assert not (tmp_path / "trace").exists()
    assert kept() == (True, False)


def test_an_index_in_the_place_of_another_is_not_unpickled(kept, tmp_path):
    (index,) = [file for file in kept.files() if file.suffix == ".nbi"]
    other = index.with_name("other" + index.name)
    attack(other, tmp_path / "trace")
    other.replace(index)
    assert kept() == (True, True)
    assert not (tmp_path / "trace").exists()


def flip_machine_code(folder, places=30):
    """Run in a process of its own, which machine code with a flipped bit might end."""
    config.CACHE_DIR = str(folder / "cache")
    victim = Victim(folder)
    victim()
    for place in range(places):
        print(f"bit {place} of {places}", flush=True)
        right, _ = victim.damaged(".nbc", lambda content, place=place: flipped(content, place, places))
        assert right
    print("true")


@pytest.mark.slow
def test_a_flipped_bit_in_the_machine_code_does_no_harm(tmp_path):
    code = "import pathlib, sys, test_jit; test_jit.flip_machine_code(pathlib.Path(sys.argv[1]))"
    assert python_json(code, tmp_path) is True


def test_files_that_went_missing_are_made_again(kept):
    for suffix in (".nbi", ".nbc"):
        for file in kept.files():
            if file.suffix == suffix:
                file.unlink()
        assert kept() == (True, True)
        assert kept() == (True, False)


def test_old_machine_code_is_not_taken_for_new(kept, monkeypatch):
    """A process that ends, or another that reads, between the writing of a new index and of its machine code."""
    old = kept.files()
    kept.write(4)
    monkeypatch.setattr(_jit, "build_tag", lambda: "another tag")
    assert kept() == (True, True)
    for file in kept.files():
        if file.suffix == ".nbc":
            file.write_bytes(old[file])
    assert kept() == (True, True)


def test_compiles_where_no_folder_can_be_written(victim, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "/dev/null/x")
    assert victim() == (True, True)
    assert not victim.files()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_compiles_where_saving_fails(victim, monkeypatch, code):
    def save(self, key, data):
        raise OSError(code, "no")

    monkeypatch.setattr(IndexDataCacheFile, "save", save)
    assert victim() == (True, True)
    assert victim() == (True, True)


def test_compiles_where_reading_fails(kept, monkeypatch):
    def load(self, key):
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(IndexDataCacheFile, "load", load)
    assert kept() == (True, True)


# ---- Options ----


@uncached
def rounded(x, magic, y):
    for i in range(x.size):
        y[i] = (x[i] + magic) - magic


@uncached
def finite(x, y):
    for i in range(x.size):
        y[i] = np.isfinite(x[i]) and not np.isnan(x[i] - x[i])


@uncached
def quotients(x, y, z):
    for i in range(x.size):
        z[i] = x[i] / y[i]


def test_no_sum_is_reordered():
    for dtype, magic in ((np.float32, 1.5 * 2.0**23), (np.float64, 1.5 * 2.0**52)):
        x = np.linspace(-3, 3, 101).astype(dtype)
        y = np.empty_like(x)
        rounded(x, dtype(magic), y)
        assert np.array_equal(y, np.rint(x))


def test_nan_and_infinity_are_seen():
    x = np.array([1, np.nan, np.inf, -np.inf, 0] * 7)
    y = np.empty(x.shape, bool)
    finite(x, y)
    assert np.array_equal(y, np.isfinite(x))


def test_division_by_zero_is_numpys():
    x, y = (np.array(values) for values in zip(*itertools.product([0.0, 1, -1, np.nan], [0.0, -0.0, 2]), strict=True))
    z = np.empty_like(x)
    quotients(x, y, z)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(z, x / y)
