"""Machine code that comes with the package: used where it fits and nobody else can have written it, else let be."""

import os
import shutil
from pathlib import Path

import pytest
from calls import KERNELS, NOT_COPIED, PACKAGE, python, python_json
from test_jit import START, flipped
from test_private import attack

from fastbp.commands import _carry
from fastbp.kernels._jit import kind
from fastbp.kernels.isa import ISA
from fastbp.kernels.random import key_of

pytestmark = pytest.mark.slow  # nearly all start a process or two

MAKE = """
import pathlib, sys
import numpy as np
from fastbp.commands import _carry
from fastbp.kernels import _jit
from fastbp.kernels.random import key_of
for seed in (1, np.int32(1)):
    key_of(seed, 2, 3)
_carry.take(_carry.in_use(), pathlib.Path(sys.argv[1]), _jit.CARRIED)
"""
KEY_OF = START + "from fastbp.kernels.random import key_of; report(value=key_of(SEED, 2, 3))"
KEY_OF_1 = KEY_OF.replace("SEED", "1")
INFO = """
from fastbp.kernels import _jit
import json
from fastbp._show_config import collect
print(json.dumps({"kind": _jit.kind(), "says": collect()["machine code"]}))
"""


class Installed:
    """A package as it is installed, and a cache."""

    def __init__(self, root):
        self.root, self.cache = root, root / "cache"
        self.kernels = root / "fastbp" / "kernels"

    def run(self, code=KEY_OF_1, **settings):
        return python_json(code, root=self.root, cwd=self.root, **{"NUMBA_CACHE_DIR": self.cache} | settings)

    def compiles(self, **settings):
        """Whether a key, which has to be right, takes compiling; the cache is empty before and after."""
        try:
            result = self.run(**settings)
            assert result["value"] == key_of(1, 2, 3)
            assert Path(result["file"]).is_relative_to(self.root)
            assert bool(result["compiled"]) == bool(list(self.cache.rglob("*.nb?")))
            return bool(result["compiled"])
        finally:
            shutil.rmtree(self.cache, ignore_errors=True)

    def says(self, **settings):
        return self.run(INFO, **settings)["says"]

    @property
    def folder(self):
        (folder,) = self.kernels.joinpath("machine_code").iterdir()
        return folder

    def files(self, suffix):
        files = sorted(self.folder.glob(f"*{suffix}"))
        assert files
        return files


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A package that carries a kernel, compiled for two signatures."""
    installed = Installed(tmp_path_factory.mktemp("site-packages"))
    shutil.copytree(PACKAGE, installed.root / "fastbp", ignore=NOT_COPIED)
    shutil.copytree(KERNELS, installed.kernels, ignore=NOT_COPIED)
    python(MAKE, str(installed.cache), root=installed.root, cwd=installed.root, NUMBA_CACHE_DIR=installed.cache)
    shutil.rmtree(installed.cache)
    return installed


@pytest.fixture
def installed(made, tmp_path):
    shutil.copytree(made.root / "fastbp", tmp_path / "fastbp")
    return Installed(tmp_path)


def test_nothing_is_compiled(made):
    assert not made.compiles()
    assert made.says() == f"of the package: {made.folder}"


def test_nothing_is_imported_that_only_compiling_takes(made):
    loaded = KEY_OF_1 + "; print(json.dumps('numba.np.arrayobj' in sys.modules))"
    assert made.run(loaded) is False


def test_not_even_where_nothing_can_be_written(made):
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), "/dev/null/x")
    assert made.run(**nowhere)["compiled"] == 0


def test_what_it_does_not_have_is_compiled_kept_in_the_cache_and_found_there(made):
    before = {file: file.read_bytes() for file in made.folder.iterdir()}
    code = KEY_OF.replace("SEED", "np.int16(1)")
    try:
        assert [made.run(code)["compiled"] > 0 for _ in range(2)] == [True, False]
    finally:
        shutil.rmtree(made.cache)
    assert {file: file.read_bytes() for file in made.folder.iterdir()} == before


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: flipped(content, 5, 7),
        lambda content: bytes(1000),
    ],
    ids=["empty", "cut", "flipped", "other"],
)
def test_a_damaged_file_is_not_run(installed, suffix, change):
    for file in installed.files(suffix):
        file.write_bytes(change(file.read_bytes()))
    assert installed.compiles()


def test_machine_code_for_another_signature_is_not_run(installed):
    files = installed.files(".nbc")
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    assert len(files) > 1
    assert installed.compiles()


@pytest.mark.parametrize("part", ["numba", "cpython"])
def test_that_of_another_numba_or_python_is_not_run(installed, part):
    kind = installed.folder.name
    other = installed.folder.rename(installed.folder.with_name(kind.replace(f"-{part}", f"-{part}9")))
    assert installed.compiles()
    assert installed.says() == f"compiled at first use: this is {kind}, the package has {other.name}"


@pytest.mark.parametrize("rename", [False, True])
def test_that_of_other_sources_is_not_run_whatever_its_folder_is_called(installed, rename):
    with (installed.kernels / "elementary.py").open("a") as file:
        file.write("\n")
    if rename:
        installed.folder.rename(installed.folder.with_name(installed.run(INFO)["kind"]))
    assert installed.compiles()


@pytest.mark.parametrize("setting", [{"NUMBA_BOUNDSCHECK": 1}, {"NUMBA_OPT": 1}], ids=["bounds", "opt"])
def test_that_of_other_settings_is_not_run(made, setting):
    assert made.compiles(**setting)
    assert made.says(**setting).startswith("compiled at first use: this is ")


@pytest.mark.skipif(ISA.name in ("plain", "neon"), reason="there is no lesser row")
def test_that_of_another_row_is_not_run(made):
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert made.compiles(**plain)
    assert made.says(**plain).startswith("compiled at first use: this is plain-")


def test_a_package_without_any_says_so(installed):
    kind = installed.folder.name
    shutil.rmtree(installed.kernels / "machine_code")
    assert installed.compiles()
    assert installed.says() == f"compiled at first use: this is {kind}, the package has none"
    assert not installed.kernels.joinpath("machine_code").exists()


# ---- Where others can write ----

users = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users have no numbers here")
needs_root = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root gives files away")


def plant(installed):
    """Have the index run what leaves a trace when it is read."""
    trace = installed.root / "trace"
    for file in installed.files(".nbi"):
        attack(file, trace)
    return trace


@users
def test_the_attack_works_on_ones_own_files(installed):
    trace = plant(installed)
    assert installed.compiles()
    assert trace.exists()


@users
@pytest.mark.parametrize("where", ["folder", "machine_code", "kernels"])
def test_nothing_is_read_below_a_folder_that_others_can_write_to(installed, where):
    trace = plant(installed)
    place = {"folder": installed.folder, "machine_code": installed.folder.parent, "kernels": installed.kernels}[where]
    place.chmod(0o777)
    assert installed.compiles()
    assert not trace.exists()
    assert installed.says() == f"compiled at first use: {place} can be written by other users"


@users
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_no_file_is_read_that_others_can_write(installed, suffix):
    trace = plant(installed) if suffix == ".nbi" else installed.root / "trace"
    for file in installed.files(suffix):
        file.chmod(0o666)
    assert installed.compiles()
    assert not trace.exists()


@users
@needs_root
def test_no_folder_of_another_user_is_read(installed):
    trace = plant(installed)
    os.chown(installed.folder, 54321, 54321)
    assert installed.compiles()
    assert not trace.exists()
    assert installed.says() == f"compiled at first use: {installed.folder} belongs to another user"


def test_processes_that_make_it_compile_for_the_cpu_that_was_asked_for(monkeypatch):
    given = {}
    monkeypatch.setattr(_carry.subprocess, "run", lambda command, env, check: given.update(env))
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    monkeypatch.setenv("NUMBA_OPT", "0")
    _carry._process("warm_up", NUMBA_CACHE_DIR="here")
    assert given["NUMBA_CPU_NAME"] == "haswell"
    assert given["NUMBA_CACHE_DIR"] == "here"
    assert "NUMBA_OPT" not in given
    _carry._process("compile_all", NUMBA_CPU_NAME="x86-64")
    assert given["NUMBA_CPU_NAME"] == "x86-64"


def test_a_kernel_without_machine_code_is_an_error(tmp_path):
    key_of(1, 2, 3)
    ((module, name, signature),) = [found for found in _carry.in_use() if found[1] == "key_of"]
    with pytest.raises(RuntimeError, match=f"1 of 2 kernels left no machine code of {kind()}"):
        _carry.take({(module, name, signature), (module, name, "another")}, Path(key_of._cache.cache_path), tmp_path)
