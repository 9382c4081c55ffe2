"""The cache of machine code under attack: always the right code, and never a word to the user."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from calls import copied_checkout
from processes import SIGMOID, SMALL, TRAINED, answer, small, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="for POSIX")
OTHER = "\n\n@kernel(inline=True)\ndef logistic(x):\n    return x + like(NUMBER, x)\n"


def edited(root, number):
    """Have the kernels of a checkout say that sigmoid(0) is another ``number``, or what it is where that is None."""
    file = root / "kernels" / "elementary.py"
    whole = file.with_suffix(".whole")
    if not whole.exists():
        shutil.copy(file, whole)
    added = "" if number is None else OTHER.replace("NUMBER", f"{number:.1f}")
    file.write_text(whole.read_text() + added)


# ---- Many processes, several versions ----


@pytest.mark.slow
def test_cold_processes_at_once_have_the_right_code_of_a_small_kernel(tmp_path):
    running = [started(SMALL, small(tmp_path), NUMBA_CACHE_DIR=tmp_path / "cache") for _ in range(5)]
    assert [answer(process) for process in running] == [20] * 5


@pytest.mark.soak
def test_twenty_cold_processes_at_once_have_the_right_code(tmp_path):
    expected = answer(started(TRAINED, NUMBA_CACHE_DIR=tmp_path / "one"))["bits"]
    cache = tmp_path / "many"
    running = [started(TRAINED, NUMBA_CACHE_DIR=cache) for _ in range(20)]
    assert {answer(process)["bits"] for process in running} == {expected}
    assert answer(started(TRAINED, NUMBA_CACHE_DIR=cache)) == {"bits": expected, "compiled": 0}
    assert not [name for _, _, names in os.walk(cache) for name in names if ".tmp." in name]


@pytest.mark.soak
def test_two_versions_side_by_side_on_one_cache_each_have_their_own_code(tmp_path):
    roots = [copied_checkout(tmp_path / name) for name in ("one", "two")]
    edited(roots[1], 7)
    for _ in range(5):
        running = [started(SIGMOID, root=root, NUMBA_CACHE_DIR=tmp_path / "cache") for root in roots * 3]
        assert [answer(process) for process in running] == [0.5, 7.0] * 3


# It imports, and waits until its sources are another version's, before it compiles.
WAITING = SIGMOID.replace("print", "import sys; print('{}', flush=True); sys.stdin.readline(); print")


@pytest.mark.soak
def test_versions_that_take_each_others_place_while_they_run_have_their_own_code(tmp_path):
    root = copied_checkout(tmp_path / "root")
    draw, versions = random.Random(0), [None, 7, 8]
    for _ in range(20):
        first, second = draw.sample(versions, 2)
        edited(root, first)
        settings = os.environ | {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", WAITING], env=settings, cwd=root, **pipes) as old:
            assert old.stdout.readline() == "{}\n"
            edited(root, second)
            new = started(SIGMOID, root=root, NUMBA_CACHE_DIR=tmp_path / "cache")
            assert json.loads(old.communicate("\n")[0]) == (first or 0.5)
        assert answer(new) == (second or 0.5)
        assert answer(started(SIGMOID, root=root, NUMBA_CACHE_DIR=tmp_path / "cache")) == (second or 0.5)


# ---- Damaged, full, not to be written ----


def damaged(draw, files):
    """Do to some of the ``files`` what disks, crashes and people do."""
    whole = {file: file.read_bytes() for file in files}
    for file in draw.sample(files, draw.randrange(1, 1 + len(files) // 2)):
        content = whole[file]
        kind, at = draw.randrange(7), draw.randrange(max(1, len(content)))
        if kind == 0:
            file.write_bytes(content[:at])
        elif kind == 1:
            file.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        elif kind == 2:
            file.write_bytes(whole[draw.choice(files)])
        elif kind == 3:
            file.write_bytes(bytes(len(content)))
        elif kind == 4:
            file.unlink()
            file.mkdir()
        elif kind == 5:
            file.unlink()
            file.symlink_to(draw.choice((*files, "/dev/zero", "nowhere")))
        else:
            file.unlink()
            os.mkfifo(file)


@pytest.mark.soak
def test_damaged_files_of_the_real_kernels_are_never_run(tmp_path):
    whole, cache, draw = tmp_path / "whole", tmp_path / "cache", random.Random(0)
    expected = answer(started(TRAINED, NUMBA_CACHE_DIR=whole))["bits"]
    for _ in range(40):
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(whole, cache)
        damaged(draw, sorted(cache.rglob("*.nb?")))
        for _ in range(2):
            assert answer(started(TRAINED, NUMBA_CACHE_DIR=cache))["bits"] == expected


# Files of more bytes cannot be written, as where a quota is used up.
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({n}, {n}))\n"


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, *(pytest.param(n, marks=pytest.mark.soak) for n in (0, 5000))])
def test_a_file_that_cannot_be_written_whole_is_not_kept(tmp_path, n):
    cache = tmp_path / "cache"
    assert answer(started(LIMITED.format(n=n) + SMALL, small(tmp_path), NUMBA_CACHE_DIR=cache)) == 20
    assert not [file for file in cache.rglob("*") if file.is_file() and file.stat().st_size in (0, n)]
    assert answer(started(SMALL, small(tmp_path), NUMBA_CACHE_DIR=cache)) == 20


@pytest.mark.soak
@pytest.mark.parametrize("n", [0, 2000, 20_000, 100_000])
def test_files_that_cannot_be_written_whole_are_not_run(tmp_path, n):
    found = {
        answer(started(code, NUMBA_CACHE_DIR=tmp_path))["bits"] for code in (LIMITED.format(n=n) + TRAINED, TRAINED)
    }
    assert len(found) == 1


@pytest.fixture
def disk(tmp_path):
    """Makes a disk of so many KiB; skips where this user may not."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k,mode=700", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")
        return folder

    yield mounted
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


@pytest.mark.slow
def test_a_full_disk_is_no_error(tmp_path, disk):
    cache = disk(8)
    for _ in range(2):
        assert answer(started(SMALL, small(tmp_path), NUMBA_CACHE_DIR=cache)) == 20


@pytest.mark.soak
@pytest.mark.parametrize("size", [16, 64, 300, 1000])
def test_a_disk_that_fills_up_on_the_way_is_no_error(tmp_path, disk, size):
    cache = disk(size)
    found = [answer(started(TRAINED, NUMBA_CACHE_DIR=folder))["bits"] for folder in (tmp_path, cache, cache)]
    assert len(set(found)) == 1


@pytest.mark.soak
def test_an_installation_that_nobody_can_write_to_with_no_home_works(tmp_path, disk):
    """A disk that is mounted for reading alone, which not even root can write to."""
    folder = disk(20_000)
    root = copied_checkout(folder / "root")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"))
    expected = answer(started(TRAINED, NUMBA_CACHE_DIR=tmp_path / "whole"))["bits"]
    for environment in (nowhere, nowhere | {"HOME": "/nonexistent"}, nowhere | {"NUMBA_CACHE_DIR": folder / "cache"}):
        assert answer(started(TRAINED, root=root, **environment))["bits"] == expected
